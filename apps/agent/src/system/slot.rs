//! A slot: the place of one command that runs at most once, whatever happens to the agent.
//!
//! It is one line in a file, and the lock on that file. The agent *offers* the slot under an id. The supervisor takes
//! the lock, replaces the offer by its *claim*, and holds the lock until every process has ended and the *record* of
//! the end is written. So nothing runs when the lock is free. A restarted agent that still finds an offer *fences*
//! the slot; then the command never ran and never will. A claim without a lock means that the supervisor was killed.
//! When the command has ended and processes that it left have not, the record is already written beside the claim: a
//! supervisor that is killed at that point does not lose the exit code.
//!
//! The file is written in place and used again by the next command, as creating files would cost a short job more than
//! everything else. One line is one write, which a killed process has made or has not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::processes::{Identity, boot_id};
use crate::clock::{Countdown, Uptime};
use crate::fault::Fault;

/// Between taking the lock and writing the claim a supervisor needs microseconds.
const CLAIM_LIMIT: Duration = Duration::from_secs(10);

/// One read should do.
const USUAL_LINE: usize = 2048;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slot {
    path: PathBuf,
    /// Distinguishes this command from earlier ones in the same file.
    id: String,
}

/// The supervisor of a command, and when the command was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub supervisor: Identity,
    /// The other fields are only valid within this boot.
    pub boot: String,
    /// In clock ticks since the start of the machine, like [`Identity::started`].
    pub begun: u64,
}

impl Claim {
    /// True while the supervisor runs.
    pub fn is_alive(&self) -> bool {
        self.is_of_this_boot() && Identity::of(self.supervisor.pid) == Some(self.supervisor)
    }

    /// True when processes that were begun under this claim may still be there.
    pub fn is_of_this_boot(&self) -> bool {
        self.boot == boot_id()
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// `asked`: a signal went out before the command ended, so its end is not its own doing.
    Exited { exit_code: i32, asked: bool },
    /// The shell could not be started.
    NotStarted {
        reason: String,
        #[serde(default)]
        fault: Fault,
    },
    /// The container of the command ended first; every process was killed.
    ContainerEnded,
}

/// The state of a slot, for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// The command never began, and never will.
    NeverStarted,
    Running(Claim),
    Over(Record),
    /// The supervisor was killed before all processes had ended; `ended`: the command itself had ended before.
    SupervisorLost {
        claim: Claim,
        ended: Option<Record>,
    },
}

/// The lock of a slot, as the supervisor of its command holds it.
pub struct Claimed<'a> {
    slot: &'a Slot,
    claim: Claim,
    file: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    id: String,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Offered,
    Claimed(Claim),
    /// The command has ended; processes that it left behind have not.
    Ended {
        claim: Claim,
        record: Record,
    },
    Fenced,
    Over(Record),
}

impl Slot {
    pub fn new(path: &Path, id: &str) -> Self {
        Self { path: path.to_owned(), id: id.to_owned() }
    }

    /// Makes the slot ready for its command. Refused while another command is in it.
    pub fn offer(&self) -> io::Result<()> {
        let file = self.open()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.write(&file, State::Offered)
    }

    /// Takes the slot for the command that was offered; `None` when that is no longer possible.
    pub fn claim(&self, claim: &Claim) -> io::Result<Option<Claimed<'_>>> {
        let file = self.open()?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        if !matches!(self.read(&file), Some(State::Offered)) {
            return Ok(None);
        }
        self.write(&file, State::Claimed(claim.clone()))?;
        Ok(Some(Claimed { slot: self, claim: claim.clone(), file }))
    }

    /// The state of the command. If it has not started, it no longer can afterwards.
    pub fn inspect(&self) -> io::Result<SlotState> {
        let mut countdown = Countdown::new(CLAIM_LIMIT);
        let file = self.open()?;
        loop {
            let is_locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
            return Ok(match (self.read(&file), is_locked) {
                (Some(State::Claimed(claim) | State::Ended { claim, .. }), true) => {
                    SlotState::Running(claim)
                }
                (_, true) if !countdown.is_over() => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                (_, true) => return Err(io::Error::other("the slot is locked without a claim")),
                (Some(State::Claimed(claim)), false) => {
                    SlotState::SupervisorLost { claim, ended: None }
                }
                (Some(State::Ended { claim, record }), false) => {
                    SlotState::SupervisorLost { claim, ended: Some(record) }
                }
                (Some(State::Over(record)), false) => SlotState::Over(record),
                (Some(State::Offered), false) => {
                    self.write(&file, State::Fenced)?;
                    SlotState::NeverStarted
                }
                (Some(State::Fenced) | None, false) => SlotState::NeverStarted,
            });
        }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)
    }

    /// `None` when the line is about another command, or is none.
    fn read(&self, file: &File) -> Option<State> {
        let line: Line = read_line(file)?;
        (line.id == self.id).then_some(line.state)
    }

    fn write(&self, file: &File, state: State) -> io::Result<()> {
        write_line(file, &Line { id: self.id.clone(), state }).map(drop)
    }
}

impl Claimed<'_> {
    /// Leaves the record while processes that the command left behind still run.
    pub fn store_early(&self, record: Record) -> io::Result<()> {
        self.slot.write(&self.file, State::Ended { claim: self.claim.clone(), record })
    }

    /// Leaves the record and lets go of the lock.
    pub fn finish(self, record: Record) -> io::Result<()> {
        self.slot.write(&self.file, State::Over(record))
    }
}

