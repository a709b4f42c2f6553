//! The interface to a database.

use crate::{Consumed, Error, Item, Key, Write};
use async_trait::async_trait;

/// A store of items. All reads are strongly consistent, as decisions rest on them. Every
/// implementation applies the limits of DynamoDB ([`crate::limits`]) and counts what DynamoDB would
/// charge, so that what works on one machine works on AWS.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// Reads an item; `None` if it does not exist.
    ///
    /// # Errors
    /// The error of the database.
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error>;

    /// Reads up to [`crate::limits::MAX_READS`] items. The result has the existing ones in no
    /// particular order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for too many keys or a duplicate key.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error>;

    /// Reads items of one partition in the order of their sort keys (by bytes).
    ///
    /// # Errors
    /// The error of the database.
    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error>;

    /// Carries out all writes or none.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a condition did not hold, [`Error::Invalid`] and [`Error::TooLarge`]
    /// beyond the limits. After any other error the writes may have been carried out. The
    /// conditions make a repetition harmless; a read shows the result.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), Error>;

    /// Read and write units so far, as DynamoDB charges them.
    fn consumed(&self) -> Consumed;
}

/// A range of sort keys in one partition.
#[derive(Clone, Debug)]
pub struct Range {
    /// The partition.
    pub pk: String,
    /// Prefix of the sort keys.
    pub prefix: String,
    /// Only sort keys after this one.
    pub after: Option<String>,
    /// At most this many items.
    pub limit: Option<usize>,
}
