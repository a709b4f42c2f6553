//! Commits of several writes: which conditions failed, and that nothing else was written.

use super::fixture::{Fixture, conflict, version};
use crate::{Attributes, Body, Condition, Item, WriteKind};

pub(super) async fn failed_positions_are_all_listed_in_order(fixture: Fixture) {
    fixture.commit(vec![fixture.put("there", version(1), "1")]).await;
    let check = |sk: &str, condition| fixture.write(sk, WriteKind::Check, condition);
    let writes = vec![
        check("a", Condition::Present),
        fixture.put("b", version(1), "1"),
        fixture.write("there", WriteKind::Delete, Condition::Absent),
        check("c", Condition::Absent),
        fixture.write("d", WriteKind::Add(1), Condition::CountAtLeast(1)),
        fixture.write("e", WriteKind::SetSeenAt(1), Condition::Always),
        check("f", Condition::Never),
    ];
    let outcome = fixture.try_commit(writes).await;
    assert_eq!(conflict(&outcome), Some(&[0, 2, 4, 5, 6][..]));
    assert_eq!(fixture.keys("", None, None).await, ["there"]);
}

pub(super) async fn all_or_nothing(fixture: Fixture) {
    let far = fixture.beside("/far");
    fixture.commit(vec![fixture.put("kept", version(1), "1")]).await;
    let count = |condition| {
        vec![
            fixture.put("new", version(1), "1"),
            far.put("new", version(1), "1"),
            fixture.write("kept", WriteKind::Delete, Condition::Present),
            far.write("count", WriteKind::Add(4), Condition::CountAtMost(10)),
            far.write("last", WriteKind::Check, condition),
        ]
    };
    let outcome = fixture.try_commit(count(Condition::Present)).await;
    assert_eq!(conflict(&outcome), Some(&[4][..]));
    assert_eq!(fixture.keys("", None, None).await, ["kept"]);
    assert!(far.keys("", None, None).await.is_empty());
    fixture.commit(count(Condition::Absent)).await;
    assert_eq!(fixture.keys("", None, None).await, ["new"]);
    assert_eq!(far.keys("", None, None).await, ["count", "new"]);
    assert_eq!(far.attributes("count").await.count, Some(4));
}

pub(super) async fn empty_commit_does_nothing(fixture: Fixture) {
    fixture.commit(Vec::new()).await;
    assert!(fixture.keys("", None, None).await.is_empty());
}

pub(super) async fn every_attribute_is_read_back(fixture: Fixture) {
    let full = Attributes {
        version: Some(u64::from(u32::MAX) + 1),
        uid: Some("Größe-日本".to_owned()),
        active: Some(false),
        scheduled: Some(true),
        seen_at: Some(1_735_689_600_123),
        expires_at: Some(4_102_444_800),
        count: Some(-17),
    };
    let body = r#"{"text":"line\nbreak \"quoted\" äöü 🚀","number":1.5e-3,"empty":""}"#;
    for (sk, attributes) in [("full", full), ("bare", Attributes::default())] {
        fixture.commit(vec![fixture.put(sk, attributes.clone(), body)]).await;
        let expected = Item { key: fixture.key(sk), attributes, body: Body::text(body) };
        assert_eq!(fixture.get(sk).await.as_ref(), Some(&expected));
        let expected = [expected];
        assert_eq!(fixture.range(sk, None, None).await, expected);
        let many = fixture.storage.get_many(&[fixture.key(sk)]).await;
        assert_eq!(many.expect("the item can be read"), expected);
    }
    // A put replaces the item, including attributes that it does not have.
    fixture.commit(vec![fixture.put("full", version(2), "2")]).await;
    assert_eq!(fixture.attributes("full").await, version(2));
}

pub(super) async fn partitions_are_independent(fixture: Fixture) {
    let others = [fixture.beside("/1"), fixture.beside("/2")];
    for (number, other) in others.iter().enumerate() {
        other.commit(vec![other.put("same", version(number as u64), "0")]).await;
    }
    others[0].commit(vec![others[0].write("same", WriteKind::Delete, Condition::Present)]).await;
    assert_eq!(others[0].get("same").await, None);
    assert_eq!(others[1].attributes("same").await, version(1));
}
