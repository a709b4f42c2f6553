//! What each call is charged (Developer Guide, "DynamoDB read and write operations" and "Amazon
//! DynamoDB Transactions: How it works"): per KiB written, twice that in a transaction; per 4 KiB
//! read; a query by all its bytes together.

use super::fixture::{Fixture, version};
use crate::{Condition, Error, Key, WriteKind};

const KIB: usize = 1024;

async fn charged_for(fixture: &Fixture, writes: Vec<crate::Write>) -> (f64, f64) {
    fixture.charged(fixture.commit(writes)).await
}

pub(super) async fn single_writes(fixture: Fixture) {
    for (bytes, units) in [(200, 1.0), (KIB, 1.0), (KIB + 1, 2.0), (10 * KIB, 10.0)] {
        let put = fixture.put_sized(&format!("{bytes}"), bytes);
        assert_eq!(charged_for(&fixture, vec![put]).await, (0.0, units), "{bytes} bytes");
    }
    let always = |sk: &str, kind| vec![fixture.write(sk, kind, Condition::Always)];
    for kind in [WriteKind::Add(1), WriteKind::Add(-1), WriteKind::Delete, WriteKind::Delete] {
        let charged = charged_for(&fixture, always("counter", kind.clone())).await;
        assert_eq!(charged, (0.0, 1.0), "{kind:?}");
    }
    // A single check is a read, as it needs no atomicity.
    let charged = charged_for(&fixture, always("10240", WriteKind::Check)).await;
    assert_eq!(charged, (3.0, 0.0), "a check of 10 KiB");
}

pub(super) async fn transactions(fixture: Fixture) {
    let two = vec![fixture.put_sized("a", 200), fixture.put_sized("b", 3 * KIB)];
    assert_eq!(charged_for(&fixture, two).await, (0.0, 2.0 * (1.0 + 3.0)));
    let checked = vec![
        fixture.write("b", WriteKind::Check, Condition::Present),
        fixture.write("none", WriteKind::Check, Condition::Absent),
        fixture.write("count", WriteKind::Add(1), Condition::CountAtMost(1)),
    ];
    assert_eq!(charged_for(&fixture, checked).await, (0.0, 2.0 * (3.0 + 1.0 + 1.0)));
    let deleted = vec![
        fixture.write("a", WriteKind::Delete, Condition::Present),
        fixture.write("b", WriteKind::Delete, Condition::Present),
    ];
    assert_eq!(charged_for(&fixture, deleted).await, (0.0, 2.0 * (1.0 + 3.0)));
}

pub(super) async fn larger_of_before_and_after(fixture: Fixture) {
    let mut large = fixture.put_sized("node", 5 * KIB - 100);
    let WriteKind::Put { attributes, .. } = &mut large.kind else { return };
    *attributes = version(1);
    assert_eq!(charged_for(&fixture, vec![large]).await, (0.0, 5.0));
    // An update is charged for the whole item, not for the attribute that it sets.
    let heartbeat = fixture.write("node", WriteKind::SetSeenAt(1), Condition::Present);
    assert_eq!(charged_for(&fixture, vec![heartbeat]).await, (0.0, 5.0));
    let smaller = fixture.put_sized("node", 200);
    assert_eq!(charged_for(&fixture, vec![smaller.clone()]).await, (0.0, 5.0));
    assert_eq!(charged_for(&fixture, vec![smaller]).await, (0.0, 1.0));
    let larger = fixture.put_sized("node", 4 * KIB);
    assert_eq!(charged_for(&fixture, vec![larger]).await, (0.0, 4.0));
    let delete = fixture.write("node", WriteKind::Delete, Condition::Present);
    assert_eq!(charged_for(&fixture, vec![delete]).await, (0.0, 4.0));
}

pub(super) async fn reads_of_items(fixture: Fixture) {
    let sizes = [200, 4 * KIB, 4 * KIB + 1, 100 * KIB];
    let name = |bytes: usize| format!("{bytes:06}");
    for bytes in sizes {
        fixture.commit(vec![fixture.put_sized(&name(bytes), bytes)]).await;
    }
    for (bytes, units) in sizes.into_iter().zip([1.0, 1.0, 2.0, 25.0]) {
        assert_eq!(fixture.charged(fixture.get(&name(bytes))).await, (units, 0.0), "{bytes} bytes");
    }
    assert_eq!(fixture.charged(fixture.get("none")).await, (1.0, 0.0));
    // Several reads in one call cost the same as single reads, missing items included.
    let found = sizes.map(|bytes| fixture.key(name(bytes)));
    let missing = ["none", "nor this"].map(|sk| fixture.key(sk));
    let keys: Vec<Key> = found.into_iter().chain(missing).collect();
    let charged = fixture.charged(fixture.storage.get_many(&keys)).await;
    assert_eq!(charged, (1.0 + 1.0 + 2.0 + 25.0 + 1.0 + 1.0, 0.0));
}

pub(super) async fn ranges_by_total_bytes(fixture: Fixture) {
    assert_eq!(fixture.charged(fixture.range("", None, None)).await, (1.0, 0.0), "an empty range");
    let puts = (0..16).map(|index| fixture.put_sized(&format!("{index:02}"), 500));
    fixture.commit(puts.collect()).await;
    for (limit, units) in [(None, 2.0), (Some(16), 2.0), (Some(8), 1.0), (Some(9), 2.0)] {
        let charged = fixture.charged(fixture.range("", None, limit)).await;
        assert_eq!(charged, (units, 0.0), "{limit:?} of 16 items of 500 bytes");
    }
    assert_eq!(fixture.charged(fixture.range("x", None, None)).await, (1.0, 0.0));
    // Each page of 1 MB is rounded up separately.
    for index in 0..5 {
        fixture.commit(vec![fixture.put_sized(&format!("large {index}"), 300 * KIB)]).await;
    }
    let (units, _) = fixture.charged(fixture.range("large", None, None)).await;
    assert!((375.0..=377.0).contains(&units), "{units} for 1,500 KiB");
}

pub(super) async fn refused_calls_are_free(fixture: Fixture) {
    let twice = || fixture.put_sized("same", 200);
    let refused = async {
        let outcome = fixture.try_commit(vec![twice(), twice()]).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    };
    assert_eq!(fixture.charged(refused).await, (0.0, 0.0));
    // DynamoDB charges for a failed condition but does not report it, so it is not counted.
    let failed = async {
        assert!(!fixture.wins(vec![fixture.write("x", WriteKind::Delete, Condition::Never)]).await);
    };
    assert_eq!(fixture.charged(failed).await, (0.0, 0.0));
}
