//! Mounting what a cluster or a job asks for, below its mount root, and unmounting it.
//!
//! A mount path never leaves its root and never passes through another mount: `a` and `a/b` together would
//! create `b` in the file server that is mounted at `a`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use protocol::{Mount, MountSource};

use crate::fault::{Fault, Owner, fault_of_start};
use crate::paths::{PathError, relative};

use crate::system::helper::{self, HelperError};
use crate::system::mount_table;

/// Longer than the timeouts of network file systems, which are a minute or two.
const MOUNT_LIMIT: Duration = Duration::from_secs(180);

#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("Unable to mount the file server at {at}")]
    FileServer { at: String, reason: String },
    #[error("Unable to mount the unmanaged file system at {at}")]
    Unmanaged { at: String, reason: String },
    /// Failed before the mount itself.
    #[error("The node could not prepare the mount path {at}")]
    MountPath { at: String, reason: String, fault: Fault },
}

impl MountError {
    pub fn code(&self) -> &'static str {
        match self {
            MountError::FileServer { .. } => "NFSMountError",
            MountError::Unmanaged { .. } => "UnmanagedFileSystemMountError",
            MountError::MountPath { .. } => "NodeStorageError",
        }
    }

    pub fn fault(&self) -> Fault {
        match self {
            MountError::FileServer { .. } | MountError::Unmanaged { .. } => Fault::Job,
            MountError::MountPath { fault, .. } => *fault,
        }
    }

    /// The mount path as the user gave it, and what went wrong.
    pub fn path_and_reason(&self) -> (&str, &str) {
        let (MountError::FileServer { at, reason }
        | MountError::Unmanaged { at, reason }
        | MountError::MountPath { at, reason, .. }) = self;
        (at, reason)
    }
}

/// One mount root: the cluster's or a job's.
pub struct MountRoot {
    pub path: PathBuf,
    /// Of the user's mount commands.
    pub environment: BTreeMap<String, String>,
    /// File for the output of commands.
    pub scratch: PathBuf,
}

impl MountRoot {
    /// Makes one mount, unless an earlier agent process has made it. Returns a line for the execution log.
    pub fn mount(
        &self,
        mount: &Mount,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<String, MountError> {
        match &mount.source {
            MountSource::Directory { root, sub_directory } => {
                let failed = |failure: Failure| {
                    failure.of(mount, |at, reason| MountError::FileServer { at, reason })
                };
                let at = self.place(&mount.relative_mount_path).map_err(failed)?;
                let source = source(root, sub_directory).map_err(|it| failed(it.into()))?;
                link(&source, &at).map_err(|error| failed(error.into()))?;
                Ok(format!("Mounted {} at {}", source.display(), at.display()))
            }
            MountSource::Efs { file_system, access_point, sub_directory } => {
                let failed = |failure: Failure| {
                    failure.of(mount, |at, reason| MountError::FileServer { at, reason })
                };
                let at = self.place(&mount.relative_mount_path).map_err(failed)?;
                let below = relative(sub_directory).map_err(|it| failed(it.to_string().into()))?;
                let source = format!("{file_system}:/{}", below.display());
                self.mount_efs(&source, access_point, &at, is_cancelled).map_err(failed)?;
                Ok(format!("Mounted {source} through {access_point} at {}", at.display()))
            }
            MountSource::Command { command } => {
                let failed = |failure: Failure| {
                    failure.of(mount, |at, reason| MountError::Unmanaged { at, reason })
                };
                let at = self.place(&mount.relative_mount_path).map_err(failed)?;
                self.run(command, &at, is_cancelled).map_err(failed)?;
                // The command is left out of the log: it may hold a password.
                Ok(format!("Mounted an unmanaged file system at {}", at.display()))
            }
        }
    }

    /// Removes the mount that [`MountRoot::mount`] made at this path, if it did. Returns a line for the execution
    /// log.
    pub fn unmount(&self, relative_mount_path: &str) -> Result<Option<String>, HelperError> {
        let Ok(at) = self.place(relative_mount_path) else { return Ok(None) };
        let is_link = fs::symlink_metadata(&at).is_ok_and(|data| data.file_type().is_symlink());
        let was_mounted = if is_link {
            fs::remove_file(&at)?;
            true
        } else {
            mount_table::clear(&at, &self.scratch)?
        };
        Ok(was_mounted.then(|| format!("Unmounted {}", at.display())))
    }

    /// The absolute mount path. Creates the directories above it and checks that none of them leads out of this
    /// root.
    fn place(&self, relative_mount_path: &str) -> Result<PathBuf, Failure> {
        let below = relative(relative_mount_path).map_err(|error| error.to_string())?;
        let (Some(name), Some(on_the_way)) = (below.file_name(), below.parent()) else {
            return Err(PathError::Relative(relative_mount_path.into()).to_string().into());
        };
        let mut at = fs::canonicalize(&self.path)?;
        let mounted = mount_table::at_or_below(&at)?;
        for part in on_the_way {
            at.push(part);
            let is_directory = match fs::symlink_metadata(&at) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&at)?;
                    true
                }
                data => data?.is_dir(),
            };
            if !is_directory || mounted.contains(&at) {
                return Err(format!("'{relative_mount_path}' leads into another mount").into());
            }
        }
        Ok(at.join(name))
    }

    /// Mounts a directory of an access point of EFS, encrypted, as the role of the instance. The mount helper
    /// of amazon-efs-utils keeps a proxy running for it, which ends with the mount.
    fn mount_efs(
        &self,
        source: &str,
        access_point: &str,
        at: &Path,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        fs::create_dir_all(at)?;
        if mount_table::at_or_below(at)?.iter().any(|point| point == at) {
            return Ok(());
        }
        let options = format!("tls,iam,accesspoint={access_point}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "efs", "-o", &options, source]).arg(at);
        helper::run(&mut mount, &self.scratch, MOUNT_LIMIT, is_cancelled).map_err(|error| {
            let reason = error.to_string();
            if reason.contains("unknown filesystem type") {
                let advice = "The image of the node has no amazon-efs-utils: use an image that has it, or install it in the image";
                return Failure::OfTheMount(format!("{advice} ({reason})"));
            }
            match error {
                HelperError::NotStarted(error) => Failure::Own(error),
                HelperError::Failed(_) | HelperError::TooSlow(_) | HelperError::Cancelled => {
                    Failure::OfTheMount(reason)
                }
            }
        })
    }

    /// Runs the user's mount command with the mount path appended.
    ///
    /// Not below a supervisor: the daemons of user-space file systems run on after the command.
    fn run(
        &self,
        command: &str,
        at: &Path,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        fs::create_dir_all(at)?;
        if mount_table::at_or_below(at)?.iter().any(|point| point == at) {
            return Ok(());
        }
        let quoted = at.display().to_string().replace('\'', r"'\''");
        let mut shell = Command::new("/bin/bash");
        shell
            .args(["-c", &format!("{command} '{quoted}'")])
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.path);
        helper::run(&mut shell, &self.scratch, MOUNT_LIMIT, is_cancelled).map_err(|error| {
            match error {
                HelperError::NotStarted(error) if fault_of_start(&error, true) == Fault::Node => {
                    Failure::Own(error)
                }
                error => Failure::OfTheMount(error.to_string()),
            }
        })
    }
}

