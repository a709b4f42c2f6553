//! Actions of a plan, each applied to only the records that it names as affected.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{AttemptRef, EndReason, LeaveReason};

fn attempt() -> AttemptRef {
    AttemptRef { job: job_ref("a"), number: 1 }
}

fn leave(end_reason: Option<EndReason>) -> Action {
    Action::Leave { node: node_id(0), reason: LeaveReason::Shrink, end_reason }
}

fn end_attempt() -> Action {
    Action::EndAttempt {
        attempt: attempt(),
        end_reason: EndReason::WallClockExceeded,
        grace_seconds: 7,
    }
}

#[test]
fn each_action_names_its_affected_records() {
    let none = AffectedRecords::default;
    let node = || AffectedRecords { nodes: node_ids([0]), ..none() };
    let job = || AffectedRecords { job: Some(job_ref("a")), ..none() };
    let planned = || AffectedRecords { cluster: ClusterRead::Planned, ..none() };
    let ids = || AffectedRecords { cluster: ClusterRead::Current, ..none() };
    let relaunch = Action::Relaunch { launch: uid("l") };
    let bind = Action::Bind { launch: uid("l"), instances: vec![] };
    let launch = || AffectedRecords { launch: Some(uid("l")), ..none() };
    let start = Action::Start { entry: queued("a", 2), nodes: node_ids([0, 1]) };
    let entry = of_sweep(queued("a", 1), "s", 1);
    let limited = Action::Start { entry, nodes: node_ids([0]) };
    let cases = [
        (start, AffectedRecords { nodes: node_ids([0, 1]), ..job() }),
        (limited, AffectedRecords { cluster: ClusterRead::Planned, nodes: node_ids([0]), ..job() }),
        (Action::FailQueued { entry: queued("a", 1) }, job()),
        (end_attempt(), job()),
        (leave(None), node()),
        (leave(Some(EndReason::Terminated)), AffectedRecords { running_job: true, ..node() }),
        (Action::Remove { node: node_id(0) }, AffectedRecords { running_job: true, ..node() }),
        (Action::Launch { count: 1, planned_nodes: 1, is_gang: false, zone: None }, planned()),
        (Action::MarkDormant, planned()),
        (Action::MarkScheduled, planned()),
        (Action::Unschedule, planned()),
        (Action::FinishDeletion, planned()),
        (relaunch, launch()),
        (bind, AffectedRecords { waiting_nodes: true, ..launch() }),
        (Action::TerminateStray { instance: "i".into() }, none()),
        (Action::RecordFailure { error: error("A") }, ids()),
        (Action::ShowError { error: error("A") }, ids()),
        (Action::SetAllocation { resizing: true, planned_nodes: 1 }, ids()),
    ];
    for (action, expected) in cases {
        assert_eq!(affected_records(&action), expected, "{action:?}");
    }
}

fn busy() -> Fixture {
    let (job, nodes) = gang("a", &[0, 1]);
    Fixture::of(manual_cluster(2), vec![job], nodes)
}

/// Two runs of a sweep that were planned on the same count must not both start.
#[test]
fn the_start_of_a_job_with_a_limit_writes_the_cluster() {
    let run = |name: &str| {
        let sweep = model::SweepRun {
            name: model::Name::new("S"),
            parameters: vec![],
            max_parallel: Some(1),
            objective: None,
            early_stopping: None,
        };
        let mut job = job(name, 1);
        job.spec.sweep = Some(Box::new(sweep));
        job
    };
    let nodes = vec![idle(0, NOW), idle(1, NOW)];
    let fixture = Fixture::of(manual_cluster(2), vec![run("a"), run("b")], nodes);
    let start = |name: &str, number: usize| {
        let entry = fixture.job(name).queue_entry();
        let mut draft = fixture.draft();
        let action = Action::Start { entry, nodes: node_ids([number]) };
        apply(&mut draft, &action, None).unwrap();
        draft.finish()
    };
    let (first, second) = (start("a", 0), start("b", 1));
    assert!(fixture.commit(&first).is_ok());
    assert!(fixture.commit(&second).is_err_and(|error| error.is_conflict()));
    let of_node = fixture.node(0).sweep_key().map(|key| key.name);
    assert_eq!(of_node.as_deref(), Some("s"));
}

