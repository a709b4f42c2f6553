//! The files of file servers, on a local disk or a mounted file system.

use crate::ports::{FileShares, PortError};
use async_trait::async_trait;
use model::{FileShare, Uid};
use std::io;
use std::path::PathBuf;

/// One directory per file server, named by its uid.
pub struct DiskDirectories {
    /// The parent of all of them.
    pub root: PathBuf,
}

impl DiskDirectories {
    /// Runs file system calls on a thread that may block.
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
impl FileShares for DiskDirectories {
    async fn create(&self, file_server: &Uid) -> Result<FileShare, PortError> {
        self.blocking(file_server, std::fs::create_dir_all).await?;
        Ok(FileShare::Directory)
    }

    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.blocking(file_server, |path| trees::remove(&path)).await
    }

    /// Renames the directory. A slow creation may make an empty one again after that, which is removed with
    /// [`FileShares::remove`].
    async fn keep(&self, file_server: &Uid, kept: &str) -> Result<(), PortError> {
        let kept = self.root.join(kept);
        let rename = move |path: PathBuf| {
            if kept.try_exists()? {
                return Ok(());
            }
            match std::fs::rename(path, kept) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            }
        };
        self.blocking(file_server, rename).await
    }
}
