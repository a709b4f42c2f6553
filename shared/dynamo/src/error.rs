//! Converts errors of the SDK, grouped by what the caller does about them.
//!
//! A conflict or a throttled request changed nothing. After any other error the request may have
//! been
//! carried out.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use std::error::Error as StdError;
use table::Error;

pub(crate) fn from_sdk<E, R>(error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let message = error.message().unwrap_or_default();
    match error.code().unwrap_or_default() {
        "ConditionalCheckFailedException" => Error::Conflict { failed: vec![0] },
        "TransactionConflictException" => Error::Conflict { failed: Vec::new() },
        code if is_throttling(code) => Error::Throttled(Box::new(error)),
        "ValidationException" if message.contains("Item size") => {
            Error::TooLarge(message.to_owned())
        }
        _ => Error::Other(Box::new(error)),
    }
}

pub(crate) fn from_transaction<R>(error: SdkError<TransactWriteItemsError, R>) -> Error
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) =
        error.as_service_error()
    else {
        return from_sdk(error);
    };
    let reasons = canceled.cancellation_reasons();
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
    let failed: Vec<usize> =
        (0..codes.len()).filter(|index| codes[*index] == "ConditionalCheckFailed").collect();
    // A failed condition takes precedence over a transaction conflict, as the caller can use it.
    if !failed.is_empty() || codes.contains(&"TransactionConflict") {
        return Error::Conflict { failed };
    }
    if codes.iter().any(|code| is_throttling(code)) {
        return Error::Throttled(Box::new(error));
    }
    let messages = reasons.iter().filter_map(|reason| reason.message());
    match messages.into_iter().find(|message| message.contains("Item size")) {
        Some(message) => Error::TooLarge(message.to_owned()),
        None => Error::Other(Box::new(error)),
    }
}

/// Error codes of requests, and of reasons in a cancelled transaction.
fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException"
            | "ProvisionedThroughputExceeded"
            | "RequestLimitExceeded"
            | "ThrottlingException"
            | "ThrottlingError"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;

    /// The variant, and the positions of a conflict.
    fn kind(error: &Error) -> String {
        match error {
            Error::Conflict { failed } => format!("conflict {failed:?}"),
            Error::Throttled(_) => "throttled".to_owned(),
            Error::TooLarge(_) => "too large".to_owned(),
            Error::Other(_) => "other".to_owned(),
            Error::Invalid(_) | Error::StorageFull(_) => "unexpected".to_owned(),
        }
    }

    fn of_request(code: &str, message: &str) -> String {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        kind(&from_sdk(SdkError::service_error(PutItemError::generic(metadata), ())))
    }

    fn of_transaction(reasons: &[(&str, &str)]) -> String {
        let reason = |(code, message): &(&str, &str)| {
            CancellationReason::builder().code(*code).message(*message).build()
        };
        let canceled = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.iter().map(reason).collect()))
            .build();
        let error = TransactWriteItemsError::TransactionCanceledException(canceled);
        kind(&from_transaction(SdkError::service_error(error, ())))
    }

    #[test]
    fn requests() {
        for (code, message, expected) in [
            ("ConditionalCheckFailedException", "", "conflict [0]"),
            ("TransactionConflictException", "", "conflict []"),
            ("ProvisionedThroughputExceededException", "", "throttled"),
            ("RequestLimitExceeded", "", "throttled"),
            ("ThrottlingException", "", "throttled"),
            ("ValidationException", "Item size has exceeded the maximum allowed size", "too large"),
            ("ValidationException", "One or more parameter values were invalid", "other"),
            ("ResourceNotFoundException", "", "other"),
            ("InternalServerError", "", "other"),
            ("TransactionInProgressException", "", "other"),
        ] {
            assert_eq!(of_request(code, message), expected, "{code}: {message}");
        }
        let lost = SdkError::<PutItemError, ()>::timeout_error("no answer in time");
        assert_eq!(kind(&from_sdk(lost)), "other");
    }

    #[test]
    fn transactions() {
        let fine = ("None", "");
        let failed = ("ConditionalCheckFailed", "");
        let met = ("TransactionConflict", "");
        let throttled = ("ThrottlingError", "");
        let exceeded = ("ProvisionedThroughputExceeded", "");
        let too_large = ("ValidationError", "Item size to update has exceeded the maximum");
        for (reasons, expected) in [
            (vec![failed, fine, failed], "conflict [0, 2]"),
            (vec![fine, met], "conflict []"),
            (vec![met, failed], "conflict [1]"),
            (vec![throttled, failed], "conflict [1]"),
            (vec![fine, throttled], "throttled"),
            (vec![exceeded, fine], "throttled"),
            (vec![fine, too_large], "too large"),
            (vec![fine, ("ValidationError", "an empty key")], "other"),
            (vec![], "other"),
        ] {
            assert_eq!(of_transaction(&reasons), expected, "{reasons:?}");
        }
    }
}
