//! The limits of DynamoDB, each at its last passing value and one beyond.

use super::fixture::{Fixture, version};
use crate::limits::{
    MAX_COMMIT_BYTES, MAX_ITEM_BYTES, MAX_PARTITION_BYTES, MAX_READS, MAX_SORT_KEY_BYTES,
    MAX_WRITES,
};
use crate::{Condition, Error, Key, Write, WriteKind};

async fn refused(fixture: &Fixture, writes: Vec<Write>) {
    let outcome = fixture.try_commit(writes).await;
    assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
}

pub(super) async fn number_of_writes(fixture: Fixture) {
    let puts = |number: usize| -> Vec<Write> {
        (0..number).map(|index| fixture.put(&format!("{index:03}"), version(1), "1")).collect()
    };
    refused(&fixture, puts(MAX_WRITES + 1)).await;
    assert!(fixture.keys("", None, None).await.is_empty());
    fixture.commit(puts(MAX_WRITES)).await;
    assert_eq!(fixture.keys("", None, None).await.len(), MAX_WRITES);
}

pub(super) async fn one_write_of_each_item(fixture: Fixture) {
    let check = fixture.write("same", WriteKind::Check, Condition::Always);
    refused(&fixture, vec![fixture.put("same", version(1), "1"), check.clone()]).await;
    refused(&fixture, vec![check.clone(), fixture.put("other", version(1), "1"), check]).await;
    assert!(fixture.keys("", None, None).await.is_empty());
}

pub(super) async fn size_of_an_item(fixture: Fixture) {
    for others in [0, 1] {
        let beside = || (0..others).map(|_| fixture.put("beside", version(1), "1"));
        let largest = fixture.put_sized("largest", MAX_ITEM_BYTES);
        fixture.commit(beside().chain([largest]).collect()).await;
        let too_large = fixture.put_sized("too large", MAX_ITEM_BYTES + 1);
        let outcome = fixture.try_commit(beside().chain([too_large]).collect()).await;
        assert!(matches!(outcome, Err(Error::TooLarge(_))), "{outcome:?}");
        let item = fixture.get("largest").await.expect("the largest item is stored");
        assert_eq!(item.size().ok(), Some(MAX_ITEM_BYTES));
        assert_eq!(fixture.get("too large").await, None);
    }
}

pub(super) async fn size_of_a_commit(fixture: Fixture) {
    const ITEMS: usize = 16;
    let puts = |more: usize| -> Vec<Write> {
        let size = |index| MAX_COMMIT_BYTES / ITEMS + if index == 0 { more } else { 0 };
        (0..ITEMS).map(|index| fixture.put_sized(&format!("{index:02}"), size(index))).collect()
    };
    refused(&fixture, puts(1)).await;
    assert!(fixture.keys("", None, None).await.is_empty());
    fixture.commit(puts(0)).await;
    assert_eq!(fixture.keys("", None, None).await.len(), ITEMS);
}

pub(super) async fn keys_of_a_read(fixture: Fixture) {
    let keys = |number: usize| -> Vec<Key> {
        (0..number).map(|index| fixture.key(format!("{index:03}"))).collect()
    };
    fixture.commit(vec![fixture.put("000", version(1), "1")]).await;
    let read = async |keys: Vec<Key>| fixture.storage.get_many(&keys).await.map(|it| it.len());
    assert_eq!(read(keys(MAX_READS)).await.ok(), Some(1));
    let outcome = read(keys(MAX_READS + 1)).await;
    assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    let twice = read(vec![fixture.key("000"), fixture.key("001"), fixture.key("000")]).await;
    assert!(matches!(twice, Err(Error::Invalid(_))), "{twice:?}");
    assert_eq!(read(Vec::new()).await.ok(), Some(0));
}

pub(super) async fn length_of_a_key(fixture: Fixture) {
    let pk = |more: usize| {
        let pad = MAX_PARTITION_BYTES - fixture.partition.len() + more;
        fixture.beside(&"p".repeat(pad))
    };
    let sk = |length: usize| "s".repeat(length);
    let longest = pk(0);
    longest.commit(vec![longest.put(&sk(MAX_SORT_KEY_BYTES), version(1), "1")]).await;
    assert_eq!(longest.attributes(&sk(MAX_SORT_KEY_BYTES)).await, version(1));
    assert_eq!(longest.keys("s", None, None).await, [sk(MAX_SORT_KEY_BYTES)]);
    for (case, length) in [(pk(1), 1), (pk(0), MAX_SORT_KEY_BYTES + 1), (pk(0), 0)] {
        refused(&fixture, vec![case.put(&sk(length), version(1), "1")]).await;
        let read = fixture.storage.get(&case.key(sk(length))).await;
        assert!(matches!(read, Err(Error::Invalid(_))), "{read:?}");
    }
}
