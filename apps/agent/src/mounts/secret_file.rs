//! A file for a program that reads its credentials from one: readable by the agent only, removed after the mount.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::MountRoot;

/// The file; removed when this is dropped.
pub(super) struct SecretFile(PathBuf);

impl SecretFile {
    /// Writes the file below the agent's private directory. One that a killed agent left is replaced.
    pub fn write(root: &MountRoot, name: &str, text: &str) -> io::Result<Self> {
        let path = root.private.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let written = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(written)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "a file with credentials stays");
        }
    }
}
