//! What an agent must remember of an attempt to go on with it after its own death.
//!
//! `attempt.json` is written before each process is started and says what to look after; the reason
//! for ending an attempt, decided later, has a file of its own. Both are written in place, like the
//! slots: a line that a killed agent had only half written is none, and then nothing was started yet.
//! How an attempt ended is not written down a second time: it follows from the state and the slots.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use protocol::{Assignment, AttemptKey};
use serde::{Deserialize, Serialize};

use crate::clock::Uptime;
use crate::host::Host;
use crate::system::orders::Ending;
use crate::system::slot::{Slot, read_line, write_line};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Without the secrets: they lie on no disk.
    pub assignment: Assignment,
    /// The job has secrets, which an agent that comes back has to ask for.
    pub has_secrets: bool,
    pub stage: Stage,
    /// Id of that step's command in its slot.
    pub slot_id: String,
    /// When the first process of this attempt was started here; the wall clock counts from it.
    pub first_process_at: Option<Uptime>,
}

/// The step that was begun last and that a returning agent has to look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The job preparation may run, or be over.
    Preparation,
    /// The command may run, or be over (on the master).
    Command,
    /// The command runs elsewhere (on the other members).
    Member,
}

impl State {
    /// What is needed to begin an attempt, and its secrets, which go to its processes alone.
    pub fn fresh(mut assignment: Assignment) -> Self {
        let has_secrets = !assignment.secrets.is_empty();
        assignment.secrets.clear();
        Self {
            assignment,
            has_secrets,
            stage: Stage::Preparation,
            slot_id: String::new(),
            first_process_at: None,
        }
    }

    /// Whether an agent that comes back can go on only with the assignment.
    pub fn needs_assignment(&self) -> bool {
        let command_to_come = self.stage == Stage::Preparation && self.assignment.rank == 0;
        command_to_come && self.has_secrets
    }
}

/// Why an attempt is being ended.
#[derive(Serialize, Deserialize)]
struct Ended {
    key: AttemptKey,
    ending: Ending,
}

pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    pub fn new(host: &Host) -> Self {
        Self { directory: host.private() }
    }

    /// Remembers `state` from now on.
    pub fn save(&self, state: &State) -> io::Result<()> {
        write_line(&self.open("attempt.json")?, state).map(drop)
    }

    /// Remembers why the attempt is being ended.
    pub fn save_ending(&self, key: &AttemptKey, ending: Ending) -> io::Result<()> {
        write_line(&self.open("ending.json")?, &Ended { key: key.clone(), ending }).map(drop)
    }

    /// Forgets the attempt.
    pub fn clear(&self) {
        let cleared = self.open("attempt.json").and_then(|file| {
            // Nothing of it stays behind the line either.
            write_line(&file, &None::<State>).and_then(|length| file.set_len(length))
        });
        if let Err(error) = cleared {
            tracing::warn!(%error, "an attempt cannot be forgotten");
        }
    }

    /// The attempt that an earlier life of the agent had not finished, if any.
    pub fn recall(&self) -> io::Result<Option<State>> {
        Ok(read_line::<Option<State>>(&self.open("attempt.json")?).flatten())
    }

    /// Why that attempt was being ended, if it was.
    pub fn recall_ending(&self, key: &AttemptKey) -> Option<Ending> {
        let ended: Ended = read_line(&self.open("ending.json").ok()?)?;
        (ended.key == *key).then_some(ended.ending)
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
