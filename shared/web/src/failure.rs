//! Why a request is refused: an error of the control plane, or one of HTTP itself.

use control::Error;
use http::Method;
use model::limits;
use wire::Violations;

/// Why a request gets no response of its operation.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An error of the control plane, with its own status.
    #[error(transparent)]
    Control(#[from] Error),
    /// 401: no token, or an unknown or expired one.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// 405 with `Allow` (RFC 9110, section 15.5.6).
    #[error("The method {method} is not supported here; use {}", .allowed.join(" or "))]
    MethodNotAllowed {
        /// That of the request.
        method: Method,
        /// Those that the path supports.
        allowed: Vec<&'static str>,
    },
    /// 413 (RFC 9110, section 15.5.14).
    #[error("The body is larger than {} bytes", limits::MAX_BODY_BYTES)]
    BodyTooLarge,
}

impl From<Violations> for Failure {
    fn from(violations: Violations) -> Self {
        Self::Control(violations.into())
    }
}
