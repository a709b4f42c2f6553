//! `mountVolumes` of clusters and jobs (docs/contract.md, "Mounts").

use super::extensions;
use super::secret::{self, SecretInput};
use crate::error::quoted;
use crate::patterns::{self, Pattern};
use crate::read::{Fields, Place};
use crate::{FileServerId, Violation, Violations, codes, paths, rules};
use model::{
    AzureBlobFileSystem, AzureFileShare, AzureFileUrl, FileServerMount, FileShare,
    LustreFileSystem, MountVolumes, S3Bucket, Uid, UnmanagedMount, limits,
};
use std::collections::HashSet;

/// The mounts of a request; its file servers are not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountsRequest {
    /// Azure file shares.
    pub azure_file_shares: Vec<AzureFileShare<SecretInput>>,
    /// Azure blob containers.
    pub azure_blob_file_systems: Vec<AzureBlobFileSystem<SecretInput>>,
    /// File servers of this service.
    pub file_servers: Vec<FileServerMountRequest>,
    /// File systems that a command mounts.
    pub unmanaged_file_systems: Vec<UnmanagedMount>,
    /// Buckets of Amazon S3.
    pub s3_buckets: Vec<S3Bucket>,
    /// File systems of Amazon FSx for Lustre.
    pub lustre_file_systems: Vec<LustreFileSystem>,
    /// Path of the mounts in the body, for violations that are found later.
    path: String,
}

/// `FileServerReference` of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileServerMountRequest {
    /// The file server.
    pub server: FileServerId,
    /// Its ARM id as it was sent, which responses repeat.
    pub id: String,
    /// The directory of the file server to mount; all of it without one.
    pub source_directory: Option<String>,
    /// Where nodes mount it, below the root of mounts.
    pub relative_mount_path: String,
    /// Options of NFS, for nodes that mount it.
    pub mount_options: Option<String>,
}

/// The default modes of files and directories on an Azure file share.
const USUAL_MODE: &str = "0777";

/// Reads the field `mountVolumes`; `None` if it is absent or invalid, which is in the report.
pub(super) fn mount_volumes(owner: &Fields<'_>) -> Option<MountsRequest> {
    let volumes = owner.optional("mountVolumes")?.object()?;
    // Mounts of all kinds share one root.
    let mut taken = HashSet::new();
    let azure_file_shares = list(&volumes, "azureFileShares", azure_file_share);
    distinct(&azure_file_shares, &mut taken, |mount| &mount.relative_mount_path);
    let azure_blob_file_systems = list(&volumes, "azureBlobFileSystems", azure_blob_file_system);
    distinct(&azure_blob_file_systems, &mut taken, |mount| &mount.relative_mount_path);
    let file_servers = list(&volumes, "fileServers", file_server);
    distinct(&file_servers, &mut taken, |mount| &mount.relative_mount_path);
    let unmanaged_file_systems = list(&volumes, "unmanagedFileSystems", unmanaged);
    distinct(&unmanaged_file_systems, &mut taken, |mount| &mount.relative_mount_path);
    let more = extensions::of_mounts(&volumes);
    distinct(&more.s3_buckets, &mut taken, |mount| &mount.relative_mount_path);
    distinct(&more.lustre_file_systems, &mut taken, |mount| &mount.relative_mount_path);
    Some(MountsRequest {
        azure_file_shares: without_places(azure_file_shares),
        azure_blob_file_systems: without_places(azure_blob_file_systems),
        file_servers: without_places(file_servers),
        unmanaged_file_systems: without_places(unmanaged_file_systems),
        s3_buckets: without_places(more.s3_buckets),
        lustre_file_systems: without_places(more.lustre_file_systems),
        path: volumes.path,
    })
}

