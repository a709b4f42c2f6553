//! The state of an attempt that a restarted agent needs to resume it.
//!
//! `attempt.json` is written before each process is started and names what to watch; the reason for stopping an
//! attempt, decided later, has a file of its own. Both are written in place, like the slots. An incomplete line
//! counts as none: then nothing was started yet. How an attempt ended is not stored twice: it follows from the
//! state and the slots.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use protocol::{Assignment, AttemptKey};
use serde::{Deserialize, Serialize};

use crate::clock::Uptime;
use crate::host::Host;
use crate::job_metrics::Mark;
use crate::shortage::OomKills;
use crate::system::run_control::StopRequest;
use crate::system::slot::{Slot, read_line, write_line};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Without secrets and keys, which are never written to a disk.
    pub assignment: Assignment,
    /// The job has secrets or a key, which a restarted agent must request again.
    pub has_secrets: bool,
    pub stage: AttemptStep,
    /// Id of that step's command in its slot.
    pub slot_id: String,
    /// When the first process of this attempt was started here; the wall clock counts from it.
    pub first_process_at: Option<Uptime>,
    /// Files with metrics that earlier attempts have written, by output directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics_before: Vec<Option<Mark>>,
    /// What the kernel had counted then.
    #[serde(default)]
    pub oom_kills: OomKills,
}

/// The step that was started last, with which a restarted agent resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttemptStep {
    /// The job preparation may run or have ended.
    Preparation,
    /// The processes of this node may run or have ended.
    Command,
    /// The processes of this node have ended, if there were any; the job goes on elsewhere.
    Member,
}

impl State {
    /// The state of a new attempt. The secrets are only given to its processes.
    pub fn fresh(mut assignment: Assignment) -> Self {
        if let Some(container) = &mut assignment.container {
            // The image is there when the first process is started.
            container.credentials = None;
        }
        let has_secrets = !assignment.secrets.is_empty() || assignment.ssh_seed.is_some();
        assignment.secrets.clear();
        assignment.ssh_seed = None;
        for mount in &mut assignment.mounts {
            // The mounts are made before the first command is started.
            mount.source.forget_key();
        }
        Self {
            assignment,
            has_secrets,
            stage: AttemptStep::Preparation,
            slot_id: String::new(),
            first_process_at: None,
            metrics_before: Vec::new(),
            oom_kills: OomKills::default(),
        }
    }

    /// Whether a restarted agent needs the assignment to continue.
    pub fn needs_assignment(&self) -> bool {
        self.stage == AttemptStep::Preparation && self.has_secrets
    }
}

/// The reason for stopping an attempt.
#[derive(Serialize, Deserialize)]
struct Ended {
    key: AttemptKey,
    stop: StopRequest,
}

pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    pub fn new(host: &Host) -> Self {
        Self { directory: host.private() }
    }

    /// Stores `state`.
    pub fn save(&self, state: &State) -> io::Result<()> {
        write_line(&self.open("attempt.json")?, state).map(drop)
    }

    /// Stores why the attempt is being stopped.
    pub fn save_stop(&self, key: &AttemptKey, stop: StopRequest) -> io::Result<()> {
        write_line(&self.open("ending.json")?, &Ended { key: key.clone(), stop }).map(drop)
    }

    /// Removes the attempt.
    pub fn clear(&self) {
        let cleared = self.open("attempt.json").and_then(|file| {
            // The rest of the old line is removed, too.
            write_line(&file, &None::<State>).and_then(|length| file.set_len(length))
        });
        if let Err(error) = cleared {
            tracing::warn!(%error, "the state of an attempt was not removed");
        }
    }

    /// The attempt that an earlier agent process had not finished, if any.
    pub fn load(&self) -> io::Result<Option<State>> {
        Ok(read_line::<Option<State>>(&self.open("attempt.json")?).flatten())
    }

    /// Why that attempt was being stopped, if it was.
    pub fn load_stop(&self, key: &AttemptKey) -> Option<StopRequest> {
        let ended: Ended = read_line(&self.open("ending.json").ok()?)?;
        (ended.key == *key).then_some(ended.stop)
    }

    pub fn slot(&self, name: &str, id: &str) -> Slot {
        Slot::new(&self.directory.join(format!("{name}.slot")), id)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(self.directory.join(name))
    }
}
