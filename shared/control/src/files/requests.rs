//! Files as requests name them: a path of a file server, or an output directory of a job.

use super::{FileLocation, ListedFile, ListingPage, Removal};
use crate::{ApiError, ApiErrorKind, Context, Error};
use model::{
    FileServer, FileServerState, JOB_MOUNT_ROOT, Job, MOUNT_ROOT, MountPoint, MountVolumes,
    StorageKind, below_mount, below_root, plain_path,
};
use wire::{FileEntry, FileRemovalQuery, OutputFilesQuery};

/// The files of file servers, and the output files of jobs.
#[derive(Clone)]
pub struct Files {
    context: Context,
}

impl Files {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Lists one directory, in byte order of names: at most `limit` entries after a name. A directory that does
    /// not exist is listed as empty: clients poll it until a file appears. `link` makes the link of a file.
    ///
    /// # Errors
    /// 400 when the output directory is unknown or not below a mounted file server.
    pub async fn list(
        &self,
        job: &Job,
        query: &OutputFilesQuery,
        (after, limit): (Option<String>, usize),
        link: impl Fn(&FileLocation) -> String,
    ) -> Result<Vec<FileEntry>, Error> {
        let (directory, kind) = output_place(job, query)?;
        if !kind.is_file_server() && self.context.settings.file_server_root.is_none() {
            return Err(not_readable(&query.output_directory_id, kind));
        }
        let page = ListingPage { directory, after, limit };
        let listed = self.context.shared_files.list(&page).await?.unwrap_or_default();
        Ok(listed.into_iter().map(|it| file_entry(&page.directory, it, &link)).collect())
    }

    /// Lists one directory of a file server, as [`Self::list`] does.
    ///
    /// # Errors
    /// 404 when there is no such directory; 409 while the file server has none yet, or no longer.
    pub async fn list_file_server(
        &self,
        server: &FileServer,
        directory: &str,
        (after, limit): (Option<String>, usize),
        link: impl Fn(&FileLocation) -> String,
    ) -> Result<Vec<FileEntry>, Error> {
        let directory = location(server, directory)?;
        let page = ListingPage { directory, after, limit };
        let Some(listed) = self.context.shared_files.list(&page).await? else {
            return Err(no_file("directory", &page.directory.path));
        };
        Ok(listed.into_iter().map(|it| file_entry(&page.directory, it, &link)).collect())
    }

    /// Removes a file, or a directory with all its files.
    ///
    /// # Errors
    /// 404 when there is nothing; 409 for a directory unless the query says so, or while the file server has no
    /// directory.
    pub async fn remove(&self, server: &FileServer, query: &FileRemovalQuery) -> Result<(), Error> {
        let place = location(server, &query.path)?;
        let now = self.context.now();
        match self.context.shared_files.remove(&place, query.recursive, now).await? {
            Removal::Removed => Ok(()),
            Removal::NotFound => Err(no_file("file or directory", &query.path)),
            Removal::IsDirectory => {
                let path = &query.path;
                let message = format!(
                    "{path} is a directory; set recursive=true to remove it with all its files"
                );
                Err(Error::conflict("PathIsDirectory", message))
            }
        }
    }
}

/// A path of a file server that has its directory.
///
/// # Errors
/// 409 while it is being created or deleted.
pub fn location(server: &FileServer, path: &str) -> Result<FileLocation, Error> {
    match &server.state {
        FileServerState::Ready { .. } => {
            Ok(FileLocation { file_server: server.uid.clone(), path: path.to_owned() })
        }
        FileServerState::Creating { .. }
        | FileServerState::Failed { .. }
        | FileServerState::Deleting { .. } => Err(Error::conflict(
            "FileServerNotReady",
            format!(
                "The specified file server {} has no files now; its provisioningState must be succeeded",
                server.name
            ),
        )),
    }
}

fn no_file(what: &str, path: &str) -> Error {
    let place = if path.is_empty() { "/" } else { path };
    let code = if what == "directory" { "DirectoryNotFound" } else { "FileNotFound" };
    let message = format!("There is no {what} {place} on the file server");
    ApiError::new(ApiErrorKind::NotFound, code, message).into()
}

fn file_entry(
    place: &FileLocation,
    listed: ListedFile,
    link: impl Fn(&FileLocation) -> String,
) -> FileEntry {
    match listed {
        ListedFile::Directory { name } => FileEntry::directory(name),
        ListedFile::File { name, modified, length } => {
            let path = format!("{}/{name}", place.path).trim_start_matches('/').to_owned();
            let file = FileLocation { file_server: place.file_server.clone(), path };
            FileEntry::file(name, link(&file), modified, length)
        }
    }
}

