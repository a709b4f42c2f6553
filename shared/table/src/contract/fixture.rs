//! A fixture for the cases: a partition of their own, and short functions to write and read.

use crate::{Attributes, Body, Condition, Error, Item, Key, Range, Storage, Write, WriteKind};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone)]
pub(super) struct Fixture {
    pub storage: Arc<dyn Storage>,
    pub partition: String,
}

impl Fixture {
    pub fn new(storage: Arc<dyn Storage>, partition: String) -> Self {
        Self { storage, partition }
    }

    /// Another partition, for a case that needs several.
    pub fn beside(&self, suffix: &str) -> Self {
        Self::new(Arc::clone(&self.storage), format!("{}{suffix}", self.partition))
    }

    pub fn key(&self, sk: impl Into<String>) -> Key {
        Key { pk: self.partition.clone(), sk: sk.into() }
    }

    pub fn write(&self, sk: &str, kind: WriteKind, condition: Condition) -> Write {
        Write { key: self.key(sk), kind, condition }
    }

    pub fn put(&self, sk: &str, attributes: Attributes, body: &str) -> Write {
        let kind = WriteKind::Put { attributes, body: Body::text(body) };
        self.write(sk, kind, Condition::Always)
    }

    /// A put of an item of exactly this many bytes.
    pub fn put_sized(&self, sk: &str, bytes: usize) -> Write {
        let write = self.put(sk, Attributes::default(), &self.filler(sk, bytes));
        let WriteKind::Put { attributes, body } = write.kind.clone() else { return write };
        let size = Item { key: self.key(sk), attributes, body }.size().expect("text has a size");
        assert_eq!(size, bytes, "the item has the requested size");
        write
    }

    fn filler(&self, sk: &str, bytes: usize) -> String {
        let overhead = "pk".len() + self.partition.len() + "sk".len() + sk.len() + "body".len();
        format!("\"{}\"", "x".repeat(bytes - overhead - 2))
    }

    /// Commits, and repeats while the storage reports conflicting transactions or throttling, which
    /// change nothing.
    pub async fn try_commit(&self, writes: Vec<Write>) -> Result<(), Error> {
        loop {
            match self.storage.commit(writes.clone()).await {
                Err(Error::Conflict { failed }) if failed.is_empty() => {}
                Err(Error::Throttled(_)) => {}
                decided => return decided,
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub async fn commit(&self, writes: Vec<Write>) {
        self.try_commit(writes).await.expect("the commit is carried out");
    }

    /// Whether the commit was carried out. Every error except a failed condition fails the case.
    pub async fn wins(&self, writes: Vec<Write>) -> bool {
        match self.try_commit(writes).await {
            Ok(()) => true,
            Err(Error::Conflict { .. }) => false,
            Err(error) => panic!("neither carried out nor a conflict: {error:?}"),
        }
    }

    pub async fn get(&self, sk: &str) -> Option<Item> {
        self.storage.get(&self.key(sk)).await.expect("the item can be read")
    }

    pub async fn attributes(&self, sk: &str) -> Attributes {
        self.get(sk).await.expect("the item exists").attributes
    }

    pub async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Vec<Item> {
        let range = Range {
            pk: self.partition.clone(),
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            limit,
        };
        self.storage.range(&range).await.expect("the range can be read")
    }

    /// The sort keys of a range.
    pub async fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Vec<String> {
        self.range(prefix, after, limit).await.into_iter().map(|item| item.key.sk).collect()
    }

    /// Read and write units that the call consumed.
    pub async fn charged<T>(&self, call: impl Future<Output = T>) -> (f64, f64) {
        let before = self.storage.consumed();
        call.await;
        let after = self.storage.consumed();
        (after.read_units - before.read_units, after.write_units - before.write_units)
    }
}

/// The positions of a conflict; `None` for a commit that was carried out.
pub(super) fn conflict(outcome: &Result<(), Error>) -> Option<&[usize]> {
    match outcome {
        Ok(()) => None,
        Err(Error::Conflict { failed }) => Some(failed),
        Err(error) => panic!("neither carried out nor a conflict: {error:?}"),
    }
}

pub(super) fn version(version: u64) -> Attributes {
    Attributes { version: Some(version), ..Attributes::default() }
}

pub(super) fn count(count: i64) -> Attributes {
    Attributes { count: Some(count), ..Attributes::default() }
}

pub(super) fn seen(version: u64, seen_at: i64) -> Attributes {
    Attributes { version: Some(version), seen_at: Some(seen_at), ..Attributes::default() }
}
