//! The errors of the control plane. The caller's mistakes are [`ApiError`]s, which only explicit
//! constructors make. Everything else is ours: it is logged and becomes a 500, except for the
//! failures of storage that the crate `web` lists (busy, full, too large).

use crate::ports::PortError;
use lifecycle::refusal::{Refusal, ResourceKind};
use model::InvalidTransition;
use wire::{ErrorBody, Violations};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's mistake, with the body that describes it.
    #[error("{}: {}", .0.code(), .0.message())]
    Api(Box<ApiError>),
    #[error("the table could not be used")]
    Table(#[from] table::Error),
    #[error("the state changed in between")]
    Stale(#[from] InvalidTransition),
    /// Every try lost against another writer.
    #[error("too many writers of the same record")]
    Busy,
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("a file could not be used")]
    Io(#[from] std::io::Error),
    #[error("a message or an event could not be understood")]
    Json(#[from] serde_json::Error),
    #[error("a secret could not be opened")]
    Sealed,
    /// Work that is never given to a node (see `provided`) was given to one.
    #[error("a node needs {0}, which this version does not provide")]
    NotProvided(&'static str),
}

impl Error {
    /// Another writer was first: read again and plan again.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Table(error) => error.is_conflict(),
            Self::Stale(_) => true,
            Self::Api(_)
            | Self::Busy
            | Self::Port(_)
            | Self::Io(_)
            | Self::Json(_)
            | Self::Sealed
            | Self::NotProvided(_) => false,
        }
    }
}

impl Error {
    /// Whether the next action would fail likewise: the table cannot be used.
    pub fn is_systemic(&self) -> bool {
        match self {
            Self::Table(error) => match error {
                table::Error::Throttled(_)
                | table::Error::StorageFull(_)
                | table::Error::Other(_) => true,
                table::Error::Conflict { .. }
                | table::Error::TooLarge(_)
                | table::Error::Invalid(_) => false,
            },
            Self::Busy => true,
            Self::Api(_)
            | Self::Stale(_)
            | Self::Port(_)
            | Self::Io(_)
            | Self::Json(_)
            | Self::Sealed
            | Self::NotProvided(_) => false,
        }
    }

    /// The error and everything that caused it, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        text
    }
}

/// What the caller did wrong, by HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    Invalid,
    Denied,
    NotFound,
    Conflict,
    Gone,
}

#[derive(Debug)]
pub struct ApiError {
    pub kind: ApiErrorKind,
    pub body: ErrorBody,
}

impl ApiError {
    pub fn new(kind: ApiErrorKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, body: ErrorBody::new(code, message) }
    }

    pub fn code(&self) -> &str {
        &self.body.error.code
    }

    pub fn message(&self) -> &str {
        &self.body.error.message
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        ApiError { kind: ApiErrorKind::Invalid, body: violations.body() }.into()
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Stale(refused) => refused.into(),
            Refusal::TooLarge(_) => Self::invalid("RequestTooLarge", message),
            Refusal::ClusterBeyondNodes { .. }
            | Refusal::JobBeyondNodes { .. }
            | Refusal::JobBeyondCores { .. } => Self::invalid("QuotaExceeded", message),
            Refusal::TooManyClusters { .. } => Self::conflict("QuotaExceeded", message),
            Refusal::BeingDeleted { .. } => Self::conflict("ResourceBeingDeleted", message),
            Refusal::Exists { kind, .. } => Self::conflict(exists(kind), message),
            Refusal::InAnotherRegion { .. } => {
                Self::conflict("InvalidResourceGroupLocation", message)
            }
            Refusal::FileServerInCreation { .. } | Refusal::FileServerFailed { .. } => {
                Self::conflict("FileServerNotReady", message)
            }
            Refusal::RoleAssignmentDiffers => {
                Self::conflict("RoleAssignmentUpdateNotPermitted", message)
            }
            Refusal::RoleAssignmentExists { .. } => Self::conflict("RoleAssignmentExists", message),
            Refusal::TooManyRoleAssignments { .. } => {
                Self::conflict("RoleAssignmentLimitExceeded", message)
            }
            Refusal::TokenExists { .. } => Self::conflict("TokenExists", message),
            Refusal::TooManyTokens { .. } => Self::conflict("TokenLimitExceeded", message),
        }
    }
}

fn exists(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::ResourceGroup => "ResourceGroupExists",
        ResourceKind::Workspace => "WorkspaceExists",
        ResourceKind::Experiment => "ExperimentExists",
        ResourceKind::FileServer => "FileServerExists",
        ResourceKind::Cluster => "ClusterExists",
        ResourceKind::Job => "JobExists",
    }
}

impl Error {
    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Invalid, code, message).into()
    }

    pub fn not_found(kind: wire::ResourceKind, name: &str) -> Self {
        ApiError { kind: ApiErrorKind::NotFound, body: ErrorBody::not_found(kind, name) }.into()
    }

    pub fn conflict(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Conflict, code, message).into()
    }

    pub fn denied(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Denied, code, message).into()
    }

    pub fn gone(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Gone, code, message).into()
    }
}
