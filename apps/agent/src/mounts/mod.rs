//! Mounting what a cluster or a job asks for, below its mount root, and unmounting it. Each kind of storage is one file,
//! and one arm of [`MountRoot::mount_at`].
//!
//! A mount path never leaves its root and never passes through another mount: `a` and `a/b` together would
//! create `b` in the file server that is mounted at `a`.

mod azure_blobs;
mod azure_files;
mod command;
mod directory;
mod efs;
mod error;
mod lustre;
mod program;
mod s3;
mod secret_file;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::{Mount, MountSource};

use crate::fault::Owner;
use crate::host::Host;
use crate::paths::{PathError, relative};
use crate::problem::NotProvided;
use crate::system::helper::HelperError;
use crate::system::mount_table::{self, Health};

use error::Failure;
pub use error::MountError;
use program::Cancelled;
use secret_file::SecretFile;

/// Unmounts what an earlier agent process left for a job that does not run any more, and removes its credentials. To be
/// called before anything is mounted.
pub fn clear_left_over(host: &Host) {
    SecretFile::remove_all(&host.private());
    clear_all(host, &host.jobs());
}

/// Checks that the mounts of the cluster still work: whatever touches one that does not answer would wait for ever. Links to
/// directories of this machine are not mounts.
pub fn check_cluster(host: &Host) -> Result<(), NotProvided> {
    let failed = |path: PathBuf| {
        move |source| {
            let action = "use a mount of its cluster";
            NotProvided::Storage { action, path, owner: Owner::Node, source }
        }
    };
    let root = host.mounts();
    // Listed once: they are made before the first job.
    let listed = host.known().cluster_mounts.clone();
    let points = match listed {
        Some(points) => points,
        None => mount_table::at_or_below(&root).map_err(failed(root))?,
    };
    host.known().cluster_mounts = Some(points.clone());
    for point in points {
        let problem = match mount_table::health(&point) {
            Health::Alive => continue,
            Health::Dead => "its daemon or its server has gone",
            Health::Silent => "it does not answer",
        };
        return Err(failed(point)(io::Error::other(problem)));
    }
    Ok(())
}

/// Unmounts everything at or below a directory of the node.
pub fn clear_all(host: &Host, directory: &Path) {
    if let Err(error) = mount_table::clear(directory, &host.scratch()) {
        tracing::warn!(%error, directory = %directory.display(), "a mount stays");
    }
}

/// One mount root: the cluster's or a job's.
pub struct MountRoot {
    pub path: PathBuf,
    /// Of the user's mount commands.
    pub environment: BTreeMap<String, String>,
    /// The agent's own directory, readable by its user only: for output of commands, credentials and caches.
    pub private: PathBuf,
}

/// Where a mount belongs.
struct Place {
    /// Absolute, without symbolic links.
    path: PathBuf,
    /// Whether something that works is mounted there, by an earlier agent process.
    is_mounted: bool,
}

impl MountRoot {
    /// Makes one mount, unless an earlier agent process has made it. Returns a line for the execution log.
    pub fn mount(&self, mount: &Mount, is_cancelled: Cancelled<'_>) -> Result<String, MountError> {
        let path = &mount.relative_mount_path;
        let mounted = || {
            let at = self.usable_place(path)?;
            let what = self.mount_at(&at, &mount.source, is_cancelled)?;
            Ok(format!("Mounted {what} at {}", at.path.display()))
        };
        mounted().map_err(|failure: Failure| failure.of(path, &mount.source))
    }

