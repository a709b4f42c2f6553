//! Clusters: what was asked for, and the little state that cannot be derived from their nodes.

use crate::{
    Account, Backoff, Charge, ClusterRef, ClusterSpec, Lifecycle, Name, ResourceError,
    ScaleSettings, Timestamp, Uid, VmSize, WorkspaceNames, limits,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub workspace: Uid,
    pub names: WorkspaceNames,
    pub name: Name,
    pub uid: Uid,
    /// The region of its workspace, where its nodes are counted.
    pub location: Name,
    /// Goes up with every write. Whoever changes the number of nodes writes the cluster too, so two
    /// plans made on one version cannot both add nodes.
    pub version: u64,

    pub spec: ClusterSpec,
    pub scale: ScaleSettings,
    pub created_at: Timestamp,
    /// Changes on a user's write only, never with the state.
    pub etag: Uid,
    pub modified_at: Timestamp,
    pub state: ClusterState,
    /// Whether the schedule visits this cluster. A dormant one has no nodes and no queue, and costs
    /// nothing.
    pub scheduled: bool,
    /// Nodes that exist or are being launched, as of the last change of capacity. A hint for
    /// dispatch, so that it need not read every node; plans of capacity count the nodes themselves.
    pub planned_nodes: u32,
    pub allocation: Allocation,
    /// Launches and preparations that failed in a row.
    pub health: Backoff,
    /// Newest first.
    pub errors: Vec<ResourceError>,
}

pub type ClusterState = Lifecycle;

/// `allocationState`: whether the number of nodes is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    pub resizing: bool,
    pub since: Timestamp,
}

impl Cluster {
    pub fn reference(&self) -> ClusterRef {
        ClusterRef {
            workspace: self.workspace.clone(),
            name: self.name.key(),
            uid: self.uid.clone(),
        }
    }

    /// Where it and its nodes are counted.
    pub fn account(&self) -> Account {
        Account { subscription: self.names.subscription.clone(), location: self.location.clone() }
    }

    /// What each of its nodes counts for.
    pub fn charge(&self) -> Charge {
        let charge = Charge::of(self.account(), self.spec.vm_priority, &self.spec.vm_size);
        // Which size a node gets is known later: the largest counts.
        let sizes = self.spec.extensions.alternate_vm_sizes.iter().flatten();
        let cores = sizes.map(|size| VmSize::of(size).cores).fold(charge.cores, u32::max);
        Charge { cores, ..charge }
    }

    pub fn is_deleting(&self) -> bool {
        self.state.is_deleting()
    }

    pub fn record_error(&mut self, error: ResourceError) {
        self.errors.retain(|known| *known != error);
        self.errors.insert(0, error);
        self.errors.truncate(limits::MAX_CLUSTER_ERRORS);
    }
}
