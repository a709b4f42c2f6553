//! In which states of an item each condition holds, written out by hand. `conditions` checks it on
//! the implementation, for a write by itself and for one in a transaction.

use super::fixture::{Fixture, conflict, count, seen, version};
use crate::{Attributes, Condition, WriteKind};

/// The states of an item that conditions can distinguish.
pub(super) fn states() -> Vec<(&'static str, Option<Attributes>)> {
    let resource = |uid: &str, active, scheduled| {
        let uid = Some(uid.to_owned());
        Some(Attributes { active: Some(active), scheduled, uid, ..version(1) })
    };
    vec![
        ("absent", None),
        ("bare", Some(Attributes::default())),
        ("version 3", Some(version(3))),
        ("version 3, seen 100", Some(seen(3, 100))),
        ("active u1", resource("u1", true, None)),
        ("inactive u1", resource("u1", false, Some(true))),
        ("scheduled u1", resource("u1", true, Some(true))),
        ("unscheduled u1", resource("u1", true, Some(false))),
        ("scheduled u2", resource("u2", true, Some(true))),
        ("count -1", Some(count(-1))),
        ("count 0", Some(count(0))),
        ("count 5", Some(count(5))),
    ]
}

/// Each condition with the states in which it holds.
pub(super) fn table() -> Vec<(Condition, Vec<&'static str>)> {
    let all = || states().into_iter().map(|(name, _)| name);
    let uid = || "u1".to_owned();
    let uncounted = || all().filter(|name| !name.starts_with("count"));
    vec![
        (Condition::Always, all().collect()),
        (Condition::Absent, vec!["absent"]),
        (Condition::Present, all().skip(1).collect()),
        (Condition::Unchanged { version: 3, seen_at: None }, vec!["version 3"]),
        (Condition::Unchanged { version: 3, seen_at: Some(100) }, vec!["version 3, seen 100"]),
        (Condition::Unchanged { version: 3, seen_at: Some(99) }, vec![]),
        (Condition::Unchanged { version: 2, seen_at: None }, vec![]),
        (Condition::Active { uid: uid() }, vec!["active u1", "scheduled u1", "unscheduled u1"]),
        (Condition::ActiveAndScheduled { uid: uid() }, vec!["scheduled u1"]),
        (Condition::CountAtMost(4), uncounted().chain(["count -1", "count 0"]).collect()),
        (Condition::CountAtMost(5), all().collect()),
        (Condition::CountAtMost(-1), uncounted().chain(["count -1"]).collect()),
        (Condition::CountAtLeast(5), vec!["count 5"]),
        (Condition::CountAtLeast(6), vec![]),
        (Condition::CountAtLeast(0), vec!["count 0", "count 5"]),
        (Condition::SeenBefore(101), vec!["version 3, seen 100"]),
        (Condition::SeenBefore(100), vec![]),
        (Condition::Never, vec![]),
    ]
}

pub(super) async fn mean_the_same_everywhere(fixture: Fixture) {
    let stored: Vec<_> = states()
        .into_iter()
        .filter_map(|(name, attributes)| Some(fixture.put(name, attributes?, "{}")))
        .collect();
    fixture.commit(stored).await;
    for (condition, holds_in) in table() {
        for (state, _) in states() {
            let holds = holds_in.contains(&state);
            let check = fixture.write(state, WriteKind::Check, condition.clone());
            let first = fixture.write("first", WriteKind::Check, Condition::Absent);
            let alone = fixture.try_commit(vec![check.clone()]).await;
            let expected: Option<&[usize]> = (!holds).then_some(&[0]);
            assert_eq!(conflict(&alone), expected, "{condition:?} on {state}");
            let together = fixture.try_commit(vec![first, check]).await;
            let expected: Option<&[usize]> = (!holds).then_some(&[1]);
            assert_eq!(conflict(&together), expected, "{condition:?} on {state}, as the second");
        }
    }
}
