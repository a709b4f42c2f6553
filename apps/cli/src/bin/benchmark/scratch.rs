//! Where the measured programs write. Their directories are removed together, after the last round:
//! ext4 does not use the number of a deleted file again for a minute, and for five while its table is
//! dirty, and looks at each such number whenever it makes a file. Rounds that remove thousands of
//! files slow down the rounds after them (measured: a quarter of the rate after four rounds).

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Scratch(TempDir);

impl Scratch {
    /// # Errors
    /// When `parent` cannot be written.
    pub fn new(parent: &Path) -> Result<Self> {
        let made = tempfile::Builder::new().prefix("batchai-benchmark-").tempdir_in(parent);
        Ok(Self(made.with_context(|| format!("cannot write {}", parent.display()))?))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A new directory that stays until the end of the benchmark.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn directory(&self, prefix: &str) -> Result<PathBuf> {
        let made = tempfile::Builder::new().prefix(prefix).tempdir_in(self.path());
        Ok(made.with_context(|| format!("cannot write {}", self.path().display()))?.keep())
    }
}
