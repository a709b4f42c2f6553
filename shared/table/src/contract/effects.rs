//! The effect of each kind of write, under each condition, alone and in a transaction.

use super::conditions::{states, table};
use super::fixture::{Fixture, conflict, count, seen, version};
use crate::{Attributes, Body, Condition, Item, WriteKind};

const BODY: &str = r#"{"was":"there"}"#;

fn kinds() -> Vec<WriteKind> {
    let attributes = Attributes { uid: Some("new".to_owned()), ..version(9) };
    vec![
        WriteKind::Put { attributes, body: Body::text(r#"{"is":"new"}"#) },
        WriteKind::Delete,
        WriteKind::Check,
        WriteKind::Add(7),
        WriteKind::SetSeenAt(50),
    ]
}

/// The expected item after the write.
fn expected(stored: Option<(Attributes, Body)>, kind: &WriteKind) -> Option<(Attributes, Body)> {
    match kind {
        WriteKind::Put { attributes, body } => Some((attributes.clone(), body.clone())),
        WriteKind::Delete => None,
        WriteKind::Check => stored,
        WriteKind::Add(more) => {
            let (before, body) = stored.unwrap_or_default();
            let number = before.count.unwrap_or(0) + more;
            Some((Attributes { count: Some(number), ..before }, body))
        }
        WriteKind::SetSeenAt(time) => {
            stored.map(|(before, body)| (Attributes { seen_at: Some(*time), ..before }, body))
        }
    }
}

pub(super) async fn each_kind_under_each_condition(fixture: Fixture) {
    for (number, kind) in kinds().into_iter().enumerate() {
        for (row, (condition, holds_in)) in table().into_iter().enumerate() {
            for transaction in [false, true] {
                let case = fixture.beside(&format!("/{number}/{row}/{transaction}"));
                check(&case, &kind, &condition, &holds_in, transaction).await;
            }
        }
    }
}

async fn check(
    fixture: &Fixture,
    kind: &WriteKind,
    condition: &Condition,
    holds_in: &[&str],
    transaction: bool,
) {
    let stored =
        |(name, attributes): (&str, Option<Attributes>)| Some(fixture.put(name, attributes?, BODY));
    fixture.commit(states().into_iter().filter_map(stored).collect()).await;
    for (state, attributes) in states() {
        let context = format!("{kind:?} if {condition:?} on {state}, transaction: {transaction}");
        let exists = attributes.is_some();
        let holds =
            holds_in.contains(&state) && (exists || !matches!(kind, WriteKind::SetSeenAt(_)));
        let before = attributes.map(|attributes| (attributes, Body::text(BODY)));
        let companion = format!("companion of {state}");
        let mut writes = vec![fixture.write(state, kind.clone(), condition.clone())];
        if transaction {
            writes.insert(0, fixture.put(&companion, version(1), "{}"));
        }
        let position = [writes.len() - 1];
        let outcome = fixture.try_commit(writes).await;
        let failed: Option<&[usize]> = (!holds).then_some(&position);
        assert_eq!(conflict(&outcome), failed, "{context}");
        let after = if holds { expected(before, kind) } else { before };
        let found =
            fixture.get(state).await.map(|Item { attributes, body, .. }| (attributes, body));
        assert_eq!(found, after, "{context}");
        let beside = fixture.get(&companion).await.is_some();
        assert_eq!(beside, transaction && holds, "all or nothing: {context}");
    }
}

pub(super) async fn seen_keeps_body_and_version(fixture: Fixture) {
    let attributes = Attributes { uid: Some("u".to_owned()), ..seen(4, 100) };
    fixture.commit(vec![fixture.put("node", attributes.clone(), BODY)]).await;
    let heartbeat =
        |time| vec![fixture.write("node", WriteKind::SetSeenAt(time), Condition::SeenBefore(time))];
    for (time, moves) in [(150, true), (150, false), (149, false), (90, false), (151, true)] {
        assert_eq!(fixture.wins(heartbeat(time)).await, moves, "seen at {time}");
    }
    let item = fixture.get("node").await.expect("the node is stored");
    assert_eq!(item.attributes, Attributes { seen_at: Some(151), ..attributes });
    assert_eq!(item.body, Body::text(BODY));
}

pub(super) async fn put_planned_before_a_heartbeat_conflicts(fixture: Fixture) {
    fixture.commit(vec![fixture.put("node", seen(1, 100), BODY)]).await;
    let unchanged = |seen_at| Condition::Unchanged { version: 1, seen_at: Some(seen_at) };
    let replace = |seen_at| {
        let kind = WriteKind::Put { attributes: seen(2, seen_at), body: Body::text("2") };
        vec![fixture.write("node", kind, unchanged(seen_at))]
    };
    let heartbeat = fixture.write("node", WriteKind::SetSeenAt(200), Condition::SeenBefore(200));
    fixture.commit(vec![heartbeat]).await;
    assert!(!fixture.wins(replace(100)).await, "planned before the heartbeat");
    assert_eq!(fixture.attributes("node").await, seen(1, 200));
    assert!(fixture.wins(replace(200)).await, "planned after the heartbeat");
    assert_eq!(fixture.attributes("node").await, seen(2, 200));
}

pub(super) async fn counter_has_no_body(fixture: Fixture) {
    let add = |more| vec![fixture.write("counter", WriteKind::Add(more), Condition::Always)];
    for more in [3, -5, 0] {
        fixture.commit(add(more)).await;
    }
    let item = fixture.get("counter").await.expect("the counter exists");
    assert_eq!((item.attributes, item.body.to_text().ok().flatten()), (count(-2), None));
    let listed = fixture.range("", None, None).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].body, Body::None);
}
