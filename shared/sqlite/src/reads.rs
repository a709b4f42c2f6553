//! Reads, each on its own snapshot: they neither wait for the writer nor delay it.
//!
//! A read takes about ten microseconds and runs on the calling thread. A connection is never held
//! across an await, so there are at most as many connections in use as threads.

use crate::error::table_error;
use crate::open;
use crate::rows::{self, RANGE_AFTER, RANGE_FROM, SK_COLUMN};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use table::{Error, Item, Key, Range};

/// Idle connections that are kept. A read that finds none opens a new one.
const KEPT: usize = 4;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    free: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, free: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        self.read(|connection| rows::get(connection, key))
    }

    /// Reads all items from one snapshot.
    pub(crate) fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                found.extend(rows::get(connection, key)?);
            }
            transaction.commit()?;
            Ok(found)
        })
    }

    pub(crate) fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        self.read(|connection| read_range(connection, range))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let taken = self.free().pop();
        let attempt = || {
            let connection = taken.map_or_else(|| open::reader(&self.path), Ok)?;
            let found = read(&connection)?;
            let mut free = self.free();
            if free.len() < KEPT {
                free.push(connection);
            }
            Ok(found)
        };
        // A failed connection is not used again.
        attempt().map_err(|error| table_error(error, &self.path))
    }

    pub(crate) fn close(&self) {
        self.free().clear();
    }

    fn free(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_range(connection: &Connection, range: &Range) -> rusqlite::Result<Vec<Item>> {
    let Range { pk, prefix, after, limit } = range;
    let after = after.as_ref().filter(|after| *after >= prefix);
    let (sql, start) = after.map_or((RANGE_FROM, prefix), |after| (RANGE_AFTER, after));
    let limit = limit.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((pk, start))?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let sk = row.get_ref(SK_COLUMN)?.as_str()?;
        if !sk.starts_with(prefix.as_str()) {
            break;
        }
        found.push(rows::item(row, Key { pk: pk.clone(), sk: sk.to_owned() })?);
    }
    Ok(found)
}
