//! The directories of file servers: some cannot be made for a while, and none may outlive its file
//! server.

use crate::sim::State;
use crate::watch::Kept;
use model::{FileServer, FileServerState};
use std::collections::BTreeSet;
use std::path::PathBuf;
use table::Write;

#[derive(Debug, Default)]
pub struct Directories {
    pub root: PathBuf,
    /// How often one cannot be made, in thousandths.
    pub rate: u32,
    known: BTreeSet<String>,
    blocked: Vec<PathBuf>,
}

impl Drop for Directories {
    fn drop(&mut self) {
        for uid in &self.known {
            // Most are gone by now.
            let _ = std::fs::remove_dir_all(self.root.join(uid));
        }
        self.unblock();
    }
}

impl Directories {
    /// What is in the way goes.
    pub fn unblock(&mut self) {
        for path in self.blocked.drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// A directory without its file server, or the other way round. Only asked at rest.
    pub fn unrest(&self, ready: &BTreeSet<&str>) -> Option<String> {
        let wrong =
            |uid: &&String| self.root.join(uid.as_str()).is_dir() != ready.contains(uid.as_str());
        let uid = self.known.iter().find(wrong)?;
        Some(format!("the directory of file server {uid} is not what it is to be"))
    }
}

impl State {
    /// A file server was recorded: perhaps its directory cannot be made.
    pub fn note_directory(&mut self, write: &Write) {
        if !write.key.sk.starts_with("fs#") {
            return;
        }
        let Some(server) = Kept::<FileServer>::put(&write.kind) else { return };
        if !matches!(server.state, FileServerState::Creating { .. })
            || !self.directories.known.insert(server.uid.to_string())
        {
            return;
        }
        let rate = self.directories.rate;
        if self.choices.chance(rate) {
            let path = self.directories.root.join(server.uid.as_str());
            if std::fs::write(&path, b"in the way").is_ok() {
                self.directories.blocked.push(path);
            }
        }
    }
}
