//! What the kernel has mounted, whether it still works, and unmounting it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::helper::{self, HelperError};

pub use trees::mounted_at_or_below as at_or_below;

/// A file server that does not answer can block `umount` for ever.
const UMOUNT_LIMIT: Duration = Duration::from_secs(30);

/// A file server that is slower than this is not usable either. Caches and retries of network file systems hide shorter
/// outages.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Notices mounts without reading the table.
#[derive(Debug)]
pub struct MountWatch(File);

impl MountWatch {
    /// From now on.
    pub fn begin() -> io::Result<Self> {
        File::open("/proc/self/mountinfo").map(Self)
    }

    /// Whether anything was mounted or unmounted, anywhere, since the last time this was asked.
    pub fn is_quiet(&self) -> bool {
        let mut table = [PollFd::new(&self.0, PollFlags::PRI)];
        // The kernel marks a changed table once for each open descriptor.
        poll(&mut table, Some(&Timespec::default())).is_ok_and(|changed| changed == 0)
    }
}

/// Whether what is mounted at a path can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Alive,
    /// Its daemon, or its server, has gone.
    Dead,
    /// It did not answer within [`ANSWER_LIMIT`].
    Silent,
}

/// Asks the file system that is mounted at `path` whether it still works. The thread that waits for one that does not
/// answer stays until it does, or is unmounted.
pub fn health(path: &Path) -> Health {
    let (sender, receiver) = mpsc::channel();
    let asked = path.to_owned();
    let ask = move || {
        // The receiver has gone if this was late.
        let _ = sender.send(rustix::fs::statvfs(&asked).map(drop));
    };
    if std::thread::Builder::new().name("mount-health".into()).spawn(ask).is_err() {
        // An answer too: the process that uses the mount gets the same error.
        return Health::Alive;
    }
    match receiver.recv_timeout(ANSWER_LIMIT) {
        Ok(Err(Errno::NOTCONN | Errno::CONNABORTED | Errno::STALE | Errno::HOSTDOWN)) => {
            Health::Dead
        }
        Ok(Ok(()) | Err(_)) => Health::Alive,
        Err(_) => Health::Silent,
    }
}

/// Unmounts everything at or below `path`: properly if it can be done, else lazily, so that nothing is
/// seen there any more. Only then its directory may be removed: a removal that reaches into a mounted
/// file system would delete the user's data.
///
/// True when something was mounted there.
pub fn clear(path: &Path, scratch: &Path) -> Result<bool, HelperError> {
    let points = at_or_below(path)?;
    for point in &points {
        unmount(point, scratch)?;
    }
    if points.is_empty() {
        return Ok(false);
    }
    match at_or_below(path)?.first() {
        None => Ok(true),
        Some(point) => Err(HelperError::Failed(format!("{} is still mounted", point.display()))),
    }
}

fn unmount(point: &Path, scratch: &Path) -> Result<(), HelperError> {
    let run = |program: &str, flags: &[&str]| {
        let mut command = Command::new(program);
        command.args(flags).arg(point);
        helper::run(&mut command, scratch, UMOUNT_LIMIT, &|| false)
    };
    // By force what does not answer: requests that wait for it fail, so that their processes can end. The path is
    // not looked up, which might wait as well.
    let by_force = || run("umount", &["--no-canonicalize", "-f", "-l"]);
    let unmounted = match health(point) {
        Health::Alive => run("umount", &[]).or_else(|_| run("umount", &["-l"])),
        Health::Dead | Health::Silent => by_force(),
    };
    // Without privileges only this one may end what the user mounted. If it fails too, the
    // reason that `umount` gave is the better one.
    unmounted.or_else(|error| run("fusermount", &["-uz"]).map_err(|_| error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_noticed_once() {
        let watch = MountWatch::begin().unwrap();
        while !watch.is_quiet() {}
        let place = tempfile::tempdir().unwrap();
        let mount = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).args(arguments).arg(place.path()).output();
            done.is_ok_and(|output| output.status.success())
        };
        if mount("mount", &["-t", "tmpfs", "tmpfs"]) {
            assert!(!watch.is_quiet());
            assert!(at_or_below(place.path()).unwrap().len() == 1);
            assert!(mount("umount", &[]) && !watch.is_quiet());
        }
    }
}
