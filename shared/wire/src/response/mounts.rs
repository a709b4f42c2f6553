//! `mountVolumes` of clusters and jobs, echoed (section 8).

use super::parts::ResourceId;
use model::{FileServerMount, MountVolumes, UnmanagedMount};
use serde::Serialize;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountVolumesBody {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_servers: Vec<FileServerMountBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmanaged_file_systems: Vec<UnmanagedMount>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileServerMountBody {
    pub file_server: ResourceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_directory: Option<String>,
    pub relative_mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_options: Option<String>,
}

impl From<&MountVolumes> for MountVolumesBody {
    fn from(mounts: &MountVolumes) -> Self {
        Self {
            file_servers: mounts.file_servers.iter().map(FileServerMountBody::from).collect(),
            unmanaged_file_systems: mounts.unmanaged_file_systems.clone(),
        }
    }
}

impl From<&FileServerMount> for FileServerMountBody {
    fn from(mount: &FileServerMount) -> Self {
        Self {
            file_server: ResourceId::new(&mount.id),
            source_directory: mount.source_directory.clone(),
            relative_mount_path: mount.relative_mount_path.clone(),
            mount_options: mount.mount_options.clone(),
        }
    }
}
