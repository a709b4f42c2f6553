//! What the agent knows about its job directory from the previous job, so that it need not read it again.
//!
//! Reading six directories is most of what the agent would do for a short job. A directory whose change time
//! (which users cannot set) is the same has the same content and the same mode. File systems store that time in
//! ticks: nothing is cached about what was changed just before it was read, as a second change within the same
//! tick would not show.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::clock::now_since_epoch;
use crate::host::JobPaths;

/// Far more than a tick of any kernel, in nanoseconds.
const TICK: i128 = 20_000_000;
/// A file system that only knows seconds, or two of them.
const COARSE_TICK: i128 = 3_000_000_000;

/// A version of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    /// Nanoseconds since 1970.
    changed: i128,
}

impl FileStamp {
    /// `None` when a change that follows might not show.
    pub fn of(data: &Metadata) -> Option<Self> {
        Self::at(data, now_since_epoch().as_nanos().cast_signed())
    }

    fn at(data: &Metadata, now: i128) -> Option<Self> {
        let changed = i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec());
        let tick = if data.ctime_nsec() == 0 { COARSE_TICK } else { TICK };
        (now - changed > tick).then(|| Self { device: data.dev(), inode: data.ino(), changed })
    }

    pub fn still_holds(self, data: &Metadata) -> bool {
        let changed = i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec());
        self == Self { device: data.dev(), inode: data.ino(), changed }
    }
}

/// The number of directories and files that every job finds, and the position of some of them.
const PARTS: usize = 7;
pub const MOUNTS: usize = 4;
pub const SHARED: usize = 5;

/// The directories and files as they were created for the previous job.
#[derive(Debug)]
pub struct DirectoryCache {
    temp: PathBuf,
    hosts: String,
    marks: [Option<FileStamp>; PARTS],
}

impl DirectoryCache {
    /// To be called when everything is created, and before the first process of the job.
    pub fn remember(job: &JobPaths, hosts: &str) -> Self {
        let paths = parts(job);
        let mark = |part: usize| FileStamp::of(&read_metadata(part, &paths[part]).ok()?);
        let marks = std::array::from_fn(mark);
        Self { temp: job.temp.clone(), hosts: hosts.to_owned(), marks }
    }

    /// True when everything is as `job` needs it and nothing was changed. False means unknown.
    pub fn serves(&self, job: &JobPaths, hosts: &str) -> bool {
        self.temp == job.temp
            && self.hosts == hosts
            && parts(job).iter().enumerate().all(|(part, path)| self.is_untouched(part, path))
            // Not every file system updates the time of a file that is written through a mapping.
            && holds_exactly(&job.host_file, hosts).unwrap_or(false)
    }

    /// True when `path` is the same part as before and was not changed. Parts are numbered from the directory of all
    /// jobs; [`MOUNTS`] and [`SHARED`] are last.
    pub fn is_untouched(&self, part: usize, path: &Path) -> bool {
        let is_same =
            |mark: FileStamp| read_metadata(part, path).is_ok_and(|data| mark.still_holds(&data));
        self.marks[part].is_some_and(is_same)
    }

    /// Whether the part above the job's directory at this level bore this name.
    pub fn had_name(&self, jobs: &Path, level: usize, name: &OsStr) -> bool {
        let below = self.temp.strip_prefix(jobs).unwrap_or(Path::new(""));
        below.iter().nth(level) == Some(name)
    }
}

/// The directory of all jobs may be a link to a larger disk; nothing below it may be one.
fn read_metadata(part: usize, path: &Path) -> io::Result<Metadata> {
    if part == 0 { fs::metadata(path) } else { fs::symlink_metadata(path) }
}

/// In one read.
fn holds_exactly(path: &Path, text: &str) -> io::Result<bool> {
    let mut content = vec![0; text.len() + 1];
    let length = File::open(path)?.read_at(&mut content, 0)?;
    Ok(content[..length] == *text.as_bytes())
}

/// From the directory of all jobs to the parts of the job's own.
fn parts(job: &JobPaths) -> [PathBuf; PARTS] {
    let above = |levels: usize| job.temp.ancestors().nth(levels).unwrap_or(Path::new("/")).into();
    [
        job.jobs.clone(),
        above(2),
        above(1),
        job.temp.clone(),
        job.mounts.clone(),
        job.shared.clone(),
        job.host_file.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn make(place: &Path) -> JobPaths {
        let jobs = place.join("jobs");
        let temp = jobs.join("w/e/j");
        let job = JobPaths {
            jobs,
            mounts: temp.join("mounts"),
            shared: temp.join("shared"),
            host_file: temp.join("hostfile"),
            scratch: temp.join("tmp"),
            stop_file: temp.join("stop-1"),
            temp,
        };
        fs::create_dir_all(&job.mounts).unwrap();
        fs::create_dir_all(&job.shared).unwrap();
        fs::write(&job.host_file, "host\n").unwrap();
        job
    }

    /// Whether the cache is still valid after `change`.
    fn check(change: impl FnOnce(&JobPaths), expected: bool) {
        let place = tempfile::tempdir().unwrap();
        let job = make(place.path());
        assert!(
            !DirectoryCache::remember(&job, "host\n").serves(&job, "host\n"),
            "it is too young"
        );
        std::thread::sleep(Duration::from_millis(25));
        let frame = DirectoryCache::remember(&job, "host\n");
        assert!(!frame.serves(&job, "other\n"));
        change(&job);
        assert_eq!(frame.serves(&job, "host\n"), expected);
    }

    #[test]
    fn only_an_untouched_frame_serves_again() {
        check(|_| {}, true);
        check(|job| assert_eq!(fs::read_dir(&job.temp).unwrap().count(), 3), true);
        check(|job| fs::write(job.temp.join("x"), "").unwrap(), false);
        check(|job| fs::write(job.shared.join("x"), "").unwrap(), false);
        check(|job| fs::write(job.mounts.join("x"), "").unwrap(), false);
        check(|job| fs::write(job.jobs.join("x"), "").unwrap(), false);
        check(|job| fs::write(job.jobs.join("w/x"), "").unwrap(), false);
        check(|job| fs::write(job.jobs.join("w/e/x"), "").unwrap(), false);
        check(|job| fs::write(&job.host_file, "evil\n").unwrap(), false);
        let open = Permissions::from_mode(0o777);
        check(|job| fs::set_permissions(&job.shared, open).unwrap(), false);
        check(|job| fs::hard_link(&job.host_file, job.jobs.join("../name")).unwrap(), false);
        let there_and_back = |job: &JobPaths| {
            fs::write(job.temp.join("x"), "").unwrap();
            fs::remove_file(job.temp.join("x")).unwrap();
        };
        check(there_and_back, false);
    }

    #[test]
    fn a_coarse_time_has_to_be_older() {
        let data = fs::metadata("/").unwrap();
        let changed = i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec());
        assert!(FileStamp::at(&data, changed + 1_000_000).is_none());
        assert!(FileStamp::at(&data, changed - 1_000_000_000).is_none(), "from the future");
        let mark = FileStamp::at(&data, changed + 4_000_000_000).unwrap();
        assert!(mark.still_holds(&data));
    }
}
