//! `mountVolumes` of clusters and jobs, as responses return them (docs/contract.md, "Mounts").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use model::{
    AzureBlobFileSystem, AzureFileShare, FileServerMount, LustreFileSystem, MountVolumes,
    ResourceId, S3Bucket, UnmanagedMount,
};
use schemars::JsonSchema;
use serde::Serialize;

/// `MountVolumes` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MountVolumes")]
pub struct MountVolumesBody {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub azure_file_shares: Vec<AzureFileShare<NoCredentials>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub azure_blob_file_systems: Vec<AzureBlobFileSystem<NoCredentials>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_servers: Vec<FileServerMountBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmanaged_file_systems: Vec<UnmanagedMount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<MountExtensions>,
}

/// Mounts beyond the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountExtensions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub s3_buckets: Vec<S3Bucket>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lustre_file_systems: Vec<LustreFileSystem>,
}

impl MountExtensions {
    fn of(mounts: &MountVolumes) -> Option<Self> {
        let MountVolumes { s3_buckets, lustre_file_systems, .. } = mounts;
        let has_any = !s3_buckets.is_empty() || !lustre_file_systems.is_empty();
        has_any.then(|| Self {
            s3_buckets: s3_buckets.clone(),
            lustre_file_systems: lustre_file_systems.clone(),
        })
    }
}

/// `FileServerReference` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FileServerReference")]
pub struct FileServerMountBody {
    pub file_server: ResourceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_directory: Option<String>,
    pub relative_mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

/// Credentials, which are returned as an empty object.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AzureStorageCredentialsInfo")]
pub struct NoCredentials {}

impl From<&MountVolumes> for MountVolumesBody {
    fn from(mounts: &MountVolumes) -> Self {
        let shares = mounts.azure_file_shares.iter().cloned();
        let containers = mounts.azure_blob_file_systems.iter().cloned();
        Self {
            azure_file_shares: shares.map(|it| it.map_credentials(|_| NoCredentials {})).collect(),
            azure_blob_file_systems: containers
                .map(|it| it.map_credentials(|_| NoCredentials {}))
                .collect(),
            file_servers: mounts.file_servers.iter().map(FileServerMountBody::from).collect(),
            unmanaged_file_systems: mounts.unmanaged_file_systems.clone(),
            extensions: MountExtensions::of(mounts),
        }
    }
}

impl From<&FileServerMount> for FileServerMountBody {
    fn from(mount: &FileServerMount) -> Self {
        Self {
            file_server: ResourceId { id: mount.id.clone() },
            source_directory: mount.source_directory.clone(),
            relative_mount_path: mount.relative_mount_path.clone(),
            mount_options: mount.mount_options.clone(),
        }
    }
}
