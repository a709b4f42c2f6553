//! Removing what earlier jobs left in the job temp tree (docs/contract.md, "Directories on nodes").
//!
//! What an earlier job and the next one have in common is reused: the directories above the job's own, renamed
//! if needed, and the host file. Creating and deleting files is most of the cost of a short job. Nothing that a
//! job has changed is reused: see [`is_as_made`]. A directory that a job has locked (mode 555, say) is unlocked
//! before it is removed: it belongs to the user of the agent, unless the agent is root. A tree may have any depth
//! ([`trees`]).

use std::fs::{self, DirEntry, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::directory_cache::{DirectoryCache, MOUNTS, SHARED};
use crate::host::JobPaths;

/// A directory that once held very many files is slow to read for ever.
const GROWN: u64 = 64 * 1024;

/// What the owner of a directory needs to empty it.
const OWNER_ALL: u32 = 0o700;

/// Removes everything in `jobs` except the empty directories of `job`. Nothing may be mounted there. `known`: the
/// directories of the previous job.
pub fn remove_earlier_jobs(
    jobs: &Path,
    job: &JobPaths,
    known: Option<&DirectoryCache>,
) -> io::Result<()> {
    let model = own(jobs)?;
    let is_untouched = |part, path: &Path| known.is_some_and(|it| it.is_untouched(part, path));
    let mut directory = jobs.to_owned();
    let mut is_known = is_untouched(0, jobs);
    for (level, name) in job.temp.strip_prefix(jobs).map_err(io::Error::other)?.iter().enumerate() {
        let wanted = directory.join(name);
        // A job of another name takes over the directory, whose name changes.
        let had_name = known.is_some_and(|it| it.had_name(jobs, level, name));
        let was_known =
            std::mem::replace(&mut is_known, had_name && is_untouched(level + 1, &wanted));
        let holds_only_it = was_known && is_known;
        if !holds_only_it && !narrow(&directory, &wanted, &model)? {
            return Ok(());
        }
        directory = wanted;
    }
    for (number, part) in [(MOUNTS, &job.mounts), (SHARED, &job.shared)] {
        if is_untouched(number, part) {
            continue;
        }
        match fs::symlink_metadata(part) {
            Ok(data) if is_as_made(&data, &model) => retain(part, |_, _| false)?,
            _ => trees::remove(part)?,
        }
    }
    retain(&job.temp, |entry, data| {
        let path = entry.path();
        let is_part = (path == job.mounts || path == job.shared) && is_as_made(data, &model);
        // A file with a second name somewhere else must not be written to.
        is_part || (path == job.host_file && data.is_file() && data.nlink() == 1)
    })
}

/// Leaves nothing in `directory` but `wanted`, which another directory may become. False when nothing
/// is left.
fn narrow(directory: &Path, wanted: &Path, model: &Metadata) -> io::Result<bool> {
    let serves =
        |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| is_as_made(&data, model));
    let mut is_there = serves(wanted);
    if !is_there {
        trees::remove(wanted)?;
        let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        if let Some(other) = entries.iter().map(DirEntry::path).find(|path| serves(path)) {
            fs::rename(other, wanted)?;
            is_there = true;
            if entries.len() == 1 {
                return Ok(true);
            }
        }
    }
    retain(directory, |entry, _| entry.path() == wanted)?;
    Ok(is_there)
}

/// The directory of all jobs, as its owner can use it.
fn own(jobs: &Path) -> io::Result<Metadata> {
    let data = match fs::metadata(jobs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(jobs)?;
            fs::metadata(jobs)?
        }
        data => data?,
    };
    if open_up(jobs, &data)? { fs::metadata(jobs) } else { Ok(data) }
}

/// A directory as the agent makes them: not opened to others, not grown.
fn is_as_made(data: &Metadata, model: &Metadata) -> bool {
    data.is_dir() && data.mode() == model.mode() && data.uid() == model.uid() && data.len() < GROWN
}

