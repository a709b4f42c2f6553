//! The trees of file servers as directories below one root, named by uid.

use crate::ports::{Directories, PortError};
use async_trait::async_trait;
use model::Uid;
use std::io;
use std::path::PathBuf;

pub struct DiskDirectories {
    pub root: PathBuf,
}

impl DiskDirectories {
    /// On a thread that may block: others are served meanwhile.
    async fn blocking(
        &self,
        file_server: &Uid,
        work: impl FnOnce(PathBuf) -> io::Result<()> + Send + 'static,
    ) -> Result<(), PortError> {
        let path = self.root.join(file_server.as_str());
        let done = tokio::task::spawn_blocking(move || work(path)).await;
        done.map_err(io::Error::from).flatten().map_err(PortError::other)
    }
}

#[async_trait]
impl Directories for DiskDirectories {
    async fn create(&self, file_server: &Uid) -> Result<(), PortError> {
        self.blocking(file_server, std::fs::create_dir_all).await
    }

    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.blocking(file_server, |path| trees::remove(&path)).await
    }
}
