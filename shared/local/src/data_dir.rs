//! The data directory. One service at a time uses it; key and token are readable by their owner only.

use crate::error::StartError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    /// Locked as long as the process runs; the kernel releases it with the process.
    _lock: File,
}

impl DataDir {
    pub fn open(root: &Path) -> Result<Self, StartError> {
        let unusable = |source| StartError::DataDir { path: root.display().to_string(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(unusable)?;
        let root = root.canonicalize().map_err(unusable)?;
        let lock = private_file(&root.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(StartError::AlreadyServed { path: root.display().to_string() })
            }
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("batchai.db")
    }

    pub fn file_servers(&self) -> PathBuf {
        self.root.join("fileservers")
    }

    pub fn machines(&self) -> PathBuf {
        self.root.join("machines")
    }

    pub fn endpoint(&self) -> PathBuf {
        self.root.join("endpoint")
    }

    pub fn token_file(&self) -> PathBuf {
        self.root.join("token")
    }

    /// The key that encrypts secrets; created once.
    pub fn master_key(&self) -> Result<[u8; 32], StartError> {
        let path = self.root.join("key");
        let text = self.stored_or_new(&path, || hex::encode(rand::random::<[u8; 32]>()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&text, &mut key)
            .map_err(|_| StartError::Key { path: path.display().to_string() })?;
        Ok(key)
    }

    /// The token of the service: the given one, or a random one that is created once.
    pub fn token(&self, given: Option<&str>) -> Result<String, StartError> {
        match given {
            Some(token) => {
                self.replace(&self.token_file(), token)?;
                Ok(token.to_owned())
            }
            None => {
                self.stored_or_new(&self.token_file(), || hex::encode(rand::random::<[u8; 24]>()))
            }
        }
    }

    pub fn write_endpoint(&self, url: &str) -> Result<(), StartError> {
        self.replace(&self.endpoint(), url)
    }

    fn stored_or_new(&self, path: &Path, make: impl Fn() -> String) -> Result<String, StartError> {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => self.make(path, &make()),
            Err(error) if error.kind() == ErrorKind::NotFound => self.make(path, &make()),
            Err(source) => Err(StartError::DataDir { path: path.display().to_string(), source }),
        }
    }

    fn make(&self, path: &Path, text: &str) -> Result<String, StartError> {
        self.replace(path, text)?;
        Ok(text.to_owned())
    }

    /// Replaces the file atomically: a reader never sees a part of it.
    fn replace(&self, path: &Path, text: &str) -> Result<(), StartError> {
        let written = || -> std::io::Result<()> {
            let draft = path.with_extension("new");
            match std::fs::remove_file(&draft) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = private_file(&draft)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            std::fs::rename(&draft, path)
        };
        written().map_err(|source| StartError::DataDir { path: path.display().to_string(), source })
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
