//! Jobs as another user than the service, so that they cannot read its token, its keys and its database.

use crate::error::StartError;
use async_trait::async_trait;
use control::directories::DiskDirectories;
use control::ports::{FileShares, PortError};
use model::{FileShare, Uid};
use processes::User;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

/// The user of this name or user id.
///
/// # Errors
/// When this process is not root, or there is no such user, or the user is root.
pub fn find(name: &str) -> Result<User, StartError> {
    if !rustix::process::geteuid().is_root() {
        return Err(StartError::NotRoot);
    }
    let unknown = || StartError::NoSuchUser { name: name.to_owned() };
    let found = match name.parse() {
        Ok(uid) => nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)),
        Err(_) => nix::unistd::User::from_name(name),
    };
    let user = found.map_err(|_| unknown())?.ok_or_else(unknown)?;
    if user.uid.is_root() {
        return Err(StartError::JobUserIsRoot);
    }
    Ok(User { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, home: user.dir })
}

/// Checks that the user can pass through `directory` and all directories above it. Only the permission bits count.
///
/// # Errors
/// Names the first directory that the user cannot pass through.
pub fn check_reach(user: &User, directory: &Path) -> Result<(), StartError> {
    for path in directory.ancestors() {
        let data = std::fs::metadata(path)
            .map_err(|source| StartError::DataDir { path: path.display().to_string(), source })?;
        let bit = match data {
            ref data if data.uid() == user.uid => 0o100,
            ref data if data.gid() == user.gid => 0o010,
            _ => 0o001,
        };
        if data.mode() & bit == 0 {
            let path = path.display().to_string();
            return Err(StartError::Unreachable { path, user: user.name.clone() });
        }
    }
    Ok(())
}

/// Lets every user pass through a directory, and none but its owner list it.
pub fn open_to_pass(directory: &Path) -> io::Result<()> {
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o711))
}

/// The directories of file servers, owned by the user that jobs run as.
pub struct OwnedDirectories {
    pub inner: DiskDirectories,
    pub user: User,
}

impl OwnedDirectories {
    /// Gives the user the directories that were created while jobs ran as another one. What is in them keeps its
    /// owner.
    pub fn take_over(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.inner.root)? {
            lchown(entry?.path(), Some(self.user.uid), Some(self.user.gid))?;
        }
        Ok(())
    }
}

#[async_trait]
impl FileShares for OwnedDirectories {
    async fn create(&self, file_server: &Uid) -> Result<FileShare, PortError> {
        let share = self.inner.create(file_server).await?;
        let path = self.inner.root.join(file_server.as_str());
        lchown(path, Some(self.user.uid), Some(self.user.gid)).map_err(PortError::other)?;
        Ok(share)
    }

    async fn remove(&self, file_server: &Uid) -> Result<(), PortError> {
        self.inner.remove(file_server).await
    }

    async fn keep(&self, file_server: &Uid, kept: &str) -> Result<(), PortError> {
        self.inner.keep(file_server, kept).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closed_directory_is_named() {
        let user = User { uid: 12345, gid: 12345, name: "u".into(), home: "/".into() };
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        open_to_pass(directory.path()).unwrap();
        check_reach(&user, &inner).unwrap();
        std::fs::set_permissions(inner.parent().unwrap(), PermissionsExt::from_mode(0o700))
            .unwrap();
        let error = check_reach(&user, &inner).unwrap_err().to_string();
        assert!(error.contains("the user u") && error.contains("/a;"), "{error}");
    }
}
