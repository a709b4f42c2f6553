//! Tests of this implementation in addition to the contract suite.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

use sqlite::Sqlite;
use std::sync::Arc;
use table::contract;
use table::{Attributes, Body, Condition, Error, Item, Key, Range, Storage, Write, WriteKind};

fn key(pk: &str, sk: &str) -> Key {
    Key { pk: pk.to_owned(), sk: sk.to_owned() }
}

fn put(sk: &str, version: u64, condition: Condition) -> Write {
    let attributes = Attributes { version: Some(version), ..Attributes::default() };
    let body = Body::text(format!("{{\"v\":{version}}}"));
    Write { key: key("p", sk), kind: WriteKind::Put { attributes, body }, condition }
}

fn open(directory: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(directory.path().join("batchai.db")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_passes_the_contract_suite() {
    let directory = tempfile::tempdir().unwrap();
    contract::run_all(Arc::new(open(&directory)), "sqlite", &[]).await;
}

#[tokio::test]
async fn commits_are_stored_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let attributes = Attributes {
        version: Some(u64::MAX),
        uid: Some("u".to_owned()),
        active: Some(false),
        scheduled: Some(true),
        seen_at: Some(-1),
        expires_at: Some(2),
        count: Some(i64::MIN),
    };
    let item = Item { key: key("p\0ü", "s"), attributes, body: Body::text("{\"a\":\"\0é\"}") };
    let kind = WriteKind::Put { attributes: item.attributes.clone(), body: item.body.clone() };
    let write = Write { key: item.key.clone(), kind, condition: Condition::Absent };
    open(&directory).commit(vec![write]).await.unwrap();
    assert_eq!(open(&directory).get(&item.key).await.unwrap(), Some(item));
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "a closed database is one file: {left:?}");
}

/// Commits of one group: each has its own conditions, evaluated after the writes of those before
/// it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_creations_of_a_key_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&directory));
    for round in 0..20 {
        let shared = format!("shared{round}");
        let claim = |number: usize| {
            let store = Arc::clone(&store);
            let own = format!("own{round}-{number}");
            let shared = shared.clone();
            tokio::spawn(async move {
                let writes =
                    vec![put(&own, 1, Condition::Absent), put(&shared, 1, Condition::Absent)];
                let outcome = store.commit(writes).await;
                (outcome, store.get(&key("p", &own)).await.unwrap().is_some())
            })
        };
        let claims: Vec<_> = (0..40).map(claim).collect();
        let mut won = 0;
        for claim in claims {
            let (outcome, stored) = claim.await.unwrap();
            assert_eq!(outcome.is_ok(), stored, "whole or not at all, and seen at once");
            match outcome {
                Ok(()) => won += 1,
                Err(Error::Conflict { failed }) => assert_eq!(failed, [1]),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_addition_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&directory));
    let add = |_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let add = Write {
                key: key("usage", "m"),
                kind: WriteKind::Add(1),
                condition: Condition::CountAtMost(149),
            };
            store.commit(vec![add]).await.is_ok()
        })
    };
    let mut added = 0;
    for adding in (0..400).map(add).collect::<Vec<_>>() {
        added += i64::from(adding.await.unwrap());
    }
    let stored = store.get(&key("usage", "m")).await.unwrap().unwrap();
    assert_eq!((stored.attributes.count, added), (Some(150), 150));
}

#[tokio::test]
async fn a_dropped_commit_is_still_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for number in 0..50 {
        let mut commit =
            Box::pin(store.commit(vec![put(&format!("{number:02}"), 1, Condition::Absent)]));
        let _ = futures::poll!(commit.as_mut());
    }
    drop(store);
    let range = Range { pk: "p".to_owned(), prefix: String::new(), after: None, limit: None };
    let stored = open(&directory).range(&range).await.unwrap();
    assert_eq!(stored.len(), 50, "the queue is drained when the store is dropped");
}

#[tokio::test]
async fn a_sweep_removes_expired_items_up_to_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let expiring = |number: usize, expires_at| Write {
        key: key("op", &format!("{number:04}")),
        kind: WriteKind::Put {
            attributes: Attributes { expires_at, ..Attributes::default() },
            body: Body::text("{}"),
        },
        condition: Condition::Always,
    };
    let count = sqlite::SWEEP_ITEMS + 10;
    let all: Vec<usize> = (0..count).collect();
    for some in all.chunks(100) {
        let writes = some.iter().map(|number| expiring(*number, Some(*number as i64))).collect();
        store.commit(writes).await.unwrap();
    }
    store.commit(vec![expiring(9999, None)]).await.unwrap();
    let at = |seconds: usize| model::Timestamp(seconds as i64 * 1000);
    assert_eq!(store.sweep(at(3)).await.unwrap(), 3, "0, 1 and 2");
    assert_eq!(store.sweep(at(count)).await.unwrap(), sqlite::SWEEP_ITEMS);
    assert_eq!(store.sweep(at(count)).await.unwrap(), 7);
    assert_eq!(store.sweep(at(count)).await.unwrap(), 0);
    let range = Range { pk: "op".to_owned(), prefix: String::new(), after: None, limit: None };
    let left = store.range(&range).await.unwrap();
    assert_eq!(left.len(), 1, "what never expires stays");
}