/// An id that no other command has, whichever agent process started it. The attempt's own key would
/// not do: an attempt that was fenced before it began may begin again, and a supervisor that is late
/// with the first request must not take the offer of the second.
pub fn unique_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{count}", std::process::id(), Uptime::now())
}

/// Replaces the first line of a file by one line of JSON, in place. The rest of a longer line that was
/// there before may follow it. Returns the length of the line.
pub fn write_line(file: &File, value: &impl Serialize) -> io::Result<u64> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    file.write_all_at(&text, 0)?;
    Ok(text.len() as u64)
}

/// The line that [`write_line`] wrote; `None` when there is none, or it is something else.
pub fn read_line<T: for<'a> Deserialize<'a>>(file: &File) -> Option<T> {
    let mut text = vec![0; USUAL_LINE];
    let mut length = 0;
    loop {
        let read = file.read_at(&mut text[length..], length as u64).ok()?;
        let line_end = text[length..length + read].iter().position(|byte| *byte == b'\n');
        if let Some(end) = line_end {
            return serde_json::from_slice(&text[..length + end]).ok();
        }
        if read == 0 {
            return None; // The first line of this file, half written.
        }
        length += read;
        text.resize(text.len().max(length * 2), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim { supervisor: Identity { pid: 7, started: 9 }, boot: "boot".into(), begun: 11 }
    }

    fn slots(ids: [&str; 2]) -> (tempfile::TempDir, [Slot; 2]) {
        let directory = tempfile::tempdir().unwrap();
        let slots = ids.map(|id| Slot::new(&directory.path().join("slot"), id));
        (directory, slots)
    }

    #[test]
    fn a_command_is_claimed_once_and_leaves_its_record() {
        let (_directory, [slot, _]) = slots(["a", "b"]);
        assert_eq!(slot.inspect().unwrap(), SlotState::NeverStarted);
        slot.offer().unwrap();
        let claimed = slot.claim(&claim()).unwrap().unwrap();
        assert!(slot.claim(&claim()).unwrap().is_none() && slot.offer().is_err());
        assert_eq!(slot.inspect().unwrap(), SlotState::Running(claim()));
        let record = Record::Exited { exit_code: 143, asked: true };
        claimed.finish(record.clone()).unwrap();
        assert_eq!(slot.inspect().unwrap(), SlotState::Over(record));
        assert!(slot.claim(&claim()).unwrap().is_none());
    }

    #[test]
    fn a_claim_is_void_after_the_machine_was_restarted() {
        let own = Identity::of(std::process::id().cast_signed()).unwrap();
        let claim = |boot| Claim { supervisor: own, boot, begun: 0 };
        assert!(claim(boot_id()).is_alive());
        assert!(!claim("another".into()).is_alive());
    }

    #[test]
    fn an_offer_that_was_not_claimed_is_fenced() {
        let (_directory, [slot, _]) = slots(["a", "b"]);
        slot.offer().unwrap();
        assert_eq!(slot.inspect().unwrap(), SlotState::NeverStarted);
        assert!(slot.claim(&claim()).unwrap().is_none());
    }

    #[test]
    fn a_killed_supervisor_leaves_a_claim_without_a_lock() {
        let (_directory, [slot, _]) = slots(["a", "b"]);
        slot.offer().unwrap();
        drop(slot.claim(&claim()).unwrap().unwrap());
        assert_eq!(
            slot.inspect().unwrap(),
            SlotState::SupervisorLost { claim: claim(), ended: None }
        );
    }

    #[test]
    fn a_supervisor_that_is_killed_late_leaves_the_end_of_its_command() {
        let (_directory, [slot, _]) = slots(["a", "b"]);
        slot.offer().unwrap();
        let claimed = slot.claim(&claim()).unwrap().unwrap();
        let record = Record::Exited { exit_code: 0, asked: false };
        claimed.store_early(record.clone()).unwrap();
        assert_eq!(slot.inspect().unwrap(), SlotState::Running(claim()));
        drop(claimed);
        assert_eq!(
            slot.inspect().unwrap(),
            SlotState::SupervisorLost { claim: claim(), ended: Some(record) }
        );
    }

    #[test]
    fn no_two_commands_have_the_same_id() {
        assert_ne!(unique_id(), unique_id());
    }

    #[test]
    fn an_earlier_command_cannot_disturb_the_next() {
        let (_directory, [old, new]) = slots(["a-rather-long-id", "b"]);
        old.offer().unwrap();
        new.offer().unwrap();
        assert!(old.claim(&claim()).unwrap().is_none());
        assert_eq!(old.inspect().unwrap(), SlotState::NeverStarted);
        assert!(new.claim(&claim()).unwrap().is_some());
    }

    #[test]
    fn what_is_behind_the_line_does_not_matter() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(read_line::<u32>(&file), None);
        write_line(&file, &"a long line of text").unwrap();
        file.write_all_at(b"12\n", 0).unwrap();
        assert_eq!(read_line(&file), Some(12));
        write_line(&file, &3).unwrap();
        assert_eq!(read_line(&file), Some(3));
        let long = "x".repeat(3 * USUAL_LINE);
        write_line(&file, &long).unwrap();
        assert_eq!(read_line::<String>(&file), Some(long));
        file.set_len(100).unwrap();
        assert_eq!(read_line::<String>(&file), None);
    }
}
