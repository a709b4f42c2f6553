//! The writer: one SQLite transaction per group of requests.
//!
//! A refused commit leaves no trace in the transaction of its group. Only an error of the database
//! rolls a group back; then each request is tried in its own transaction and gets its own error.

use crate::commit::Commit;
use crate::error::table_error;
use crate::queue::Disk;
use crate::rows;
use rusqlite::{Connection, TransactionBehavior};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use table::{Error, Units};

/// New pages in the log before it is checkpointed.
const CHECKPOINT_PAGES: u32 = 1000;

thread_local! {
    /// Pages in the log, as SQLite reports them after each commit to the committing thread.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

#[derive(Debug)]
pub(crate) enum Request {
    Commit(Commit),
    /// Removes up to `limit` items that expired before `now_seconds`.
    Sweep {
        now_seconds: i64,
        limit: usize,
    },
}

/// The result of a request.
#[derive(Debug)]
pub(crate) enum Done {
    /// Size to charge for each write, in bytes.
    Committed(Vec<usize>),
    Swept {
        removed: usize,
    },
}

pub(crate) type Answer = Result<Done, Error>;

#[derive(Debug)]
pub(crate) struct Writer {
    connection: Connection,
    path: PathBuf,
    units: Arc<Units>,
    /// Pages in the log at the last checkpoint.
    copied: u32,
}

impl Disk for Writer {
    type Request = Request;
    type Answer = Answer;

    fn write(&mut self, group: &[Request]) -> Vec<Answer> {
        let answers = match self.write_together(group) {
            Ok(answers) => answers,
            Err(error) if group.len() == 1 => vec![Err(self.failed(error))],
            Err(error) => {
                let requests = group.len();
                tracing::warn!(%error, requests, "a group failed; trying its requests one by one");
                group.iter().map(|request| self.write_alone(request)).collect()
            }
        };
        for (request, answer) in group.iter().zip(&answers) {
            if let (Request::Commit(commit), Ok(Done::Committed(sizes))) = (request, answer) {
                self.units.commit(&commit.writes, sizes);
            }
        }
        answers
    }

    /// Checkpoints the log here and nowhere else: up to version 3.51.2, SQLite may damage a
    /// database if two connections checkpoint at the same time (sqlite.org/wal.html, "The WAL-Reset
    /// Bug").
    fn maintain(&mut self) {
        let pages = LOG_PAGES.get();
        if pages < self.copied {
            // The log started over.
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
    /// The hook replaces SQLite's automatic checkpoint, which would delay a commit.
    pub(crate) fn new(connection: Connection, path: PathBuf, units: Arc<Units>) -> Self {
        connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(u32::try_from(pages).unwrap_or(0));
            Ok(())
        }));
        Self { connection, path, units, copied: 0 }
    }

    fn write_together(&mut self, group: &[Request]) -> rusqlite::Result<Vec<Answer>> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            answers.push(carry_out(&transaction, request)?);
        }
        transaction.commit()?;
        Ok(answers)
    }

    fn write_alone(&mut self, request: &Request) -> Answer {
        match self.write_together(std::slice::from_ref(request)) {
            Ok(mut answers) => answers.pop().expect("one request has one answer"),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        tracing::error!(%error, "a commit failed");
        table_error(error, &self.path)
    }
}

fn carry_out(connection: &Connection, request: &Request) -> rusqlite::Result<Answer> {
    match request {
        Request::Commit(commit) => Ok(commit.carry_out(connection)?.map(Done::Committed)),
        Request::Sweep { now_seconds, limit } => {
            let removed = rows::sweep(connection, *now_seconds, *limit)?;
            Ok(Ok(Done::Swept { removed }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Queue;
    use table::{Attributes, Body, Condition, Key, Write, WriteKind};

    fn put(sk: &str, bytes: usize) -> Request {
        let kind = WriteKind::Put {
            attributes: Attributes::default(),
            body: Body::text("x".repeat(bytes)),
        };
        let key = Key { pk: "p".to_owned(), sk: sk.to_owned() };
        let writes = vec![Write { key, kind, condition: Condition::Absent }];
        Request::Commit(Commit { writes, sizes: vec![bytes] })
    }

    struct Broken;

    impl Disk for Broken {
        type Request = ();
        type Answer = ();

        fn write(&mut self, _group: &[()]) -> Vec<()> {
            panic!("a defect");
        }

        fn maintain(&mut self) {}
    }

    #[tokio::test]
    async fn a_panicking_writer_releases_all_submitters() {
        let queue = Arc::new(Queue::new(10, 1));
        let writer = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.run(&mut Broken))
        };
        let all = futures::future::join_all((0..20).map(|_| queue.submit((), 1)));
        assert!(all.await.iter().all(Result::is_err), "in the group, queued, and waiting for room");
        assert!(writer.join().is_err());
        assert!(queue.submit((), 1).await.is_err());
    }

    /// One request of a group does not fit; the others are not affected.
    #[test]
    fn a_group_that_fails_is_tried_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("batchai.db");
        let connection = crate::open::writer(&path).unwrap();
        connection.pragma_update(None, "max_page_count", 20).unwrap();
        let units = Arc::new(Units::default());
        let mut writer = Writer::new(connection, path.clone(), Arc::clone(&units));
        let group = || [put("a", 100), put("b", 200_000), put("c", 100), put("a", 100)];
        let answers = writer.write(&group());
        assert!(matches!(answers[0], Ok(Done::Committed(_))), "{:?}", answers[0]);
        assert!(matches!(answers[1], Err(Error::StorageFull(_))), "{:?}", answers[1]);
        assert!(matches!(answers[2], Ok(Done::Committed(_))), "{:?}", answers[2]);
        assert!(matches!(answers[3], Err(Error::Conflict { .. })), "{:?}", answers[3]);
        assert_eq!(units.consumed().write_units, 2.0, "failed requests are not charged");
        writer.connection.pragma_update(None, "max_page_count", 1000).unwrap();
        assert!(matches!(writer.write(&[put("b", 200_000)])[0], Ok(Done::Committed(_))));
    }
}
