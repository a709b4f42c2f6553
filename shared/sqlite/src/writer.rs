//! The writer: one transaction of SQLite for each group of commits, each commit with its own
//! conditions and its own result.
//!
//! All conditions of a commit are tested before its first write, on what the earlier commits of
//! the group wrote. So a refused commit leaves nothing, and only an error of the database undoes
//! a group; then each of its members gets a transaction of its own.

use crate::error::table_error;
use crate::queue::Disk;
use crate::rows;
use rusqlite::{Connection, TransactionBehavior};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use table::{Body, Error, Units, Write, WriteKind};

/// Pages that the log gains before it is copied into the database.
const CHECKPOINT_PAGES: u32 = 1000;

thread_local! {
    /// Pages in the log, as SQLite reports them after each commit to the thread that made it.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

#[derive(Debug)]
pub(crate) enum Request {
    Commit {
        /// Bodies are text.
        writes: Vec<Write>,
        /// Sizes in bytes of what each write puts.
        sizes: Vec<usize>,
    },
    /// Removes up to `limit` items that expired before `now_seconds`.
    Sweep { now_seconds: i64, limit: usize },
}

#[derive(Debug)]
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    units: Arc<Units>,
    /// Pages in the log when it was last copied.
    copied: u32,
}

/// What one request did: `Ok` with the number of items it removed, or refused.
type Done = Result<usize, Error>;

impl Disk for Writer {
    type Request = Request;
    type Answer = Done;

    fn write(&mut self, group: &[Request]) -> Vec<Done> {
        let answers = match self.write_together(group) {
            Ok(answers) => answers,
            Err(error) if group.len() == 1 => vec![Err(self.failed(error))],
            Err(error) => {
                tracing::warn!(%error, commits = group.len(), "a group of commits failed, each is tried alone");
                group.iter().map(|request| self.write_alone(request)).collect()
            }
        };
        for (request, answer) in group.iter().zip(&answers) {
            if answer.is_ok() {
                self.count_units(request);
            }
        }
        answers
    }

    /// Copies the log here and nowhere else: up to 3.51.2, SQLite may damage a database whose log
    /// two connections copy at the same time (sqlite.org/wal.html, "The WAL-Reset Bug").
    fn maintain(&mut self) {
        let pages = LOG_PAGES.get();
        if pages < self.copied {
            self.copied = 0;
        }
        if pages - self.copied < CHECKPOINT_PAGES {
            return;
        }
        self.copied = pages;
        let copied = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = copied {
            tracing::warn!(%error, "the log could not be copied into the database");
        }
    }
}

impl Writer {
    /// Copies the log itself, after answers are sent, instead of within a commit.
    pub(crate) fn new(connection: Connection, path: PathBuf, units: Arc<Units>) -> Self {
        connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        Self { connection, path, units, copied: 0 }
    }

    fn write_together(&mut self, group: &[Request]) -> rusqlite::Result<Vec<Done>> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            answers.push(carry_out(&transaction, request)?);
        }
        transaction.commit()?;
        Ok(answers)
    }

    fn write_alone(&mut self, request: &Request) -> Done {
        match self.write_together(std::slice::from_ref(request)) {
            Ok(mut answers) => answers.pop().expect("one request has one answer"),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        tracing::error!(%error, "a commit failed");
        table_error(error, &self.path)
    }

    fn count_units(&self, request: &Request) {
        let Request::Commit { writes, sizes } = request else { return };
        self.units.commit(writes, sizes);
    }
}

/// `Err` is an error of the database, after which the transaction must be undone.
fn carry_out(connection: &Connection, request: &Request) -> rusqlite::Result<Done> {
    match request {
        Request::Commit { writes, .. } => commit(connection, writes),
        Request::Sweep { now_seconds, limit } => {
            rows::sweep(connection, *now_seconds, *limit).map(Ok)
        }
    }
}

fn commit(connection: &Connection, writes: &[Write]) -> rusqlite::Result<Done> {
    let mut failed = Vec::new();
    for (index, write) in writes.iter().enumerate() {
        if !holds(connection, write)? {
            failed.push(index);
        }
    }
    if !failed.is_empty() {
        return Ok(Err(Error::Conflict { failed }));
    }
    for write in writes {
        apply(connection, write)?;
    }
    Ok(Ok(0))
}

fn holds(connection: &Connection, write: &Write) -> rusqlite::Result<bool> {
    match write.condition {
        table::Condition::Always => Ok(true),
        _ => {
            let stored = rows::find_attributes(connection, &write.key)?;
            Ok(write.condition.holds(stored.as_ref()))
        }
    }
}

fn apply(connection: &Connection, write: &Write) -> rusqlite::Result<()> {
    let key = &write.key;
    match &write.kind {
        WriteKind::Check => 0,
        WriteKind::Put { attributes, body } => rows::put(connection, key, attributes, text(body))?,
        WriteKind::Delete => rows::delete(connection, key)?,
        WriteKind::Add(more) => rows::add(connection, key, *more)?,
        WriteKind::Seen(time) => rows::seen(connection, key, *time)?,
    };
    Ok(())
}

fn text(body: &Body) -> Option<&str> {
    match body {
        Body::Text(text) => Some(text),
        Body::None => None,
        Body::Value(_) => unreachable!("bodies are text in the queue"),
    }
}
