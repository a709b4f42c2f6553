//! What a node could not provide, and the form in which a user sees it.

use std::io;
use std::path::PathBuf;

use protocol::Problem;

use crate::mounts::MountError;
use crate::paths::PathError;

/// Why an attempt, or the setup of the node, could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum NotProvided {
    #[error("The node could not {action}")]
    Storage { action: &'static str, path: PathBuf, source: io::Error },
    #[error("The node cannot use a path of the job")]
    Path(#[from] PathError),
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("The {what} could not be started")]
    Start { what: &'static str, reason: String },
}

impl NotProvided {
    /// For `map_err`: what was being done, and to which path.
    pub fn storage(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> NotProvided {
        let path = path.into();
        move |source| NotProvided::Storage { action, path, source }
    }
}

/// Codes `NFSMountError` and `UnmanagedFileSystemMountError` follow the pattern of the recorded
/// `AZFMountError` and `BFSMountError` (wire-behaviour.md, section 3.6); the others are ours.
impl From<NotProvided> for Problem {
    fn from(error: NotProvided) -> Problem {
        let message = error.to_string();
        let (code, details) = match error {
            NotProvided::Storage { path, source, .. } => {
                ("NodeStorageError", vec![detail("Path", path.display()), detail("Reason", source)])
            }
            NotProvided::Path(source) => ("InvalidPath", vec![detail("Reason", source)]),
            NotProvided::Mount(error) => (error.code(), error.details()),
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
