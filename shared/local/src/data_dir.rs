//! The data directory. One service at a time uses it; keys, token and database are readable by their
//! owner only.

use crate::error::StartError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const DATABASE: &str = "batchai.db";

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

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    /// Lets only the owner read the files of the database. SQLite gives those that it creates later the mode of the
    /// first one.
    pub fn close_database(&self) -> Result<(), StartError> {
        for suffix in ["", "-wal", "-shm"] {
            let path = self.root.join(format!("{DATABASE}{suffix}"));
            match std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(StartError::DataDir { path: path.display().to_string(), source });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
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
        let text = self.read_or_create(&path, || hex::encode(rand::random::<[u8; 32]>()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&text, &mut key)
            .map_err(|_| StartError::Key { path: path.display().to_string() })?;
        Ok(key)
    }

    /// The token of the service: the given one, or a random one that is created once.
    pub fn token(&self, given: Option<&str>) -> Result<String, StartError> {
        match given {
            Some(token) => {
                self.replace(&self.token_file(), token, 0o600)?;
                Ok(token.to_owned())
            }
            None => {
                self.read_or_create(&self.token_file(), || hex::encode(rand::random::<[u8; 24]>()))
            }
        }
    }

    /// Agents read it, which may run as another user.
    pub fn write_endpoint(&self, url: &str) -> Result<(), StartError> {
        self.replace(&self.endpoint(), url, 0o644)
    }

    fn read_or_create(&self, path: &Path, make: impl Fn() -> String) -> Result<String, StartError> {
        match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Ok(_) => self.create(path, &make()),
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(path, &make()),
            Err(source) => Err(StartError::DataDir { path: path.display().to_string(), source }),
        }
    }

    fn create(&self, path: &Path, text: &str) -> Result<String, StartError> {
        self.replace(path, text, 0o600)?;
        Ok(text.to_owned())
    }

    /// Replaces the file atomically: a reader never sees a part of it.
    fn replace(&self, path: &Path, text: &str, mode: u32) -> Result<(), StartError> {
        let written = || -> std::io::Result<()> {
            let draft = path.with_extension("new");
            match std::fs::remove_file(&draft) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = private_file(&draft)?;
            writeln!(file, "{text}")?;
            file.set_permissions(PermissionsExt::from_mode(mode))?;
            file.sync_all()?;
            std::fs::rename(&draft, path)
        };
        written().map_err(|source| StartError::DataDir { path: path.display().to_string(), source })
    }
}

fn private_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