/// The directory that a directory id of a job means.
///
/// # Errors
/// When the id is unknown, or its prefix is not under a mounted file server.
fn output_place(job: &Job, query: &OutputFilesQuery) -> Result<(FileLocation, StorageKind), Error> {
    let segment = wire::job_output_path_segment(job);
    let (prefix, below) = if query.is_standard_output() {
        (job.spec.std_out_err_path_prefix.as_str(), format!("{segment}/stdouterr"))
    } else {
        let id = &query.output_directory_id;
        let known = job.spec.output_directories.iter().flatten().find(|known| known.id == *id);
        let Some(directory) = known else { return Err(not_on_a_mount(id)) };
        let suffix = directory.path_suffix.as_deref().unwrap_or_default();
        (directory.path_prefix.as_str(), format!("{segment}/outputs/{suffix}"))
    };
    let own_mounts = job.spec.mounts.as_ref().map(MountVolumes::points).unwrap_or_default();
    let mounted = under_mount(prefix, JOB_MOUNT_ROOT, &own_mounts)
        .or_else(|| under_mount(prefix, MOUNT_ROOT, &job.cluster_mounts));
    let Some((mut place, kind)) = mounted else {
        return Err(not_on_a_mount(&query.output_directory_id));
    };
    place.path = plain_path([place.path.as_str(), &below, &query.page.directory]);
    Ok((place, kind))
}

/// The service has only the file system of its file servers mounted.
fn not_readable(id: &str, kind: StorageKind) -> Error {
    let what = match kind {
        StorageKind::FileServer => "a file server",
        StorageKind::AzureFileShare => "an Azure file share",
        StorageKind::AzureBlobContainer => "an Azure blob container",
        StorageKind::S3Bucket => "an S3 bucket",
        StorageKind::LustreFileSystem => "a file system of FSx for Lustre",
    };
    Error::invalid(
        "OutputDirectoryNotReadable",
        format!(
            "The specified outputDirectoryId {id} is on {what}, which this service cannot read; use the tools of that storage, or put the directory on a file server"
        ),
    )
}

/// The message is that of the Batch AI service; the code is ours (docs/contract.md, "Errors").
fn not_on_a_mount(id: &str) -> Error {
    Error::invalid(
        "OutputDirectoryNotFound",
        format!("The specified outputDirectoryId {id} is not present on a mount root"),
    )
}

/// Resolves `$ROOT/{relative mount path}/{path}` to the file server or volume that is mounted there.
fn under_mount(
    prefix: &str,
    root: &str,
    mounts: &[MountPoint],
) -> Option<(FileLocation, StorageKind)> {
    let relative = below_root(prefix, root)?;
    mounts.iter().find_map(|mount| {
        let below = below_mount(&relative, &mount.relative_mount_path)?;
        let source = mount.source_directory.as_deref().unwrap_or_default();
        let path = plain_path([source, below]);
        Some((FileLocation { file_server: mount.file_server.clone(), path }, mount.kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uid;

    fn mounts(path: &str, source: Option<&str>) -> [MountPoint; 1] {
        [MountPoint {
            relative_mount_path: path.to_owned(),
            file_server: Uid::from_bytes([1; 16]),
            source_directory: source.map(str::to_owned),
            kind: StorageKind::FileServer,
        }]
    }

    fn check(prefix: &str, mounts: &[MountPoint], expected: Option<&str>) {
        let place = under_mount(prefix, MOUNT_ROOT, mounts);
        assert_eq!(place.map(|(place, _)| place.path).as_deref(), expected, "{prefix}");
    }

    #[test]
    fn a_prefix_leads_to_the_file_server_that_is_mounted_there() {
        let plain = mounts("nfs", None);
        check("$AZ_BATCHAI_MOUNT_ROOT/nfs", &plain, Some(""));
        check("${AZ_BATCHAI_MOUNT_ROOT}/nfs/a//b/", &plain, Some("a/b"));
        check("$AZ_BATCHAI_MOUNT_ROOT/nfs2", &plain, None);
        check("$AZ_BATCHAI_MOUNT_ROOTX/nfs", &plain, None);
        check("$AZ_BATCHAI_JOB_TEMP/nfs", &plain, None);
        check("$AZ_BATCHAI_MOUNT_ROOT/nfs/a", &mounts("nfs", Some("data/x")), Some("data/x/a"));
    }
}
