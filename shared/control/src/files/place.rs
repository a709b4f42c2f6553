//! Where a file goes: the directory of a path, and what is missing of it. Nothing here leaves the file server.

use crate::Error;
use cap_std::fs::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fchown, fstat, mkdirat, openat, statat};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// New directories and files can be read by every job, and written by their owner.
const DIRECTORY_MODE: u32 = 0o755;

/// The deepest existing directory above a file, and the names of those that are missing below it.
pub(super) struct Place {
    directory: OwnedFd,
    missing: Vec<String>,
    /// The name of the file.
    pub name: String,
}

impl Place {
    /// Finds the place of a path below a root.
    ///
    /// # Errors
    /// 409 when a part of it is no directory, leads out of the file server, or the path itself is a directory.
    pub fn find(root: &Dir, path: &str) -> Result<Self, Error> {
        let (above, name) = path.rsplit_once('/').unwrap_or((".", path));
        let mut missing = Vec::new();
        let mut existing = above;
        let directory = loop {
            match root.open_dir(existing) {
                Ok(found) => break OwnedFd::from(found),
                Err(error) if error.kind() == io::ErrorKind::NotFound && existing != "." => {
                    if root.symlink_metadata(existing).is_ok() {
                        return Err(no_directory(existing));
                    }
                    let (rest, last) = existing.rsplit_once('/').unwrap_or((".", existing));
                    missing.push(last.to_owned());
                    existing = rest;
                }
                Err(error) if super::is_absent(&error) => return Err(no_directory(existing)),
                Err(error) => return Err(error.into()),
            }
        };
        missing.reverse();
        let place = Self { directory, missing, name: name.to_owned() };
        if place.missing.is_empty() && is_directory(&place.directory, name)? {
            return Err(Error::conflict(
                "PathIsDirectory",
                format!("There is a directory at {path}; a file cannot replace it"),
            ));
        }
        Ok(place)
    }

    /// Makes the missing directories. They belong to whom the directory above them belongs.
    pub fn make(self) -> io::Result<(OwnedFd, String)> {
        let mut directory = self.directory;
        for name in &self.missing {
            match mkdirat(&directory, name, Mode::from_raw_mode(DIRECTORY_MODE)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = openat(&directory, name, flags, Mode::empty())?;
            give(&made, &directory, DIRECTORY_MODE)?;
            directory = made;
        }
        Ok((directory, self.name))
    }
}

fn no_directory(path: &str) -> Error {
    Error::conflict(
        "PathNotDirectory",
        format!("{path} is not a directory of the file server, so no file can be below it"),
    )
}

fn is_directory(parent: &OwnedFd, name: &str) -> io::Result<bool> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(data) => Ok(rustix::fs::FileType::from_raw_mode(data.st_mode).is_dir()),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives a new file or directory its mode, whatever the umask of the service is, and the owner of the directory
/// above it: the jobs of one machine may run as another user than the service.
pub(super) fn give(new: impl AsFd, above: impl AsFd, mode: u32) -> io::Result<()> {
    fchmod(&new, Mode::from_raw_mode(mode))?;
    if rustix::process::geteuid().is_root() {
        let owner = fstat(above)?;
        let user = rustix::fs::Uid::from_raw(owner.st_uid);
        fchown(new, Some(user), Some(rustix::fs::Gid::from_raw(owner.st_gid)))?;
    }
    Ok(())
}
