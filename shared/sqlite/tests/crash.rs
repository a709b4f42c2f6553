//! A committing process is killed at random times: every acknowledged commit is stored, and each
//! commit is complete.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

use sqlite::Sqlite;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use table::{Attributes, Body, Condition, Key, Range, Storage, Write, WriteKind};

const KILLS: u64 = 24;
const SUBMITTERS: usize = 6;
const ACKNOWLEDGED: &str = "acknowledged ";

/// A commit puts its key into each of them.
const PARTITIONS: [&str; 3] = ["a", "b", "c"];

#[tokio::test]
async fn acknowledged_commits_survive_kills_at_any_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("batchai.db");
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        // After 10 to 250 ms: during the opening, during commits, during a checkpoint.
        let millis = 10 + round * 7919 % 240;
        let mut child = start_child(&path, round);
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // The last line may be incomplete; a complete one ends with a full stop.
        let keys = lines.filter_map(|line| {
            Some(line.strip_prefix(ACKNOWLEDGED)?.strip_suffix('.')?.to_owned())
        });
        acknowledged.extend(keys);
        check(&path, &acknowledged, round).await;
    }
    assert!(acknowledged.len() > 100, "only {} commits were made", acknowledged.len());
}

async fn check(path: &Path, acknowledged: &BTreeSet<String>, round: u64) {
    let store = Sqlite::open(path).unwrap();
    let mut stored = Vec::new();
    for pk in PARTITIONS {
        let range = Range { pk: pk.to_owned(), prefix: String::new(), after: None, limit: None };
        let items = store.range(&range).await.unwrap();
        stored.push(items.into_iter().map(|item| item.key.sk).collect::<BTreeSet<String>>());
    }
    assert!(stored.iter().all(|keys| *keys == stored[0]), "half of a commit, round {round}");
    let lost: Vec<_> = acknowledged.difference(&stored[0]).collect();
    assert!(lost.is_empty(), "lost in round {round}: {lost:?}");
}

/// Starts this program as the committing process, with its arguments on standard input.
fn start_child(path: &Path, round: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "commit_until_killed"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{round}\n{}", path.display()).unwrap();
    child
}

#[test]
#[ignore = "run by the test above"]
fn commit_until_killed() {
    let mut arguments = String::new();
    std::io::stdin().read_to_string(&mut arguments).unwrap();
    let Some((round, path)) = arguments.trim().split_once('\n') else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Sqlite::open(path).unwrap());
        let submitters = (0..SUBMITTERS).map(|submitter| {
            let prefix = format!("{round}-{submitter}");
            tokio::spawn(commit_for_ever(Arc::clone(&store), prefix))
        });
        futures::future::join_all(submitters).await;
    });
}

async fn commit_for_ever(store: Arc<Sqlite>, prefix: String) {
    for number in 0.. {
        let sk = format!("{prefix}-{number:06}");
        let put = |pk: &str| Write {
            key: Key { pk: pk.to_owned(), sk: sk.clone() },
            kind: WriteKind::Put {
                attributes: Attributes::default(),
                body: Body::text(format!("\"{}\"", "x".repeat(1500))),
            },
            condition: Condition::Absent,
        };
        store.commit(PARTITIONS.map(put).to_vec()).await.unwrap();
        // One write to the pipe, so that everything printed before the kill can be read.
        let line = format!("\n{ACKNOWLEDGED}{sk}.\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    }
}
