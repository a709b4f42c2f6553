//! Which keys are accepted, and for how long.

use std::time::Duration;

use crate::fixture::{Node, assert_refused, eventually, is_alive, key_of, pid_in, text};

#[tokio::test]
async fn an_attempt_s_key_gives_its_own_surroundings() {
    let node = Node::start().await;
    let (one, two) = (node.admit("one"), node.admit("two"));
    assert_eq!(one.run("echo $ATTEMPT").await, (0, "one\n".into()));
    assert_eq!(two.run("echo $ATTEMPT").await, (0, "two\n".into()));
    assert_refused(&node.client("three").ssh(&[]).arg("true").output().await.unwrap());
}

#[tokio::test]
async fn a_key_is_refused_before_and_after_its_attempt() {
    let node = Node::start().await;
    let client = node.client("one");
    assert_refused(&client.ssh(&[]).arg("true").output().await.unwrap());
    node.policy.admit("one", key_of("one").public_key(), node.access("one"));
    assert_eq!(client.run("true").await.0, 0);
    node.policy.revoke("one");
    assert_refused(&client.ssh(&[]).arg("true").output().await.unwrap());
    // The next attempt of the job has another key.
    node.policy.admit("one", key_of("next").public_key(), node.access("one"));
    assert_refused(&client.ssh(&[]).arg("true").output().await.unwrap());
}

#[tokio::test]
async fn revoking_a_key_ends_its_sessions_and_no_others() {
    let node = Node::start().await;
    let (one, two) = (node.admit("one"), node.admit("two"));
    let line = "echo $$ > pid; trap '' HUP; sleep 1000 & wait; sleep 1000";
    let first = one.ssh(&[]).arg(line).spawn().unwrap();
    let mut second = two.ssh(&[]).arg(line).spawn().unwrap();
    let pids =
        (pid_in(&node.path("one").join("pid")).await, pid_in(&node.path("two").join("pid")).await);
    node.policy.revoke("one");
    let end = tokio::time::timeout(Duration::from_secs(5), first.wait_with_output());
    let output = end.await.expect("the connection is closed at once").unwrap();
    assert_eq!(output.status.code(), Some(255), "{}", text(&output.stderr));
    eventually("a process that ignores SIGHUP is killed", || !is_alive(pids.0)).await;
    assert!(is_alive(pids.1));
    second.kill().await.unwrap();
    eventually("a client that was killed ends its process", || !is_alive(pids.1)).await;
}
