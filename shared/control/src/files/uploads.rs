//! Uploads: a file arrives in chunks below a temporary directory of its file server, and gets its name when it is whole
//! and its checksum is right. So nobody sees a part of a file, and what an upload left is found without a search.
//!
//! No record is kept. The name of the temporary file comes from the whole request, so who repeats the request
//! continues the upload.

use super::digest::PartialDigest;
use super::place::{Place, give};
use super::temporary;
use super::{FileLocation, MountedFiles};
use crate::Error;
use cap_std::fs::Dir;
use model::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// A file that is to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where it will be. The path is not empty and has no `..`.
    pub target: FileLocation,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the whole file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether the file can be executed as a program.
    pub executable: bool,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It was written; the upload has this many bytes now.
    Written(u64),
    /// The upload has another number of bytes than the client assumed: this one.
    OtherOffset(u64),
}

/// What became of the request to finish an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The file has its name.
    Done,
    /// The checksum is computed up to here.
    Checking(PartialDigest),
}

impl Upload {
    fn temporary_name(&self) -> String {
        let Self { target, length, sha256, executable } = self;
        let digest = Sha256::digest(format!("{length} {sha256} {executable} {}", target.path));
        format!("upload-{}", hex::encode(&digest[..16]))
    }
}

impl MountedFiles {
    /// How many bytes of an upload have arrived.
    ///
    /// # Errors
    /// 409 when no file can be at its path. What the file system reports.
    pub fn uploaded(&self, upload: &Upload) -> Result<u64, Error> {
        let root = self.share(&upload.target)?;
        Place::find(&root, &upload.target.path)?;
        match open(&temporary::directory(&root)?, upload, OFlags::RDONLY) {
            Ok(file) => Ok(file.metadata()?.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a chunk at the end of an upload. At the first one, uploads that nobody continued are removed.
    ///
    /// # Errors
    /// 400 when the chunk reaches beyond the end of the file; 409 when another request writes the same upload. When
    /// the disk is full, the upload is removed.
    pub fn append(
        &self,
        upload: &Upload,
        offset: u64,
        chunk: &[u8],
        now: Timestamp,
    ) -> Result<Appended, Error> {
        let root = self.share(&upload.target)?;
        let directory = temporary::directory(&root)?;
        if offset == 0 {
            Place::find(&root, &upload.target.path)?;
            temporary::sweep(&directory, now);
        }
        let end = offset.saturating_add(chunk.len() as u64);
        if end > upload.length {
            return Err(Error::invalid(
                "UploadTooLong",
                format!("The chunk ends at byte {end}, but the file has {} bytes", upload.length),
            ));
        }
        let file = open(&directory, upload, OFlags::RDWR | OFlags::CREATE)?;
        lock(&file)?;
        let present = file.metadata()?.len();
        if present != offset {
            return Ok(Appended::OtherOffset(present));
        }
        let written =
            reserve(&root, upload, offset).and_then(|()| file.write_all_at(chunk, offset));
        match written {
            Ok(()) => Ok(Appended::Written(end)),
            Err(error) => {
                unlinkat(&directory, upload.temporary_name(), rustix::fs::AtFlags::empty())
                    .map_err(io::Error::from)?;
                Err(error.into())
            }
        }
    }

    /// Gives a whole upload its name, after its checksum was computed. `digest` is what an earlier request computed.
    ///
    /// # Errors
    /// 409 when bytes are missing, or the checksum is another one: then the upload is removed.
    pub fn finish(
        &self,
        upload: &Upload,
        digest: Option<PartialDigest>,
    ) -> Result<Finished, Error> {
        let root = self.share(&upload.target)?;
        let directory = temporary::directory(&root)?;
        let create = if upload.length == 0 { OFlags::CREATE } else { OFlags::empty() };
        let file = match open(&directory, upload, OFlags::RDWR | create) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(incomplete(0, upload));
            }
            file => file?,
        };
        lock(&file)?;
        let present = file.metadata()?.len();
        if present != upload.length {
            return Err(incomplete(present, upload));
        }
        let mut digest = digest.unwrap_or(PartialDigest::start(present));
        let Some(computed) = digest.advance(&file)? else { return Ok(Finished::Checking(digest)) };
        let temporary = upload.temporary_name();
        if computed != upload.sha256 {
            unlinkat(&directory, &temporary, rustix::fs::AtFlags::empty())
                .map_err(io::Error::from)?;
            return Err(Error::conflict(
                "ChecksumMismatch",
                format!(
                    "The uploaded bytes have the SHA-256 {computed}, not {}; nothing was stored",
                    upload.sha256
                ),
            ));
        }
        let (above, name) = Place::find(&root, &upload.target.path)?.make()?;
        give(&file, &above, if upload.executable { 0o755 } else { 0o644 })?;
        file.sync_all()?;
        renameat(&directory, &temporary, &above, &name).map_err(io::Error::from)?;
        Ok(Finished::Done)
    }

    /// The root of a file server that is to be changed.
    pub(super) fn share(&self, place: &FileLocation) -> Result<Dir, Error> {
        self.open_root(&place.file_server).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => super::no_file_server(),
            _ => error.into(),
        })
    }
}

/// Nothing that a job may have put there is followed or waited for.
fn open(directory: &OwnedFd, upload: &Upload, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, upload.temporary_name(), flags, Mode::from(0o600))?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("the place of an upload is taken by something else")),
    }
}

fn lock(file: &File) -> Result<(), Error> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::conflict(
            "UploadInUse",
            "Another request writes the same upload; retry in a moment",
        )),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Refuses a file before its first byte when the disk has no room for it.
fn reserve(root: &Dir, upload: &Upload, offset: u64) -> io::Result<()> {
    if offset > 0 {
        return Ok(());
    }
    let disk = rustix::fs::fstatvfs(root)?;
    match disk.f_bavail.saturating_mul(disk.f_frsize) < upload.length {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

fn incomplete(present: u64, upload: &Upload) -> Error {
    Error::conflict(
        "UploadIncomplete",
        format!("{present} of {} bytes were uploaded; upload the others first", upload.length),
    )
}

#[cfg(test)]
mod tests;
