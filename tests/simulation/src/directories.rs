//! The directories of file servers, in memory: some can neither be created nor removed for a while, and
//! none may stay after the deletion of its file server.

use crate::sim::{Sim, State};
use crate::watch::Record;
use async_trait::async_trait;
use control::ports::PortError;
use model::{FileServer, FileServerState, FileShare, Uid};
use std::collections::BTreeSet;
use std::sync::Arc;
use table::Write;

#[derive(Debug, Default)]
pub struct Directories {
    /// How often a directory can be neither created nor removed, in thousandths.
    pub rate: u32,
    present: BTreeSet<String>,
    /// File servers whose creation, or deletion, has been seen.
    known: BTreeSet<(String, bool)>,
    blocked: BTreeSet<String>,
}

impl Directories {
    /// Lets all directories be created and removed again.
    pub fn unblock(&mut self) {
        self.blocked.clear();
    }

    /// A directory without its file server, or a file server without its directory. Checked only when
    /// nothing is in progress. A file server whose creation failed may have a directory: it was created late,
    /// and is removed with the file server.
    pub fn inconsistency<'a>(
        &self,
        mut servers: impl Iterator<Item = &'a FileServer> + Clone,
    ) -> Option<String> {
        let has_record = |uid: &&String| servers.clone().any(|it| it.uid.as_str() == *uid);
        if let Some(uid) = self.present.iter().find(|uid| !has_record(uid)) {
            return Some(format!("the directory of the removed file server {uid} is left"));
        }
        let is_ready = |it: &FileServer| matches!(it.state, FileServerState::Ready { .. });
        let missing = servers.find(|it| is_ready(it) && !self.present.contains(it.uid.as_str()))?;
        Some(format!("file server {} has no directory", missing.uid))
    }
}

pub struct SimDirectories(pub Arc<Sim>);

#[async_trait]
impl control::ports::FileShares for SimDirectories {
    /// Takes effect late: meanwhile another pass may have removed the directory, and its record.
    async fn create(&self, file_server: &Uid) -> Result<FileShare, PortError> {
        self.0.delay_call().await;
        let directories = &mut self.0.state().directories;
        if directories.blocked.contains(file_server.as_str()) {
            return Err(PortError::other("the directory cannot be created"));
        }
        directories.present.insert(file_server.to_string());
        Ok(FileShare::Directory)
    }

    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.0.delay_call().await;
        let directories = &mut self.0.state().directories;
        if directories.blocked.contains(file_server.as_str()) {
            return Err(PortError::other("a file cannot be removed"));
        }
        directories.present.remove(file_server.as_str());
        Ok(())
    }

    /// No file server of the simulation keeps its files.
    async fn keep(&self, file_server: &Uid, _kept: &str) -> Result<(), PortError> {
        self.remove(file_server).await
    }
}

impl State {
    /// A file server was recorded: perhaps its directory cannot be made, or removed.
    pub fn note_directory(&mut self, write: &Write) {
        if !write.key.sk.starts_with("fs#") {
            return;
        }
        let Some(server) = Record::<FileServer>::put(&write.kind) else { return };
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
