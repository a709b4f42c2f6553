//! One task of a history: random reads and commits, with conditions on what the task has read, as
//! the service uses storage.

use super::Recorder;
use super::model::{Call, Outcome};
use crate::{Attributes, Body, Condition, Error, Key, Storage, Write, WriteKind};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const ITEMS: [&str; 3] = ["a", "b", "c"];

pub(super) struct Task {
    storage: Arc<dyn Storage>,
    partition: String,
    recorder: Recorder,
    rng: StdRng,
    number: usize,
    /// Each item as this task last read it.
    read: BTreeMap<&'static str, Option<Attributes>>,
    puts: u64,
}

impl Task {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        partition: &str,
        recorder: Recorder,
        seed: u64,
        number: usize,
    ) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number as u64));
        let (partition, read) = (partition.to_owned(), BTreeMap::new());
        Self { storage, partition, recorder, rng, number, read, puts: 0 }
    }

    pub(super) async fn play(mut self, calls: usize) {
        for _ in 0..calls {
            match self.rng.random_range(0..5) {
                0 | 1 => {}
                2 | 3 => tokio::task::yield_now().await,
                _ => {
                    let pause = Duration::from_micros(self.rng.random_range(1..500));
                    tokio::time::sleep(pause).await;
                }
            }
            if self.rng.random_bool(0.4) {
                let item = ITEMS[self.rng.random_range(0..ITEMS.len())];
                self.get(item).await;
            } else {
                self.commit().await;
            }
        }
    }

    pub(super) async fn read_all(mut self) {
        for item in ITEMS {
            self.get(item).await;
        }
    }

    async fn get(&mut self, item: &'static str) {
        self.recorder.invoked(self.number, Call::Get(item.to_owned()));
        let found = self.storage.get(&self.key(item)).await.expect("the item can be read");
        self.read.insert(item, found.as_ref().map(|found| found.attributes.clone()));
        self.recorder.returned(self.number, Outcome::from(found));
    }

    async fn commit(&mut self) {
        let mut items = ITEMS;
        items.shuffle(&mut self.rng);
        let number = self.rng.random_range(1..=items.len());
        let writes: Vec<Write> = items[..number].iter().map(|item| self.write(item)).collect();
        self.recorder.invoked(self.number, Call::Commit(writes.clone()));
        let outcome = match self.storage.commit(writes).await {
            Ok(()) => Outcome::CarriedOut,
            Err(Error::Conflict { failed }) => Outcome::Conflict(failed),
            Err(Error::Throttled(_)) => Outcome::Conflict(Vec::new()),
            Err(error) => panic!("neither carried out nor refused: {error:?}"),
        };
        self.recorder.returned(self.number, outcome);
    }

    fn write(&mut self, item: &'static str) -> Write {
        let condition = match self.read.get(item) {
            Some(Some(Attributes { version: Some(version), seen_at, .. })) => {
                Condition::Unchanged { version: *version, seen_at: *seen_at }
            }
            Some(Some(_)) => Condition::Present,
            Some(None) => Condition::Absent,
            None => Condition::Always,
        };
        let (kind, condition) = match self.rng.random_range(0..10) {
            0..=4 => (self.put(), condition),
            5 => (WriteKind::Delete, condition),
            6 => (WriteKind::Check, condition),
            7 | 8 => (WriteKind::Add(1), Condition::CountAtMost(self.rng.random_range(0..4))),
            _ => {
                let time = self.rng.random_range(1..100);
                (WriteKind::SetSeenAt(time), Condition::SeenBefore(time))
            }
        };
        Write { key: self.key(item), kind, condition }
    }

    /// Every put of a history is unique.
    fn put(&mut self) -> WriteKind {
        self.puts += 1;
        let version = self.number as u64 * 1000 + self.puts;
        let seen_at = self.rng.random_bool(0.3).then(|| self.rng.random_range(1..50));
        let attributes = Attributes { version: Some(version), seen_at, ..Attributes::default() };
        WriteKind::Put { attributes, body: Body::text(version.to_string()) }
    }

    fn key(&self, item: &str) -> Key {
        Key { pk: self.partition.clone(), sk: item.to_owned() }
    }
}
