//! Why a mount failed, and whose failure it is.

use std::io;

use protocol::{MountSource, StorageKind};

use crate::fault::{Fault, Owner, fault_of_start};
use crate::system::helper::HelperError;

/// A mount that failed, for the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct MountError {
    code: &'static str,
    message: String,
    fault: Fault,
    /// As the user gave it.
    at: String,
    reason: String,
}

impl MountError {
    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// A line for the execution log.
    pub fn line(&self) -> String {
        format!("{} ({}): {}", self.message, self.at, self.reason)
    }

    /// The mount path as the user gave it, and what went wrong.
    pub fn path_and_reason(&self) -> (&str, &str) {
        (&self.at, &self.reason)
    }
}

/// Why a mount failed, for the one who makes it.
#[derive(Debug)]
pub(super) enum Failure {
    /// At the mount path, which is the agent's to make.
    Own(io::Error),
    /// At the source of the mount, or in the path as the user gave it.
    OfTheMount(String),
}

impl Failure {
    /// Of a program that mounts. A program that is not there is named by the advice.
    pub fn of_program(error: HelperError, is_missing: impl Fn(&str) -> bool, advice: &str) -> Self {
        match error {
            HelperError::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => {
                Failure::OfTheMount(format!("{advice} ({error})"))
            }
            HelperError::NotStarted(error) => Failure::Own(error),
            HelperError::Failed(reason) if is_missing(&reason) => {
                Failure::OfTheMount(format!("{advice} ({reason})"))
            }
            HelperError::Failed(_) | HelperError::TooSlow(_) | HelperError::Cancelled => {
                Failure::OfTheMount(error.to_string())
            }
        }
    }

    /// Of the user's own command.
    pub fn of_command(error: HelperError) -> Self {
        match error {
            HelperError::NotStarted(error) if fault_of_start(&error, true) == Fault::Node => {
                Failure::Own(error)
            }
            error => Failure::OfTheMount(error.to_string()),
        }
    }

    pub fn of(self, at: &str, source: &MountSource) -> MountError {
        let (code, message) = failure_of(source);
        let (message, at) = (message.to_owned(), at.to_owned());
        let (fault, reason) = match self {
            Failure::Own(error) => (fault_at_mount_path(&error), error.to_string()),
            Failure::OfTheMount(reason) => (Fault::Job, reason),
        };
        match fault {
            Fault::Job => MountError { code, message, fault, at, reason },
            Fault::Node | Fault::Disk => MountError {
                code: "NodeStorageError",
                message: "The node could not prepare a mount path".to_owned(),
                fault,
                at,
                reason,
            },
        }
    }
}

/// Code and message of a mount of this kind that fails.
fn failure_of(source: &MountSource) -> (&'static str, &'static str) {
    match source {
        MountSource::Directory { of, .. } => of.failure(),
        MountSource::Efs { .. } => StorageKind::FileServer.failure(),
        MountSource::AzureFileShare { .. } => StorageKind::AzureFileShare.failure(),
        MountSource::AzureBlobContainer { .. } => StorageKind::AzureBlobContainer.failure(),
        MountSource::S3Bucket { .. } => StorageKind::S3Bucket.failure(),
        MountSource::LustreFileSystem { .. } => StorageKind::LustreFileSystem.failure(),
        MountSource::Command { .. } => {
            ("UnmanagedFileSystemMountError", "Unable to mount the unmanaged file system")
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

impl From<crate::paths::PathError> for Failure {
    fn from(error: crate::paths::PathError) -> Self {
        Failure::OfTheMount(error.to_string())
    }
}
