//! Targets of reconciliation: the content of every hint and of the schedule's list.

use crate::{ClusterRef, Timestamp, Uid};
use serde::{Deserialize, Serialize};

/// A resource to reconcile. A hint carries nothing but this name: the function that receives it
/// reads the state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Target {
    /// A cluster.
    Cluster {
        /// The cluster.
        cluster: ClusterRef,
    },
    /// A file server.
    FileServer {
        /// Uid of its workspace.
        workspace: Uid,
        /// Its name in lower case.
        name: String,
        /// Its uid.
        uid: Uid,
    },
    /// The directory of a file server whose record was removed. A pass that was creating the directory may have
    /// been slower than the deletion, so the directory is removed once more.
    RemovedFileServer {
        /// Uid of the file server.
        uid: Uid,
        /// From this time no pass is left that could create the directory.
        not_before: Timestamp,
    },
    /// An experiment that is being deleted.
    Experiment {
        /// Uid of its workspace.
        workspace: Uid,
        /// Its name in lower case.
        name: String,
        /// Its uid.
        uid: Uid,
    },
    /// A workspace that is being deleted.
    Workspace {
        /// Its subscription in lower case.
        subscription: String,
        /// Its resource group in lower case.
        resource_group: String,
        /// Its name in lower case.
        name: String,
        /// Its uid.
        uid: Uid,
    },
    /// A resource group that is being deleted.
    ResourceGroup {
        /// Its subscription in lower case.
        subscription: String,
        /// Its name in lower case.
        name: String,
        /// Its uid.
        uid: Uid,
    },
}

impl Target {
    /// The cluster, if the target is one.
    pub fn cluster(&self) -> Option<&ClusterRef> {
        match self {
            Self::Cluster { cluster } => Some(cluster),
            Self::FileServer { .. }
            | Self::RemovedFileServer { .. }
            | Self::Experiment { .. }
            | Self::Workspace { .. }
            | Self::ResourceGroup { .. } => None,
        }
    }

    /// The uid of the resource. It is also the message group of its hints, so that only one
    /// function at a time reconciles the resource.
    pub fn uid(&self) -> &Uid {
        match self {
            Self::Cluster { cluster } => &cluster.uid,
            Self::FileServer { uid, .. }
            | Self::RemovedFileServer { uid, .. }
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
    fn every_target_has_the_uid_of_its_resource() {
        let (uid, workspace) = (Uid::from_bytes([1; 16]), Uid::from_bytes([2; 16]));
        let name = || "n".to_owned();
        let cluster = ClusterRef { workspace: workspace.clone(), name: name(), uid: uid.clone() };
        let (subscription, resource_group) = (name(), name());
        let targets = [
            Target::Cluster { cluster },
            Target::FileServer { workspace: workspace.clone(), name: name(), uid: uid.clone() },
            Target::RemovedFileServer { uid: uid.clone(), not_before: Timestamp(1) },
            Target::Experiment { workspace, name: name(), uid: uid.clone() },
            Target::Workspace { subscription, resource_group, name: name(), uid: uid.clone() },
            Target::ResourceGroup { subscription: name(), name: name(), uid: uid.clone() },
        ];
        assert!(targets.iter().all(|target| *target.uid() == uid));
    }
}
