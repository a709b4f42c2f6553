//! Storage with one planted defect of a kind that an implementation could have.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use table::{Condition, Consumed, Error, Item, Key, Memory, Range, Storage, Write, WriteKind};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Defect {
    None,
    /// Conditions are tested before the lock is taken.
    ConditionsOutsideTheLock,
    /// The answer is sent before the writes are carried out.
    AnswersEarly,
    /// The writes of a commit become visible one by one.
    OneByOne,
    /// A read may return the result of an earlier one.
    StaleReads,
    /// A commit whose answer was lost is sent again.
    RepeatsCommits,
    /// A commit stops at the first condition that fails.
    FirstPositionOnly,
    /// A check is tested, but the checked item may change before the commit.
    ChecksOutsideTheLock,
}

impl Defect {
    pub const ALL: [Self; 7] = [
        Self::ConditionsOutsideTheLock,
        Self::AnswersEarly,
        Self::OneByOne,
        Self::StaleReads,
        Self::RepeatsCommits,
        Self::FirstPositionOnly,
        Self::ChecksOutsideTheLock,
    ];
}

#[derive(Debug)]
pub struct Broken {
    defect: Defect,
    inner: Arc<Memory>,
    cache: Mutex<BTreeMap<Key, Option<Item>>>,
    /// Held during a commit if only reads may interleave.
    commits: tokio::sync::Mutex<()>,
}

impl Broken {
    pub fn new(defect: Defect) -> Self {
        let inner = Arc::new(Memory::new());
        Self { defect, inner, cache: Mutex::default(), commits: tokio::sync::Mutex::default() }
    }

    /// Lets another task interleave.
    async fn pause(&self) {
        tokio::time::sleep(Duration::from_micros(50)).await;
    }

    async fn test(&self, writes: &[Write]) -> Result<(), Error> {
        let mut failed = Vec::new();
        for (position, write) in writes.iter().enumerate() {
            let stored = self.inner.get(&write.key).await?;
            if !write.holds(stored.as_ref().map(|item| &item.attributes)) {
                failed.push(position);
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(Error::Conflict { failed }) }
    }
}

fn unconditional(mut writes: Vec<Write>) -> Vec<Write> {
    writes.iter_mut().for_each(|write| write.condition = Condition::Always);
    writes
}

#[async_trait]
impl Storage for Broken {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        let cached = self.cache.lock().expect("no test panics while it holds this").remove(key);
        if let (Defect::StaleReads, Some(item)) = (self.defect, cached) {
            return Ok(item);
        }
        let item = self.inner.get(key).await?;
        self.cache
            .lock()
            .expect("no test panics while it holds this")
            .insert(key.clone(), item.clone());
        self.pause().await;
        Ok(item)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        self.inner.get_many(keys).await
    }

    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        self.inner.range(range).await
    }

    async fn commit(&self, mut writes: Vec<Write>) -> Result<(), Error> {
        match self.defect {
            Defect::None | Defect::StaleReads => {
                self.pause().await;
                self.inner.commit(writes).await
            }
            Defect::ConditionsOutsideTheLock => {
                self.test(&writes).await?;
                self.pause().await;
                self.inner.commit(unconditional(writes)).await
            }
            Defect::AnswersEarly => {
                self.test(&writes).await?;
                let inner = Arc::clone(&self.inner);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_micros(50)).await;
                    let _ = inner.commit(writes).await;
                });
                Ok(())
            }
            Defect::OneByOne => {
                let _alone = self.commits.lock().await;
                self.test(&writes).await?;
                for write in writes {
                    self.inner.commit(vec![write]).await?;
                    self.pause().await;
                }
                Ok(())
            }
            Defect::RepeatsCommits => {
                let _ = self.inner.commit(writes.clone()).await;
                self.inner.commit(writes).await
            }
            Defect::FirstPositionOnly => match self.inner.commit(writes).await {
                Err(Error::Conflict { failed }) => {
                    Err(Error::Conflict { failed: failed[..1].to_vec() })
                }
                decided => decided,
            },
            Defect::ChecksOutsideTheLock => {
                self.test(&writes).await?;
                self.pause().await;
                for write in writes.iter_mut().filter(|write| write.kind == WriteKind::Check) {
                    write.condition = Condition::Always;
                }
                self.inner.commit(writes).await
            }
        }
    }

    fn consumed(&self) -> Consumed {
        self.inner.consumed()
    }
}
