//! `mountVolumes` of clusters and jobs, of all four kinds.
//!
//! What needs credentials is generic over them: they are plain in a request, a [`SecretValue`] in
//! the table, and absent from what is shown.

use crate::{SecretValue, Uid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountVolumes {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azure_file_shares: Vec<AzureFileShare>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azure_blob_file_systems: Vec<AzureBlobFileSystem>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_servers: Vec<FileServerMount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmanaged_file_systems: Vec<UnmanagedMount>,
}

/// An Azure file share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AzureFileShareReference")]
pub struct AzureFileShare<C = SecretValue> {
    pub account_name: String,
    pub azure_file_url: String,
    pub credentials: C,
    pub relative_mount_path: String,
    /// Octal.
    pub file_mode: String,
    /// Octal.
    pub directory_mode: String,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AzureBlobFileSystemReference")]
pub struct AzureBlobFileSystem<C = SecretValue> {
    pub account_name: String,
    pub container_name: String,
    pub credentials: C,
    pub relative_mount_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

/// Where a file server is mounted: all that it takes to find what was written there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    #[serde(rename = "path")]
    pub relative_mount_path: String,
    #[serde(rename = "server")]
    pub file_server: Uid,
    #[serde(default, rename = "source", skip_serializing_if = "Option::is_none")]
    pub source_directory: Option<String>,
}

impl MountVolumes {
    pub fn points(&self) -> Vec<MountPoint> {
        let point = |mount: &FileServerMount| MountPoint {
            relative_mount_path: mount.relative_mount_path.clone(),
            file_server: mount.uid.clone(),
            source_directory: mount.source_directory.clone(),
        };
        self.file_servers.iter().map(point).collect()
    }
}

/// A file server mounted on a cluster or for a job. The uid was resolved when it was asked for, so
/// that a later file server of the same name is not mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileServerMount {
    /// The ARM id, as sent.
    pub id: String,
    pub uid: Uid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_directory: Option<String>,
    pub relative_mount_path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

/// Any other file system: the service appends the mount path to the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UnmanagedFileSystemReference")]
pub struct UnmanagedMount {
    pub mount_command: String,
    pub relative_mount_path: String,
}

impl MountVolumes {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<C> AzureFileShare<C> {
    pub fn map_credentials<D>(self, map: impl FnOnce(C) -> D) -> AzureFileShare<D> {
        AzureFileShare {
            account_name: self.account_name,
            azure_file_url: self.azure_file_url,
            credentials: map(self.credentials),
            relative_mount_path: self.relative_mount_path,
            file_mode: self.file_mode,
            directory_mode: self.directory_mode,
        }
    }
}

impl<C> AzureBlobFileSystem<C> {
    pub fn map_credentials<D>(self, map: impl FnOnce(C) -> D) -> AzureBlobFileSystem<D> {
        AzureBlobFileSystem {
            account_name: self.account_name,
            container_name: self.container_name,
            credentials: map(self.credentials),
            relative_mount_path: self.relative_mount_path,
            mount_options: self.mount_options,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> MountVolumes {
        let mount = FileServerMount {
            id: "/id".into(),
            uid: Uid::from_bytes([1; 16]),
            source_directory: Some("data".into()),
            relative_mount_path: "nfs".into(),
            mount_options: None,
        };
        MountVolumes { file_servers: vec![mount], ..MountVolumes::default() }
    }

    #[test]
    fn mount_points_say_where_a_file_server_is_found() {
        let expected = MountPoint {
            relative_mount_path: "nfs".into(),
            file_server: Uid::from_bytes([1; 16]),
            source_directory: Some("data".into()),
        };
        assert_eq!(mounts().points(), [expected]);
        assert!(MountVolumes::default().is_empty() && !mounts().is_empty());
    }
}
