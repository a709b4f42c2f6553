//! A file for a program that reads its credentials from one: readable by the agent only, removed after the mount.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::MountRoot;

/// How the names of such files begin.
const PREFIX: &str = "mount-credentials";

/// The file; removed when this is dropped.
pub(super) struct SecretFile(PathBuf);

impl SecretFile {
    /// Writes the file below the agent's private directory. One that a killed agent left is replaced.
    pub fn write(root: &MountRoot, extension: &str, text: &str) -> io::Result<Self> {
        let path = root.private.join(PREFIX).with_extension(extension);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let written = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(written)
    }

    /// Removes those that a killed agent left.
    pub fn remove_all(private: &Path) {
        for entry in fs::read_dir(private).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                drop(Self(entry.path()));
            }
        }
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