/// Removes the entries for which `keep` is false.
fn retain(directory: &Path, keep: impl Fn(&DirEntry, &Metadata) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !keep(&entry, &entry.metadata()?) {
            trees::remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Lets the owner read and change a directory; false if that was so already.
fn open_up(directory: &Path, data: &Metadata) -> io::Result<bool> {
    let is_locked = data.is_dir() && data.mode() & OWNER_ALL != OWNER_ALL;
    if is_locked {
        fs::set_permissions(directory, Permissions::from_mode(data.mode() | OWNER_ALL))?;
    }
    Ok(is_locked)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn paths(jobs: &Path, job: &str) -> JobPaths {
        let temp = jobs.join(job);
        JobPaths {
            jobs: jobs.to_owned(),
            mounts: temp.join("mounts"),
            shared: temp.join("shared"),
            host_file: temp.join("hostfile"),
            scratch: temp.join("tmp"),
            stop_file: temp.join("stop-1"),
            temp,
        }
    }

    fn make(job: &JobPaths) {
        fs::create_dir_all(&job.mounts).unwrap();
        fs::create_dir_all(&job.shared).unwrap();
        fs::write(&job.host_file, "host\n").unwrap();
    }

    fn tree(directory: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![directory.to_owned()];
        while let Some(next) = pending.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.strip_prefix(directory).unwrap().display().to_string());
                if path.symlink_metadata().unwrap().is_dir() {
                    pending.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// What remains for job `w/e/j` of a tree with `old` jobs after `spoil` has changed the first one.
    fn check(old: &[&str], spoil: impl FnOnce(&JobPaths), expected: &[&str]) {
        let place = tempfile::tempdir().unwrap();
        let jobs = place.path().join("jobs");
        fs::create_dir(&jobs).unwrap();
        fs::write(place.path().join("outside"), "kept").unwrap();
        old.iter().for_each(|job| make(&paths(&jobs, job)));
        spoil(&paths(&jobs, old.first().unwrap_or(&"none")));
        remove_earlier_jobs(&jobs, &paths(&jobs, "w/e/j"), None).unwrap();
        assert_eq!(tree(&jobs), expected);
        assert_eq!(fs::read_to_string(place.path().join("outside")).unwrap(), "kept");
    }

    const REUSED: [&str; 6] =
        ["w", "w/e", "w/e/j", "w/e/j/hostfile", "w/e/j/mounts", "w/e/j/shared"];

    #[test]
    fn the_frame_of_one_former_job_is_reused_whatever_its_names() {
        check(&[], |_| {}, &[]);
        check(&["w/e/j"], |_| {}, &REUSED);
        check(&["w/e/k"], |_| {}, &REUSED);
        check(&["x/y/z"], |_| {}, &REUSED);
        check(&["w/e/k", "w/e/j", "w/f/j", "x/e/j"], |_| {}, &REUSED);
    }

    #[test]
    fn nothing_of_the_job_itself_stays() {
        let spoil = |job: &JobPaths| {
            fs::write(job.temp.join("data"), "").unwrap();
            fs::create_dir_all(job.shared.join("a/b")).unwrap();
            fs::write(job.shared.join("a/c"), "").unwrap();
            symlink("../../../../../outside", job.mounts.join("m")).unwrap();
            symlink("../../../..", job.temp.join("up")).unwrap();
            fs::write(job.temp.join("../beside"), "").unwrap();
        };
        check(&["w/e/j"], spoil, &REUSED);
        check(&["w/e/k"], spoil, &REUSED);
    }

    #[test]
    fn what_a_job_has_changed_is_made_anew() {
        let open =
            |path: &Path| fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        check(&["w/e/j"], |job| open(&job.temp), &REUSED[..2]);
        check(&["w/e/j"], |job| open(&job.shared), &REUSED[..5]);
        let outside = |job: &JobPaths| job.temp.join("../../../../outside");
        let hard_link = |job: &JobPaths| {
            fs::remove_file(&job.host_file).unwrap();
            fs::hard_link(outside(job), &job.host_file).unwrap();
        };
        let without_host_file = ["w", "w/e", "w/e/j", "w/e/j/mounts", "w/e/j/shared"];
        check(&["w/e/j"], hard_link, &without_host_file);
        let soft_link = |job: &JobPaths| {
            fs::remove_file(&job.host_file).unwrap();
            symlink(outside(job), &job.host_file).unwrap();
        };
        check(&["w/e/j"], soft_link, &without_host_file);
        let replaced = |job: &JobPaths| {
            fs::remove_dir_all(&job.temp).unwrap();
            symlink("/", &job.temp).unwrap();
        };
        check(&["w/e/j"], replaced, &REUSED[..2]);
    }
}
