//! What a node mounts: the mounts of a cluster or a job as messages of the protocol, with their keys opened.
//!
//! On one machine a volume of a cloud is a directory of the service ([`FileShares::volume_directory`]), and its key is
//! not needed. Elsewhere nodes mount the volume itself.
//!
//! [`FileShares::volume_directory`]: crate::ports::FileShares::volume_directory

use crate::secrets::{Provided, open};
use crate::{Context, Error, file_servers};
use model::{
    AzureBlobFileSystem, AzureFileShare, FileServerMount, FileShare, InvalidVolumeUrl,
    LustreFileSystem, MountVolumes, S3Bucket, StorageKind, Volume,
};
use protocol::{Mount, MountSource, Problem, SecretText};
use std::path::PathBuf;

/// Options of an NFS mount that users may set. Above all not those of the mount helper of EFS, which say what is
/// mounted, and as whom.
const EFS_OPTIONS: [&str; 24] = [
    "ac",
    "acdirmax",
    "acdirmin",
    "acregmax",
    "acregmin",
    "actimeo",
    "async",
    "atime",
    "hard",
    "lookupcache",
    "noac",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nosuid",
    "relatime",
    "retrans",
    "ro",
    "rsize",
    "rw",
    "soft",
    "timeo",
    "wsize",
];

/// The mounts of a cluster or a job.
///
/// # Errors
/// When the record of a file server does not fit the service, or a store of secrets cannot be used now.
pub(crate) async fn mounts(
    context: &Context,
    volumes: Option<&MountVolumes>,
) -> Result<Provided<Vec<Mount>>, Error> {
    let Some(volumes) = volumes else { return Ok(Ok(Vec::new())) };
    let mut mounts = Vec::new();
    let mut add = |path: &str, source| {
        mounts.push(Mount { relative_mount_path: path.to_owned(), source });
    };
    for mount in &volumes.file_servers {
        add(&mount.relative_mount_path, file_server(context, mount)?);
    }
    for mount in &volumes.azure_file_shares {
        match azure_file_share(context, mount).await? {
            Ok(source) => add(&mount.relative_mount_path, source),
            Err(problem) => return Ok(Err(problem)),
        }
    }
    for mount in &volumes.azure_blob_file_systems {
        match azure_blob_container(context, mount).await? {
            Ok(source) => add(&mount.relative_mount_path, source),
            Err(problem) => return Ok(Err(problem)),
        }
    }
    for mount in &volumes.s3_buckets {
        match s3_bucket(context, mount).await {
            Ok(source) => add(&mount.relative_mount_path, source),
            Err(problem) => return Ok(Err(problem)),
        }
    }
    for mount in &volumes.lustre_file_systems {
        match lustre_file_system(context, mount).await {
            Ok(source) => add(&mount.relative_mount_path, source),
            Err(problem) => return Ok(Err(problem)),
        }
    }
    for mount in &volumes.unmanaged_file_systems {
        let command = mount.mount_command.clone();
        add(&mount.relative_mount_path, MountSource::Command { command });
    }
    Ok(Ok(mounts))
}

/// What the node mounts of a file server. A path of the service is sent only to nodes on its machine.
fn file_server(context: &Context, mount: &FileServerMount) -> Result<MountSource, Error> {
    let sub_directory = mount.source_directory.clone().unwrap_or_default();
    match &mount.share {
        FileShare::Directory => {
            let root = file_servers::directory(context, &mount.uid)
                .ok_or(Error::NotProvided("a directory of another machine"))?;
            let root = root.to_string_lossy().into_owned();
            let of = protocol::StorageKind::FileServer;
            Ok(MountSource::Directory { root, sub_directory, of })
        }
        FileShare::Efs { file_system, access_point } => Ok(MountSource::Efs {
            file_system: file_system.clone(),
            access_point: access_point.clone(),
            sub_directory,
            options: mount.mount_options.as_deref().and_then(efs_options),
        }),
    }
}

/// The options that a user may set; others have no effect.
fn efs_options(options: &str) -> Option<String> {
    let is_known = |option: &&str| {
        let name = option.split('=').next().unwrap_or_default();
        EFS_OPTIONS.contains(&name)
    };
    let known: Vec<&str> = options.split(',').filter(is_known).collect();
    (!known.is_empty()).then(|| known.join(","))
}

async fn azure_file_share(
    context: &Context,
    mount: &AzureFileShare,
) -> Result<Provided<MountSource>, Error> {
    let at = &mount.relative_mount_path;
    let url = match mount.url() {
        Ok(url) => url,
        Err(error) => return Ok(Err(invalid(StorageKind::AzureFileShare, at, &error))),
    };
    let sub_directory = url.sub_directory.clone().unwrap_or_default();
    match directory(context, &url.volume(), at).await {
        Ok(Some(root)) => {
            return Ok(Ok(in_place_of(StorageKind::AzureFileShare, &root, sub_directory)));
        }
        Ok(None) => {}
        Err(problem) => return Ok(Err(problem)),
    }
    Ok(open(context, "Account", &mount.account_name, &mount.credentials).await?.map(|key| {
        MountSource::AzureFileShare {
            host: url.host,
            share: url.share,
            sub_directory,
            account: mount.account_name.clone(),
            key: SecretText(key),
            file_mode: mount.file_mode.clone(),
            directory_mode: mount.directory_mode.clone(),
        }
    }))
}

