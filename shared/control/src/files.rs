//! Files of file servers, and output files of jobs, which are on them: lists directories, opens, uploads and
//! removes files.
//!
//! Paths come from users and may contain symbolic links. Every access goes through a handle of the
//! file server's directory (`cap_std`), so no path leads out of it.

mod digest;
mod place;
mod requests;
mod temporary;
mod uploads;

pub use digest::{DIGEST_STEP_BYTES, PartialDigest};
pub use requests::{Files, location};
pub use uploads::{Appended, Finished, Upload};

use crate::ports::{PortError, SharedFiles};
use crate::{ApiError, ApiErrorKind, Error};
use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata};
use model::{Timestamp, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;
use temporary::Taken;

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
        let missing =
            || ApiError::new(ApiErrorKind::NotFound, "FileNotFound", "The file does not exist");
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
            // What the service uses itself.
            if place.path.is_empty() && name == model::limits::TEMPORARY_FILES {
                continue;
            }
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

/// When the file was last modified.
pub fn modified(metadata: &Metadata) -> Timestamp {
    let since_epoch = metadata
        .modified()
        .ok()
        .and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
    Timestamp(since_epoch.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