    /// Returns what was mounted, for the log. What may hold a secret is left out.
    fn mount_at(
        &self,
        at: &Place,
        source: &MountSource,
        is_cancelled: Cancelled<'_>,
    ) -> Result<String, Failure> {
        match source {
            MountSource::Directory { root, sub_directory, of } => {
                directory::mount(root, sub_directory, *of, &at.path)
            }
            MountSource::Efs { file_system, access_point, sub_directory, options } => {
                let options = options.as_deref();
                let efs = efs::AccessPoint { file_system, access_point, sub_directory, options };
                efs::mount(self, &efs, at, is_cancelled)
            }
            MountSource::AzureFileShare {
                host,
                share,
                sub_directory,
                account,
                key,
                file_mode,
                directory_mode,
            } => {
                let key = &key.0;
                let azure = azure_files::FileShare {
                    host,
                    share,
                    sub_directory,
                    account,
                    key,
                    file_mode,
                    directory_mode,
                };
                azure_files::mount(self, &azure, at, is_cancelled)
            }
            MountSource::AzureBlobContainer { account, container, key, options } => {
                let (key, options) = (&key.0, options.as_deref());
                let blobs = azure_blobs::Container { account, container, key, options };
                azure_blobs::mount(self, &blobs, at, is_cancelled)
            }
            MountSource::S3Bucket { bucket, prefix, read_only, options } => {
                let (read_only, options) = (*read_only, options.as_deref());
                let s3 = s3::Bucket { bucket, prefix, read_only, options };
                s3::mount(self, &s3, at, is_cancelled)
            }
            MountSource::LustreFileSystem { dns_name, mount_name, options } => {
                let names = (dns_name.as_str(), mount_name.as_str());
                lustre::mount(self, names, options.as_deref(), at, is_cancelled)
            }
            MountSource::Command { command } => command::mount(self, command, at, is_cancelled),
        }
    }

    /// Removes the mount that [`MountRoot::mount`] made at this path, if it did. Returns a line for the execution
    /// log.
    pub fn unmount(&self, relative_mount_path: &str) -> Result<Option<String>, HelperError> {
        let Ok(at) = self.place(relative_mount_path) else { return Ok(None) };
        let is_link =
            || fs::symlink_metadata(&at.path).is_ok_and(|data| data.file_type().is_symlink());
        // Metadata of what is mounted there might never come.
        let was_mounted = if !at.is_mounted && is_link() {
            fs::remove_file(&at.path)?;
            true
        } else {
            mount_table::clear(&at.path, &self.scratch())?
        };
        azure_blobs::forget(self, &at.path);
        Ok(was_mounted.then(|| format!("Unmounted {}", at.path.display())))
    }

    /// File for the output of commands.
    fn scratch(&self) -> PathBuf {
        self.private.join("mount-output")
    }

    /// A place at which nothing is mounted, or something that works: what has failed is unmounted.
    fn usable_place(&self, relative_mount_path: &str) -> Result<Place, Failure> {
        let mut at = self.place(relative_mount_path)?;
        let is_usable = || match mount_table::health(&at.path) {
            Health::Alive => true,
            Health::Dead | Health::Silent => false,
        };
        if at.is_mounted && !is_usable() {
            mount_table::clear(&at.path, &self.scratch())
                .map_err(|error| Failure::Own(io::Error::other(error)))?;
            at.is_mounted = false;
        }
        Ok(at)
    }