async fn azure_blob_container(
    context: &Context,
    mount: &AzureBlobFileSystem,
) -> Result<Provided<MountSource>, Error> {
    let (at, kind) = (&mount.relative_mount_path, StorageKind::AzureBlobContainer);
    let volume = match mount.volume() {
        Ok(volume) => volume,
        Err(error) => return Ok(Err(invalid(kind, at, &error))),
    };
    match directory(context, &volume, at).await {
        Ok(Some(root)) => return Ok(Ok(in_place_of(kind, &root, String::new()))),
        Ok(None) => {}
        Err(problem) => return Ok(Err(problem)),
    }
    Ok(open(context, "Account", &mount.account_name, &mount.credentials).await?.map(|key| {
        MountSource::AzureBlobContainer {
            account: mount.account_name.clone(),
            container: mount.container_name.clone(),
            key: SecretText(key),
            options: mount.mount_options.clone(),
        }
    }))
}

async fn s3_bucket(context: &Context, mount: &S3Bucket) -> Provided<MountSource> {
    let (at, kind) = (&mount.relative_mount_path, StorageKind::S3Bucket);
    let volume = mount.volume().map_err(|error| invalid(kind, at, &error))?;
    let prefix = mount.prefix.clone().unwrap_or_default();
    if let Some(root) = directory(context, &volume, at).await? {
        return Ok(in_place_of(kind, &root, prefix));
    }
    Ok(MountSource::S3Bucket {
        bucket: mount.bucket.clone(),
        prefix,
        read_only: mount.read_only,
        options: mount.mount_options.clone(),
    })
}

async fn lustre_file_system(context: &Context, mount: &LustreFileSystem) -> Provided<MountSource> {
    let (at, kind) = (&mount.relative_mount_path, StorageKind::LustreFileSystem);
    let volume = mount.volume().map_err(|error| invalid(kind, at, &error))?;
    if let Some(root) = directory(context, &volume, at).await? {
        return Ok(in_place_of(kind, &root, String::new()));
    }
    Ok(MountSource::LustreFileSystem {
        dns_name: mount.dns_name.clone(),
        mount_name: mount.mount_name.clone(),
        options: mount.mount_options.clone(),
    })
}

/// The directory of this machine in place of a volume, if there is one.
async fn directory(
    context: &Context,
    volume: &Volume,
    at: &str,
) -> Result<Option<PathBuf>, Problem> {
    context.file_shares.volume_directory(volume).await.map_err(|error| {
        tracing::warn!(%volume, %error, "the directory of a volume cannot be used");
        let reason = format!("the directory in place of {volume} cannot be used: {error}");
        problem(volume.kind(), at, reason)
    })
}

fn in_place_of(kind: StorageKind, root: &std::path::Path, sub_directory: String) -> MountSource {
    let root = root.to_string_lossy().into_owned();
    MountSource::Directory { root, sub_directory, of: of(kind) }
}

fn of(kind: StorageKind) -> protocol::StorageKind {
    match kind {
        StorageKind::FileServer => protocol::StorageKind::FileServer,
        StorageKind::AzureFileShare => protocol::StorageKind::AzureFileShare,
        StorageKind::AzureBlobContainer => protocol::StorageKind::AzureBlobContainer,
        StorageKind::S3Bucket => protocol::StorageKind::S3Bucket,
        StorageKind::LustreFileSystem => protocol::StorageKind::LustreFileSystem,
    }
}

fn invalid(kind: StorageKind, at: &str, error: &InvalidVolumeUrl) -> Problem {
    problem(kind, at, format!("the source {error}"))
}

fn problem(kind: StorageKind, at: &str, reason: String) -> Problem {
    let (code, message) = of(kind).failure();
    let details = vec![("MountPath".to_owned(), at.to_owned()), ("Reason".to_owned(), reason)];
    Problem { code: code.to_owned(), message: message.to_owned(), details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_does_not_choose_what_is_mounted_of_efs() {
        assert_eq!(
            efs_options("ro,noatime,rsize=1048576").as_deref(),
            Some("ro,noatime,rsize=1048576")
        );
        assert_eq!(efs_options("rw,accesspoint=fsap-1,notls,iam").as_deref(), Some("rw"));
        assert_eq!(efs_options("accesspoint=fsap-1"), None);
        assert_eq!(efs_options(""), None);
    }
}
