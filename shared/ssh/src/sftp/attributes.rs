//! Sizes, modes, owners and times of files.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use russh_sftp::protocol::FileAttributes;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

/// The bits of a mode that a client may set.
const PERMISSIONS: u32 = 0o7777;

/// The attributes that clients see.
pub fn attributes_of(metadata: &Metadata) -> FileAttributes {
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
    FileAttributes {
        size: Some(metadata.size()),
        uid: Some(metadata.uid()),
        user: None,
        gid: Some(metadata.gid()),
        group: None,
        permissions: Some(metadata.mode()),
        atime: Some(seconds(metadata.atime())),
        mtime: Some(seconds(metadata.mtime())),
    }
}

/// The mode of a new file or directory, before the mask of the process.
pub fn mode_of(attributes: &FileAttributes, otherwise: u32) -> u32 {
    attributes.permissions.map_or(otherwise, |mode| mode & PERMISSIONS)
}

/// Sets what is given, of the file at `path` or of the one that a link there names.
pub fn set_by_path(path: &Path, attributes: &FileAttributes) -> io::Result<()> {
    if let Some(size) = attributes.size {
        File::options().write(true).open(path)?.set_len(size)?;
    }
    if let Some(mode) = attributes.permissions {
        fs::set_permissions(path, Permissions::from_mode(mode & PERMISSIONS))?;
    }
    if attributes.uid.is_some() || attributes.gid.is_some() {
        std::os::unix::fs::chown(path, attributes.uid, attributes.gid)?;
    }
    if let Some(times) = times_of(attributes) {
        rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?;
    }
    Ok(())
}

/// Sets what is given, of an open file.
pub fn set_by_file(file: &File, attributes: &FileAttributes) -> io::Result<()> {
    if let Some(size) = attributes.size {
        file.set_len(size)?;
    }
    if let Some(mode) = attributes.permissions {
        file.set_permissions(Permissions::from_mode(mode & PERMISSIONS))?;
    }
    if attributes.uid.is_some() || attributes.gid.is_some() {
        std::os::unix::fs::fchown(file, attributes.uid, attributes.gid)?;
    }
    if let Some(times) = times_of(attributes) {
        rustix::fs::futimens(file, &times)?;
    }
    Ok(())
}

fn times_of(attributes: &FileAttributes) -> Option<Timestamps> {
    let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    let (accessed, modified) = (attributes.atime?, attributes.mtime?);
    Some(Timestamps { last_access: time(accessed), last_modification: time(modified) })
}
