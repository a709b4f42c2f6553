//! A slot: the place for one command that runs at most once, whatever happens to the agent.
//!
//! Two files. The *claim* is created by the supervisor before it starts anything and names the
//! supervisor; whoever creates it first has it. An agent that comes back and finds no claim makes
//! one itself, and from then on knows that the command never ran and never will. The *record* is
//! written by the supervisor when every process is gone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::processes::Identity;

#[derive(Clone, Debug)]
pub struct Slot {
    /// Directory and name; the files add their endings.
    base: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Supervisor(Identity),
    /// Nothing ever runs here.
    Fenced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// `asked`: a signal went out before the command ended, so its end is not its own doing.
    Exited { exit_code: i32, asked: bool },
    /// The shell could not be started.
    NotStarted { reason: String },
}

impl Slot {
    pub fn new(directory: &Path, name: &str) -> Self {
        Self { base: directory.join(name) }
    }

    pub fn from_base(base: PathBuf) -> Self {
        Self { base }
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Makes the claim; false when someone else has. The link makes it appear as a whole.
    pub fn take(&self, claim: Claim) -> io::Result<bool> {
        let text = match claim {
            Claim::Supervisor(identity) => format!("{} {}\n", identity.pid, identity.started),
            Claim::Fenced => "fenced\n".to_owned(),
        };
        let draft = self.file(&format!("claim-{}", std::process::id()));
        fs::write(&draft, text)?;
        let linked = fs::hard_link(&draft, self.file("claim"));
        fs::remove_file(&draft)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn claim(&self) -> io::Result<Option<Claim>> {
        let Some(text) = read(&self.file("claim"))? else { return Ok(None) };
        let mut words = text.split_ascii_whitespace();
        let mut number = || words.next()?.parse::<u64>().ok();
        match (number().and_then(|pid| i32::try_from(pid).ok()), number()) {
            (Some(pid), Some(started)) => Ok(Some(Claim::Supervisor(Identity { pid, started }))),
            _ => Ok(Some(Claim::Fenced)),
        }
    }

    /// Leaves the record, as a whole or not at all.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let text = match record {
            Record::Exited { exit_code, asked: false } => format!("exited {exit_code}\n"),
            Record::Exited { exit_code, asked: true } => format!("asked {exit_code}\n"),
            Record::NotStarted { reason } => format!("not-started {reason}\n"),
        };
        let draft = self.file("record-draft");
        fs::write(&draft, text)?;
        fs::rename(&draft, self.file("record"))
    }

    pub fn record(&self) -> io::Result<Option<Record>> {
        let Some(text) = read(&self.file("record"))? else { return Ok(None) };
        let record = match text.trim_end().split_once(' ') {
            Some(("not-started", reason)) => Some(Record::NotStarted { reason: reason.into() }),
            Some((how, code)) => code
                .parse()
                .ok()
                .map(|exit_code| Record::Exited { exit_code, asked: how == "asked" }),
            None => None,
        };
        record.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, text))
    }

    fn file(&self, ending: &str) -> PathBuf {
        let mut path = self.base.clone().into_os_string();
        path.push(".");
        path.push(ending);
        path.into()
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_claim_stands() {
        let directory = tempfile::tempdir().unwrap();
        let slot = Slot::new(directory.path(), "command");
        let supervisor = Claim::Supervisor(Identity { pid: 7, started: 9 });
        assert_eq!(slot.claim().unwrap(), None);
        assert!(slot.take(supervisor).unwrap());
        assert!(!slot.take(Claim::Fenced).unwrap());
        assert_eq!(slot.claim().unwrap(), Some(supervisor));
        let other = Slot::new(directory.path(), "preparation");
        assert!(other.take(Claim::Fenced).unwrap());
        assert_eq!(other.claim().unwrap(), Some(Claim::Fenced));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no drafts are left");
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let slot = Slot::new(directory.path(), "command");
        assert_eq!(slot.record().unwrap(), None);
        for record in [
            Record::Exited { exit_code: 0, asked: false },
            Record::Exited { exit_code: 143, asked: true },
            Record::NotStarted { reason: "No such file or directory".into() },
        ] {
            slot.write(&record).unwrap();
            assert_eq!(slot.record().unwrap(), Some(record));
        }
    }
}
