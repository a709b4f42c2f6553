//! The limits of DynamoDB (Developer Guide, "Quotas in Amazon DynamoDB"), kept by every
//! implementation of [`crate::Storage`].

use crate::{Body, Error, Item, Key, Record, Write, WriteKind};
use std::collections::BTreeSet;

/// Writes in one transaction.
pub const MAX_WRITES: usize = 100;

/// Items in one `BatchGetItem`.
pub const MAX_READS: usize = 100;

/// Size of an item, in bytes.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// Size of all items in a transaction, in bytes.
pub const MAX_COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// Length of a partition key, in bytes.
pub const MAX_PARTITION_BYTES: usize = 2048;

/// Length of a sort key, in bytes.
pub const MAX_SORT_KEY_BYTES: usize = 1024;

/// Checks the number and the keys of writes.
///
/// # Errors
/// [`Error::Invalid`] for too many writes, two writes of one item, or a key that is empty or too
/// long.
pub fn check_writes(writes: &[Write]) -> Result<(), Error> {
    if writes.len() > MAX_WRITES {
        return Err(Error::Invalid(format!("{} writes in one commit", writes.len())));
    }
    distinct(writes.iter().map(|write| &write.key))
}

/// Checks the keys of a read of several items.
///
/// # Errors
/// [`Error::Invalid`] for too many keys, a duplicate key, or a key that is empty or too long.
pub fn check_keys(keys: &[Key]) -> Result<(), Error> {
    if keys.len() > MAX_READS {
        return Err(Error::Invalid(format!("{} keys in one read", keys.len())));
    }
    distinct(keys.iter())
}

/// The size in bytes of the item that each write puts; 0 for a write that puts nothing.
///
/// # Errors
/// [`Error::TooLarge`] for an item, [`Error::Invalid`] for a commit beyond the limits.
pub fn check_sizes(writes: &[Write]) -> Result<Vec<usize>, Error> {
    let mut sizes = Vec::with_capacity(writes.len());
    for write in writes {
        let WriteKind::Put { attributes, body } = &write.kind else {
            sizes.push(0);
            continue;
        };
        let (attributes, body) = (attributes.clone(), body.clone());
        let size = Item { key: write.key.clone(), attributes, body }.size()?;
        if size > MAX_ITEM_BYTES {
            let limit = MAX_ITEM_BYTES / 1024;
            let message = format!("{} has {size} bytes, the limit is {limit} KiB", write.key.sk);
            return Err(Error::TooLarge(message));
        }
        sizes.push(size);
    }
    let total: usize = sizes.iter().sum();
    match total > MAX_COMMIT_BYTES {
        true => Err(Error::Invalid(format!("{total} bytes in one commit"))),
        false => Ok(sizes),
    }
}

/// The size of a record as an item, in bytes.
///
/// # Errors
/// When the record has no JSON.
pub fn size_of<R: Record>(record: &R) -> Result<usize, Error> {
    let (attributes, body) = (record.attributes(), Body::of(record.clone()));
    Item { key: record.key(), attributes, body }.size()
}

/// Checks the lengths of a key.
///
/// # Errors
/// [`Error::Invalid`] for a part that is empty or too long.
pub fn check_key(key: &Key) -> Result<(), Error> {
    let fits = |part: &str, limit: usize| !part.is_empty() && part.len() <= limit;
    match fits(&key.pk, MAX_PARTITION_BYTES) && fits(&key.sk, MAX_SORT_KEY_BYTES) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "a key with a partition of {} bytes and a sort key of {}",
            key.pk.len(),
            key.sk.len()
        ))),
    }
}

fn distinct<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for key in keys {
        check_key(key)?;
        if !seen.insert(key) {
            return Err(Error::Invalid(format!("{} {} twice in one call", key.pk, key.sk)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, Body, Condition};

    fn key(number: usize) -> Key {
        Key { pk: "p".into(), sk: number.to_string() }
    }

    /// A put of an item of exactly this many bytes.
    fn put(number: usize, bytes: usize) -> Write {
        let key = key(number);
        let names = "pkskbody".len() + key.pk.len() + key.sk.len();
        let body = Body::text("x".repeat(bytes - names));
        let kind = WriteKind::Put { attributes: Attributes::default(), body };
        Write { key, kind, condition: Condition::Always }
    }

    #[test]
    fn a_commit_takes_100_writes_of_different_items() {
        let writes: Vec<Write> = (0..101).map(|number| put(number, 100)).collect();
        assert!(check_writes(&writes[..100]).is_ok());
        assert!(matches!(check_writes(&writes), Err(Error::Invalid(_))));
        assert!(matches!(check_writes(&[put(1, 100), put(1, 100)]), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_read_takes_100_different_keys() {
        let keys: Vec<Key> = (0..101).map(key).collect();
        assert!(check_keys(&keys[..100]).is_ok());
        assert!(matches!(check_keys(&keys), Err(Error::Invalid(_))));
        assert!(matches!(check_keys(&[key(1), key(1)]), Err(Error::Invalid(_))));
    }

    #[test]
    fn items_and_commits_have_a_maximal_size() {
        let delete = Write { kind: WriteKind::Delete, ..put(9, 100) };
        let sizes = check_sizes(&[put(1, 100), delete, put(2, MAX_ITEM_BYTES)]).unwrap();
        assert_eq!(sizes, [100, 0, MAX_ITEM_BYTES]);
        assert!(matches!(check_sizes(&[put(1, MAX_ITEM_BYTES + 1)]), Err(Error::TooLarge(_))));
        let rest = MAX_COMMIT_BYTES - 10 * MAX_ITEM_BYTES;
        let mut all: Vec<Write> = (0..10).map(|number| put(number, MAX_ITEM_BYTES)).collect();
        all.push(put(10, rest));
        assert_eq!(check_sizes(&all).unwrap().iter().sum::<usize>(), MAX_COMMIT_BYTES);
        all[10] = put(10, rest + 1);
        assert!(matches!(check_sizes(&all), Err(Error::Invalid(_))));
    }
}
