//! What concurrent callers may observe.

use super::fixture::{Fixture, count, seen, version};
use crate::{Attributes, Body, Condition, Write, WriteKind};

const TASKS: usize = 8;

/// Runs the tasks concurrently and returns their results.
async fn at_once<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut results = Vec::new();
    for task in running {
        results.push(task.await.expect("the task ends by itself"));
    }
    results
}

/// Number of commits that were carried out.
async fn carried_out(fixture: Fixture, commits: Vec<Vec<Write>>) -> i64 {
    let mut won = 0;
    for writes in commits {
        won += i64::from(fixture.wins(writes).await);
    }
    won
}

pub(super) async fn counters_keep_their_bounds(fixture: Fixture) {
    const LIMIT: i64 = 30;
    const EACH: usize = 8;
    let up = (WriteKind::Add(1), Condition::CountAtMost(LIMIT - 1));
    let down = (WriteKind::Add(-1), Condition::CountAtLeast(1));
    for transaction in [false, true] {
        for ((kind, condition), end) in [(up.clone(), LIMIT), (down.clone(), 0)] {
            let tasks = (0..TASKS).map(|task| {
                let mut writes = vec![fixture.write("counter", kind.clone(), condition.clone())];
                if transaction {
                    writes.push(fixture.put(&format!("beside {task}"), version(1), "1"));
                }
                carried_out(fixture.clone(), vec![writes; EACH])
            });
            let won: i64 = at_once(tasks).await.into_iter().sum();
            assert_eq!((won, fixture.attributes("counter").await), (LIMIT, count(end)));
        }
    }
}

pub(super) async fn exactly_one_of_conflicting_commits_wins(fixture: Fixture) {
    let both = |before: Option<u64>, after: u64, task: usize| {
        let condition = before
            .map_or(Condition::Absent, |version| Condition::Unchanged { version, seen_at: None });
        ["a", "b"].map(|sk| {
            let body = Body::text(task.to_string());
            let kind = WriteKind::Put { attributes: version(after), body };
            fixture.write(sk, kind, condition.clone())
        })
    };
    for round in 0..20 {
        let before = (round > 0).then_some(round);
        let tasks = (0..TASKS).map(|task| {
            let mut writes = both(before, round + 1, task).to_vec();
            // In both orders of the items, as writers must not deadlock.
            writes.rotate_left(task % 2);
            carried_out(fixture.clone(), vec![writes])
        });
        let won = at_once(tasks).await;
        let winner = won.iter().position(|won| *won == 1).expect("one commit wins");
        assert_eq!(won.iter().sum::<i64>(), 1, "round {round}: {won:?}");
        for sk in ["a", "b"] {
            let item = fixture.get(sk).await.expect("the item exists");
            assert_eq!(
                (item.attributes, item.body),
                (version(round + 1), Body::text(winner.to_string()))
            );
        }
    }
}

pub(super) async fn time_last_seen_never_goes_back(fixture: Fixture) {
    let body = r#"{"node":1}"#;
    fixture.commit(vec![fixture.put("node", seen(7, 0), body)]).await;
    let heartbeats = |task: usize| {
        let time = move |step: usize| ((step * 37 + task * 11) % 100) as i64 + 1;
        let write =
            |time| fixture.write("node", WriteKind::SetSeenAt(time), Condition::SeenBefore(time));
        (0..100).map(time).map(|time| vec![write(time)]).collect::<Vec<_>>()
    };
    let reader = fixture.clone();
    let reads = tokio::spawn(async move {
        let mut times = Vec::new();
        while times.last() != Some(&Some(100)) {
            times.push(reader.attributes("node").await.seen_at);
            tokio::task::yield_now().await;
        }
        times
    });
    at_once((0..TASKS).map(|task| carried_out(fixture.clone(), heartbeats(task)))).await;
    let times = reads.await.expect("the last heartbeat is read");
    assert!(times.is_sorted(), "{times:?}");
    let item = fixture.get("node").await.expect("the node is stored");
    assert_eq!((item.attributes, item.body), (seen(7, 100), Body::text(body)));
}

/// Reads, then moves an amount between two items on the condition that neither changed.
pub(super) async fn transfers_keep_the_sum(fixture: Fixture) {
    const ACCOUNTS: [&str; 3] = ["a", "b", "c"];
    const START: i64 = 100;
    let account = |fixture: &Fixture, sk: &str, before: Option<&Attributes>, number: i64| {
        let (next, condition) = match before.and_then(|attributes| attributes.version) {
            Some(version) => (version + 1, Condition::Unchanged { version, seen_at: None }),
            None => (1, Condition::Absent),
        };
        let attributes = Attributes { count: Some(number), ..version(next) };
        fixture.write(sk, WriteKind::Put { attributes, body: Body::None }, condition)
    };
    fixture.commit(ACCOUNTS.map(|sk| account(&fixture, sk, None, START)).to_vec()).await;
    let tasks = (0..TASKS).map(|task| {
        let fixture = fixture.clone();
        async move {
            let (from, to) = (ACCOUNTS[task % 3], ACCOUNTS[(task + 1 + task / 3 % 2) % 3]);
            for amount in 1..=10 {
                loop {
                    let (source, target) =
                        (fixture.attributes(from).await, fixture.attributes(to).await);
                    let less = source.count.unwrap_or(0) - amount;
                    let more = target.count.unwrap_or(0) + amount;
                    let writes = vec![
                        account(&fixture, from, Some(&source), less),
                        account(&fixture, to, Some(&target), more),
                    ];
                    if fixture.wins(writes).await {
                        break;
                    }
                }
            }
        }
    });
    at_once(tasks).await;
    let mut numbers = Vec::new();
    let mut versions = 0;
    for sk in ACCOUNTS {
        let attributes = fixture.attributes(sk).await;
        numbers.push(attributes.count.unwrap_or(0));
        versions += attributes.version.unwrap_or(0);
    }
    assert_eq!(numbers.iter().sum::<i64>(), START * ACCOUNTS.len() as i64, "{numbers:?}");
    assert_eq!(versions, (ACCOUNTS.len() + 2 * 10 * TASKS) as u64, "every transfer counts once");
}