fn distinct<T>(mounts: &[(Place<'_>, T)], taken: &mut HashSet<String>, path: impl Fn(&T) -> &str) {
    for (place, mount) in mounts {
        let path = path(mount);
        if !taken.insert(paths::normalized(path)) {
            place.invalid(&format!(
                "must not use the relativeMountPath {} of another mount",
                quoted(path)
            ));
        }
    }
}

fn without_places<T>(mounts: Vec<(Place<'_>, T)>) -> Vec<T> {
    mounts.into_iter().map(|(_, mount)| mount).collect()
}

pub(super) fn list<'a, T>(
    volumes: &Fields<'a>,
    kind: &str,
    read: impl Fn(&Fields<'a>) -> Option<T>,
) -> Vec<(Place<'a>, T)> {
    volumes
        .optional(kind)
        .map(|place| rules::list_of(&place, limits::MAX_DIRECTORIES, read))
        .unwrap_or_default()
}

fn azure_file_share(mount: &Fields<'_>) -> Option<AzureFileShare<SecretInput>> {
    let account_name = required(mount, "accountName", &patterns::STORAGE_ACCOUNT);
    let azure_file_url = mount.required("azureFileUrl").and_then(|place| {
        let url = rules::matching(&place, &[&patterns::FILE_SHARE_URL])?;
        rules::of_volume(&place, url.parse::<AzureFileUrl>())?;
        Some(url)
    });
    let credentials = credentials(mount);
    let relative_mount_path = mount_path(mount);
    let file_mode = mode(mount, "fileMode");
    let directory_mode = mode(mount, "directoryMode");
    Some(AzureFileShare {
        account_name: account_name?,
        azure_file_url: azure_file_url?,
        credentials: credentials?,
        relative_mount_path: relative_mount_path?,
        file_mode: file_mode?,
        directory_mode: directory_mode?,
    })
}

fn azure_blob_file_system(mount: &Fields<'_>) -> Option<AzureBlobFileSystem<SecretInput>> {
    let account_name = required(mount, "accountName", &patterns::STORAGE_ACCOUNT);
    let container_name = required(mount, "containerName", &patterns::STORAGE_CONTAINER);
    let credentials = credentials(mount);
    let relative_mount_path = mount_path(mount);
    let mount_options = mount.optional("mountOptions").and_then(|place| rules::text(&place));
    Some(AzureBlobFileSystem {
        account_name: account_name?,
        container_name: container_name?,
        credentials: credentials?,
        relative_mount_path: relative_mount_path?,
        mount_options,
    })
}

fn required(mount: &Fields<'_>, name: &str, pattern: &Pattern) -> Option<String> {
    rules::matching(&mount.required(name)?, &[pattern])
}

fn credentials(mount: &Fields<'_>) -> Option<SecretInput> {
    let credentials = mount.required("credentials")?.object()?;
    secret::either(&credentials, "accountKey", "accountKeySecretReference", rules::non_empty)
}

fn mode(mount: &Fields<'_>, name: &str) -> Option<String> {
    match mount.optional(name) {
        Some(place) => rules::matching(&place, &[&patterns::FILE_MODE]),
        None => Some(USUAL_MODE.to_owned()),
    }
}

fn file_server(mount: &Fields<'_>) -> Option<FileServerMountRequest> {
    let server = mount.required("fileServer").and_then(|place| file_server_id(&place));
    let source_directory =
        mount.optional("sourceDirectory").and_then(|place| rules::relative_path(&place));
    let relative_mount_path = mount_path(mount);
    let mount_options = mount
        .optional("mountOptions")
        .and_then(|place| rules::matching(&place, &[&patterns::MOUNT_OPTIONS]));
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
            quoted(text)
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
pub(super) fn mount_path(mount: &Fields<'_>) -> Option<String> {
    rules::directory(&mount.required("relativeMountPath")?)
}

impl MountsRequest {
    /// The stored form: secrets encrypted, file servers resolved. Each file server that does not exist is
    /// a violation.
    pub(super) fn resolved(
        self,
        seal: &mut impl FnMut(&str) -> String,
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
                share: FileShare::Directory,
                source_directory: mount.source_directory,
                relative_mount_path: mount.relative_mount_path,
                mount_options: mount.mount_options,
            });
        }
        if let Some(violations) = Violations::collected(missing) {
            return Err(violations);
        }
        let mut stored = |secret: SecretInput| secret.into_stored(seal);
        let shares = self.azure_file_shares.into_iter();
        let containers = self.azure_blob_file_systems.into_iter();
        Ok(MountVolumes {
            azure_file_shares: shares.map(|mount| mount.map_credentials(&mut stored)).collect(),
            azure_blob_file_systems: containers
                .map(|mount| mount.map_credentials(&mut stored))
                .collect(),
            file_servers,
            unmanaged_file_systems: self.unmanaged_file_systems,
            s3_buckets: self.s3_buckets,
            lustre_file_systems: self.lustre_file_systems,
        })
    }

    /// Whether these are the mounts of a stored resource. File servers are compared by name; keys cannot
    /// be compared.
    fn is_same_as(&self, stored: &MountVolumes) -> bool {
        let Self {
            azure_file_shares,
            azure_blob_file_systems,
            file_servers,
            unmanaged_file_systems,
            s3_buckets,
            lustre_file_systems,
            path: _,
        } = self;
        all_same(azure_file_shares, &stored.azure_file_shares, |requested, stored| {
            requested.credentials.is_same_as(&stored.credentials)
                && requested.clone().map_credentials(|_| ())
                    == stored.clone().map_credentials(|_| ())
        }) && all_same(
            azure_blob_file_systems,
            &stored.azure_blob_file_systems,
            |requested, stored| {
                requested.credentials.is_same_as(&stored.credentials)
                    && requested.clone().map_credentials(|_| ())
                        == stored.clone().map_credentials(|_| ())
            },
        ) && all_same(file_servers, &stored.file_servers, same_file_server)
            && *unmanaged_file_systems == stored.unmanaged_file_systems
            && *s3_buckets == stored.s3_buckets
            && *lustre_file_systems == stored.lustre_file_systems
    }
}

fn all_same<T, U>(requested: &[T], stored: &[U], same: impl Fn(&T, &U) -> bool) -> bool {
    requested.len() == stored.len() && requested.iter().zip(stored).all(|(a, b)| same(a, b))
}

fn same_file_server(requested: &FileServerMountRequest, stored: &FileServerMount) -> bool {
    FileServerId::parse(&stored.id).as_ref() == Some(&requested.server)
        && stored.source_directory == requested.source_directory
        && stored.relative_mount_path == requested.relative_mount_path
        && stored.mount_options == requested.mount_options
}

/// Whether both have the same mounts. Absent `mountVolumes` equal empty ones.
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
