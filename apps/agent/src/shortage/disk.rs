//! Disks that are full: what their file systems report, and what a write to them answers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, StatVfs, StatVfsMountFlags, statvfs};
use rustix::io::Errno;

/// What is left of a full file system: some keep their last blocks for themselves. It is also what is written to find out
/// about quotas.
const LEAST_BYTES: u64 = 16 * 1024;

/// For all file systems together. One that does not answer must not keep the node.
const LIMIT: Duration = Duration::from_secs(2);

/// The first of these paths whose file system takes no more data, as a sentence.
pub fn find(paths: Vec<PathBuf>) -> Option<String> {
    let (sender, found) = mpsc::channel();
    // An error means that it took too long.
    let examine = move || drop(sender.send(paths.iter().find_map(|path| examine(path))));
    // A system call on a dead file server cannot be cancelled: then the thread stays, and nothing waits for it.
    std::thread::Builder::new().name("disks".into()).spawn(examine).ok()?;
    found.recv_timeout(LIMIT).ok().flatten()
}

fn examine(path: &Path) -> Option<String> {
    let space = Space::of(&statvfs(path).ok()?);
    if space.is_read_only {
        return None;
    }
    let reason = space.shortage().or_else(|| match write_to(path) {
        Err(Errno::NOSPC) => Some("no space is left".to_owned()),
        Err(Errno::DQUOT) => Some("the disk quota of the user is used up".to_owned()),
        Ok(()) | Err(_) => None,
    })?;
    Some(format!("{}: {reason}", path.display()))
}

/// The space of a file system for users without privileges.
#[derive(Clone, Copy, Debug)]
struct Space {
    bytes: u64,
    bytes_left: u64,
    inodes: u64,
    inodes_left: u64,
    is_read_only: bool,
}

impl Space {
    fn of(data: &StatVfs) -> Self {
        Self {
            bytes: data.f_blocks.saturating_mul(data.f_frsize),
            bytes_left: data.f_bavail.saturating_mul(data.f_frsize),
            inodes: data.f_files,
            inodes_left: data.f_favail,
            is_read_only: data.f_flag.contains(StatVfsMountFlags::RDONLY),
        }
    }

    /// A file system without a size, such as `/proc` or a mounted bucket, counts nothing.
    fn shortage(self) -> Option<String> {
        let Self { bytes, bytes_left, inodes, inodes_left, .. } = self;
        if bytes > 0 && bytes_left < LEAST_BYTES.min(bytes) {
            return Some(format!("{bytes_left} of {bytes} bytes are left"));
        }
        (inodes > 0 && inodes_left == 0).then(|| format!("0 of {inodes} inodes are left"))
    }
}

/// Writes to a file without a name, where the file system can have one: only a write knows of quotas.
fn write_to(directory: &Path) -> Result<(), Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)?);
    let data = vec![0; LEAST_BYTES as usize];
    let written = file.write_all(&data);
    written.map_err(|error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortage(bytes: u64, bytes_left: u64, inodes: u64, inodes_left: u64) -> Option<String> {
        Space { bytes, bytes_left, inodes, inodes_left, is_read_only: false }.shortage()
    }

    #[test]
    fn only_a_file_system_without_room_for_anything_is_full() {
        let mib = 1024 * 1024;
        assert_eq!(shortage(mib, 0, 64, 60).unwrap(), "0 of 1048576 bytes are left");
        assert_eq!(shortage(mib, 12 * 1024, 64, 60).unwrap(), "12288 of 1048576 bytes are left");
        assert_eq!(shortage(mib, 16 * 1024, 64, 60), None);
        assert_eq!(shortage(mib, mib, 64, 0).unwrap(), "0 of 64 inodes are left");
        assert_eq!(shortage(0, 0, 0, 0), None, "it counts nothing");
        assert_eq!(shortage(mib, mib, 0, 0), None, "it has no fixed number of inodes");
        assert_eq!(shortage(4096, 4096, 0, 0), None, "it is small");
    }

    #[test]
    fn a_disk_with_space_is_not_to_blame() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(find(vec![missing, directory.path().to_owned(), "/proc".into()]), None);
        assert_eq!(write_to(directory.path()).map_err(|error| error == Errno::NOSPC), Ok(()));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
