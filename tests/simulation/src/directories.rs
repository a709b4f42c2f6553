//! The directories of file servers, in memory: some can neither be made nor removed for a while, and
//! none may stay when its file server is gone.

use crate::sim::{Sim, State};
use crate::watch::Kept;
use async_trait::async_trait;
use control::ports::PortError;
use model::{FileServer, FileServerState, Uid};
use std::collections::BTreeSet;
use std::sync::Arc;
use table::Write;

#[derive(Debug, Default)]
pub struct Directories {
    /// How often one can be neither made nor removed, in thousandths.
    pub rate: u32,
    present: BTreeSet<String>,
    /// File servers whose creation, or deletion, has been seen.
    known: BTreeSet<(String, bool)>,
    blocked: BTreeSet<String>,
}

impl Directories {
    /// What is in the way is removed.
    pub fn unblock(&mut self) {
        self.blocked.clear();
    }

    /// A directory without its file server, or the other way round. Only asked at rest.
    pub fn unrest(&self, ready: &BTreeSet<&str>) -> Option<String> {
        let present = self.present.iter().map(String::as_str).collect::<BTreeSet<_>>();
        let uid = present.symmetric_difference(ready).next()?;
        Some(format!("the directory of file server {uid} is not what it is to be"))
    }
}

pub struct SimDirectories(pub Arc<Sim>);

#[async_trait]
impl control::ports::Directories for SimDirectories {
    async fn create(&self, file_server: &Uid) -> Result<(), PortError> {
        let directories = &mut self.0.state().directories;
        if directories.blocked.contains(file_server.as_str()) {
            return Err(PortError::other("something is in the way"));
        }
        directories.present.insert(file_server.to_string());
        Ok(())
    }

    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.0.travel().await;
        let directories = &mut self.0.state().directories;
        if directories.blocked.contains(file_server.as_str()) {
            return Err(PortError::other("a file cannot be removed"));
        }
        directories.present.remove(file_server.as_str());
        Ok(())
    }
}

impl State {
    /// A file server was recorded: perhaps its directory cannot be made, or removed.
    pub fn note_directory(&mut self, write: &Write) {
        if !write.key.sk.starts_with("fs#") {
            return;
        }
        let Some(server) = Kept::<FileServer>::put(&write.kind) else { return };
        let is_deleting = match server.state {
            FileServerState::Creating { .. } => false,
            FileServerState::Deleting { .. } => true,
            FileServerState::Ready { .. } | FileServerState::Failed { .. } => return,
        };
        if !self.directories.known.insert((server.uid.to_string(), is_deleting)) {
            return;
        }
        let rate = self.directories.rate;
        if self.choices.chance(rate) {
            self.directories.blocked.insert(server.uid.to_string());
        }
    }
}
