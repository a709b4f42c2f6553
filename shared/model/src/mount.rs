//! `mountVolumes` of clusters and jobs, of all kinds.
//!
//! Mounts with credentials are generic over them: plain text in a request, a [`SecretValue`] in the
//! table, absent in a response.

use crate::{AzureFileUrl, InvalidVolumeUrl, SecretValue, StorageKind, Uid, Volume};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The volumes that a cluster or a job mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountVolumes {
    /// Azure file shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azure_file_shares: Vec<AzureFileShare>,
    /// Containers of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azure_blob_file_systems: Vec<AzureBlobFileSystem>,
    /// File servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_servers: Vec<FileServerMount>,
    /// Other file systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmanaged_file_systems: Vec<UnmanagedMount>,
    /// Buckets of Amazon S3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub s3_buckets: Vec<S3Bucket>,
    /// File systems of Amazon FSx for Lustre.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lustre_file_systems: Vec<LustreFileSystem>,
}

/// An Azure file share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AzureFileShareReference")]
pub struct AzureFileShare<C = SecretValue> {
    /// Name of the storage account.
    pub account_name: String,
    /// URL of the file share, or of a directory of it.
    pub azure_file_url: String,
    /// Credentials of the storage account.
    pub credentials: C,
    /// Mount path, relative to the mount root.
    pub relative_mount_path: String,
    /// Mode of files, octal.
    pub file_mode: String,
    /// Mode of directories, octal.
    pub directory_mode: String,
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AzureBlobFileSystemReference")]
pub struct AzureBlobFileSystem<C = SecretValue> {
    /// Name of the storage account.
    pub account_name: String,
    /// Name of the blob container.
    pub container_name: String,
    /// Credentials of the storage account.
    pub credentials: C,
    /// Mount path, relative to the mount root.
    pub relative_mount_path: String,
    /// Additional mount options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

/// A bucket of Amazon S3, which nodes mount with their own role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "S3BucketReference")]
pub struct S3Bucket {
    /// Name of the bucket.
    pub bucket: String,
    /// The part of the bucket to mount, as a directory; all of it without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Mount path, relative to the mount root.
    pub relative_mount_path: String,
    /// Whether nothing can be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Additional options of `mount-s3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

/// A file system of Amazon FSx for Lustre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LustreFileSystemReference")]
pub struct LustreFileSystem {
    /// DNS name of the file system.
    pub dns_name: String,
    /// Mount name of the file system.
    pub mount_name: String,
    /// Mount path, relative to the mount root.
    pub relative_mount_path: String,
    /// Additional mount options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

impl<C> AzureFileShare<C> {
    /// The parts of its URL.
    ///
    /// # Errors
    /// When it is not one of a file share. Requests are checked; a record of an earlier release may have one.
    pub fn url(&self) -> Result<AzureFileUrl, InvalidVolumeUrl> {
        self.azure_file_url.parse()
    }
}

impl<C> AzureBlobFileSystem<C> {
    /// The container.
    ///
    /// # Errors
    /// When a name cannot be one of Azure, in a record of an earlier release.
    pub fn volume(&self) -> Result<Volume, InvalidVolumeUrl> {
        Volume::azure_blob_container(&self.account_name, &self.container_name)
    }
}

impl S3Bucket {
    /// The bucket.
    ///
    /// # Errors
    /// When its name cannot be one of a bucket.
    pub fn volume(&self) -> Result<Volume, InvalidVolumeUrl> {
        Volume::s3_bucket(&self.bucket)
    }
}

impl LustreFileSystem {
    /// The file system.
    ///
    /// # Errors
    /// When a name cannot be one of a file system.
    pub fn volume(&self) -> Result<Volume, InvalidVolumeUrl> {
        Volume::lustre(&self.dns_name, &self.mount_name)
    }
}

/// What nodes mount of a file server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FileShare {
    /// A directory of the machine on which service and nodes run, named by the uid of the file server.
    #[default]
    Directory,
    /// A directory of an EFS file system, behind an access point.
    #[serde(rename_all = "camelCase")]
    Efs {
        /// Such as `fs-0123456789abcdef0`.
        file_system: String,
        /// Such as `fsap-0123456789abcdef0`.
        access_point: String,
    },
}

impl FileShare {
    /// Whether it is a directory of the machine.
    pub fn is_directory(&self) -> bool {
        match self {
            Self::Directory => true,
            Self::Efs { .. } => false,
        }
    }
}

/// The mount point of a file server or a volume: enough to find the files that a job wrote there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// Mount path, relative to the mount root.
    #[serde(rename = "path")]
    pub relative_mount_path: String,
    /// Uid of the file server or the volume.
    #[serde(rename = "server")]
    pub file_server: Uid,
    /// The mounted directory of it; `None` for all of it.
    #[serde(default, rename = "source", skip_serializing_if = "Option::is_none")]
    pub source_directory: Option<String>,
    /// What is mounted. Absent: a file server.
    #[serde(default, skip_serializing_if = "StorageKind::is_file_server")]
    pub kind: StorageKind,
}

/// `AZ_BATCHAI_MOUNT_ROOT`, below which a cluster mounts.
pub const MOUNT_ROOT: &str = "AZ_BATCHAI_MOUNT_ROOT";

/// `AZ_BATCHAI_JOB_MOUNT_ROOT`, below which a job mounts.
pub const JOB_MOUNT_ROOT: &str = "AZ_BATCHAI_JOB_MOUNT_ROOT";

/// The part of a path such as `$AZ_BATCHAI_MOUNT_ROOT/nfs/a` below the variable `root`, without empty components and
/// `.`; `None` if the path does not begin with the variable.
pub fn below_root(path: &str, root: &str) -> Option<String> {
    let relative = [format!("${root}"), format!("${{{root}}}")]
        .iter()
        .find_map(|variable| path.strip_prefix(variable.as_str()))?;
    (relative.is_empty() || relative.starts_with('/')).then(|| plain_path([relative]))
}

/// Joins paths and drops empty components and `.`.
pub fn plain_path<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let components = parts.into_iter().flat_map(|part| part.split('/'));
    components.filter(|it| !it.is_empty() && *it != ".").collect::<Vec<_>>().join("/")
}

/// The part of a path below a mount; `None` if it is not on the mount. Both are relative to the mount root.
pub fn below_mount<'a>(path: &'a str, mount: &str) -> Option<&'a str> {
    let below = path.strip_prefix(&plain_path([mount]))?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

