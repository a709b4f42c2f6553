//! What the control plane reconciles: the content of every hint, and of the list that the schedule
//! visits.

use crate::{ClusterRef, Uid};
use serde::{Deserialize, Serialize};

/// A resource to reconcile. A hint carries nothing but this name: the function that takes it reads
/// the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Target {
    Cluster { cluster: ClusterRef },
    FileServer { workspace: Uid, name: String, uid: Uid },
    Experiment { workspace: Uid, name: String, uid: Uid },
    Workspace { subscription: String, resource_group: String, name: String, uid: Uid },
    ResourceGroup { subscription: String, name: String, uid: Uid },
}

impl Target {
    /// The id of the resource; also the message group, so that one function at a time reconciles
    /// it.
    pub fn uid(&self) -> &Uid {
        match self {
            Self::Cluster { cluster } => &cluster.uid,
            Self::FileServer { uid, .. }
            | Self::Experiment { uid, .. }
            | Self::Workspace { uid, .. }
            | Self::ResourceGroup { uid, .. } => uid,
        }
    }
}
