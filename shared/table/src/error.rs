//! What can go wrong in storage, by what the caller does about it.

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A condition did not hold: another writer was first. Read again and plan again.
    #[error("a record changed since it was read")]
    Conflict {
        /// Positions of the writes whose condition failed; empty when the storage only reports that
        /// two transactions met.
        failed: Vec<usize>,
    },
    /// Try later; the state is fine.
    #[error("the table is throttled")]
    Throttled(#[source] Source),
    /// One item is larger than the table takes.
    #[error("the record is larger than the table takes: {0}")]
    TooLarge(String),
    /// More writes, reads or bytes than one call takes, or one item written twice: a defect of the
    /// caller, found before anything is sent.
    #[error("not a valid call of the table: {0}")]
    Invalid(String),
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

    pub fn other(source: impl Into<Source>) -> Self {
        Self::Other(source.into())
    }
}
