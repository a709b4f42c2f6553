//! The temporary directory of a file server: uploads that are not whole, and trees that are being removed.

use super::{FileLocation, MountedFiles, Removal};
use model::{Timestamp, Uid, limits};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdirat, openat, renameat, statat};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

/// Trees whose removal was not finished. A removal that is under way is younger.
const REMOVAL_SECONDS: u64 = 600;

const REMOVALS: &str = "removal-";

/// The temporary directory; made if it is missing. Only the service uses it.
pub(super) fn directory(root: &cap_std::fs::Dir) -> io::Result<OwnedFd> {
    match mkdirat(root, limits::TEMPORARY_FILES, Mode::from(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(root, limits::TEMPORARY_FILES, flags, Mode::empty())?)
}

/// Removes uploads that nobody continued for a day, and the rest of removed trees. What cannot be removed is tried
/// again the next time.
pub(super) fn sweep(directory: &OwnedFd, now: Timestamp) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let seconds = match name.to_bytes() {
            b"." | b".." => continue,
            other if other.starts_with(REMOVALS.as_bytes()) => REMOVAL_SECONDS,
            _ => limits::UPLOAD_SECONDS,
        };
        let Ok(data) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let changed = Timestamp(data.st_mtime.saturating_mul(1000));
        if now >= changed.plus_seconds(seconds)
            && let Err(error) = remove_in(directory, name.to_owned())
        {
            tracing::warn!(%error, ?name, "could not remove a temporary file");
        }
    }
}

fn remove_in(directory: &OwnedFd, name: CString) -> io::Result<()> {
    trees::remove_in(directory.try_clone()?, name)
}

impl MountedFiles {
    /// Removes what [`sweep`] removes, from every file server.
    ///
    /// # Errors
    /// When the file servers cannot be listed.
    pub fn sweep(&self, now: Timestamp) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let root = Uid::parse(&name).and_then(|uid| self.open_root(&uid).ok());
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found =
                root.and_then(|it| openat(it, limits::TEMPORARY_FILES, flags, Mode::empty()).ok());
            if let Some(directory) = found {
                sweep(&directory, now);
            }
        }
        Ok(())
    }

    /// Moves a file or tree out of sight.
    ///
    /// # Errors
    /// What the file system reports.
    pub(super) fn take(
        &self,
        place: &FileLocation,
        recursive: bool,
        now: Timestamp,
    ) -> io::Result<Taken> {
        let (above, name) = place.path.rsplit_once('/').unwrap_or((".", &place.path));
        let found = self.open_root(&place.file_server).and_then(|root| {
            let above = OwnedFd::from(root.open_dir(above)?);
            let data = statat(&above, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok((root, above, FileType::from_raw_mode(data.st_mode).is_dir()))
        });
        let (root, above, is_directory) = match found {
            Err(error) if super::is_absent(&error) => return Ok(Taken::Refused(Removal::NotFound)),
            found => found?,
        };
        if is_directory && !recursive {
            return Ok(Taken::Refused(Removal::IsDirectory));
        }
        let temporary = directory(&root)?;
        sweep(&temporary, now);
        let (bin, bin_name) = new_bin(&temporary)?;
        let name = CString::new(name).map_err(io::Error::other)?;
        let moved = renameat(&above, &name, &bin, c"removed");
        Ok(Taken::Moved(Box::new(move || {
            // What cannot be moved, such as a directory without permissions, is removed where it is.
            if moved.is_err() {
                trees::remove_in(above, name)?;
            }
            trees::remove_in(temporary, bin_name)
        })))
    }
}

/// What became of something that is to be removed.
pub(super) enum Taken {
    /// It is out of sight. This removes it, which may take long.
    Moved(Box<dyn FnOnce() -> io::Result<()> + Send>),
    /// It is where it was.
    Refused(Removal),
}

fn new_bin(temporary: &OwnedFd) -> io::Result<(OwnedFd, CString)> {
    let mut number = 0;
    loop {
        let name = CString::new(format!("{REMOVALS}{number}")).map_err(io::Error::other)?;
        match mkdirat(temporary, &name, Mode::from(0o700)) {
            Err(Errno::EXIST) => number += 1,
            Err(error) => return Err(error.into()),
            Ok(()) => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                return Ok((openat(temporary, &name, flags, Mode::empty())?, name));
            }
        }
    }
}
