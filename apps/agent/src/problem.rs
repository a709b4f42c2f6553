//! What could not be provided to an attempt or a setup, and the form in which a user sees it.

use std::io;
use std::path::PathBuf;

use protocol::Problem;

use crate::fault::{Fault, Owner};
use crate::mounts::MountError;
use crate::paths::PathError;
use crate::runtime::ContainerError;

/// Why an attempt, or the setup of the node, could not start.
#[derive(Debug, thiserror::Error)]
pub enum NotProvided {
    #[error("The node could not {action}")]
    Storage { action: &'static str, path: PathBuf, owner: Owner, source: io::Error },
    #[error("The node cannot use a path of the job")]
    Path(#[from] PathError),
    /// What is written there would be lost with the node. `mounts`: what is mounted below the root.
    #[error("An output path of the job is on no mount")]
    NotMounted { path: PathBuf, mounts: Vec<String> },
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("The {what} could not be started")]
    Start { what: &'static str, reason: String, fault: Fault },
}

impl NotProvided {
    /// For `map_err`: the action, and its path.
    pub fn storage(
        action: &'static str,
        owner: Owner,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> NotProvided {
        let path = path.into();
        move |source| NotProvided::Storage { action, path, owner, source }
    }

    pub fn fault(&self) -> Fault {
        match self {
            NotProvided::Storage { owner, source, .. } => owner.fault(source),
            NotProvided::Path(_) | NotProvided::NotMounted { .. } => Fault::Job,
            NotProvided::Mount(error) => error.fault(),
            NotProvided::Container(error) => error.fault(),
            NotProvided::Start { fault, .. } => *fault,
        }
    }
}

/// Codes `NFSMountError` and `UnmanagedFileSystemMountError` follow the pattern of the recorded
/// `AZFMountError` and `BFSMountError` (docs/contract.md, "Errors of jobs"); the others are ours.
impl From<NotProvided> for Problem {
    fn from(error: NotProvided) -> Problem {
        let message = error.to_string();
        let (code, details) = match error {
            NotProvided::Storage { path, source, .. } => {
                ("NodeStorageError", vec![detail("Path", path.display()), detail("Reason", source)])
            }
            NotProvided::Path(source) => ("InvalidPath", vec![detail("Reason", source)]),
            NotProvided::NotMounted { path, mounts } => {
                let mounts = if mounts.is_empty() { "none".to_owned() } else { mounts.join(", ") };
                let details = vec![detail("Path", path.display()), detail("Mounts", mounts)];
                ("OutputPathNotMounted", details)
            }
            NotProvided::Mount(error) => {
                let (at, reason) = error.path_and_reason();
                (error.code(), vec![detail("MountPath", at), detail("Reason", reason)])
            }
            NotProvided::Container(error) => (error.code(), error.details()),
            NotProvided::Start { reason, .. } => {
                ("NodeProcessError", vec![detail("Reason", reason)])
            }
        };
        Problem { code: code.into(), message, details }
    }
}

pub fn detail(name: &str, value: impl std::fmt::Display) -> (String, String) {
    (name.to_owned(), value.to_string())
}