/// Why a mount failed.
enum Failure {
    /// At the mount path, which is the agent's to make.
    Own(io::Error),
    /// At the source of the mount, or in the path as the user gave it.
    OfTheMount(String),
}

impl Failure {
    fn of(self, mount: &Mount, error: impl FnOnce(String, String) -> MountError) -> MountError {
        let at = mount.relative_mount_path.clone();
        match self {
            Failure::Own(source) => match fault_at_mount_path(&source) {
                Fault::Job => error(at, source.to_string()),
                fault => MountError::MountPath { at, reason: source.to_string(), fault },
            },
            Failure::OfTheMount(reason) => error(at, reason),
        }
    }
}

/// A mount path that another mount of the same job uses is not the node's failure.
fn fault_at_mount_path(error: &io::Error) -> Fault {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    match error.kind() {
        AlreadyExists | DirectoryNotEmpty | NotADirectory => Fault::Job,
        _ => Owner::Agent.fault(error),
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Own(error)
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Failure::OfTheMount(reason)
    }
}

/// The directory of a file server, without symbolic links, so that the mounted directory is the one that was
/// checked.
fn source(root: &str, sub_directory: &str) -> Result<PathBuf, String> {
    let below = relative(sub_directory).map_err(|error| error.to_string())?;
    let find = |path: &Path| {
        fs::canonicalize(path).map_err(|error| {
            format!("{}: {error}. Create the directory on the file server first.", path.display())
        })
    };
    let root = find(Path::new(root))?;
    let directory = find(&root.join(below))?;
    if !directory.starts_with(&root) {
        return Err(format!("'{sub_directory}' leads out of the file server"));
    }
    if !directory.is_dir() {
        return Err(format!("'{sub_directory}' is not a directory of the file server"));
    }
    Ok(directory)
}

/// A symbolic link instead of a mount: on one machine the file server's tree is there already, and a
/// bind mount would need privileges that a laptop's user does not have.
fn link(source: &Path, at: &Path) -> io::Result<()> {
    match fs::symlink_metadata(at) {
        Ok(data) if data.file_type().is_symlink() => fs::remove_file(at)?,
        // Left by a setup that failed half-way. A directory that is not empty is something else.
        Ok(_) => fs::remove_dir(at)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(source, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(root: &Path, sub: &str, at: &str) -> Mount {
        Mount {
            relative_mount_path: at.into(),
            source: MountSource::Directory {
                root: root.display().to_string(),
                sub_directory: sub.into(),
            },
        }
    }

    fn mount_root(path: &Path, place: &Path) -> MountRoot {
        let environment = BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]);
        MountRoot { path: path.into(), environment, scratch: place.join("scratch") }
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
                "server/new: No such file or directory (os error 2). Create the directory on the \
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
        assert!(said[0].ends_with("Create the directory on the file server first."), "{said:?}");
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
