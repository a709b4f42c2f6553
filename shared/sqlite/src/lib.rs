//! Storage on SQLite, the embedded database of `batchai local`: one file, durable after each
//! answer,
//! no server.
//!
//! The rules of this crate: one connection writes and checkpoints the log, on its own thread;
//! commits
//! that wait at the same time share one transaction and one flush ([`queue`]), each with its own
//! conditions and result; reads run on the calling thread and do not wait for writers.

#![warn(missing_docs)]

mod commit;
mod error;
mod open;
mod queue;
mod reads;
mod rows;
mod sync;
mod writer;

pub use error::OpenError;

use async_trait::async_trait;
use commit::Commit;
use model::Timestamp;
use queue::Queue;
use reads::Readers;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use table::limits::{check_key, check_keys, check_sizes, check_writes};
use table::{Body, Consumed, Error, Item, Key, Range, Storage, Units, Write, WriteKind};
use writer::{Answer, Done, Request, Writer};

/// Capacity of the queue, in bytes of bodies. Further submitters wait for room.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Unit of the queue's capacity. A commit takes at least one unit, so at most 4,096 commits wait.
const QUEUE_UNIT_BYTES: usize = 4 * 1024;

/// Commits that share a flush. With more, the first would wait long for the last.
const MAX_GROUP: usize = 128;

/// Items that one [`Sqlite::sweep`] removes, so that commits do not wait long for it.
pub const SWEEP_ITEMS: usize = 1000;

/// Storage in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    readers: Readers,
    queue: Arc<Queue<Request, Answer>>,
    units: Arc<Units>,
    /// Taken when the store is dropped.
    writer: Option<JoinHandle<()>>,
}

impl Sqlite {
    /// Opens the database in this file, or creates it. SQLite keeps its log (`-wal`) and the index
    /// of the log (`-shm`) beside it.
    ///
    /// # Errors
    /// A file that is damaged, of another program, or of an older or newer version of the service
    /// is refused and left unchanged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let inaccessible = |source: std::io::Error| OpenError::Inaccessible {
            path: path.display().to_string(),
            source: source.into(),
        };
        let path = std::path::absolute(path).map_err(inaccessible)?;
        let connection = open::writer(&path)?;
        let units = Arc::new(Units::default());
        let mut writer = Writer::new(connection, path.clone(), Arc::clone(&units));
        let queue = Arc::new(Queue::new((QUEUE_BYTES / QUEUE_UNIT_BYTES) as u32, MAX_GROUP));
        let thread = {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("sqlite-writer".to_owned());
            thread.spawn(move || queue.run(&mut writer)).map_err(inaccessible)?
        };
        Ok(Self { readers: Readers::new(path), queue, units, writer: Some(thread) })
    }

    /// Removes items whose `expires_at` has passed, at most [`SWEEP_ITEMS`]. Returns their number.
    /// DynamoDB does this by itself.
    ///
    /// # Errors
    /// The error of the database.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize, Error> {
        let now_seconds = now.0.div_euclid(1000);
        match self.submit(Request::Sweep { now_seconds, limit: SWEEP_ITEMS }, 0).await? {
            Done::Swept { removed } => Ok(removed),
            Done::Committed(_) => Ok(0),
        }
    }

    /// A missing item is charged like a small item.
    fn charge_reads(&self, keys: usize, items: &[Item]) -> Result<(), Error> {
        for item in items {
            self.units.read_item(item.size()?);
        }
        (items.len()..keys).for_each(|_| self.units.read_item(0));
        Ok(())
    }

    async fn submit(&self, request: Request, bytes: usize) -> Answer {
        let weight = bytes.div_ceil(QUEUE_UNIT_BYTES) as u32;
        self.queue.submit(request, weight).await.map_err(Error::other)?
    }
}

#[async_trait]
impl Storage for Sqlite {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        check_key(key)?;
        let found = self.readers.get(key)?;
        self.charge_reads(1, found.as_slice())?;
        Ok(found)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        check_keys(keys)?;
        let found = self.readers.get_many(keys)?;
        self.charge_reads(keys.len(), &found)?;
        Ok(found)
    }

    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        let found = self.readers.range(range)?;
        let sizes: Result<Vec<usize>, Error> = found.iter().map(Item::size).collect();
        self.units.read_range(sizes?.iter().sum());
        Ok(found)
    }

    async fn commit(&self, mut writes: Vec<Write>) -> Result<(), Error> {
        check_writes(&writes)?;
        write_bodies(&mut writes)?;
        let sizes = check_sizes(&writes)?;
        let bytes = sizes.iter().sum();
        self.submit(Request::Commit(Commit { writes, sizes }), bytes).await?;
        Ok(())
    }

    fn consumed(&self) -> Consumed {
        self.units.consumed()
    }
}

impl Drop for Sqlite {
    /// Writes the queue first. The writer's connection closes last: it checkpoints and removes the
    /// log, which a read-only connection cannot do.
    fn drop(&mut self) {
        self.readers.close();
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the database failed");
        }
    }
}

/// Converts values to text, once, on the thread of the submitter.
fn write_bodies(writes: &mut [Write]) -> Result<(), Error> {
    for write in writes {
        if let WriteKind::Put { body, .. } = &mut write.kind {
            *body = body.to_text()?.map_or(Body::None, Body::Text);
        }
    }
    Ok(())
}
