//! The table: typed reads and commits over one [`Storage`].

use crate::item::Key;
use crate::limits::MAX_READS;
use crate::record::{self, Stored};
use crate::{Consumed, Error, Range, Storage, Writes};
use std::sync::Arc;

/// The table. Clones share the storage.
#[derive(Clone, Debug)]
pub struct Table {
    storage: Arc<dyn Storage>,
}

impl Table {
    /// A table on this storage.
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// Read and write units so far.
    pub fn consumed(&self) -> Consumed {
        self.storage.consumed()
    }

    /// Carries out all writes or none. Does nothing if there are no writes.
    ///
    /// # Errors
    /// The errors of [`Storage::commit`].
    pub async fn commit(&self, writes: Writes) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        self.storage.commit(writes.into_vec()).await
    }

    pub(crate) async fn get<R: Stored>(&self, key: Key) -> Result<Option<R>, Error> {
        self.storage.get(&key).await?.as_ref().map(record::from_item).transpose()
    }

    /// Items by key, in no particular order; missing ones are left out.
    pub(crate) async fn get_many<R: Stored>(&self, keys: &[Key]) -> Result<Vec<R>, Error> {
        if let [key] = keys {
            return Ok(self.get(key.clone()).await?.into_iter().collect());
        }
        let mut found = Vec::with_capacity(keys.len());
        for some in keys.chunks(MAX_READS) {
            for item in self.storage.get_many(some).await? {
                found.push(record::from_item(&item)?);
            }
        }
        Ok(found)
    }

    /// Items of a range, each with its sort key.
    pub(crate) async fn range<R: Stored>(&self, range: Range) -> Result<Vec<(String, R)>, Error> {
        let items = self.storage.range(&range).await?;
        items.into_iter().map(|it| Ok((record::from_item(&it)?, it.key.sk))).map(swap).collect()
    }

    /// The values of a range of counters, each with its sort key.
    pub(crate) async fn counts(&self, range: Range) -> Result<Vec<(String, u32)>, Error> {
        let items = self.storage.range(&range).await?;
        items.into_iter().map(|it| Ok((record::count(&it)?, it.key.sk))).map(swap).collect()
    }
}

fn swap<T>(pair: Result<(T, String), Error>) -> Result<(String, T), Error> {
    pair.map(|(value, sk)| (sk, value))
}
