//! Errors of the SDK as errors of ports, by what the caller does about them.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use control::ports::PortError;

/// Codes of requests that are too many (AWS SDKs and Tools Reference Guide, "Retry behavior").
const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
];

/// Codes of a missing permission.
const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException"];

pub(crate) fn port_error<E, R>(error: SdkError<E, R>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match error.code() {
        Some(code) if THROTTLED.contains(&code) => PortError::Throttled(Box::new(error)),
        Some(code) if DENIED.contains(&code) => PortError::Denied(Box::new(error)),
        Some(_) | None => PortError::Other(Box::new(error)),
    }
}
