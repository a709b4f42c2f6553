//! The container of a node, as a file below the root of the node. It is written before the container is made, so that
//! the agent, the next agent or the service finds the container when it ends the node.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::{Identity, User, boot_id};

const STEP: Duration = Duration::from_millis(5);

/// Of a record: the command line of an engine and a few names.
const MAX_BYTES: u64 = 64 << 10;

/// How often a removal that fails is tried again.
const TRIES: u32 = 3;

const PAUSE: Duration = Duration::from_millis(200);

/// As much of what an engine writes as an error shows.
const OUTPUT_SHOWN: usize = 1000;

/// A container that was made, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerRecord {
    /// The command line of the engine, without what it is to do.
    pub engine: Vec<String>,
    /// The name of the container.
    pub name: String,
    /// The attempt that it belongs to, as the agent marks its processes.
    pub attempt: String,
    /// The first process of the container. Absent: it was not started yet.
    pub process: Option<Identity>,
    /// The process is valid only within this boot.
    pub boot: String,
}

impl ContainerRecord {
    /// A container that does not run yet.
    pub fn new(engine: Vec<String>, name: String, attempt: String) -> Self {
        Self { engine, name, attempt, process: None, boot: boot_id() }
    }

    /// The record of the node with this root; `None` when it has no container. Jobs may have put anything in its
    /// place: only a regular file is read, and not more than a record can have.
    pub fn read(root: &Path) -> Option<Self> {
        let mut options = OpenOptions::new();
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let opened = options.read(true).custom_flags(flags.bits().cast_signed()).open(file(root));
        let opened = opened.ok().filter(|it| it.metadata().is_ok_and(|data| data.is_file()))?;
        let mut text = Vec::new();
        opened.take(MAX_BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Stores it. The directory `agent` below the root exists.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        let file = file(root);
        let new = file.with_extension("new");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&new)?.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(new, file)
    }

    /// The first process, while it runs.
    pub fn running(&self) -> Option<Identity> {
        self.process.filter(|process| self.boot == boot_id() && process.is_alive())
    }

    /// Removes the container with its processes, and then the record. Without an error when there is no such
    /// container. `user`: who made it, where that is another one than this process's.
    ///
    /// # Errors
    /// When the engine cannot be started, fails repeatedly, or takes longer than `limit` each time.
    pub fn remove(&self, root: &Path, user: Option<&User>, limit: Duration) -> io::Result<()> {
        let mut tries = 1..=TRIES;
        loop {
            match self.try_to_remove(user, limit) {
                // An engine refuses while it removes the container by itself, since its process has ended.
                Err(_) if tries.next().is_some() => std::thread::sleep(PAUSE),
                Err(error) => return Err(error),
                Ok(()) => return fs::remove_file(file(root)),
            }
        }
    }

    fn try_to_remove(&self, user: Option<&User>, limit: Duration) -> io::Result<()> {
        let (program, first) =
            self.engine.split_first().ok_or_else(|| io::Error::other("no container engine"))?;
        let mut command = Command::new(program);
        command.args(first).args(["rm", "--force", "--volumes", &self.name]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Tokens are for the service and its agents.
        command.env_remove("BATCHAI_TOKEN").env_remove("BATCHAI_NODE_TOKEN");
        if let Some(user) = user {
            user.apply_to(&mut command);
        }
        let mut child = command.spawn()?;
        let status = wait(&mut child, limit)?;
        let mut text = [0; OUTPUT_SHOWN];
        let length = match child.stderr.take() {
            Some(mut errors) if !status.success() => errors.read(&mut text)?,
            Some(_) | None => 0,
        };
        let text = String::from_utf8_lossy(&text[..length]);
        if !status.success() && !text.to_lowercase().contains("no such container") {
            return Err(io::Error::other(format!("{status}: {}", text.trim())));
        }
        Ok(())
    }
}

fn file(root: &Path) -> PathBuf {
    root.join("agent").join("container.json")
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other("the container engine does not answer"));
        }
        std::thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    /// An engine that writes its arguments to a file, and then runs `script`.
    fn removed(script: &str) -> (Result<(), String>, String, bool) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::create_dir(root.join("agent")).unwrap();
        let engine = root.join("engine");
        let log = root.join("log");
        fs::write(&engine, format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", log.display()))
            .unwrap();
        fs::set_permissions(&engine, PermissionsExt::from_mode(0o755)).unwrap();
        let engine = vec![engine.display().to_string(), "--global".into()];
        let record = ContainerRecord::new(engine, "c".into(), "j/1/n".into());
        record.write(root).unwrap();
        assert_eq!(ContainerRecord::read(root).unwrap(), record);
        let outcome = record.remove(root, None, Duration::from_secs(1));
        let log = fs::read_to_string(log).unwrap();
        let calls: BTreeSet<&str> = log.lines().collect();
        let log = calls.into_iter().collect();
        (outcome.map_err(|error| error.to_string()), log, ContainerRecord::read(root).is_some())
    }

    #[test]
    fn a_record_stays_until_its_container_is_gone() {
        let arguments = "--global rm --force --volumes c".to_owned();
        assert_eq!(removed(""), (Ok(()), arguments.clone(), false));
        let absent = "echo 'Error: No such container: c' >&2; exit 1";
        assert_eq!(removed(absent), (Ok(()), arguments.clone(), false));
        let words = Err("exit status: 1: no daemon".to_owned());
        assert_eq!(removed("echo no daemon >&2; exit 1"), (words, arguments.clone(), true));
        let busy = "test -e $0.once && exit 0; touch $0.once; echo in progress >&2; exit 1";
        assert_eq!(removed(busy), (Ok(()), arguments.clone(), false));
        let slow = Err("the container engine does not answer".to_owned());
        assert_eq!(removed("exec sleep 1000"), (slow, arguments, true));
    }

    #[test]
    fn what_a_job_has_put_in_place_of_a_record_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::create_dir(root.join("agent")).unwrap();
        let record = ContainerRecord::new(vec!["docker".into()], "c".into(), "j/1/n".into());
        record.write(root).unwrap();
        let own = file(root);
        let other = root.join("other");
        fs::rename(&own, &other).unwrap();
        std::os::unix::fs::symlink(&other, &own).unwrap();
        assert_eq!(ContainerRecord::read(root), None, "a link");
        fs::remove_file(&own).unwrap();
        // A pipe that nobody writes to would block, and a large file would take all memory.
        let made = Command::new("mkfifo").arg(&own).status().unwrap();
        assert!(made.success());
        assert_eq!(ContainerRecord::read(root), None, "a pipe");
        fs::remove_file(&own).unwrap();
        fs::File::create(&own).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(ContainerRecord::read(root), None, "a terabyte");
    }

    #[test]
    fn a_container_runs_while_its_first_process_does() {
        let mut record = ContainerRecord::new(Vec::new(), String::new(), String::new());
        assert_eq!(record.running(), None);
        let own = Identity::of(std::process::id().cast_signed());
        record.process = own;
        assert_eq!(record.running(), own);
        record.boot = "an earlier one".into();
        assert_eq!(record.running(), None);
    }
}
