//! Files of file servers, and output files of jobs, which are on them: lists directories, opens, uploads and
//! removes files.
//!
//! Paths come from users and may contain symbolic links. Every access goes through a handle of the
//! file server's directory (`cap_std`), so no path leads out of it.

mod digest;
mod place;
mod temporary;
mod uploads;

pub use digest::{DIGEST_STEP_BYTES, PartialDigest};
pub use uploads::{Appended, Finished, Upload};

use crate::ports::{PortError, SharedFiles};
use crate::{ApiError, ApiErrorKind, Context, Error};
use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata};
use model::{
    FileServer, FileServerState, JOB_MOUNT_ROOT, Job, MOUNT_ROOT, MountPoint, MountVolumes,
    StorageKind, Timestamp, Uid, below_mount, below_root, plain_path,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;
use temporary::Taken;
use wire::{FileEntry, FileRemovalQuery, OutputFilesQuery};

/// How long a request waits for the end of a removal. It is out of sight before; the rest is removed later.
const REMOVAL_WAIT: Duration = Duration::from_secs(15);

/// A file or directory on a file server, or on a volume that is a directory of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLocation {
    /// The uid of the file server or the volume.
    pub file_server: Uid,
    /// The path below its root, without leading or trailing slash.
    pub path: String,
}

/// A request for a page of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingPage {
    /// The directory.
    pub directory: FileLocation,
    /// Only names after this one, in the order of bytes.
    pub after: Option<String>,
    /// At most this many entries.
    pub limit: usize,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum ListedFile {
    /// A directory.
    Directory {
        /// Its name.
        name: String,
    },
    /// A file.
    File {
        /// Its name.
        name: String,
        /// When it was last modified.
        modified: Timestamp,
        /// Bytes.
        length: u64,
    },
}

impl ListedFile {
    /// The name of the entry.
    pub fn name(&self) -> &str {
        match self {
            Self::Directory { name } | Self::File { name, .. } => name,
        }
    }
}

/// What became of something that is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Removal {
    /// It is gone. Its space may be freed later.
    Removed,
    /// There is nothing at the path.
    NotFound,
    /// There is a directory, and only a file may be removed.
    IsDirectory,
}

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
        let is_own =
            |name: &str| name == model::limits::TEMPORARY_FILES && page.directory.path.is_empty();
        let shown = listed.into_iter().filter(|it| !is_own(it.name()));
        Ok(shown.map(|it| file_entry(&page.directory, it, &link)).collect())
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

/// The file servers as a directory of this machine, with one subdirectory each, named by uid.
#[derive(Clone, Debug)]
pub struct MountedFiles {
    /// The parent of all of them.
    pub root: PathBuf,
}

impl MountedFiles {
    /// Opens a file for download.
    ///
    /// # Errors
    /// 404 when there is no such file, or the path leads out of the file server.
    pub fn open(&self, file_server: &Uid, path: &str) -> Result<File, Error> {
        let missing = || {
            crate::ApiError::new(
                crate::ApiErrorKind::NotFound,
                "FileNotFound",
                "The file does not exist",
            )
        };
        if path.split('/').find(|it| !["", "."].contains(it))
            == Some(model::limits::TEMPORARY_FILES)
        {
            return Err(missing().into());
        }
        let root = self.open_root(file_server).map_err(|_| missing())?;
        // Checked before opening: to open a pipe blocks until a process writes to it.
        match root.metadata(path) {
            Ok(metadata) if metadata.is_file() => root.open(path).map_err(|_| missing().into()),
            Ok(_) | Err(_) => Err(missing().into()),
        }
    }

    fn open_root(&self, file_server: &Uid) -> io::Result<Dir> {
        Dir::open_ambient_dir(self.root.join(file_server.as_str()), ambient_authority())
    }

    /// A page of a directory. Names are read every time, but only the entries of the page are looked at: a job may
    /// leave a hundred thousand files.
    fn read(&self, page: &ListingPage) -> io::Result<Option<Vec<ListedFile>>> {
        let place = &page.directory;
        let root = match self.open_root(&place.file_server) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            root => root?,
        };
        let directory = match root.open_dir(if place.path.is_empty() { "." } else { &place.path }) {
            Err(error) if is_absent(&error) => return Ok(None),
            directory => directory?,
        };
        let mut names = Vec::new();
        for entry in directory.entries()? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if page.after.as_ref().is_none_or(|after| name > *after) {
                names.push(name);
            }
        }
        // In the order of bytes.
        names.sort_unstable();
        let listed = |name: String| {
            // A symbolic link that leads out, or nowhere, is not an output file.
            let metadata = directory.metadata(&name).ok()?;
            if metadata.is_dir() {
                return Some(ListedFile::Directory { name });
            }
            let (modified, length) = (modified(&metadata), metadata.len());
            // Neither is a pipe or a socket.
            metadata.is_file().then_some(ListedFile::File { name, modified, length })
        };
        Ok(Some(names.into_iter().filter_map(listed).take(page.limit).collect()))
    }
}

#[async_trait]
impl SharedFiles for MountedFiles {
    async fn list(&self, page: &ListingPage) -> Result<Option<Vec<ListedFile>>, PortError> {
        let (files, page) = (self.clone(), page.clone());
        let read = tokio::task::spawn_blocking(move || files.read(&page)).await;
        read.map_err(io::Error::from).flatten().map_err(PortError::other)
    }

    async fn remove(
        &self,
        place: &FileLocation,
        recursive: bool,
        now: Timestamp,
    ) -> Result<Removal, PortError> {
        let (files, place) = (self.clone(), place.clone());
        let taken = tokio::task::spawn_blocking(move || files.take(&place, recursive, now)).await;
        let moved = match taken.map_err(io::Error::from).flatten().map_err(PortError::other)? {
            Taken::Refused(why) => return Ok(why),
            Taken::Moved(remove) => tokio::task::spawn_blocking(remove),
        };
        match tokio::time::timeout(REMOVAL_WAIT, moved).await {
            Ok(removed) => {
                removed.map_err(io::Error::from).flatten().map_err(PortError::other)?;
                Ok(Removal::Removed)
            }
            Err(_) => Ok(Removal::Removed),
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

fn no_file_server() -> Error {
    let message = "The file server does not exist any more";
    ApiError::new(ApiErrorKind::NotFound, "FileServerNotFound", message).into()
}

/// Whether the path does not exist, is not a directory, leads out of the file server, or is not a
/// valid name.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
    ) || Errno::from_io_error(error) == Some(Errno::LOOP)
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

/// When the file was last modified.
pub fn modified(metadata: &Metadata) -> Timestamp {
    let since_epoch = metadata
        .modified()
        .ok()
        .and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
    Timestamp(since_epoch.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
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