    /// The absolute mount path. Creates the directories above it and checks that none of them leads out of this
    /// root.
    fn place(&self, relative_mount_path: &str) -> Result<Place, Failure> {
        let below = relative(relative_mount_path)?;
        let (Some(name), Some(on_the_way)) = (below.file_name(), below.parent()) else {
            return Err(PathError::Relative(relative_mount_path.into()).into());
        };
        let mut at = fs::canonicalize(&self.path)?;
        let mounted = mount_table::at_or_below(&at)?;
        for part in on_the_way {
            at.push(part);
            // Checked first: metadata of what is mounted there might never come.
            let is_directory = !mounted.contains(&at)
                && match fs::symlink_metadata(&at) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        fs::create_dir(&at)?;
                        true
                    }
                    data => data?.is_dir(),
                };
            if !is_directory {
                return Err(format!("'{relative_mount_path}' leads into another mount").into());
            }
        }
        let path = at.join(name);
        Ok(Place { is_mounted: mounted.contains(&path), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::StorageKind;
    use std::os::unix::fs::symlink;

    fn directory(root: &Path, sub: &str, at: &str) -> Mount {
        Mount {
            relative_mount_path: at.into(),
            source: MountSource::Directory {
                root: root.display().to_string(),
                sub_directory: sub.into(),
                of: StorageKind::FileServer,
            },
        }
    }

    fn mount_root(path: &Path, place: &Path) -> MountRoot {
        let environment = BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]);
        MountRoot { path: path.into(), environment, private: place.into() }
    }

    /// The lines that mounting returns, with `server` and `root` in place of the two directories.
    fn check(mounts: &[(&str, &str)]) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let (server, root) = (place.path().join("server"), place.path().join("root"));
        fs::create_dir_all(server.join("data/deep")).unwrap();
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(place.path().join("secret")).unwrap();
        symlink("../secret", server.join("escape")).unwrap();
        fs::write(server.join("file"), "").unwrap();
        let here = mount_root(&root, place.path());
        let base = fs::canonicalize(place.path()).unwrap().display().to_string();
        let say = |(sub, at): &(&str, &str)| {
            let outcome = here.mount(&directory(&server, sub, at), &|| false);
            let text = outcome.unwrap_or_else(|error| error.path_and_reason().1.to_owned());
            text.replace(&format!("{base}/"), "")
        };
        mounts.iter().map(say).collect()
    }

    #[test]
    fn a_directory_appears_at_its_mount_path() {
        assert_eq!(
            check(&[("", "nfs"), ("data", "a/b"), ("data/deep", "nfs")]),
            [
                "Mounted server at root/nfs",
                "Mounted server/data at root/a/b",
                "Mounted server/data/deep at root/nfs"
            ]
        );
    }

    #[test]
    fn nothing_leaves_its_root() {
        let not_relative = "must be a relative path without '..'";
        assert_eq!(
            check(&[("", "../out"), ("", "/etc"), ("", ""), ("../secret", "a"), ("/etc", "a")]),
            ["../out", "/etc", "", "../secret", "/etc"]
                .map(|path| format!("'{path}' {not_relative}"))
        );
        assert_eq!(
            check(&[("", "nfs"), ("", "nfs/new/b"), ("new", "c")])[1..],
            [
                "'nfs/new/b' leads into another mount",
                "server/new: No such file or directory (os error 2). Create the directory in the \
                    file server first."
            ]
        );
        assert_eq!(
            check(&[("escape", "a"), ("", "nfs"), ("", "nfs/data/b"), ("file", "b")]),
            [
                "'escape' leads out of the file server",
                "Mounted server at root/nfs",
                "'nfs/data/b' leads into another mount",
                "'file' is not a directory of the file server"
            ]
        );
    }

    #[test]
    fn a_missing_source_says_what_to_do() {
        let said = check(&[("none", "a")]);
        assert!(said[0].ends_with("Create the directory in the file server first."), "{said:?}");
    }

    #[test]
    fn a_user_s_command_gets_the_path_and_is_blamed_with_its_own_words() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("it's here");
        fs::create_dir(&root).unwrap();
        let here = mount_root(&root, place.path());
        let run = |command: &str| {
            let source = MountSource::Command { command: command.into() };
            here.mount(&Mount { relative_mount_path: "x".into(), source }, &|| false)
        };
        run("echo $GREETING | tee > /dev/null out; touch").unwrap();
        assert!(root.join("x").is_dir());
        let error = run("echo $GREETING $(basename) >&2; false").unwrap_err();
        assert_eq!(error.code(), "UnmanagedFileSystemMountError");
        assert!(error.path_and_reason().1.starts_with("exit status: 1: "), "{error:?}");
        assert!(error.path_and_reason().1.ends_with("hello"), "{error:?}");
    }

    #[test]
    fn unmounting_takes_the_link_and_leaves_the_data() {
        let place = tempfile::tempdir().unwrap();
        let (server, root) = (place.path().join("server"), place.path().join("root"));
        fs::create_dir(&server).unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(server.join("kept"), "").unwrap();
        let here = mount_root(&root, place.path());
        here.mount(&directory(&server, "", "nfs"), &|| false).unwrap();
        assert!(root.join("nfs/kept").exists());
        assert!(here.unmount("nfs").unwrap().is_some());
        assert!(here.unmount("nfs").unwrap().is_none());
        assert!(!root.join("nfs").exists() && server.join("kept").exists());
    }
}
