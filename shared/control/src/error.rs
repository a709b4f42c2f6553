//! The errors of the control plane. An error of the caller is an [`ApiError`], which only explicit
//! constructors make. Any other error is internal: it is logged and becomes a 500, except for the
//! storage errors that the crate `web` lists (busy, full, too large).

use crate::ports::PortError;
use lifecycle::refusal::{Refusal, ResourceKind};
use model::InvalidTransition;
use wire::{ErrorBody, Violations};

/// An error of the control plane.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the caller, with the body that describes it.
    #[error("{}: {}", .0.code(), .0.message())]
    Api(Box<ApiError>),
    /// The storage failed, or a condition of a commit did not hold.
    #[error("the table could not be used")]
    Table(#[from] table::Error),
    /// A record no longer allows the transition: it changed since it was read.
    #[error("the state changed in the meantime")]
    Stale(#[from] InvalidTransition),
    /// Every try conflicted with another writer.
    #[error("too many writers of the same record")]
    Busy,
    /// A call of the cloud, or of what stands for it on one machine, failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The file system failed.
    #[error("a file could not be used")]
    Io(#[from] std::io::Error),
    /// A message or an event has an unknown form.
    #[error("a message or an event could not be parsed")]
    Json(#[from] serde_json::Error),
    /// A secret was encrypted with another key, or is damaged.
    #[error("a secret could not be decrypted")]
    Sealed,
    /// Work that is never given to a node (see `provided`) was given to one.
    #[error("a node needs {0}, which this version does not provide")]
    NotProvided(&'static str),
}

impl Error {
    /// Whether another writer was first: the caller reads and plans again.
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
    /// Whether further actions would fail for the same reason: the table is not available.
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

    /// The error and its causes, in one line.
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

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// The request breaks a rule.
    Invalid,
    /// The caller has no role that allows it.
    Denied,
    /// A resource does not exist.
    NotFound,
    /// The state of a resource, or a quota, does not allow it.
    Conflict,
    /// The resource existed and does not come back.
    Gone,
}

/// An error of the caller.
#[derive(Debug)]
pub struct ApiError {
    /// Determines the status of the response.
    pub kind: ApiErrorKind,
    /// The body of the response.
    pub body: ErrorBody,
}

impl ApiError {
    /// An error with this code and message.
    pub fn new(kind: ApiErrorKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, body: ErrorBody::new(code, message) }
    }

    /// The code of the body, such as `JobNotFound`.
    pub fn code(&self) -> &str {
        &self.body.error.code
    }

    /// The message of the body.
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
            Refusal::NotOnAMount { .. } => Self::invalid("OutputPathNotMounted", message),
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
    /// The request breaks a rule.
    pub fn invalid(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Invalid, code, message).into()
    }

    /// The named resource does not exist.
    pub fn not_found(kind: wire::ResourceKind, name: &str) -> Self {
        ApiError { kind: ApiErrorKind::NotFound, body: ErrorBody::not_found(kind, name) }.into()
    }

    /// The state of a resource, or a quota, does not allow the request.
    pub fn conflict(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Conflict, code, message).into()
    }

    /// The caller has no role that allows the request.
    pub fn denied(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Denied, code, message).into()
    }

    /// The resource existed and does not come back.
    pub fn gone(code: &str, message: impl Into<String>) -> Self {
        ApiError::new(ApiErrorKind::Gone, code, message).into()
    }
}
