//! Removing directory trees as jobs leave them: of any depth, with any permissions.
//!
//! Everything goes through directory handles, of which few are open at a time. So paths may be longer than the kernel
//! accepts, and a directory that is replaced by a symbolic link meanwhile does not lead out of the tree. A file system that is
//! mounted in the tree is not entered: its files are not part of the tree.

#![warn(missing_docs)]

mod mounts;

pub use mounts::mounted_at_or_below;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, fchmod, fstat, openat, statat, statx,
    unlinkat,
};
use rustix::io::Errno;

/// How often a directory may be found filled again by a process that still writes into the tree.
const REFILLS: u32 = 100;

/// Removes the file or tree at `path`. Succeeds when there is none. Symbolic links are removed, never followed.
/// Directories without write permission are unlocked first, if they belong to this user.
///
/// # Errors
/// When something is mounted in the tree, and the first entry that cannot be removed; what was removed before is not restored.
pub fn remove(path: &Path) -> io::Result<()> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let name = path.file_name().ok_or_else(invalid)?;
    let name = CString::new(name.as_bytes()).map_err(io::Error::other)?;
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let removed = openat(rustix::fs::CWD, parent, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|parent| remove_at(parent, name));
    unless_absent(removed)
}

/// As [`remove`], the entry of this name in an open directory.
///
/// # Errors
/// Those of [`remove`].
pub fn remove_in(parent: OwnedFd, name: CString) -> io::Result<()> {
    unless_absent(remove_at(parent, name))
}

fn unless_absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn remove_at(parent: OwnedFd, name: CString) -> io::Result<()> {
    if !is_directory(parent.as_fd(), &name)? {
        return Ok(unlinkat(&parent, &name, AtFlags::empty())?);
    }
    let mut refills = 0;
    let mut here = Level { id: id(parent.as_fd())?, name: CString::default(), pending: vec![name] };
    let mut handle = parent;
    let mut above: Vec<Level> = Vec::new();
    loop {
        if let Some(name) = here.pending.pop() {
            let below = match open(handle.as_fd(), &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                below => below?,
            };
            let id = id(below.as_fd())?;
            if id.mount != here.id.mount {
                let name = name.to_string_lossy();
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("a file system is mounted at {name} in the tree"),
                ));
            }
            let level = Level { id, name, pending: empty(below.as_fd())? };
            above.push(std::mem::replace(&mut here, level));
            handle = below;
            continue;
        }
        let Some(mut upper) = above.pop() else { return Ok(()) };
        handle = up(handle.as_fd())?;
        if id(handle.as_fd())? != upper.id {
            return Err(io::Error::other("the tree was moved while it was being removed"));
        }
        match unlinkat(&handle, &here.name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) if refills < REFILLS => {
                refills += 1;
                upper.pending.push(here.name);
            }
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
        here = upper;
    }
}

/// A directory on the way down.
struct Level {
    /// The way up has to lead here again.
    id: Id,
    /// In the directory above it.
    name: CString,
    /// Directories in it that are still to be removed.
    pending: Vec<CString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Id {
    device: (u32, u32),
    inode: u64,
    /// Differs below a mount point, also of a bind mount. The same everywhere before Linux 5.8.
    mount: u64,
}

fn id(directory: BorrowedFd<'_>) -> io::Result<Id> {
    let flags = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let data = statx(directory, c"", AtFlags::EMPTY_PATH, flags)?;
    Ok(Id {
        device: (data.stx_dev_major, data.stx_dev_minor),
        inode: data.stx_ino,
        mount: data.stx_mnt_id,
    })
}

fn is_directory(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    let data = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(data.st_mode) == FileType::Directory)
}

fn up(directory: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(directory, c"..", flags, Mode::empty())?)
}

/// The directory, with all permissions for its owner.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let kind = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(parent, name, kind, Mode::empty()) {
        Err(Errno::ACCESS) => {
            let handle = openat(parent, name, kind | OFlags::PATH, Mode::empty())?;
            // The only way to change a directory that can neither be opened nor named without a race.
            rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            openat(parent, name, kind, Mode::empty())?
        }
        directory => directory?,
    };
    if !Mode::from_raw_mode(fstat(&directory)?.st_mode).contains(Mode::RWXU) {
        // If it cannot be changed, removing an entry from it returns the reason.
        let _ = fchmod(&directory, Mode::RWXU);
    }
    Ok(directory)
}

/// Removes everything but directories, whose names are returned.
fn empty(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut directories = Vec::new();
    let entries = Dir::read_from(directory)?.collect::<Result<Vec<_>, _>>()?;
    for entry in entries {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => is_directory(directory, name)?,
            _ => false,
        };
        if is_directory {
            directories.push(name.to_owned());
            continue;
        }
        match unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
    }
    Ok(directories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    fn shell(directory: &Path, script: &str) {
        let mut shell = Command::new("/bin/bash");
        let shell = shell.args(["-e", "-c", script]).current_dir(directory);
        assert!(shell.status().unwrap().success());
    }

    #[test]
    fn a_tree_is_removed_and_nothing_behind_its_links() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join("a/d")).unwrap();
        fs::create_dir_all(place.path().join("outside")).unwrap();
        fs::write(place.path().join("outside/file"), "kept").unwrap();
        fs::write(tree.join("a/b/file"), "").unwrap();
        symlink("../../outside", tree.join("a/link")).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert!(place.path().join("outside/file").exists());
        remove(&tree).expect("a repetition does no harm");
        remove(&tree.join("below/nothing")).unwrap();
    }

    #[test]
    fn a_file_and_a_link_are_removed_as_such() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "").unwrap();
        symlink(place.path(), &link).unwrap();
        remove(&link).unwrap();
        assert!(link.symlink_metadata().is_err() && file.exists());
        remove(&file).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_tree_may_be_deeper_than_a_path_can_be_long() {
        let place = tempfile::tempdir().unwrap();
        let name = "d".repeat(100);
        shell(
            place.path(),
            &format!("for i in {{1..200}}; do mkdir {name} x; cd -P {name}; done; chmod 0 . .."),
        );
        remove(&place.path().join(&name)).unwrap();
        assert!(!place.path().join(&name).exists());
    }
}
