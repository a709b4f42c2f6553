//! What the table needs of a database.

use crate::{Consumed, Error, Item, Key, Write};
use async_trait::async_trait;

/// A store of items. All reads are strongly consistent: decisions are made on them. Every
/// implementation keeps the limits of DynamoDB ([`crate::limits`]) and counts what DynamoDB would
/// charge, so that what passes on one machine passes on AWS.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// # Errors
    /// What the database reports; a missing item is `None`.
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error>;

    /// Up to [`crate::limits::MAX_READS`] items, in no particular order; missing ones are left out.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more keys, or for one key twice.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error>;

    /// Items of one partition in the order of their sort keys (by bytes).
    ///
    /// # Errors
    /// What the database reports.
    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error>;

    /// Carries out all writes or none.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a condition did not hold, [`Error::Invalid`] and
    /// [`Error::TooLarge`] beyond the limits. After any other error the writes may have happened:
    /// the conditions make a repetition harmless, reading again tells.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), Error>;

    /// Read and write units so far, as DynamoDB charges them.
    fn consumed(&self) -> Consumed;
}

#[derive(Clone, Debug)]
pub struct Range {
    pub pk: String,
    /// Of the sort key.
    pub prefix: String,
    /// Starts behind this sort key.
    pub after: Option<String>,
    pub limit: Option<usize>,
}
