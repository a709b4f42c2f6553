//! Clusters: their specification, and the little state that cannot be derived from their nodes.

use crate::{
    Account, AvoidedPool, Backoff, Charge, ClusterRef, ClusterSpec, LaunchRate, Lifecycle, Name,
    Pool, PoolRefusal, ResourceError, ScaleSettings, Timestamp, Uid, VmSize, WorkspaceNames,
    limits,
};
use serde::{Deserialize, Serialize};

/// The record of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Uid of the workspace.
    pub workspace: Uid,
    /// Names of the workspace.
    pub names: WorkspaceNames,
    /// Name of the cluster.
    pub name: Name,
    /// Uid of the cluster.
    pub uid: Uid,
    /// Region of the workspace. The usage of the cluster's nodes is counted there.
    pub location: Name,
    /// Incremented by every write. A plan that changes the number of nodes writes the cluster too,
    /// so two plans made on the same version cannot both add nodes.
    pub version: u64,

    /// Specification: VM size, image, mounts, set-up task.
    pub spec: ClusterSpec,
    /// Scale settings.
    pub scale: ScaleSettings,
    /// When it was created.
    pub created_at: Timestamp,
    /// Changes when a user changes the cluster, not with its state.
    pub etag: Uid,
    /// When a user last changed it.
    pub modified_at: Timestamp,
    /// Active or being deleted.
    pub state: ClusterState,
    /// Whether the schedule reconciles this cluster. A dormant cluster has no nodes and no queue,
    /// and costs nothing.
    pub scheduled: bool,
    /// Nodes that exist or are being launched, as of the last change of capacity. Dispatch uses it
    /// as an estimate instead of reading every node; capacity plans count the nodes themselves.
    pub planned_nodes: u32,
    /// Whether the number of nodes is changing.
    pub allocation: Allocation,
    /// Consecutive failures of launches and preparations.
    pub health: Backoff,
    /// Pools that refused a launch. Few: see [`limits::MAX_AVOIDED_POOLS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoided_pools: Vec<AvoidedPool>,
    /// How often instances were requested lately.
    #[serde(default, skip_serializing_if = "LaunchRate::is_zero")]
    pub launch_rate: LaunchRate,
    /// Errors shown on the cluster, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ResourceError>,
}

/// The state of a cluster.
pub type ClusterState = Lifecycle;

/// `allocationState`: whether the number of nodes is changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// `true` for `resizing`, `false` for `steady`.
    pub resizing: bool,
    /// When it last changed.
    pub since: Timestamp,
}

impl Cluster {
    /// A reference to this cluster.
    pub fn reference(&self) -> ClusterRef {
        ClusterRef {
            workspace: self.workspace.clone(),
            name: self.name.key(),
            uid: self.uid.clone(),
        }
    }

    /// Where the usage of the cluster and its nodes is counted.
    pub fn account(&self) -> Account {
        Account { subscription: self.names.subscription.clone(), location: self.location.clone() }
    }

    /// The usage of each of its nodes.
    pub fn charge(&self) -> Charge {
        let charge = Charge::of(self.account(), self.spec.vm_priority, &self.spec.vm_size);
        // The size of a node is known only after its launch, so the largest size counts.
        let sizes = self.spec.extensions.alternate_vm_sizes.iter().flatten();
        let cores = sizes.map(|size| VmSize::of(size).cores).fold(charge.cores, u32::max);
        Charge { cores, ..charge }
    }

    /// Whether the cluster is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.state.is_deleting()
    }

    /// The next launches avoid these pools.
    pub fn avoid(&mut self, refusals: &[PoolRefusal], now: Timestamp) {
        crate::pool::remember(&mut self.avoided_pools, refusals, now);
    }

    /// The pools that a launch avoids now.
    pub fn pools_to_avoid(&self, now: Timestamp) -> Vec<Pool> {
        let avoided = self.avoided_pools.iter().filter(|it| now < it.until);
        avoided.map(|it| it.pool.clone()).collect()
    }

    /// Adds an error in front of the others. An equal earlier error is removed, and at most
    /// [`limits::MAX_CLUSTER_ERRORS`] are kept.
    pub fn record_error(&mut self, error: ResourceError) {
        let error = error.within(limits::MAX_ERROR_BYTES);
        self.errors.retain(|known| *known != error);
        self.errors.insert(0, error);
        self.errors.truncate(limits::MAX_CLUSTER_ERRORS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterExtensions, NodeDeallocation, UserAccount, VmPriority};

    fn cluster() -> Cluster {
        let uid = || Uid::from_bytes([1; 16]);
        let names = WorkspaceNames {
            subscription: Name::new("S"),
            resource_group: Name::new("G"),
            workspace: Name::new("W"),
        };
        let account = UserAccount { admin_user_name: "u".into(), admin_user_ssh_public_key: None };
        let spec = ClusterSpec {
            vm_size: "STANDARD_NC6".into(),
            vm_priority: VmPriority::Dedicated,
            image: serde_json::Value::Null,
            user_account: account,
            administrator_password_hash: None,
            setup_task: None,
            mounts: None,
            performance_counters: None,
            subnet_id: None,
            extensions: ClusterExtensions::default(),
        };
        Cluster {
            workspace: uid(),
            names,
            name: Name::new("C"),
            uid: uid(),
            location: Name::new("here"),
            version: 1,
            spec,
            scale: ScaleSettings::Manual {
                target_node_count: 0,
                node_deallocation_option: NodeDeallocation::Requeue,
            },
            created_at: Timestamp(0),
            etag: uid(),
            modified_at: Timestamp(0),
            state: Lifecycle::Active,
            scheduled: true,
            planned_nodes: 0,
            allocation: Allocation { resizing: false, since: Timestamp(0) },
            health: Backoff::CLEAR,
            avoided_pools: vec![],
            launch_rate: LaunchRate::NONE,
            errors: vec![],
        }
    }

    #[test]
    fn a_node_counts_as_the_largest_size_it_may_get() {
        let mut cluster = cluster();
        assert_eq!((cluster.charge().cores, cluster.charge().account), (6, cluster.account()));
        let sizes = ["STANDARD_NC12", "STANDARD_NC24", "STANDARD_D1"].map(str::to_owned);
        cluster.spec.extensions.alternate_vm_sizes = Some(sizes.to_vec());
        assert_eq!(cluster.charge().cores, 24);
    }

    #[test]
    fn errors_are_listed_newest_first_without_duplicates() {
        let mut cluster = cluster();
        let error = |number: usize| ResourceError::new("C", number.to_string());
        for number in [1, 2, 1] {
            cluster.record_error(error(number));
        }
        assert_eq!(cluster.errors, [error(1), error(2)]);
        (3..20).for_each(|number| cluster.record_error(error(number)));
        assert_eq!(cluster.errors.len(), limits::MAX_CLUSTER_ERRORS);
        assert_eq!(cluster.errors[0], error(19));
    }

    #[test]
    fn a_cluster_knows_that_it_is_being_deleted() {
        let mut cluster = cluster();
        assert!(!cluster.is_deleting());
        let operation = Uid::from_bytes([2; 16]);
        cluster.state = Lifecycle::Deleting { operation, since: Timestamp(0) };
        assert!(cluster.is_deleting());
        assert_eq!(cluster.reference().name, "c");
    }
}
