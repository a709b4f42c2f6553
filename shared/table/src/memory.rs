//! Storage in memory, for simulation and tests. Values are stored as they are and not written as
//! text
//! unless sizes are checked: a simulation commits millions of them.

use crate::limits::{check_key, check_keys, check_sizes, check_writes};
use crate::{
    Attributes, Body, Consumed, Error, Item, Key, Range, Storage, Units, Write, WriteKind,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Partition = BTreeMap<String, (Attributes, Body)>;
type Partitions = BTreeMap<String, Partition>;

/// Storage in memory.
#[derive(Debug, Default)]
pub struct Memory {
    partitions: Mutex<Partitions>,
    units: Units,
    /// Whether sizes are checked and units counted, which requires the text of every value.
    measured: bool,
}

impl Memory {
    /// Storage with all limits, which counts units.
    pub fn new() -> Self {
        Self { measured: true, ..Self::default() }
    }

    /// Storage with the limits on numbers and keys, not on bytes. It counts no units.
    pub fn unmeasured() -> Self {
        Self::default()
    }

    /// All stored items, for tests.
    pub fn items(&self) -> Vec<Item> {
        let partitions = self.partitions();
        let items = partitions.iter().flat_map(|(pk, partition)| {
            partition.iter().map(move |(sk, stored)| item(pk, sk, stored))
        });
        items.collect()
    }

    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charge_commit(&self, stored: &Partitions, writes: &[Write]) -> Result<(), Error> {
        let larger = |write: &Write| {
            let before = find(stored, &write.key).cloned();
            let size = |value: &Option<(Attributes, Body)>| match value {
                Some(value) => item(&write.key.pk, &write.key.sk, value).size(),
                None => Ok(0),
            };
            let before_bytes = size(&before)?;
            Ok(before_bytes.max(size(&changed(before, write.kind.clone()))?))
        };
        let sizes: Result<Vec<usize>, Error> = writes.iter().map(larger).collect();
        self.units.commit(writes, &sizes?);
        Ok(())
    }

    /// A key without an item is charged like a small item.
    fn charge_reads(&self, keys: usize, items: &[Item]) -> Result<(), Error> {
        if self.measured {
            for item in items {
                self.units.read_item(item.size()?);
            }
            (items.len()..keys).for_each(|_| self.units.read_item(0));
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        check_key(key)?;
        let found = find(&self.partitions(), key).map(|stored| item(&key.pk, &key.sk, stored));
        self.charge_reads(1, found.as_slice())?;
        Ok(found)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        check_keys(keys)?;
        let found: Vec<Item> = {
            let partitions = self.partitions();
            let read = |key: &Key| Some(item(&key.pk, &key.sk, find(&partitions, key)?));
            keys.iter().filter_map(read).collect()
        };
        self.charge_reads(keys.len(), &found)?;
        Ok(found)
    }

    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        let found: Vec<Item> = {
            let partitions = self.partitions();
            let none = Partition::new();
            let partition = partitions.get(&range.pk).unwrap_or(&none);
            let start = range.after.as_ref().filter(|after| **after >= range.prefix);
            let bounds = match start {
                Some(after) => std::ops::Bound::Excluded(after.as_str()),
                None => std::ops::Bound::Included(range.prefix.as_str()),
            };
            partition
                .range::<str, _>((bounds, std::ops::Bound::Unbounded))
                .take_while(|(sk, _)| sk.starts_with(&range.prefix))
                .take(range.limit.unwrap_or(usize::MAX))
                .map(|(sk, stored)| item(&range.pk, sk, stored))
                .collect()
        };
        if self.measured {
            let sizes: Result<Vec<usize>, Error> = found.iter().map(Item::size).collect();
            self.units.read_range(sizes?.iter().sum());
        }
        Ok(found)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), Error> {
        check_writes(&writes)?;
        if self.measured {
            check_sizes(&writes)?;
        }
        let mut partitions = self.partitions();
        let holds = |write: &Write| {
            write.holds(find(&partitions, &write.key).map(|(attributes, _)| attributes))
        };
        let failed: Vec<usize> =
            (0..writes.len()).filter(|index| !holds(&writes[*index])).collect();
        if !failed.is_empty() {
            return Err(Error::Conflict { failed });
        }
        if self.measured {
            self.charge_commit(&partitions, &writes)?;
        }
        for write in writes {
            apply(&mut partitions, write);
        }
        Ok(())
    }

    fn consumed(&self) -> Consumed {
        self.units.consumed()
    }
}

fn find<'a>(partitions: &'a Partitions, key: &Key) -> Option<&'a (Attributes, Body)> {
    partitions.get(&key.pk)?.get(&key.sk)
}

fn item(pk: &str, sk: &str, (attributes, body): &(Attributes, Body)) -> Item {
    let key = Key { pk: pk.to_owned(), sk: sk.to_owned() };
    Item { key, attributes: attributes.clone(), body: body.clone() }
}

fn apply(partitions: &mut Partitions, write: Write) {
    let Key { pk, sk } = write.key;
    let before = partitions.get_mut(&pk).and_then(|partition| partition.remove(&sk));
    if let Some(after) = changed(before, write.kind) {
        partitions.entry(pk).or_default().insert(sk, after);
    } else if partitions.get(&pk).is_some_and(BTreeMap::is_empty) {
        partitions.remove(&pk);
    }
}

/// The item after a write.
pub(crate) fn changed(
    stored: Option<(Attributes, Body)>,
    kind: WriteKind,
) -> Option<(Attributes, Body)> {
    match kind {
        WriteKind::Check => stored,
        WriteKind::Put { attributes, body } => Some((attributes, body)),
        WriteKind::Delete => None,
        WriteKind::Add(more) => {
            let (mut attributes, body) = stored.unwrap_or_default();
            attributes.count = Some(attributes.count.unwrap_or(0) + more);
            Some((attributes, body))
        }
        WriteKind::SetSeenAt(time) => stored.map(|(mut attributes, body)| {
            attributes.seen_at = Some(time);
            (attributes, body)
        }),
    }
}
