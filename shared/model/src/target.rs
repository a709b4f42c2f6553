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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_the_id_of_its_resource() {
        let (uid, workspace) = (Uid::from_bytes([1; 16]), Uid::from_bytes([2; 16]));
        let name = || "n".to_owned();
        let cluster = ClusterRef { workspace: workspace.clone(), name: name(), uid: uid.clone() };
        let (subscription, resource_group) = (name(), name());
        let targets = [
            Target::Cluster { cluster },
            Target::FileServer { workspace: workspace.clone(), name: name(), uid: uid.clone() },
            Target::Experiment { workspace, name: name(), uid: uid.clone() },
            Target::Workspace { subscription, resource_group, name: name(), uid: uid.clone() },
            Target::ResourceGroup { subscription: name(), name: name(), uid: uid.clone() },
        ];
        assert!(targets.iter().all(|target| *target.uid() == uid));
    }
}