#[test]
fn actions_on_a_job() {
    let nodes = vec![idle(0, NOW), idle(1, NOW)];
    let fixture = Fixture::of(manual_cluster(2), vec![job("a", 2)], nodes);
    let start = Action::Start { entry: queued("a", 2), nodes: node_ids([0, 1]) };
    assert_snapshot!(fixture.applied(&start), @r"
    replace job a: running #1 on n0 n1 (preparing)
    delete queue 1 a, which exists
    replace node n0: runs a#1 @60 to @3660
    delete idle n0
    replace node n1: runs a#1 @60 to @3660
    delete idle n1
    notify n0 n1
    log started a#1 n0 n1
    ");
    assert_snapshot!(fixture.applied(&start), @"refused: a job that is running cannot start");
    assert_snapshot!(fixture.applied(&end_attempt()), @r"
    replace job a: running #1 on n0 n1 (ending WallClockExceeded @60 in 7 s)
    notify n0 n1
    log ending a#1 WallClockExceeded
    ");
    let waiting = Fixture::of(manual_cluster(2), vec![job("a", 2)], vec![]);
    let fail_queued = Action::FailQueued { entry: queued("a", 2) };
    assert_snapshot!(waiting.applied(&fail_queued), @r"
    replace job a: failed ClusterDeleted @60-@60
    delete queue 1 a, which exists
    ");
    let empty = Fixture::of(manual_cluster(2), vec![], vec![]);
    assert_snapshot!(empty.applied(&fail_queued), @"refused: a job that is removed cannot change");
}

#[test]
fn actions_on_a_node() {
    assert_snapshot!(busy().applied(&leave(None)), @r"
    replace node n0: leaving Shrink by @70 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Shrink
    ");
    let fixture = busy();
    let displaced = EndReason::DeallocatedRequeue { node: node_id(0) };
    assert_snapshot!(fixture.applied(&leave(Some(displaced))), @r"
    replace job a: running #1 on n0 n1 (ending DeallocatedRequeue n0 @60 in 10 s)
    replace node n0: leaving Shrink by @70 with a#1
    hint Autoscaler c
    notify n0 n1
    log leaving n0 Shrink
    log ending a#1 DeallocatedRequeue n0
    ");
    assert_snapshot!(fixture.applied(&leave(None)), @"refused: a node that is leaving cannot leave again");
    let remove = Action::Remove { node: node_id(0) };
    assert_snapshot!(fixture.applied(&remove), @"
    replace job a: running #1 on n0- n1 (ending DeallocatedRequeue n0 @60 in 10 s)
    remove node n0
    delete inst i-0
    put ended n0: shrink: n0 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Autoscaler c
    notify n1
    log member ended a#1 n0
    log removed n0
    ");
    assert_snapshot!(fixture.applied(&remove), @"nothing");
}

#[test]
fn actions_on_launches() {
    let fixture = Fixture::of(manual_cluster(2), vec![], vec![]);
    let action = Action::Launch { count: 2, planned_nodes: 2, is_gang: false, zone: None };
    let new = new_launch("l", node_ids([0, 1]));
    let change = fixture.apply(&action, Some(new)).unwrap();
    assert_eq!(change.launches.len(), 1);
    assert_snapshot!(fixture.applied(&action), @"refused: a launch that is without ids cannot begin");
    assert_snapshot!(
        fixture.applied(&Action::Relaunch { launch: uid("l") }),
        @"launch l for c: n0 n1 as [\"STANDARD_D1\"] Dedicated"
    );
    let bind = Action::Bind { launch: uid("l"), instances: vec![launched(0)] };
    assert_snapshot!(fixture.applied(&bind), @r"
    replace node n0: preparing i-0 by @3660
    create inst i-0
    replace launch l: n0=i-0 n1
    ");
    assert_snapshot!(fixture.applied(&bind), @"nothing");
    assert_snapshot!(fixture.applied(&Action::TerminateStray { instance: "i".into() }), @"nothing");
    assert_snapshot!(fixture.applied(&Action::RecordFailure { error: error("A") }), @"replace cluster c: planned 2, resizing @60, launch failed 1x, not before @65, errors A[]");
}

#[test]
fn actions_on_the_cluster() {
    let fixture = Fixture::of(manual_cluster(0), vec![], vec![]);
    let resizing = Action::SetAllocation { resizing: true, planned_nodes: 3 };
    assert_snapshot!(fixture.applied(&resizing), @"replace cluster c: planned 3, resizing @60");
    assert_snapshot!(fixture.applied(&Action::MarkDormant), @"replace cluster c: planned 3, resizing @60, dormant");
    assert_snapshot!(fixture.applied(&Action::Unschedule), @r"
    check cluster c unchanged { version: 3, seen_at: none }
    delete target c
    ");
    assert_snapshot!(fixture.applied(&Action::MarkScheduled), @r"
    replace cluster c: planned 3, resizing @60
    put target c
    ");
    let fixture = Fixture::of(deleting(manual_cluster(0)), vec![], vec![]);
    assert_snapshot!(fixture.applied(&Action::FinishDeletion), @r"
    put operation op: @0 of s$g$w$c succeeded @60
    remove cluster c
    delete target c
    count meter clusters -1 if CountAtLeast(1)
    log deleted c
    ");
    assert_snapshot!(fixture.applied(&Action::FinishDeletion), @"refused: a cluster that is removed cannot change");
}
