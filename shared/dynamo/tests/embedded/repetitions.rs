//! Which requests are repeated after which fault, and that nothing is carried out twice.

use crate::faults::{Fault, Faults};
use crate::server::TableServer;
use table::{Attributes, Body, Condition, Error, Key, Storage, Write, WriteKind};

fn key(sk: &str) -> Key {
    Key { pk: "p".to_owned(), sk: sk.to_owned() }
}

fn add(sk: &str, more: i64) -> Write {
    Write { key: key(sk), kind: WriteKind::Add(more), condition: Condition::Always }
}

fn create(sk: &str) -> Write {
    let attributes = Attributes { version: Some(1), ..Attributes::default() };
    let kind = WriteKind::Put { attributes, body: Body::text("1") };
    Write { key: key(sk), kind, condition: Condition::Absent }
}

async fn count(storage: &dyn Storage, sk: &str) -> Option<i64> {
    let item = storage.get(&key(sk)).await.expect("the counter can be read");
    item.and_then(|item| item.attributes.count)
}

#[tokio::test]
async fn an_addition_whose_answer_is_lost_is_not_counted_twice() {
    let server = TableServer::start().await;
    let faults = Faults::of("UpdateItem", [Fault::AnswerLost]);
    let storage = server.storage_with(faults.clone()).await;
    let outcome = storage.commit(vec![add("counter", 1)]).await;
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
    assert_eq!((count(&storage, "counter").await, faults.requests()), (Some(1), 1));
}

/// A repetition would conflict with the item of the first try.
#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_no_conflict() {
    let server = TableServer::start().await;
    let storage = server.storage_with(Faults::of("PutItem", [Fault::AnswerLost])).await;
    let outcome = storage.commit(vec![create("new")]).await;
    assert!(matches!(outcome, Err(Error::Other(_))), "{outcome:?}");
    assert!(storage.get(&key("new")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_transaction_whose_answer_is_lost_is_repeated_under_its_token() {
    let server = TableServer::start().await;
    let faults = Faults::of("TransactWriteItems", [Fault::AnswerLost, Fault::AnswerLost]);
    let storage = server.storage_with(faults.clone()).await;
    storage.commit(vec![add("counter", 1), create("new")]).await.unwrap();
    assert_eq!((count(&storage, "counter").await, faults.requests()), (Some(1), 3));
}

#[tokio::test]
async fn a_read_is_repeated() {
    let server = TableServer::start().await;
    let faults = Faults::of("GetItem", [Fault::AnswerLost, Fault::error("ThrottlingException")]);
    let storage = server.storage_with(faults.clone()).await;
    assert_eq!(storage.get(&key("none")).await.unwrap(), None);
    assert_eq!(faults.requests(), 3);
}

#[tokio::test]
async fn a_throttled_write_is_repeated_a_few_times() {
    let server = TableServer::start().await;
    for (number, faulty) in [(3, false), (50, true)] {
        let codes = ["ThrottlingException", "ProvisionedThroughputExceededException"];
        let throttled = codes.into_iter().cycle().take(number).map(Fault::error);
        let faults = Faults::of("UpdateItem", throttled);
        let storage = server.storage_with(faults.clone()).await;
        let sk = format!("counter {number}");
        let outcome = storage.commit(vec![add(&sk, 1)]).await;
        assert_eq!(matches!(outcome, Err(Error::Throttled(_))), faulty, "{outcome:?}");
        assert_eq!(count(&storage, &sk).await, (!faulty).then_some(1));
        assert_eq!(faults.requests(), if faulty { 8 } else { number + 1 });
    }
}

#[tokio::test]
async fn a_cancelled_transaction_names_its_reasons() {
    let server = TableServer::start().await;
    for (reasons, expected) in [
        (["None", "TransactionConflict"], Some(vec![])),
        (["ConditionalCheckFailed", "TransactionConflict"], Some(vec![0])),
        (["None", "ThrottlingError"], None),
    ] {
        let faults = Faults::of("TransactWriteItems", [Fault::canceled(&reasons)]);
        let storage = server.storage_with(faults).await;
        let outcome = storage.commit(vec![create("a"), create("b")]).await;
        match (outcome, expected) {
            (Err(Error::Conflict { failed }), Some(expected)) => assert_eq!(failed, expected),
            (Err(Error::Throttled(_)), None) => {}
            (outcome, _) => panic!("{reasons:?}: {outcome:?}"),
        }
        assert!(storage.get(&key("a")).await.unwrap().is_none());
    }
}

/// The answer of a throttled table, which leaves all keys unprocessed.
fn nothing_processed(keys: &[Key]) -> Fault {
    let keys: Vec<String> = keys
        .iter()
        .map(|Key { pk, sk }| format!(r#"{{"pk":{{"S":"{pk}"}},"sk":{{"S":"{sk}"}}}}"#))
        .collect();
    let table = format!(r#""{}":{{"Keys":[{}]}}"#, crate::server::TABLE, keys.join(","));
    let body = format!(r#"{{"Responses":{{}},"UnprocessedKeys":{{{table}}}}}"#);
    Fault::Answer { status: 200, body }
}

#[tokio::test]
async fn keys_left_unprocessed_are_read_again_a_few_times() {
    let server = TableServer::start().await;
    let keys = [key("a"), key("b"), key("none")];
    server.storage().await.commit(vec![create("a"), create("b")]).await.unwrap();
    for (number, faulty) in [(3, false), (50, true)] {
        let faults = (0..number).map(|_| nothing_processed(&keys));
        let faults = Faults::of("BatchGetItem", faults);
        let storage = server.storage_with(faults.clone()).await;
        let started = tokio::time::Instant::now();
        let outcome = storage.get_many(&keys).await;
        match outcome {
            Ok(found) => assert_eq!((found.len(), faulty), (2, false)),
            Err(Error::Throttled(_)) => assert!(faulty, "throttled after {number} answers"),
            Err(error) => panic!("{error:?}"),
        }
        // Pauses of 15, 30, 60 ms and so on, with the jitter that these tests inject.
        let shortest = if faulty { 1500 } else { 105 };
        assert!(started.elapsed().as_millis() >= shortest, "{:?}", started.elapsed());
        assert_eq!(faults.requests(), if faulty { 8 } else { number + 1 });
    }
}
