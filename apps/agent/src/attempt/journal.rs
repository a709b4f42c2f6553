//! What an agent must remember of an attempt to go on with it after its own death.
//!
//! A directory per attempt: `state.json`, and the slots of preparation and command. It exists from
//! before the first process until the control plane has acknowledged the end. How an attempt ended is
//! not written down a second time: it follows from the state and the slots.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use protocol::{Assignment, AttemptKey};
use serde::{Deserialize, Serialize};

use crate::clock::Uptime;
use crate::host::{Host, attempt_directory};
use crate::paths::PathError;
use crate::system::orders::Ending;
use crate::system::slot::Slot;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// With the secrets only while a command that needs them is still to be started.
    pub assignment: Assignment,
    pub stage: Stage,
    /// When the first process of this attempt was started here; the wall clock counts from it.
    pub first_process_at: Option<Uptime>,
    /// Decided before the first signal is sent.
    pub ending: Option<Ending>,
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

pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    pub fn new(host: &Host, key: &AttemptKey) -> Result<Self, PathError> {
        Ok(Self { directory: host.attempts().join(attempt_directory(key)?) })
    }

    /// Remembers `state` from now on.
    pub fn save(&self, state: &State) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let draft = self.directory.join("state.json.draft");
        let text = serde_json::to_vec(state)?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?
            .write_all(&text)?;
        fs::rename(&draft, self.state_file())
    }

    pub fn slot(&self, name: &str) -> Slot {
        Slot::new(&self.directory, name)
    }

    /// Forgets the attempt.
    pub fn remove(&self) {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let directory = self.directory.display();
                tracing::warn!(%error, %directory, "an attempt cannot be forgotten");
            }
            _ => {}
        }
    }

    fn load(&self) -> io::Result<State> {
        Ok(serde_json::from_slice(&fs::read(self.state_file())?)?)
    }

    fn state_file(&self) -> PathBuf {
        self.directory.join("state.json")
    }
}

/// The attempt that an earlier life of the agent had not finished, if any. There is at most one, as
/// the next begins when the last is forgotten.
pub fn remembered(attempts: &Path) -> io::Result<Option<(Journal, State)>> {
    let mut found = None;
    for entry in fs::read_dir(attempts)? {
        let journal = Journal { directory: entry?.path() };
        match journal.load() {
            Ok(state) if found.is_none() => found = Some((journal, state)),
            // Without a state nothing was started yet.
            outcome => {
                tracing::warn!(
                    directory = %journal.directory.display(),
                    error = outcome.err().map(|error| error.to_string()),
                    "dropping what is left of an attempt"
                );
                journal.remove();
            }
        }
    }
    Ok(found)
}
