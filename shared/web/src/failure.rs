//! Why a request is refused: what the control plane reports, or what only HTTP knows.

use control::Error;
use http::Method;
use model::limits;
use wire::Violations;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Control(#[from] Error),
    /// 401: no token, or one that nobody has.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// 405 with `Allow` (RFC 9110, section 15.5.6).
    #[error("The method {method} is not supported here; use {}", .allowed.join(" or "))]
    MethodNotAllowed { method: Method, allowed: Vec<&'static str> },
    /// 413 (RFC 9110, section 15.5.14).
    #[error("The body is larger than {} bytes", limits::MAX_BODY_BYTES)]
    BodyTooLarge,
}

impl From<Violations> for Failure {
    fn from(violations: Violations) -> Self {
        Self::Control(violations.into())
    }
}
