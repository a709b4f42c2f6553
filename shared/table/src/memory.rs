//! Storage in memory, for simulation and tests. Values are kept as they are and never written as
//! text, unless sizes are to be checked: a simulation commits millions of them.

use crate::limits::{check_keys, check_sizes, check_writes};
use crate::{
    Attributes, Body, Consumed, Error, Item, Key, Range, Storage, Units, Write, WriteKind,
};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Partition = BTreeMap<String, (Attributes, Body)>;

#[derive(Debug, Default)]
pub struct Memory {
    partitions: Mutex<BTreeMap<String, Partition>>,
    units: Units,
    /// Whether sizes are checked and units counted, which takes writing every value as text.
    measured: bool,
}

impl Memory {
    /// Keeps every limit and counts units.
    pub fn new() -> Self {
        Self { measured: true, ..Self::default() }
    }

    /// Keeps the limits on numbers and keys, not those on bytes, and counts no units.
    pub fn unmeasured() -> Self {
        Self::default()
    }

    /// Everything that is stored, for a look from outside.
    pub fn items(&self) -> Vec<Item> {
        let partitions = self.partitions();
        let items = partitions.iter().flat_map(|(pk, partition)| {
            partition.iter().map(move |(sk, stored)| item(pk, sk, stored))
        });
        items.collect()
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<String, Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charge_read(&self, items: &[Item]) -> Result<(), Error> {
        if self.measured {
            for item in items {
                self.units.read_item(item.size()?);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        let found = find(&self.partitions(), key).map(|stored| item(&key.pk, &key.sk, stored));
        if self.measured {
            self.units.read_item(found.as_ref().map_or(Ok(0), Item::size)?);
        }
        Ok(found)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        check_keys(keys)?;
        let found: Vec<Item> = {
            let partitions = self.partitions();
            let read = |key: &Key| Some(item(&key.pk, &key.sk, find(&partitions, key)?));
            keys.iter().filter_map(read).collect()
        };
        self.charge_read(&found)?;
        Ok(found)
    }

    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        let found: Vec<Item> = {
            let partitions = self.partitions();
            let Some(partition) = partitions.get(&range.pk) else {
                self.units.read_range(0);
                return Ok(Vec::new());
            };
            let start = range.after.as_ref().filter(|after| **after > range.prefix);
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
        let sizes = if self.measured { check_sizes(&writes)? } else { Vec::new() };
        let mut partitions = self.partitions();
        let holds = |write: &Write| {
            write.condition.holds(find(&partitions, &write.key).map(|(attributes, _)| attributes))
        };
        let failed: Vec<usize> =
            (0..writes.len()).filter(|index| !holds(&writes[*index])).collect();
        if !failed.is_empty() {
            return Err(Error::Conflict { failed });
        }
        let in_transaction = writes.len() > 1;
        for size in sizes {
            self.units.write_item(size, in_transaction);
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

fn find<'a>(
    partitions: &'a BTreeMap<String, Partition>,
    key: &Key,
) -> Option<&'a (Attributes, Body)> {
    partitions.get(&key.pk)?.get(&key.sk)
}

fn item(pk: &str, sk: &str, (attributes, body): &(Attributes, Body)) -> Item {
    let key = Key { pk: pk.to_owned(), sk: sk.to_owned() };
    Item { key, attributes: attributes.clone(), body: body.clone() }
}

fn apply(partitions: &mut BTreeMap<String, Partition>, write: Write) {
    let Key { pk, sk } = write.key;
    match write.kind {
        WriteKind::Check => {}
        WriteKind::Put { attributes, body } => {
            partitions.entry(pk).or_default().insert(sk, (attributes, body));
        }
        WriteKind::Delete => {
            if let Some(partition) = partitions.get_mut(&pk) {
                partition.remove(&sk);
                if partition.is_empty() {
                    partitions.remove(&pk);
                }
            }
        }
        WriteKind::Add(more) => {
            let (attributes, _) = partitions.entry(pk).or_default().entry(sk).or_default();
            attributes.count = Some(attributes.count.unwrap_or(0) + more);
        }
        WriteKind::Seen(time) => {
            if let Some((attributes, _)) =
                partitions.get_mut(&pk).and_then(|partition| partition.get_mut(&sk))
            {
                attributes.seen_at = Some(time);
            }
        }
    }
}
