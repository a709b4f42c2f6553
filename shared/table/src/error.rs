//! Errors of storage, grouped by what the caller does about them.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call of the storage failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A condition did not hold: another writer was first. Read again and plan again.
    #[error("a record changed since it was read")]
    Conflict {
        /// Positions of the writes whose condition failed; empty if the storage only reports that
        /// two transactions conflicted.
        failed: Vec<usize>,
    },
    /// Try again later. Nothing was changed.
    #[error("the table is throttled")]
    Throttled(#[source] Source),
    /// An item is larger than the table allows.
    #[error("the record is larger than the table takes: {0}")]
    TooLarge(String),
    /// Too many writes, reads or bytes in one call, or one item written twice: a defect of the
    /// caller, found before anything is sent.
    #[error("not a valid call of the table: {0}")]
    Invalid(String),
    /// The disk of the table is full.
    #[error("there is no space left for the table")]
    StorageFull(#[source] Source),
    /// Any other failure. The call may have been carried out.
    #[error("the table failed")]
    Other(#[source] Source),
}

impl Error {
    /// Whether the caller should read and plan again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Any other failure.
    pub fn other(source: impl Into<Source>) -> Self {
        Self::Other(source.into())
    }
}
