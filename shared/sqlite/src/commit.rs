//! One commit within the transaction of its group: first all conditions, then all writes.

use crate::rows::{self, Stored};
use rusqlite::{Connection, Result};
use table::{Attributes, Body, Error, Item, Key, Write, WriteKind};

/// A commit in the queue of the writer.
#[derive(Debug)]
pub(crate) struct Commit {
    /// The writes. Bodies are text.
    pub(crate) writes: Vec<Write>,
    /// Size of the item that each write puts, as [`table::limits::check_sizes`] counts it.
    pub(crate) sizes: Vec<usize>,
}

impl Commit {
    /// Tests all conditions before the first write, so a refused commit changes nothing and needs
    /// no savepoint. Returns for each write the size of the item before or after it, whichever is
    /// larger, to be charged once the group is on disk.
    ///
    /// The outer error is one of the database, after which the transaction must be rolled back.
    pub(crate) fn carry_out(&self, connection: &Connection) -> Result<Result<Vec<usize>, Error>> {
        let mut stored = Vec::with_capacity(self.writes.len());
        let mut failed = Vec::new();
        for (index, write) in self.writes.iter().enumerate() {
            let found = rows::find(connection, &write.key)?;
            if !write.holds(found.as_ref().map(|found| &found.attributes)) {
                failed.push(index);
            }
            stored.push(found);
        }
        if !failed.is_empty() {
            return Ok(Err(Error::Conflict { failed }));
        }
        let mut sizes = self.sizes.clone();
        for ((write, stored), size) in self.writes.iter().zip(&stored).zip(&mut sizes) {
            *size = apply(connection, write, stored.as_ref(), *size)?;
        }
        Ok(Ok(sizes))
    }
}

/// Carries out a write. Returns the size of the item before or after it, whichever is larger; `put`
/// is the size of the item that is put.
fn apply(
    connection: &Connection,
    write: &Write,
    stored: Option<&Stored>,
    put: usize,
) -> Result<usize> {
    let key = &write.key;
    let before = stored.map_or(0, |stored| size(key, &stored.attributes, stored.body_bytes));
    let after = match (&write.kind, stored) {
        (WriteKind::Put { attributes, body }, stored) => {
            rows::put(connection, key, stored, attributes, text(body))?;
            put
        }
        (WriteKind::Delete, Some(stored)) => {
            rows::delete(connection, stored)?;
            0
        }
        (WriteKind::Add(more), Some(stored)) => {
            let count = stored.attributes.count.unwrap_or(0).saturating_add(*more);
            rows::set_count(connection, stored, count)?;
            let attributes = Attributes { count: Some(count), ..stored.attributes.clone() };
            size(key, &attributes, stored.body_bytes)
        }
        (WriteKind::Add(count), None) => {
            let attributes = Attributes { count: Some(*count), ..Attributes::default() };
            rows::put(connection, key, None, &attributes, None)?;
            size(key, &attributes, None)
        }
        (WriteKind::SetSeenAt(time), Some(stored)) => {
            rows::set_seen_at(connection, stored, *time)?;
            let attributes = Attributes { seen_at: Some(*time), ..stored.attributes.clone() };
            size(key, &attributes, stored.body_bytes)
        }
        (WriteKind::Check, _) | (WriteKind::Delete | WriteKind::SetSeenAt(_), None) => before,
    };
    Ok(before.max(after))
}

/// [`Item::size`] without the text of the body.
fn size(key: &Key, attributes: &Attributes, body_bytes: Option<usize>) -> usize {
    let item = Item { key: key.clone(), attributes: attributes.clone(), body: Body::None };
    let body = body_bytes.map_or(0, |bytes| "body".len() + bytes);
    body + item.size().expect("an item without a body has a size")
}

fn text(body: &Body) -> Option<&str> {
    match body {
        Body::Text(text) => Some(text),
        Body::None => None,
        Body::Value(_) => unreachable!("the body was written as text before the queue"),
    }
}
