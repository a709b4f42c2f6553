//! `mountVolumes` of clusters and jobs (section 8).

use crate::read::{Fields, Place};
use crate::{FileServerId, Violation, Violations, codes, paths, rules};
use model::{FileServerMount, MountVolumes, Uid, UnmanagedMount};
use std::collections::HashSet;

/// Mounts as they were sent, with the file servers not yet looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountsRequest {
    pub file_servers: Vec<FileServerMountRequest>,
    pub unmanaged_file_systems: Vec<UnmanagedMount>,
    /// Where the mounts stand in the body, for violations that are found later.
    path: String,
}

/// `FileServerReference` of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileServerMountRequest {
    pub server: FileServerId,
    /// The ARM id as sent; it is echoed so.
    pub id: String,
    pub source_directory: Option<String>,
    pub relative_mount_path: String,
    pub mount_options: Option<String>,
}

/// The kinds of mounts of the contract that come with a later version.
const NOT_SUPPORTED: [&str; 2] = ["azureFileShares", "azureBlobFileSystems"];

/// Reads the field `mountVolumes`; `None` if it is absent, or wrong and told to the report.
pub(super) fn mount_volumes(owner: &Fields<'_>) -> Option<MountsRequest> {
    let volumes = owner.optional("mountVolumes")?.object()?;
    for kind in NOT_SUPPORTED {
        if let Some(place) = volumes.optional(kind) {
            refuse_kind(&place);
        }
    }
    // Paths of one level share a root, whatever is mounted there.
    let mut taken = HashSet::new();
    let file_servers = list(&volumes, "fileServers", file_server);
    let unmanaged_file_systems = list(&volumes, "unmanagedFileSystems", unmanaged);
    let paths = file_servers.iter().map(|(place, mount)| (place, &mount.relative_mount_path));
    let others =
        unmanaged_file_systems.iter().map(|(place, mount)| (place, &mount.relative_mount_path));
    for (place, path) in paths.chain(others) {
        if !taken.insert(paths::normalized(path)) {
            place.invalid(&format!(
                "must not use the relativeMountPath {} of another mount",
                rules::quoted(path)
            ));
        }
    }
    Some(MountsRequest {
        file_servers: file_servers.into_iter().map(|(_, mount)| mount).collect(),
        unmanaged_file_systems: unmanaged_file_systems
            .into_iter()
            .map(|(_, mount)| mount)
            .collect(),
        path: volumes.path,
    })
}

/// An empty list is none.
fn refuse_kind(place: &Place<'_>) {
    if !place.is_empty_list() {
        place.refuse(
            codes::MOUNT_NOT_SUPPORTED,
            "is not supported in this version: create a file server and mount it with fileServers",
        );
    }
}

fn list<'a, T>(
    volumes: &Fields<'a>,
    kind: &str,
    read: impl Fn(&Fields<'a>) -> Option<T>,
) -> Vec<(Place<'a>, T)> {
    volumes.optional(kind).map(|place| rules::list_of(&place, read)).unwrap_or_default()
}

fn file_server(mount: &Fields<'_>) -> Option<FileServerMountRequest> {
    let server = mount.required("fileServer").and_then(|place| file_server_id(&place));
    let source_directory =
        mount.optional("sourceDirectory").and_then(|place| rules::relative_path(&place));
    let relative_mount_path = mount_path(mount);
    let mount_options = mount.optional("mountOptions").and_then(|place| rules::text(&place));
    let (server, id) = server?;
    Some(FileServerMountRequest {
        server,
        id,
        source_directory,
        relative_mount_path: relative_mount_path?,
        mount_options,
    })
}

fn file_server_id(reference: &Place<'_>) -> Option<(FileServerId, String)> {
    let place = reference.object()?.required("id")?;
    let text = place.text()?;
    let Some(id) = FileServerId::parse(text) else {
        place.invalid(&format!(
            "must be the id of a file server, /subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/Microsoft.BatchAI/workspaces/{{workspace}}/fileservers/{{name}}, but is {}",
            rules::quoted(text)
        ));
        return None;
    };
    Some((id, text.to_owned()))
}

fn unmanaged(mount: &Fields<'_>) -> Option<UnmanagedMount> {
    let mount_command =
        mount.required("mountCommand").and_then(|place| rules::command_line(&place));
    let relative_mount_path = mount_path(mount);
    Some(UnmanagedMount {
        mount_command: mount_command?,
        relative_mount_path: relative_mount_path?,
    })
}

/// `relativeMountPath`: a directory of its own, so not the root of all mounts itself.
fn mount_path(mount: &Fields<'_>) -> Option<String> {
    let place = mount.required("relativeMountPath")?;
    let path = rules::relative_path(&place)?;
    if paths::components(&path).next().is_none() {
        place.invalid("must name a directory");
        return None;
    }
    Some(path)
}

impl MountsRequest {
    /// Looks every file server up; each that does not exist is a violation.
    pub(super) fn resolved(
        self,
        resolve: &impl Fn(&FileServerId) -> Option<Uid>,
    ) -> Result<MountVolumes, Violations> {
        let mut missing = Vec::new();
        let mut file_servers = Vec::new();
        for (index, mount) in self.file_servers.into_iter().enumerate() {
            let Some(uid) = resolve(&mount.server) else {
                let target = format!("{}.fileServers[{index}].fileServer.id", self.path);
                let predicate =
                    format!("names a file server that does not exist: {}", mount.server);
                missing.push(Violation::new(codes::FILE_SERVER_NOT_FOUND, target, &predicate));
                continue;
            };
            file_servers.push(FileServerMount {
                id: mount.id,
                uid,
                source_directory: mount.source_directory,
                relative_mount_path: mount.relative_mount_path,
                mount_options: mount.mount_options,
            });
        }
        match Violations::collected(missing) {
            Some(violations) => Err(violations),
            None => {
                let unmanaged_file_systems = self.unmanaged_file_systems;
                Ok(MountVolumes { file_servers, unmanaged_file_systems })
            }
        }
    }

    /// Whether these are the mounts of a stored resource. File servers count as the same by name.
    fn is_same_as(&self, stored: &MountVolumes) -> bool {
        let same = |(requested, stored): (&FileServerMountRequest, &FileServerMount)| {
            FileServerId::parse(&stored.id).as_ref() == Some(&requested.server)
                && stored.source_directory == requested.source_directory
                && stored.relative_mount_path == requested.relative_mount_path
                && stored.mount_options == requested.mount_options
        };
        self.unmanaged_file_systems == stored.unmanaged_file_systems
            && self.file_servers.len() == stored.file_servers.len()
            && self.file_servers.iter().zip(&stored.file_servers).all(same)
    }
}

/// Whether both mount the same; no `mountVolumes` is the same as empty ones.
pub(super) fn same_mounts(
    requested: Option<&MountsRequest>,
    stored: Option<&MountVolumes>,
) -> bool {
    match (requested, stored) {
        (Some(requested), Some(stored)) => requested.is_same_as(stored),
        (Some(requested), None) => requested.is_same_as(&MountVolumes::default()),
        (None, Some(stored)) => stored.is_empty(),
        (None, None) => true,
    }
}
