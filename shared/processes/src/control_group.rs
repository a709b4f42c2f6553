//! A control group (cgroup v2) for one process tree. No process can leave it without the rights of root, so
//! the kernel finds and kills all of the tree, whatever became of parents, sessions and environments.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One group, by its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ControlGroup {
    path: PathBuf,
}

impl ControlGroup {
    /// Creates the group `name` below the group of this process, or finds it there. `None` where there is
    /// no cgroup v2, or this user may not move processes into a group of its own.
    pub fn create(name: &str) -> Option<Self> {
        let group = Self::named(name)?;
        let parent = group.path.parent()?;
        // Moving a process needs this file of the common ancestor.
        OpenOptions::new().write(true).open(parent.join("cgroup.procs")).ok()?;
        match fs::create_dir(&group.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
            Ok(()) | Err(_) => Some(group),
        }
    }

    /// Whether [`Self::create`] would succeed. Changes nothing.
    pub fn is_available() -> bool {
        let Some(group) = Self::named("probe") else { return false };
        let Some(parent) = group.path.parent() else { return false };
        let processes = OpenOptions::new().write(true).open(parent.join("cgroup.procs"));
        processes.is_ok() && rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).is_ok()
    }

    /// The group `name` below the group of this process, if it exists.
    pub fn find(name: &str) -> Option<Self> {
        Self::named(name).filter(Self::exists)
    }

    /// The group that this process is in, where there is cgroup v2.
    pub fn own() -> Option<Self> {
        Self::named("").filter(Self::exists)
    }

    /// The file in which the kernel counts what it did for lack of memory to processes of the group and of the groups
    /// below it. It is there only where the memory controller is.
    pub fn memory_events(&self) -> PathBuf {
        self.path.join("memory.events")
    }

    /// True until the group is removed.
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    fn named(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        Some(Self { path: own_directory(&mounts, &groups)?.join(name) })
    }

    /// Moves this process into the group. What it starts from now on is born in it.
    ///
    /// # Errors
    /// When the kernel refuses to move this process.
    pub fn enter(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), std::process::id().to_string())
    }

    /// True while a process of the group, or of a group below it, has not ended.
    pub fn is_populated(&self) -> bool {
        let events = fs::read_to_string(self.path.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    }

    /// Sends SIGKILL to every process of the group and of the groups below it.
    pub fn kill(&self) {
        if fs::write(self.path.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Before Linux 5.14 there is no such file.
        for pid in self.members() {
            if let Some(process) = crate::Process::read(pid) {
                process.signal(rustix::process::Signal::KILL);
            }
        }
    }

    /// Removes the group and the groups below it, as far as they are empty.
    pub fn remove(&self) {
        remove_below(&self.path);
    }

    fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

fn remove_below(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_below(&entry.path());
    }
    // A group that still has a process stays.
    let _ = fs::remove_dir(directory);
}

/// The directory of the group that this process is in, from the contents of `/proc/self/mounts` and
/// `/proc/self/cgroup`.
fn own_directory(mounts: &str, groups: &str) -> Option<PathBuf> {
    let mount_point = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(at)
    })?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A group outside of this namespace has no directory here.
    (!path.starts_with("..")).then(|| Path::new(mount_point).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    #[test]
    fn the_directory_of_the_own_group_is_below_the_mount_of_version_2() {
        let mounts = "cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let directory = |groups| own_directory(mounts, groups);
        let expected = PathBuf::from("/sys/fs/cgroup/unified/user.slice/a");
        assert_eq!(directory("8:pids:/\n0::/user.slice/a\n"), Some(expected));
        assert_eq!(directory("0::/\n"), Some("/sys/fs/cgroup/unified/".into()));
        assert_eq!(directory("0::/../x\n"), None);
        assert_eq!(directory("8:pids:/\n"), None);
        assert_eq!(own_directory("proc /proc proc rw 0 0\n", "0::/\n"), None);
    }

    #[test]
    fn a_daemon_without_environment_is_killed_with_its_group() {
        let Some(group) = ControlGroup::create(&format!("batchai-test-{}", std::process::id()))
        else {
            return eprintln!("skipped: there is no cgroup v2 that this user may change");
        };
        assert!(!group.is_populated());
        let script = format!(
            "echo $$ > {}/cgroup.procs; (env -i setsid sleep 1000 &)",
            group.path.display()
        );
        let mut shell = Command::new("/bin/sh");
        let shell = shell.args(["-c", &script]).stdout(Stdio::null()).process_group(0);
        assert!(shell.status().unwrap().success());
        assert!(group.is_populated());
        group.kill();
        let until = Instant::now() + Duration::from_secs(10);
        while group.is_populated() {
            assert!(Instant::now() < until, "the group still has a process");
        }
        group.remove();
        assert!(!group.path.exists());
    }
}
