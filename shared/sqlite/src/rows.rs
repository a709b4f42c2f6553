//! Items as rows: the statements, and what each column holds.
//!
//! A row has a column for each attribute that conditions test, and the value as one JSON text.
//! Text is compared by bytes, which is the order of sort keys.

use rusqlite::{Connection, Result, Row};
use std::sync::Arc;
use table::{Attributes, Body, Item, Key};

/// The schema. A rowid table: its rows of up to 4 KB stay on one page, where a table clustered by
/// key would move bodies above 1 KB to a page of their own.
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

const ATTRIBUTES: &str = concat!("SELECT ", attributes!(), " FROM items WHERE pk = ?1 AND sk = ?2");

const GET: &str = concat!("SELECT ", attributes!(), ", body FROM items WHERE pk = ?1 AND sk = ?2");

/// The first bound of a range is included or not; where it ends is seen from the rows, which are
/// read one by one.
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

const PUT: &str = concat!(
    "INSERT INTO items (pk, sk, ",
    attributes!(),
    ", body)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT (pk, sk) DO UPDATE SET version = ?3, uid = ?4, active = ?5, scheduled = ?6,
         seen_at = ?7, expires_at = ?8, count = ?9, body = ?10"
);

const DELETE: &str = "DELETE FROM items WHERE pk = ?1 AND sk = ?2";

const ADD: &str = "INSERT INTO items (pk, sk, count) VALUES (?1, ?2, ?3)
     ON CONFLICT (pk, sk) DO UPDATE SET count = ifnull(count, 0) + ?3";

const SEEN: &str = "UPDATE items SET seen_at = ?3 WHERE pk = ?1 AND sk = ?2";

const SWEEP: &str = "DELETE FROM items WHERE rowid IN
     (SELECT rowid FROM items WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

const BODY_COLUMN: usize = 7;
pub(crate) const SK_COLUMN: usize = 8;

/// What conditions test of one item; `None` when there is none.
pub(crate) fn find_attributes(connection: &Connection, key: &Key) -> Result<Option<Attributes>> {
    let mut statement = connection.prepare_cached(ATTRIBUTES)?;
    let mut rows = statement.query((&key.pk, &key.sk))?;
    rows.next()?.map(attributes_of).transpose()
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
        // SQLite has signed numbers only; the bits are kept.
        version: row.get::<_, Option<i64>>(0)?.map(|version| version as u64),
        uid: row.get(1)?,
        active: row.get(2)?,
        scheduled: row.get(3)?,
        seen_at: row.get(4)?,
        expires_at: row.get(5)?,
        count: row.get(6)?,
    })
}

pub(crate) fn put(
    connection: &Connection,
    key: &Key,
    attributes: &Attributes,
    body: Option<&str>,
) -> Result<usize> {
    let Attributes { version, uid, active, scheduled, seen_at, expires_at, count } = attributes;
    let version = version.map(|version| version as i64);
    connection.prepare_cached(PUT)?.execute((
        &key.pk, &key.sk, version, uid, active, scheduled, seen_at, expires_at, count, body,
    ))
}

pub(crate) fn delete(connection: &Connection, key: &Key) -> Result<usize> {
    connection.prepare_cached(DELETE)?.execute((&key.pk, &key.sk))
}

pub(crate) fn add(connection: &Connection, key: &Key, more: i64) -> Result<usize> {
    connection.prepare_cached(ADD)?.execute((&key.pk, &key.sk, more))
}

pub(crate) fn seen(connection: &Connection, key: &Key, time: i64) -> Result<usize> {
    connection.prepare_cached(SEEN)?.execute((&key.pk, &key.sk, time))
}

/// Removes up to `limit` items that expired before `now_seconds`.
pub(crate) fn sweep(connection: &Connection, now_seconds: i64, limit: usize) -> Result<usize> {
    connection.prepare_cached(SWEEP)?.execute((now_seconds, limit as i64))
}
