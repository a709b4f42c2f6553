//! What can go wrong with the table, by what the caller does about it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use std::error::Error as StdError;

type Source = Box<dyn StdError + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A condition did not hold: somebody else wrote first. Read again and plan again.
    #[error("a record changed since it was read")]
    Conflict {
        /// Positions in the transaction whose condition failed; empty when the table only said
        /// that transactions met.
        failed: Vec<usize>,
    },
    /// Try later; the state is fine.
    #[error("the table is throttled")]
    Throttled(#[source] Source),
    /// The item is too large for the table.
    #[error("the record is larger than the table takes")]
    TooLarge(#[source] Source),
    /// No space is left where the table is stored.
    #[error("there is no space left for the table")]
    StorageFull(#[source] Source),
    #[error("the table failed")]
    Other(#[source] Source),
}

impl Error {
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    pub(crate) fn other(source: impl Into<Source>) -> Self {
        Self::Other(source.into())
    }
}

/// Sorts what the SDK reports. The embedded engine reports a full disk as an internal error whose
/// text is SQLite's.
pub(crate) fn from_sdk<E, R>(error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default().to_owned();
    let message = error.message().unwrap_or_default().to_owned();
    let source: Source = Box::new(error);
    match code.as_str() {
        "ConditionalCheckFailedException" => Error::Conflict { failed: vec![0] },
        "TransactionConflictException" => Error::Conflict { failed: Vec::new() },
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException" => Error::Throttled(source),
        "ValidationException" if message.contains("Item size") => Error::TooLarge(source),
        _ if message.contains("disk is full") || message.contains("disk I/O error") => {
            Error::StorageFull(source)
        }
        _ => Error::Other(source),
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
    if !failed.is_empty() || codes.contains(&"TransactionConflict") {
        return Error::Conflict { failed };
    }
    if codes.iter().any(|code| code.contains("Throttling") || code.contains("Throughput")) {
        return Error::Throttled(Box::new(error));
    }
    let too_large = reasons
        .iter()
        .any(|reason| reason.message().is_some_and(|message| message.contains("Item size")));
    if too_large { Error::TooLarge(Box::new(error)) } else { Error::Other(Box::new(error)) }
}
