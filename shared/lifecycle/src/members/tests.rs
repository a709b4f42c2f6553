//! Events of gang members; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{Job, Node, ResourceError, limits};

fn attempt() -> AttemptRef {
    AttemptRef { job: job_ref("a"), number: 1 }
}

fn with(job: Job, nodes: Vec<Node>) -> Fixture {
    Fixture::of(manual_cluster(4), vec![job], nodes)
}

fn gang_of(numbers: &[usize]) -> Fixture {
    let (job, nodes) = gang("a", numbers);
    with(job, nodes)
}

fn member_ended(fixture: &Fixture, number: usize, end_reason: &EndReason) -> String {
    fixture.react(|draft| {
        ended(draft, &attempt(), &node_id(number), end_reason, NodeDisposition::Release)
    })
}

fn prepare(fixture: &Fixture, number: usize) -> String {
    fixture.react(|draft| prepared(draft, &attempt(), &node_id(number)))
}

#[test]
fn a_gang_starts_when_its_last_member_is_prepared() {
    let fixture = gang_of(&[0, 1, 2]);
    assert_snapshot!(prepare(&fixture, 2), @"replace job a: running #1 on n0 n1 n2+ (preparing)");
    assert_snapshot!(prepare(&fixture, 2), @"nothing");
    assert_snapshot!(prepare(&fixture, 0), @"replace job a: running #1 on n0+ n1 n2+ (preparing)");
    assert_snapshot!(prepare(&fixture, 7), @"nothing");
    assert_snapshot!(prepare(&fixture, 1), @r"
    replace job a: running #1 on n0+ n1+ n2+ (runs)
    notify n0 n1 n2
    ");
    assert_snapshot!(prepare(&fixture, 1), @"nothing");
}

#[test]
fn only_the_live_attempt_is_prepared() {
    let fixture = gang_of(&[0, 1]);
    let older = AttemptRef { number: 2, ..attempt() };
    let of_older = fixture.react(|draft| prepared(draft, &older, &node_id(0)));
    assert_snapshot!(of_older, @"nothing");
    let (mut job, nodes) = gang("a", &[0, 1]);
    job.end_attempt(EndReason::Terminated, 10, NOW);
    assert_snapshot!(prepare(&with(job, nodes), 0), @"nothing");
}

#[test]
fn an_attempt_is_asked_to_end_once() {
    let fixture = gang_of(&[0, 1]);
    let end = |attempt: &AttemptRef, end_reason| {
        fixture.react(|draft| end_attempt(draft, attempt, &end_reason, 7))
    };
    let older = AttemptRef { number: 2, ..attempt() };
    assert_snapshot!(end(&older, EndReason::WallClockExceeded), @"nothing");
    assert_snapshot!(end(&attempt(), EndReason::WallClockExceeded), @r"
    replace job a: running #1 on n0 n1 (ending WallClockExceeded @60 in 7 s)
    notify n0 n1
    log ending a#1 WallClockExceeded
    ");
    assert_snapshot!(end(&attempt(), EndReason::ClusterDeleted), @"nothing");
}

/// The job and the first node after the first member reported each end reason.
fn outcomes(numbers: &[usize], change: impl Fn(&mut Job)) -> String {
    let outcome = |end_reason: &EndReason| {
        let (mut job, nodes) = gang("a", numbers);
        change(&mut job);
        let fixture = with(job, nodes);
        member_ended(&fixture, 0, end_reason);
        for other in &numbers[1..] {
            let stopped = EndReason::NodeLost { node: node_id(*other), reason: "stopped".into() };
            member_ended(&fixture, *other, &stopped);
        }
        let stored = fixture.stored();
        let line =
            |start: &str| stored.lines().find(|line| line.starts_with(start)).map(str::to_owned);
        let job = line("job a").map_or("removed".to_owned(), |it| it[7..].to_owned());
        let job = job.split("; #").next().unwrap_or_default().to_owned();
        format!("{}: {job} | {}", name(end_reason), &line("node n0").unwrap()[9..])
    };
    endings(&node_id(0)).iter().map(outcome).collect::<Vec<_>>().join("\n")
}

/// The name of the variant.
fn name(end_reason: &EndReason) -> String {
    let text = format!("{end_reason:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn the_end_of_a_job_that_runs_alone() {
    assert_snapshot!(outcomes(&[0], |_| {}), @r"
    Exited: succeeded @0-@60 | idle @60
    Exited: failed with 3 JobFailed @0-@60 | idle @60
    PreparationFailed: failed with 4 JobPreparationFailed @0-@60 | idle @60
    NotProvided: failed with -1 NoMount @0-@60 | idle @60
    NodeFailed: queued @60 | unusable DiskFull[] @60
    WallClockExceeded: failed JobMaxWallClockTimeExceeded @0-@60 | idle @60
    Terminated: failed JobTerminated @0-@60 | idle @60
    ClusterDeleted: failed ClusterDeleted @0-@60 | idle @60
    DeallocatedTerminate: failed JobNodeDeallocated @0-@60 | idle @60
    DeallocatedRequeue: queued @60 | idle @60
    Interrupted: queued @60 | idle @60
    NodeLost: queued @60 | idle @60
    ");
}

#[test]
fn the_first_end_reason_of_a_gang_counts() {
    assert_eq!(outcomes(&[0, 1], |_| {}), outcomes(&[0], |_| {}));
}

#[test]
fn the_end_of_a_job_that_is_terminated() {
    assert_snapshot!(outcomes(&[0], |job| job.terminate(Some(uid("op")), NOW).unwrap()), @r"
    Exited: succeeded @0-@60 | idle @60
    Exited: failed with 3 JobFailed @0-@60 | idle @60
    PreparationFailed: failed with 4 JobPreparationFailed @0-@60 | idle @60
    NotProvided: failed with -1 NoMount @0-@60 | idle @60
    NodeFailed: failed JobTerminated @0-@60 | unusable DiskFull[] @60
    WallClockExceeded: failed JobMaxWallClockTimeExceeded @0-@60 | idle @60
    Terminated: failed JobTerminated @0-@60 | idle @60
    ClusterDeleted: failed JobTerminated @0-@60 | idle @60
    DeallocatedTerminate: failed JobTerminated @0-@60 | idle @60
    DeallocatedRequeue: failed JobTerminated @0-@60 | idle @60
    Interrupted: failed JobTerminated @0-@60 | idle @60
    NodeLost: failed JobTerminated @0-@60 | idle @60
    ");
    assert_snapshot!(outcomes(&[0, 1], |job| job.terminate(Some(uid("op")), NOW).unwrap()), @r"
    Exited: succeeded @0-@60 | idle @60
    Exited: failed JobTerminated @0-@60 | idle @60
    PreparationFailed: failed JobTerminated @0-@60 | idle @60
    NotProvided: failed JobTerminated @0-@60 | idle @60
    NodeFailed: failed JobTerminated @0-@60 | unusable DiskFull[] @60
    WallClockExceeded: failed JobTerminated @0-@60 | idle @60
    Terminated: failed JobTerminated @0-@60 | idle @60
    ClusterDeleted: failed JobTerminated @0-@60 | idle @60
    DeallocatedTerminate: failed JobTerminated @0-@60 | idle @60
    DeallocatedRequeue: failed JobTerminated @0-@60 | idle @60
    Interrupted: failed JobTerminated @0-@60 | idle @60
    NodeLost: failed JobTerminated @0-@60 | idle @60
    ");
}

#[test]
fn a_job_that_is_deleted_is_removed_whatever_its_end() {
    let delete = |job: &mut Job| {
        job.terminate(None, NOW).unwrap();
        job.deletion = Some(model::Deletion { operation: uid("op"), since: NOW });
    };
    for outcome in outcomes(&[0], delete).lines().chain(outcomes(&[0, 1], delete).lines()) {
        assert!(outcome.contains(": removed |"), "{outcome}");
    }
}

#[test]
fn only_user_failures_use_up_retries() {
    assert_snapshot!(outcomes(&[0], |job| job.spec.max_retries = Some(1)), @r"
    Exited: succeeded @0-@60 | idle @60
    Exited: queued @60 | idle @60
    PreparationFailed: queued @60 | idle @60
    NotProvided: failed with -1 NoMount @0-@60 | idle @60
    NodeFailed: queued @60 | unusable DiskFull[] @60
    WallClockExceeded: failed JobMaxWallClockTimeExceeded @0-@60 | idle @60
    Terminated: failed JobTerminated @0-@60 | idle @60
    ClusterDeleted: failed ClusterDeleted @0-@60 | idle @60
    DeallocatedTerminate: failed JobNodeDeallocated @0-@60 | idle @60
    DeallocatedRequeue: queued @60 | idle @60
    Interrupted: queued @60 | idle @60
    NodeLost: queued @60 | idle @60
    ");
    let used = |job: &mut Job| {
        job.spec.max_retries = Some(1);
        let (run, nodes) =
            (job.state.attempt().unwrap().clone(), vec![(node_id(0), String::new())]);
        let first = AttemptRef { job: job.reference(), number: 1 };
        job.member_ended(&first, &node_id(0), EndReason::Exited { exit_code: 1 }, NOW).unwrap();
        job.start(nodes, NOW).unwrap();
        assert_eq!(run.number + 1, job.state.attempt().unwrap().number);
    };
    let (mut job, _) = gang("a", &[0]);
    used(&mut job);
    let second = AttemptRef { number: 2, ..attempt() };
    let mut node = running(0, "a");
    if let NodeState::Running { attempt, .. } = &mut node.state {
        *attempt = second.clone();
    }
    let fixture = with(job, vec![node]);
    let end_reason = EndReason::Exited { exit_code: 5 };
    assert_snapshot!(
        fixture.react(|draft| ended(draft, &second, &node_id(0), &end_reason, NodeDisposition::Release)),
        @r"
    replace job a: failed with 5 JobFailed @0-@60; #1 n0 Exited 1 @0; #2 n0 Exited 5 @60
    replace node n0: idle @60
    put idle n0
    log member ended a#2 n0
    log attempt ended a#2 failed
    "
    );
}

#[test]
fn a_member_that_ends_stops_the_others() {
    let fixture = gang_of(&[0, 1, 2]);
    assert_snapshot!(member_ended(&fixture, 1, &EndReason::Exited { exit_code: 0 }), @r"
    replace job a: running #1 on n0 n1- n2 (ending Exited 0 @60 in 10 s)
    replace node n1: idle @60
    put idle n1
    notify n0 n2
    log member ended a#1 n1
    ");
    assert_snapshot!(member_ended(&fixture, 1, &EndReason::Exited { exit_code: 3 }), @r"
    notify n0 n2
    log member ended a#1 n1
    ");
    assert_snapshot!(member_ended(&fixture, 0, &EndReason::Exited { exit_code: 3 }), @r"
    replace job a: running #1 on n0- n1- n2 (ending Exited 0 @60 in 10 s)
    replace node n0: idle @60
    put idle n0
    notify n1 n2
    log member ended a#1 n0
    ");
    assert_snapshot!(member_ended(&fixture, 2, &EndReason::Exited { exit_code: 3 }), @r"
    replace job a: succeeded @0-@60; #1 n0 n1 n2 Exited 0 @60
    replace node n2: idle @60
    put idle n2
    notify n0 n1
    log member ended a#1 n2
    log attempt ended a#1 succeeded
    ");
}

#[test]
fn a_failed_node_takes_no_further_job_and_the_job_keeps_its_place() {
    let (mut job, nodes) = gang("a", &[0]);
    job.submitted_at = model::Timestamp(NOW.0 - 5000);
    let place = job.queue_entry();
    let fixture = with(job, nodes);
    let failure = EndReason::NodeFailed { node: node_id(0), error: error("DiskFull") };
    assert_snapshot!(member_ended(&fixture, 0, &failure), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors DiskFull[n0]
    replace job a: queued @60; #1 n0 NodeFailed n0 DiskFull @60
    create queue 1 a
    replace node n0: unusable DiskFull[] @60
    hint Dispatcher c
    hint Autoscaler c
    log member ended a#1 n0
    log attempt ended a#1 queued
    log failed n0 DiskFull[]
    ");
    assert_eq!(fixture.job("a").queue_entry(), place);
    assert_snapshot!(member_ended(&fixture, 0, &failure), @"nothing");
}

#[test]
fn a_failed_node_that_leaves_still_leaves() {
    let (job, mut nodes) = gang("a", &[0]);
    nodes[0] = nodes[0].clone().leave(model::LeaveReason::Shrink, NOW).unwrap();
    let failure = EndReason::NodeFailed { node: node_id(0), error: error("DiskFull") };
    assert_snapshot!(member_ended(&with(job, nodes), 0, &failure), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors DiskFull[n0]
    replace job a: queued @60; #1 n0 NodeFailed n0 DiskFull @60
    create queue 1 a
    replace node n0: leaving Shrink by @0
    hint Dispatcher c
    hint Autoscaler c
    log member ended a#1 n0
    log attempt ended a#1 queued
    ");
}

/// No node becomes free that takes the next job, which may start on another one.
#[test]
fn the_end_of_a_run_on_a_leaving_node_lets_the_next_run_start() {
    let (job, mut nodes) = gang("a", &[0]);
    nodes[0] = nodes[0].clone().leave(model::LeaveReason::Shrink, NOW).unwrap();
    nodes[0].sweep = Some("s".into());
    let failure = EndReason::Exited { exit_code: 3 };
    let hints = |nodes: Vec<Node>| {
        let change = member_ended(&with(job.clone(), nodes), 0, &failure);
        change.lines().filter(|line| line.starts_with("hint")).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(hints(nodes.clone()), @"
    hint Dispatcher c
    hint Autoscaler c
    ");
    nodes[0].sweep = None;
    assert_snapshot!(hints(nodes), @"hint Autoscaler c");
}

#[test]
fn a_job_that_fails_on_three_nodes_fails_with_their_error() {
    let fixture = with(job("a", 1), (0..3).map(|number| idle(number, NOW)).collect());
    for number in 0..limits::MAX_NODE_FAILURES {
        assert!(matches!(fixture.job("a").state, JobState::Queued { .. }), "try {number}");
        let started =
            fixture.react(|draft| crate::jobs::start(draft, &queued("a", 1), &[node_id(number)]));
        assert!(started.contains("log started"), "{started}");
        let attempt = fixture.job("a").live_attempt().unwrap();
        let error = ResourceError::new("DiskFull", format!("on {number}"));
        let failure = EndReason::NodeFailed { node: node_id(number), error };
        fixture.react(|draft| {
            ended(draft, &attempt, &node_id(number), &failure, NodeDisposition::Release)
        });
    }
    assert_snapshot!(fixture.stored(), @r"
    cluster c: planned 0, steady @0, launch failed 3x, not before @80, errors DiskFull[n2] DiskFull[n1] DiskFull[n0]
    job a: failed DiskFull @60-@60; #1 n0 NodeFailed n0 DiskFull @60; #2 n1 NodeFailed n1 DiskFull @60; #3 n2 NodeFailed n2 DiskFull @60
    node n0: unusable DiskFull[] @60
    node n1: unusable DiskFull[] @60
    node n2: unusable DiskFull[] @60
    ");
}

#[test]
fn a_job_that_loses_its_nodes_too_often_fails() {
    let fixture = with(job("a", 1), vec![idle(0, NOW)]);
    let lost = EndReason::NodeLost { node: node_id(0), reason: "r".into() };
    for loss in 0..=limits::MAX_INFRASTRUCTURE_LOSSES {
        assert!(matches!(fixture.job("a").state, JobState::Queued { .. }), "loss {loss}");
        fixture.react(|draft| crate::jobs::start(draft, &queued("a", 1), &[node_id(0)]));
        let attempt = fixture.job("a").live_attempt().unwrap();
        fixture.react(|draft| ended(draft, &attempt, &node_id(0), &lost, NodeDisposition::Release));
    }
    let JobState::Failed { error, exit_code, .. } = fixture.job("a").state else { panic!() };
    assert_eq!((error.code.as_str(), exit_code), ("JobLostTooOften", None));
    assert_snapshot!(error.message, @"The specified job lost its nodes 51 times and is not run again");
    assert_eq!(error.details, [("Reason".to_owned(), "node n0 was lost: r".to_owned())]);
}

#[test]
fn a_member_that_was_removed_ends_there() {
    let fixture = gang_of(&[0, 1]);
    let lost = EndReason::NodeLost { node: node_id(0), reason: "r".into() };
    let remove = |number| {
        fixture.react(|draft| {
            ended(draft, &attempt(), &node_id(number), &lost, NodeDisposition::Remove)
        })
    };
    assert_snapshot!(remove(0), @"
    replace job a: running #1 on n0- n1 (ending NodeLost n0 (r) @60 in 10 s)
    remove node n0
    delete inst i-0
    put ended n0: lost: n0 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Autoscaler c
    notify n1
    log member ended a#1 n0
    log removed n0
    ");
    assert_snapshot!(remove(0), @r"
    notify n1
    log member ended a#1 n0
    ");
    assert_snapshot!(remove(1), @"
    replace job a: queued @60; #1 n0 n1 NodeLost n0 (r) @60
    create queue 1 a
    remove node n1
    delete inst i-1
    put ended n1: lost: n1 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Dispatcher c
    hint Autoscaler c
    notify n0
    log member ended a#1 n1
    log attempt ended a#1 queued
    log removed n1
    ");
}

#[test]
fn an_ended_attempt_releases_only_its_node() {
    let fixture = Fixture::of(manual_cluster(1), vec![], vec![idle(0, NOW)]);
    assert_snapshot!(member_ended(&fixture, 0, &EndReason::Terminated), @"nothing");
    let (other, nodes) = gang("b", &[0]);
    let fixture = Fixture::of(manual_cluster(1), vec![other, job("a", 1)], nodes);
    assert_snapshot!(member_ended(&fixture, 0, &EndReason::Terminated), @"nothing");
}
