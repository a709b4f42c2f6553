//! The file of profiles. It is replaced as a whole, so a reader never sees half of it; writers hold the
//! lock from reading to writing, so none loses what another wrote.

use super::ProfileFile;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const FILE: &str = "profiles.json";
const LOCK: &str = "profiles.lock";

/// Where the profiles are.
#[derive(Clone, Debug)]
pub struct Profiles {
    /// None without a home directory: there are no profiles, and none can be stored.
    directory: Option<PathBuf>,
}

/// The profiles, while no other process can change them.
pub struct Locked {
    directory: PathBuf,
    pub content: ProfileFile,
    /// Released when it is closed.
    _lock: File,
}

impl Profiles {
    pub fn in_directory(directory: Option<PathBuf>) -> Self {
        Self { directory }
    }

    /// The path of the file.
    pub fn path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(FILE))
    }

    /// All profiles; none if there is no file.
    pub fn read(&self) -> Result<ProfileFile> {
        self.path().map_or_else(|| Ok(ProfileFile::default()), |path| read(&path))
    }

    /// Waits for other processes that change the profiles, and reads them. Blocks this thread.
    pub fn lock(&self) -> Result<Locked> {
        let Some(directory) = self.directory.clone() else {
            bail!("there is no home directory for profiles: set XDG_CONFIG_HOME");
        };
        let shown = directory.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .with_context(|| format!("cannot create {shown}"))?;
        let path = directory.join(LOCK);
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        let content = read(&directory.join(FILE))?;
        Ok(Locked { directory, content, _lock: lock })
    }

    /// Whether other users may read the file.
    pub fn is_exposed(&self) -> bool {
        let metadata = self.path().and_then(|path| fs::metadata(path).ok());
        metadata.is_some_and(|it| it.permissions().mode() & 0o077 != 0)
    }
}

impl Locked {
    /// Replaces the file by `content`, and releases the lock.
    pub fn write(self) -> Result<()> {
        let path = self.directory.join(FILE);
        self.replace(&path).with_context(|| format!("cannot write {}", path.display()))
    }

    fn replace(&self, path: &Path) -> Result<()> {
        // A link to a file elsewhere stays one.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // Created with mode 0600, and renamed: it must be in the same file system.
        let mut file = NamedTempFile::new_in(target.parent().unwrap_or(&self.directory))?;
        serde_json::to_writer_pretty(&mut file, &self.content)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(target)?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<ProfileFile> {
    let shown = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ProfileFile::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    // The message of the parser may quote a token: only the position is shown.
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!(
            "cannot understand {shown} at line {line}, column {column}; correct it, or remove it \
             and sign in again"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::{Profile, ScopeDefaults, SignIn};

    fn profile(endpoint: &str) -> Profile {
        Profile {
            endpoint: endpoint.to_owned(),
            scope: ScopeDefaults::default(),
            sign_in: SignIn::TokenCommand { command: "true".to_owned() },
        }
    }

    #[test]
    fn the_file_is_private_and_a_link_stays_one() {
        let root = tempfile::tempdir().unwrap();
        let (directory, elsewhere) = (root.path().join("a/b"), root.path().join("real.json"));
        let profiles = Profiles::in_directory(Some(directory.clone()));
        let put = |name: &str| {
            let mut locked = profiles.lock().unwrap();
            locked.content.profiles.insert(name.to_owned(), profile("http://127.0.0.1"));
            locked.write().unwrap();
        };
        put("one");
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!profiles.is_exposed());
        fs::rename(directory.join(FILE), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, directory.join(FILE)).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(profiles.is_exposed());
        put("two");
        assert!(fs::symlink_metadata(directory.join(FILE)).unwrap().is_symlink());
        assert!(!profiles.is_exposed());
        assert_eq!(profiles.read().unwrap().profiles.len(), 2);
    }

    #[test]
    fn writers_do_not_lose_what_others_wrote() {
        let root = tempfile::tempdir().unwrap();
        let profiles = Profiles::in_directory(Some(root.path().to_owned()));
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let profiles = &profiles;
                scope.spawn(move || {
                    for number in 0..5 {
                        let mut locked = profiles.lock().unwrap();
                        let name = format!("{writer}-{number}");
                        locked.content.profiles.insert(name, profile("http://127.0.0.1"));
                        locked.write().unwrap();
                    }
                });
            }
        });
        assert_eq!(profiles.read().unwrap().profiles.len(), 40);
    }

    #[test]
    fn an_error_quotes_nothing_of_the_file() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FILE), r#"{"profiles": "hunter2"}"#).unwrap();
        let profiles = Profiles::in_directory(Some(root.path().to_owned()));
        let error = format!("{:#}", profiles.read().unwrap_err());
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
    }
}
