//! Resource groups, workspaces, experiments and file servers: containers of other resources, with
//! little state of their own.

use crate::{
    Backoff, FileServerSpec, FileShare, Name, ResourceError, Timestamp, Uid, WorkspaceNames,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a resource exists normally or is being deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Lifecycle {
    /// It exists.
    Active,
    /// It is being deleted. The function that removes the record completes the operation.
    Deleting {
        /// Id of the operation that completes with the removal.
        operation: Uid,
        /// When the deletion began.
        since: Timestamp,
    },
}

impl Lifecycle {
    /// Whether the resource is being deleted.
    pub fn is_deleting(&self) -> bool {
        match self {
            Self::Active => false,
            Self::Deleting { .. } => true,
        }
    }
}

/// A subscription with at least one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id (a name in ARM paths).
    pub id: Name,
}

/// A container of workspaces. Its deletion deletes them too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceGroup {
    /// The subscription.
    pub subscription: Name,
    /// Name of the group.
    pub name: Name,
    /// Uid of the group.
    pub uid: Uid,
    /// Incremented by every write.
    pub version: u64,
    /// Region.
    pub location: String,
    /// Tags of the user.
    pub tags: Option<BTreeMap<String, String>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Active or being deleted.
    pub lifecycle: Lifecycle,
}

/// A container of clusters, file servers and experiments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Full name.
    pub names: WorkspaceNames,
    /// Uid of the workspace.
    pub uid: Uid,
    /// Incremented by every write.
    pub version: u64,
    /// Region of the workspace and of its clusters.
    pub location: String,
    /// Tags of the user.
    pub tags: Option<BTreeMap<String, String>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Changes when a user changes the workspace, not with its state.
    pub etag: Uid,
    /// When a user last changed it.
    pub modified_at: Timestamp,
    /// Active or being deleted.
    pub lifecycle: Lifecycle,
}

/// A container of jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Uid of the workspace.
    pub workspace: Uid,
    /// Names of the workspace.
    pub names: WorkspaceNames,
    /// Name of the experiment.
    pub name: Name,
    /// Uid of the experiment.
    pub uid: Uid,
    /// Incremented by every write.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// Changes when a user changes the experiment, not with its state.
    pub etag: Uid,
    /// When a user last changed it.
    pub modified_at: Timestamp,
    /// Active or being deleted.
    pub lifecycle: Lifecycle,
}

/// A file server: a directory tree that clusters and jobs mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileServer {
    /// Uid of the workspace.
    pub workspace: Uid,
    /// Names of the workspace.
    pub names: WorkspaceNames,
    /// Name of the file server.
    pub name: Name,
    /// Uid of the file server.
    pub uid: Uid,
    /// Incremented by every write.
    pub version: u64,

    /// Specification, as requested.
    pub spec: FileServerSpec,
    /// When it was created.
    pub created_at: Timestamp,
    /// Changes when a user changes the file server, not with its state.
    pub etag: Uid,
    /// When a user last changed it.
    pub modified_at: Timestamp,
    /// Creating, ready, failed or being deleted.
    pub state: FileServerState,
    /// What nodes mount. Known once it is ready.
    #[serde(default, skip_serializing_if = "FileShare::is_directory")]
    pub share: FileShare,
    /// Failed removals of its directory tree.
    #[serde(default, skip_serializing_if = "Backoff::is_clear")]
    pub removal: Backoff,
    /// Why the last removal of its directory tree failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResourceError>,
}

impl FileServer {
    /// The directory of its files after the deletion, if they are kept. It has the name of no file server, so that
    /// a late pass that removes the directory of this one does not remove it, and no later file server has it.
    pub fn kept_directory(&self) -> String {
        format!("kept-{}", self.uid)
    }
}

/// A cluster that mounts a file server, in any workspace. The file server cannot be deleted while
/// the cluster exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileServerUser {
    /// Uid of the file server.
    pub file_server: Uid,
    /// Uid of the cluster.
    pub cluster: Uid,
    /// Workspace of the cluster, for error messages.
    pub names: WorkspaceNames,
    /// Name of the cluster, for error messages.
    pub name: Name,
}

/// The state of a file server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FileServerState {
    /// Recorded; its directory does not exist yet.
    Creating {
        /// Id of the operation that completes with the creation.
        operation: Uid,
        /// When the creation began.
        since: Timestamp,
    },
    /// Its directory exists; it can be mounted.
    Ready {
        /// When it became ready.
        since: Timestamp,
    },
    /// Its directory could not be created before the deadline. Repeating the PUT tries again.
    Failed {
        /// When it failed.
        since: Timestamp,
    },
    /// It is being deleted.
    Deleting {
        /// Id of the operation that completes with the removal.
        operation: Uid,
        /// When the deletion began.
        since: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_being_deleted_is_not_active() {
        let (operation, since) = (Uid::from_bytes([1; 16]), Timestamp(0));
        assert!(Lifecycle::Deleting { operation, since }.is_deleting());
        assert!(!Lifecycle::Active.is_deleting());
    }
}
