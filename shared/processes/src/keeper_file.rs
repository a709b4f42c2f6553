//! The file of a machine that says which process keeps it.
//!
//! Its lock decides: the process that holds it starts, or ends, the processes of the machine. A keeper holds
//! it for as long as it lives. The service takes it when there is no keeper, before it removes what is left
//! of the machine, and marks the machine as ended. A keeper that gets the lock later starts nothing.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Identity;

/// The locked file of one machine.
#[derive(Debug)]
pub struct KeeperFile {
    file: File,
}

/// The keeper of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// None has ever held the lock.
    NeverStarted,
    /// This process is the keeper.
    Running(Identity),
    /// It has ended, or the file is damaged.
    Ended,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Content {
    Kept {
        keeper: Identity,
        /// Process ids of another boot name other processes.
        boot: String,
    },
    Ended,
}

impl KeeperFile {
    /// Takes the lock. `None` when another process has it.
    ///
    /// # Errors
    /// When the file cannot be created; `NotFound` when its directory is not there.
    pub fn lock(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// What the file at `path` says about the keeper.
    pub fn read(path: &Path) -> Keeper {
        let text = fs::read(path).unwrap_or_default();
        if text.is_empty() {
            return Keeper::NeverStarted;
        }
        match serde_json::from_slice(&text) {
            Ok(Content::Kept { keeper, boot }) if boot == boot_id() && keeper.is_alive() => {
                Keeper::Running(keeper)
            }
            Ok(Content::Kept { .. } | Content::Ended) | Err(_) => Keeper::Ended,
        }
    }

    /// Notes this process as the keeper.
    ///
    /// # Errors
    /// When the file cannot be written, or `/proc` is not mounted.
    pub fn write_own_identity(&self) -> io::Result<()> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let keeper = Identity::of(own).ok_or_else(|| io::Error::other("/proc is not mounted"))?;
        self.write(&Content::Kept { keeper, boot: boot_id() })
    }

    /// Notes that no process of the machine is left and none will be started.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_ended(&self) -> io::Result<()> {
        self.write(&Content::Ended)
    }

    /// True after [`KeeperFile::write_ended`].
    pub fn has_ended(&self) -> bool {
        let mut text = vec![0; 1024];
        let length = self.file.read_at(&mut text, 0).unwrap_or(0);
        matches!(serde_json::from_slice(&text[..length]), Ok(Content::Ended))
    }

    fn write(&self, content: &Content) -> io::Result<()> {
        let text = serde_json::to_vec(content)?;
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)
    }
}

/// Names the time since the machine was started. Process ids and start times of another boot say nothing.
pub fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_has_one_holder_and_the_end_is_final() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keeper");
        assert_eq!(KeeperFile::read(&path), Keeper::NeverStarted);
        let file = KeeperFile::lock(&path).unwrap().unwrap();
        assert!(KeeperFile::lock(&path).unwrap().is_none());
        file.write_own_identity().unwrap();
        let own = Identity::of(std::process::id().cast_signed()).unwrap();
        assert_eq!(KeeperFile::read(&path), Keeper::Running(own));
        assert!(!file.has_ended());
        file.write_ended().unwrap();
        assert_eq!(KeeperFile::read(&path), Keeper::Ended);
        drop(file);
        assert!(KeeperFile::lock(&path).unwrap().unwrap().has_ended());
        let missing = KeeperFile::lock(&directory.path().join("none/keeper")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
