//! Resource groups, workspaces, experiments and file servers: what holds other things and has
//! little state itself.

use crate::{Backoff, FileServerSpec, Name, ResourceError, Timestamp, Uid, WorkspaceNames};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a resource is between its creation and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Lifecycle {
    Active,
    /// The operation is completed by whoever removes the record.
    Deleting {
        operation: Uid,
        since: Timestamp,
    },
}

impl Lifecycle {
    pub fn is_deleting(&self) -> bool {
        match self {
            Self::Active => false,
            Self::Deleting { .. } => true,
        }
    }
}

/// A subscription in which something was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: Name,
}

/// Holds workspaces, and takes them along when it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceGroup {
    pub subscription: Name,
    pub name: Name,
    pub uid: Uid,
    pub version: u64,
    pub location: String,
    pub tags: Option<BTreeMap<String, String>>,
    pub created_at: Timestamp,
    pub lifecycle: Lifecycle,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    pub names: WorkspaceNames,
    pub uid: Uid,
    pub version: u64,
    pub location: String,
    pub tags: Option<BTreeMap<String, String>>,
    pub created_at: Timestamp,
    /// Changes on a user's write only, never with the state.
    pub etag: Uid,
    pub modified_at: Timestamp,
    pub lifecycle: Lifecycle,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    pub workspace: Uid,
    pub names: WorkspaceNames,
    pub name: Name,
    pub uid: Uid,
    pub version: u64,
    pub created_at: Timestamp,
    pub etag: Uid,
    pub modified_at: Timestamp,
    pub lifecycle: Lifecycle,
}

/// A file server: a directory tree that clusters and jobs mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileServer {
    pub workspace: Uid,
    pub names: WorkspaceNames,
    pub name: Name,
    pub uid: Uid,
    pub version: u64,

    pub spec: FileServerSpec,
    pub created_at: Timestamp,
    pub etag: Uid,
    pub modified_at: Timestamp,
    pub state: FileServerState,
    /// Of its directory tree, while it is being deleted.
    #[serde(default, skip_serializing_if = "Backoff::is_clear")]
    pub removal: Backoff,
    /// Why its directory tree could not be removed at the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResourceError>,
}

/// A cluster that mounts a file server, of whatever workspace: the server stays as long as it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileServerUser {
    pub file_server: Uid,
    pub cluster: Uid,
    /// The names of the cluster, to say what is in the way.
    pub names: WorkspaceNames,
    pub name: Name,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FileServerState {
    /// Recorded, its directory not yet there.
    Creating {
        operation: Uid,
        since: Timestamp,
    },
    Ready {
        since: Timestamp,
    },
    /// Its directory could not be made in time. The same PUT again tries once more.
    Failed {
        since: Timestamp,
    },
    Deleting {
        operation: Uid,
        since: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_deleted_is_not_active() {
        let (operation, since) = (Uid::from_bytes([1; 16]), Timestamp(0));
        assert!(Lifecycle::Deleting { operation, since }.is_deleting());
        assert!(!Lifecycle::Active.is_deleting());
    }
}
