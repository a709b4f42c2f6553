//! The directories of the measured programs. They are removed together after the last round: ext4 does
//! not reuse the inode of a deleted file for one to five minutes, and checks all such inodes when it
//! creates a file. Rounds that delete thousands of files slow down later rounds (measured: a quarter
//! of the rate after four rounds).

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Scratch(TempDir);

impl Scratch {
    /// # Errors
    /// When `parent` cannot be written.
    pub fn new(parent: &Path) -> Result<Self> {
        let created = tempfile::Builder::new().prefix("batchai-benchmark-").tempdir_in(parent);
        Ok(Self(created.with_context(|| format!("cannot write {}", parent.display()))?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Creates a directory that is removed at the end of the benchmark.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn directory(&self, prefix: &str) -> Result<PathBuf> {
        let created = tempfile::Builder::new().prefix(prefix).tempdir_in(self.path());
        Ok(created.with_context(|| format!("cannot write {}", self.path().display()))?.keep())
    }
}
