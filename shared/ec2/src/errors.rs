//! Errors of EC2, by what the service does about them.
//!
//! A call that fails says either that nothing was done for certain, or nothing at all. A fleet reports for
//! each pool why it gave no instance (Amazon EC2 API Reference, "Error codes").

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use control::ports::PortError;
use model::PoolProblem;

/// The error of a call.
pub(crate) type CallError<E> = SdkError<E, HttpResponse>;

/// Codes of calls that were too many.
const THROTTLED: [&str; 6] = [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "EC2ThrottledException",
    "RequestThrottled",
    "ResourceCountExceeded",
];

/// Codes of calls that the role of the function does not allow.
const DENIED: [&str; 5] =
    ["UnauthorizedOperation", "AuthFailure", "AccessDenied", "AccessDeniedException", "Blocked"];

/// The code and the message of an error, where EC2 answered.
pub(crate) fn answer<E: ProvideErrorMetadata>(error: &CallError<E>) -> Option<(&str, &str)> {
    let code = error.code()?;
    Some((code, error.message().unwrap_or_default()))
}

/// Whether the call had no effect for certain, now or before: EC2 refused the request itself. A launch
/// that was accepted before with other parameters has an effect.
pub(crate) fn is_refusal<E: ProvideErrorMetadata>(error: &CallError<E>) -> bool {
    let status = error.raw_response().map_or(0, |it| it.status().as_u16());
    let is_certain = |code: &str| {
        !THROTTLED.contains(&code)
            && !matches!(code, "IdempotentParameterMismatch" | "RequestExpired")
    };
    (400..500).contains(&status) && error.code().is_some_and(is_certain)
}

/// The error of the port.
pub(crate) fn port<E>(error: CallError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let text = match answer(&error) {
        Some((code, message)) => format!("EC2 answered {code}: {message}"),
        None => format!("EC2 did not answer: {}", chain(&error)),
    };
    match code.as_str() {
        code if THROTTLED.contains(&code) => PortError::Throttled(text.into()),
        code if DENIED.contains(&code) => PortError::Denied(text.into()),
        _ => PortError::other(text),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Why a pool gave no instance; `None` if the error does not concern the pool.
pub(crate) fn problem(code: &str) -> Option<PoolProblem> {
    match code {
        "InsufficientInstanceCapacity"
        | "InsufficientCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientFreeAddressesInSubnet"
        | "ReservationCapacityExceeded"
        | "SpotMaxPriceTooLow"
        | "UnfulfillableCapacity" => Some(PoolProblem::NoCapacity),
        "InstanceLimitExceeded"
        | "MaxFleetCountExceeded"
        | "MaxSpotInstanceCountExceeded"
        | "VcpuLimitExceeded" => Some(PoolProblem::LimitReached),
        "InvalidAvailabilityZone" | "Unsupported" | "UnsupportedOperation" => {
            Some(PoolProblem::NotOffered)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_pools() {
        for (code, expected) in [
            ("InsufficientInstanceCapacity", Some(PoolProblem::NoCapacity)),
            ("UnfulfillableCapacity", Some(PoolProblem::NoCapacity)),
            ("MaxSpotInstanceCountExceeded", Some(PoolProblem::LimitReached)),
            ("VcpuLimitExceeded", Some(PoolProblem::LimitReached)),
            ("Unsupported", Some(PoolProblem::NotOffered)),
            ("InvalidParameterValue", None),
            ("", None),
        ] {
            assert_eq!(problem(code), expected, "{code}");
        }
    }
}