impl MountVolumes {
    /// Where anything is mounted, relative to the mount root.
    pub fn relative_paths(&self) -> Vec<&str> {
        let servers = self.file_servers.iter().map(|it| &it.relative_mount_path);
        let shares = self.azure_file_shares.iter().map(|it| &it.relative_mount_path);
        let containers = self.azure_blob_file_systems.iter().map(|it| &it.relative_mount_path);
        let buckets = self.s3_buckets.iter().map(|it| &it.relative_mount_path);
        let lustre = self.lustre_file_systems.iter().map(|it| &it.relative_mount_path);
        let unmanaged = self.unmanaged_file_systems.iter().map(|it| &it.relative_mount_path);
        (servers.chain(shares).chain(containers).chain(buckets).chain(lustre).chain(unmanaged))
            .map(String::as_str)
            .collect()
    }

    /// The mount points of file servers and volumes. Unmanaged file systems are unknown to the service.
    pub fn points(&self) -> Vec<MountPoint> {
        let servers = self.file_servers.iter().map(|mount| MountPoint {
            relative_mount_path: mount.relative_mount_path.clone(),
            file_server: mount.uid.clone(),
            source_directory: mount.source_directory.clone(),
            kind: StorageKind::FileServer,
        });
        let shares = self.azure_file_shares.iter().filter_map(|mount| {
            let url = mount.url().ok()?;
            Some(point(&mount.relative_mount_path, &url.volume(), url.sub_directory))
        });
        let containers = self.azure_blob_file_systems.iter().filter_map(|mount| {
            Some(point(&mount.relative_mount_path, &mount.volume().ok()?, None))
        });
        let buckets = self.s3_buckets.iter().filter_map(|mount| {
            let volume = mount.volume().ok()?;
            Some(point(&mount.relative_mount_path, &volume, mount.prefix.clone()))
        });
        let lustre = self.lustre_file_systems.iter().filter_map(|mount| {
            Some(point(&mount.relative_mount_path, &mount.volume().ok()?, None))
        });
        servers.chain(shares).chain(containers).chain(buckets).chain(lustre).collect()
    }
}

fn point(path: &str, volume: &Volume, source_directory: Option<String>) -> MountPoint {
    MountPoint {
        relative_mount_path: path.to_owned(),
        file_server: volume.uid(),
        source_directory,
        kind: volume.kind(),
    }
}

/// A file server mounted on a cluster or for a job. The uid is resolved when the mount is
/// requested, so that a later file server of the same name is not mounted instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileServerMount {
    /// The ARM id, as sent.
    pub id: String,
    /// Uid of the file server.
    pub uid: Uid,
    /// What nodes mount of it.
    #[serde(default, skip_serializing_if = "FileShare::is_directory")]
    pub share: FileShare,
    /// The directory of the file server to mount; `None` for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_directory: Option<String>,
    /// Mount path, relative to the mount root.
    pub relative_mount_path: String,
    /// Additional mount options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

/// Any other file system: the service appends the mount path to the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UnmanagedFileSystemReference")]
pub struct UnmanagedMount {
    /// Command line that mounts the file system.
    pub mount_command: String,
    /// Mount path, relative to the mount root.
    pub relative_mount_path: String,
}

impl MountVolumes {
    /// Whether there is no volume of any kind.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<C> AzureFileShare<C> {
    /// The same share with converted credentials.
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
    /// The same container with converted credentials.
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
            share: FileShare::Directory,
            source_directory: Some("data".into()),
            relative_mount_path: "nfs".into(),
            mount_options: None,
        };
        MountVolumes { file_servers: vec![mount], ..MountVolumes::default() }
    }

    #[test]
    fn mount_points_locate_a_file_server() {
        let expected = MountPoint {
            relative_mount_path: "nfs".into(),
            file_server: Uid::from_bytes([1; 16]),
            source_directory: Some("data".into()),
            kind: StorageKind::FileServer,
        };
        assert_eq!(mounts().points(), [expected]);
        assert!(MountVolumes::default().is_empty() && !mounts().is_empty());
    }

    #[test]
    fn mount_points_locate_volumes() {
        let share = AzureFileShare {
            account_name: "lab".into(),
            azure_file_url: "https://lab.file.core.windows.net/logs/a".into(),
            credentials: SecretValue::Sealed(String::new()),
            relative_mount_path: "logs".into(),
            file_mode: "0777".into(),
            directory_mode: "0777".into(),
        };
        // As an earlier release accepted it.
        let unknown = AzureFileShare { azure_file_url: "https://lab/logs".into(), ..share.clone() };
        let mounts = MountVolumes { azure_file_shares: vec![unknown, share], ..Default::default() };
        let expected = MountPoint {
            relative_mount_path: "logs".into(),
            file_server: "https://lab.file.core.windows.net/logs".parse::<Volume>().unwrap().uid(),
            source_directory: Some("a".into()),
            kind: StorageKind::AzureFileShare,
        };
        assert_eq!(mounts.points(), [expected]);
    }
}
