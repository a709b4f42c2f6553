//! Items as rows: the SQL statements and the columns.
//!
//! A row has a column for each attribute that conditions test, and the value as one JSON text. Text
//! is
//! compared by bytes, which is the order of sort keys.

use rusqlite::{Connection, Result, Row};
use std::sync::Arc;
use table::{Attributes, Body, Item, Key};

/// The schema. A rowid table with SQLite's usual page of 4 KiB: clustered by key (`WITHOUT ROWID`),
/// bodies above 1 KB would go to pages of their own. Measured, commits of the service write 26 KB
/// of log each in this shape and 36 KB clustered, twice that with pages of 8 KiB.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE items (
        pk TEXT NOT NULL,
        sk TEXT NOT NULL,
        version INTEGER,
        uid TEXT,
        active INTEGER,
        scheduled INTEGER,
        seen_at INTEGER,
        expires_at INTEGER,
        count INTEGER,
        body TEXT,
        PRIMARY KEY (pk, sk)
    ) STRICT;
    CREATE INDEX items_by_expiry ON items (expires_at) WHERE expires_at IS NOT NULL;";

macro_rules! attributes {
    () => {
        "version, uid, active, scheduled, seen_at, expires_at, count"
    };
}

/// `octet_length` gives the size of a body without reading it.
const FIND: &str = concat!(
    "SELECT ",
    attributes!(),
    ", octet_length(body), rowid FROM items WHERE pk = ?1 AND sk = ?2"
);

const GET: &str = concat!("SELECT ", attributes!(), ", body FROM items WHERE pk = ?1 AND sk = ?2");

/// The lower bound of a range is inclusive or exclusive. The end of the range is detected while the
/// rows are read.
pub(crate) const RANGE_FROM: &str = concat!(
    "SELECT ",
    attributes!(),
    ", body, sk FROM items WHERE pk = ?1 AND sk >= ?2 ORDER BY sk"
);
pub(crate) const RANGE_AFTER: &str = concat!(
    "SELECT ",
    attributes!(),
    ", body, sk FROM items WHERE pk = ?1 AND sk > ?2 ORDER BY sk"
);

const INSERT: &str = concat!(
    "INSERT INTO items (",
    attributes!(),
    ", body, pk, sk) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
);

const UPDATE: &str = concat!(
    "UPDATE items SET (",
    attributes!(),
    ", body) = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) WHERE rowid = ?9"
);

const DELETE: &str = "DELETE FROM items WHERE rowid = ?1";
const SET_COUNT: &str = "UPDATE items SET count = ?2 WHERE rowid = ?1";
const SET_SEEN_AT: &str = "UPDATE items SET seen_at = ?2 WHERE rowid = ?1";

const SWEEP: &str = "DELETE FROM items WHERE rowid IN
     (SELECT rowid FROM items WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

const BODY_COLUMN: usize = 7;
pub(crate) const SK_COLUMN: usize = 8;
const ROWID_COLUMN: usize = 8;

/// An item before a write.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) attributes: Attributes,
    /// Size of the body; `None` if there is none.
    pub(crate) body_bytes: Option<usize>,
    rowid: i64,
}

pub(crate) fn find(connection: &Connection, key: &Key) -> Result<Option<Stored>> {
    let mut statement = connection.prepare_cached(FIND)?;
    let mut rows = statement.query((&key.pk, &key.sk))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let body_bytes = row.get(BODY_COLUMN)?;
    Ok(Some(Stored { attributes: attributes_of(row)?, body_bytes, rowid: row.get(ROWID_COLUMN)? }))
}

pub(crate) fn get(connection: &Connection, key: &Key) -> Result<Option<Item>> {
    let mut statement = connection.prepare_cached(GET)?;
    let mut rows = statement.query((&key.pk, &key.sk))?;
    rows.next()?.map(|row| item(row, key.clone())).transpose()
}

/// The item in a row of [`GET`] or of a range.
pub(crate) fn item(row: &Row<'_>, key: Key) -> Result<Item> {
    let body = row
        .get_ref(BODY_COLUMN)?
        .as_str_or_null()?
        .map_or(Body::None, |text| Body::Text(Arc::from(text)));
    Ok(Item { key, attributes: attributes_of(row)?, body })
}

fn attributes_of(row: &Row<'_>) -> Result<Attributes> {
    Ok(Attributes {
        // SQLite has only signed numbers; the bits are the same.
        version: row.get::<_, Option<i64>>(0)?.map(|version| version as u64),
        uid: row.get(1)?,
        active: row.get(2)?,
        scheduled: row.get(3)?,
        seen_at: row.get(4)?,
        expires_at: row.get(5)?,
        count: row.get(6)?,
    })
}

/// Updates the stored row, or inserts a new one.
pub(crate) fn put(
    connection: &Connection,
    key: &Key,
    stored: Option<&Stored>,
    attributes: &Attributes,
    body: Option<&str>,
) -> Result<()> {
    let Attributes { version, uid, active, scheduled, seen_at, expires_at, count } = attributes;
    let version = version.map(|version| version as i64);
    match stored {
        Some(Stored { rowid, .. }) => connection
            .prepare_cached(UPDATE)?
            .execute((version, uid, active, scheduled, seen_at, expires_at, count, body, rowid))?,
        None => connection.prepare_cached(INSERT)?.execute((
            version, uid, active, scheduled, seen_at, expires_at, count, body, &key.pk, &key.sk,
        ))?,
    };
    Ok(())
}

pub(crate) fn delete(connection: &Connection, stored: &Stored) -> Result<()> {
    connection.prepare_cached(DELETE)?.execute([stored.rowid])?;
    Ok(())
}

pub(crate) fn set_count(connection: &Connection, stored: &Stored, count: i64) -> Result<()> {
    connection.prepare_cached(SET_COUNT)?.execute((stored.rowid, count))?;
    Ok(())
}

pub(crate) fn set_seen_at(connection: &Connection, stored: &Stored, time: i64) -> Result<()> {
    connection.prepare_cached(SET_SEEN_AT)?.execute((stored.rowid, time))?;
    Ok(())
}

/// Removes up to `limit` items that expired before `now_seconds`.
pub(crate) fn sweep(connection: &Connection, now_seconds: i64, limit: usize) -> Result<usize> {
    connection.prepare_cached(SWEEP)?.execute((now_seconds, limit as i64))
}
