//! Requests of users about jobs; each case shows the resulting change.

use super::*;
use crate::members::{self, NodeDisposition};
use crate::testing::*;
use insta::assert_snapshot;
use model::{EndReason, Node};

fn on_nodes(nodes: Vec<Node>) -> Fixture {
    Fixture::of(manual_cluster(4), vec![], nodes)
}

fn submitted(fixture: &Fixture, job: Job, idle: &[usize]) -> String {
    let cluster = fixture.cluster().unwrap();
    let mut draft = Draft::new(fixture.now, fixture.quota);
    fixture.nodes().into_iter().for_each(|node| draft.read_node(node));
    let idle = node_ids(idle.iter().copied());
    match submit(&mut draft, job, &cluster, &idle) {
        Ok(()) => fixture.committed(draft),
        Err(refused) => format!("refused: {refused}"),
    }
}

#[test]
fn a_job_is_queued_on_a_scheduled_cluster() {
    assert_snapshot!(submitted(&on_nodes(vec![]), job("a", 1), &[]), @r#"
    check cluster c activeandscheduled { uid: "c" }
    create job a: queued @0
    create queue 1 a
    hint Dispatcher c
    "#);
    let mut high = job("a", 1);
    high.spec.priority = model::Priority::High;
    assert_snapshot!(submitted(&on_nodes(vec![idle(0, NOW)]), high, &[]), @r#"
    check cluster c activeandscheduled { uid: "c" }
    create job a: queued @0
    create queue 0 a
    hint Dispatcher c
    "#);
}

#[test]
fn a_dormant_cluster_is_scheduled_with_the_job() {
    let mut dormant = manual_cluster(4);
    dormant.scheduled = false;
    assert_snapshot!(submitted(&Fixture::of(dormant, vec![], vec![]), job("a", 1), &[]), @r"
    replace cluster c: planned 0, steady @0
    put target c
    create job a: queued @0
    create queue 1 a
    hint Dispatcher c
    ");
}

#[test]
fn a_job_starts_at_once_on_exactly_as_many_idle_nodes_as_it_needs() {
    let nodes = || on_nodes(vec![idle(0, NOW), idle(1, NOW)]);
    assert_snapshot!(submitted(&nodes(), job("a", 1), &[1]), @r"
    create job a: running #1 on n1 (runs)
    replace node n1: runs a#1 @60 to @3660
    delete idle n1
    notify n1
    log started a#1 n1
    ");
    assert_snapshot!(submitted(&nodes(), job("a", 2), &[0, 1]), @r"
    create job a: running #1 on n0 n1 (preparing)
    replace node n0: runs a#1 @60 to @3660
    delete idle n0
    replace node n1: runs a#1 @60 to @3660
    delete idle n1
    notify n0 n1
    log started a#1 n0 n1
    ");
    assert_snapshot!(submitted(&nodes(), job("a", 2), &[0]), @r#"
    check cluster c activeandscheduled { uid: "c" }
    create job a: queued @0
    create queue 1 a
    hint Dispatcher c
    "#);
    assert_snapshot!(submitted(&nodes(), job("a", 1), &[0, 1]), @r#"
    check cluster c activeandscheduled { uid: "c" }
    create job a: queued @0
    create queue 1 a
    hint Dispatcher c
    "#);
    assert_snapshot!(submitted(&on_nodes(vec![running(0, "b")]), job("a", 1), &[0]), @"refused: a node that is running cannot take a job");
}

#[test]
fn an_unsupported_job_is_final_immediately() {
    let mut refused = job("a", 1);
    refused.terminate(None, LATER).unwrap();
    assert_snapshot!(submitted(&on_nodes(vec![idle(0, NOW)]), refused, &[0]), @"create job a: failed JobTerminated @60-@60");
}

#[test]
fn a_submission_conflicts_with_deletion_and_dormancy_of_its_cluster() {
    for change in [
        (|it| *it = deleting(it.clone())) as fn(&mut Cluster),
        |it| it.scheduled = false,
        |it| it.uid = uid("g"),
    ] {
        let mut now = manual_cluster(4);
        change(&mut now);
        let fixture = Fixture::of(now, vec![], vec![]);
        let mut draft = Draft::new(LATER, fixture.quota);
        submit(&mut draft, job("a", 1), &manual_cluster(4), &[]).unwrap();
        assert!(fixture.commit(&draft.finish()).unwrap_err().is_conflict());
    }
}

#[test]
fn a_gang_starts_whole_or_not_at_all() {
    let fixture = |nodes| Fixture::of(manual_cluster(4), vec![job("a", 2)], nodes);
    let start =
        |fixture: &Fixture| fixture.react(|draft| start(draft, &queued("a", 2), &node_ids([0, 1])));
    let ready = fixture(vec![idle(0, NOW), idle(1, NOW)]);
    assert_snapshot!(start(&ready), @r"
    replace job a: running #1 on n0 n1 (preparing)
    delete queue 1 a, which exists
    replace node n0: runs a#1 @60 to @3660
    delete idle n0
    replace node n1: runs a#1 @60 to @3660
    delete idle n1
    notify n0 n1
    log started a#1 n0 n1
    ");
    assert_snapshot!(start(&ready), @"refused: a job that is running cannot start");
    assert_snapshot!(start(&fixture(vec![idle(0, NOW), running(1, "b")])), @"refused: a node that is running cannot take a job");
    assert_snapshot!(start(&fixture(vec![idle(0, NOW)])), @"refused: a node that is removed cannot change");
    let empty = on_nodes(vec![idle(0, NOW), idle(1, NOW)]);
    assert_snapshot!(start(&empty), @"refused: a job that is removed cannot change");
}

fn with_job(job: Job, nodes: Vec<Node>) -> Fixture {
    Fixture::of(manual_cluster(4), vec![job], nodes)
}

fn running_pair() -> Fixture {
    let (job, nodes) = gang("a", &[0, 1]);
    with_job(job, nodes)
}

fn terminated(fixture: &Fixture, operation: &str) -> String {
    fixture.react(|draft| terminate(draft, &job_ref("a"), uid(operation)))
}

fn deleted(fixture: &Fixture, operation: &str) -> String {
    fixture.react(|draft| delete(draft, &job_ref("a"), uid(operation)))
}

fn member_ended(fixture: &Fixture, number: usize, end_reason: &EndReason) -> String {
    let attempt = model::AttemptRef { job: job_ref("a"), number: 1 };
    fixture.react(|draft| {
        members::ended(draft, &attempt, &node_id(number), end_reason, NodeDisposition::Release)
    })
}

#[test]
fn a_queued_job_is_terminated_immediately() {
    let fixture = with_job(job("a", 1), vec![]);
    assert_snapshot!(terminated(&fixture, "first"), @r"
    answers Some(Immediate)
    replace job a: failed JobTerminated @60-@60
    delete queue 1 a, which exists
    hint Dispatcher c
    ");
    assert_snapshot!(terminated(&fixture, "second"), @"answers None");
}

#[test]
fn a_running_job_is_terminated_when_its_members_have_ended() {
    let fixture = running_pair();
    assert_snapshot!(terminated(&fixture, "first"), @r"
    answers Some(Operation(first))
    put operation first: @60 of s$g$w$x$a in progress
    replace job a: terminating @60 for first #1 on n0 n1 (ending Terminated @60 in 10 s)
    notify n0 n1
    log ending a#1 Terminated
    ");
    assert_snapshot!(terminated(&fixture, "second"), @"answers Some(Operation(first))");
    assert_snapshot!(member_ended(&fixture, 0, &EndReason::Terminated), @r"
    replace job a: terminating @60 for first #1 on n0- n1 (ending Terminated @60 in 10 s)
    replace node n0: idle @60
    put idle n0
    notify n1
    log member ended a#1 n0
    ");
    assert_snapshot!(member_ended(&fixture, 1, &EndReason::Terminated), @r"
    put operation first: @60 of s$g$w$x$a succeeded @60
    replace job a: failed JobTerminated @0-@60; #1 n0 n1 Terminated @60
    replace node n1: idle @60
    put idle n1
    notify n0
    log member ended a#1 n1
    log attempt ended a#1 failed
    ");
    assert_snapshot!(fixture.stored(), @r"
    cluster c: planned 0, steady @0
    job a: failed JobTerminated @0-@60; #1 n0 n1 Terminated @60
    node n0: idle @60
    node n1: idle @60
    operation first: @60 of s$g$w$x$a succeeded @60
    ");
}

#[test]
fn an_attempt_that_is_ending_keeps_its_reason_but_its_job_does_not_run_again() {
    let (mut job, nodes) = gang("a", &[0]);
    job.end_attempt(EndReason::Interrupted { node: node_id(0) }, 90, NOW);
    let fixture = with_job(job, nodes);
    assert_snapshot!(terminated(&fixture, "first"), @r"
    answers Some(Operation(first))
    put operation first: @60 of s$g$w$x$a in progress
    replace job a: terminating @60 for first #1 on n0 (ending Interrupted n0 @0 in 90 s)
    notify n0
    log ending a#1 Interrupted n0
    ");
    assert_snapshot!(member_ended(&fixture, 0, &EndReason::Interrupted { node: node_id(0) }), @r"
    put operation first: @60 of s$g$w$x$a succeeded @60
    replace job a: failed JobTerminated @0-@60; #1 n0 Interrupted n0 @60
    replace node n0: idle @60
    put idle n0
    log member ended a#1 n0
    log attempt ended a#1 failed
    ");
}

#[test]
fn a_thousand_terminations_do_not_grow_a_job() {
    let fixture = running_pair();
    terminated(&fixture, "first");
    let (once, stored) = (fixture.job("a"), fixture.items().len());
    for _ in 0..1000 {
        let mut draft = fixture.draft();
        let pending = terminate(&mut draft, &job_ref("a"), uid("second")).unwrap();
        assert_eq!(pending, Some(Completion::Operation(uid("first"))));
        fixture.commit(&draft.finish()).unwrap();
    }
    assert_eq!((fixture.job("a"), fixture.items().len()), (once, stored));
}

#[test]
fn a_job_that_does_not_run_is_deleted_immediately() {
    assert_snapshot!(deleted(&with_job(job("a", 1), vec![]), "first"), @r"
    answers Immediate
    remove job a
    delete queue 1 a, which exists
    hint Dispatcher c
    ");
    let mut final_job = job("a", 1);
    final_job.terminate(None, NOW).unwrap();
    let fixture = with_job(final_job, vec![]);
    assert_snapshot!(deleted(&fixture, "first"), @r"
    answers Immediate
    remove job a
    ");
    assert_snapshot!(deleted(&fixture, "second"), @"refused: a job that is removed cannot change");
}

#[test]
fn a_running_job_is_deleted_when_it_has_ended() {
    let fixture = running_pair();
    assert_snapshot!(deleted(&fixture, "first"), @r"
    answers Operation(first)
    put operation first: @60 of s$g$w$x$a in progress
    replace job a: terminating @60 for - #1 on n0 n1 (ending Terminated @60 in 10 s); deleted by first @60
    notify n0 n1
    log ending a#1 Terminated
    ");
    assert_snapshot!(deleted(&fixture, "second"), @"answers Operation(first)");
    assert_snapshot!(terminated(&fixture, "second"), @"answers Some(Operation(first))");
    member_ended(&fixture, 1, &EndReason::Terminated);
    assert_snapshot!(member_ended(&fixture, 0, &EndReason::Exited { exit_code: 0 }), @r"
    put operation first: @60 of s$g$w$x$a succeeded @60
    remove job a
    replace node n0: idle @60
    put idle n0
    notify n1
    log member ended a#1 n0
    log attempt ended a#1 succeeded
    ");
    assert_snapshot!(fixture.stored(), @r"
    cluster c: planned 0, steady @0
    node n0: idle @60
    node n1: idle @60
    operation first: @60 of s$g$w$x$a succeeded @60
    ");
}

#[test]
fn a_job_that_is_terminated_and_then_deleted_completes_both_operations() {
    let fixture = running_pair();
    terminated(&fixture, "first");
    assert_snapshot!(deleted(&fixture, "second"), @r"
    answers Operation(second)
    put operation second: @60 of s$g$w$x$a in progress
    replace job a: terminating @60 for first #1 on n0 n1 (ending Terminated @60 in 10 s); deleted by second @60
    notify n0 n1
    log ending a#1 Terminated
    ");
    assert_snapshot!(terminated(&fixture, "op"), @"answers Some(Operation(second))");
    member_ended(&fixture, 0, &EndReason::Terminated);
    assert_snapshot!(member_ended(&fixture, 1, &EndReason::Terminated), @r"
    put operation first: @60 of s$g$w$x$a succeeded @60
    put operation second: @60 of s$g$w$x$a succeeded @60
    remove job a
    replace node n1: idle @60
    put idle n1
    notify n0
    log member ended a#1 n1
    log attempt ended a#1 failed
    ");
    assert_snapshot!(fixture.stored(), @r"
    cluster c: planned 0, steady @0
    node n0: idle @60
    node n1: idle @60
    operation first: @60 of s$g$w$x$a succeeded @60
    operation second: @60 of s$g$w$x$a succeeded @60
    ");
}

#[test]
fn a_queued_job_of_a_deleted_cluster_fails_once() {
    let fixture = with_job(job("a", 1), vec![]);
    let fail_queued = || fixture.react(|draft| fail_queued(draft, &job_ref("a")));
    assert_snapshot!(fail_queued(), @r"
    replace job a: failed ClusterDeleted @60-@60
    delete queue 1 a, which exists
    ");
    assert_snapshot!(fail_queued(), @"refused: a job that is failed cannot be abandoned");
    let fixture = running_pair();
    assert_snapshot!(fixture.react(|draft| super::fail_queued(draft, &job_ref("a"))), @"refused: a job that is running cannot be abandoned");
}

#[test]
fn a_job_that_was_not_read_is_refused() {
    let fixture = on_nodes(vec![]);
    assert_snapshot!(terminated(&fixture, "first"), @"refused: a job that is removed cannot change");
    assert_snapshot!(deleted(&fixture, "first"), @"refused: a job that is removed cannot change");
}

/// The zone of a node was recorded after the idle nodes were listed.
#[test]
fn a_gang_does_not_start_in_two_zones() {
    let at = |number, zone: &str| offered(idle(number, NOW), in_zone(zone));
    let unknown = |number| offered(idle(number, NOW), model::Offering::Unknown);
    let started = |nodes: Vec<Node>| submitted(&on_nodes(nodes), job("a", 2), &[0, 1]);
    let refused = "refused: a gang that is in several zones cannot start";
    assert_eq!(started(vec![at(0, "a"), at(1, "b")]), refused);
    assert_eq!(started(vec![unknown(0), unknown(1)]), refused);
    assert!(started(vec![at(0, "a"), at(1, "a")]).contains("running #1 on n0"));
}

/// The price of an attempt is that of its nodes when it starts.
#[test]
fn an_attempt_has_the_price_of_its_nodes() {
    let priced = |number, price| Node { price, ..idle(number, NOW) };
    let price_of = |second: model::Price| {
        let first = model::Price::MicroUsdPerHour(160_000);
        let fixture = on_nodes(vec![priced(0, first), priced(1, second)]);
        submitted(&fixture, job("a", 2), &[0, 1]);
        fixture.job("a").state.attempt().unwrap().micro_usd_per_hour
    };
    assert_eq!(price_of(model::Price::MicroUsdPerHour(526_000)), Some(686_000));
    assert_eq!(price_of(model::Price::Unknown), None);
    assert_eq!(price_of(model::Price::NotAsked), None);
}
