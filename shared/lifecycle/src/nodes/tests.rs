//! Events of nodes; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{Cluster, Node};

fn with(node: Node) -> Fixture {
    Fixture::of(manual_cluster(1), vec![], vec![node])
}

fn busy() -> Fixture {
    let (job, nodes) = gang("a", &[0]);
    Fixture::of(manual_cluster(1), vec![job], nodes)
}

fn preparing() -> Node {
    launching(0, "l").launched(instance(0), NOW).unwrap()
}

fn struggling() -> Cluster {
    let mut cluster = manual_cluster(1);
    cluster.health = Backoff::CLEAR.failed(NOW).failed(NOW);
    cluster
}

#[test]
fn a_launching_node_gets_its_instance_once() {
    let fixture = with(launching(0, "l"));
    let register = || fixture.react(|draft| register(draft, &node_id(0), instance(0)));
    assert_snapshot!(register(), @r"
    replace node n0: preparing i-0 by @3660
    create inst i-0
    ");
    assert_snapshot!(register(), @"refused: a node that is preparing cannot take an instance");
}

#[test]
fn a_node_is_never_seen_earlier_than_before() {
    let mut node = launching(0, "l");
    node.seen_at = LATER.plus_seconds(5);
    let fixture = with(node);
    fixture.react(|draft| register(draft, &node_id(0), instance(0)));
    assert_eq!(fixture.node(0).seen_at, LATER.plus_seconds(5));
    let fixture = with(launching(0, "l"));
    fixture.react(|draft| register(draft, &node_id(0), instance(0)));
    assert_eq!(fixture.node(0).seen_at, LATER);
}

#[test]
fn a_ready_node_takes_jobs_and_clears_the_backoff() {
    let fixture = Fixture::of(struggling(), vec![], vec![preparing()]);
    let ready = || fixture.react(|draft| ready(draft, &node_id(0)));
    assert_snapshot!(ready(), @r"
    replace cluster c: planned 0, steady @0
    replace node n0: idle @60
    put idle n0
    hint Dispatcher c
    log idle n0
    ");
    assert_snapshot!(ready(), @"refused: a node that is idle cannot become idle");
    assert_snapshot!(with(preparing()).react(|draft| super::ready(draft, &node_id(0))), @r"
    replace node n0: idle @60
    put idle n0
    hint Dispatcher c
    log idle n0
    ");
}

#[test]
fn a_node_that_failed_is_shown_on_its_cluster() {
    let fixture = with(preparing());
    let failed = || fixture.react(|draft| failed(draft, &node_id(0), &error("MountFailed")));
    assert_snapshot!(failed(), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors MountFailed[n0]
    replace node n0: unusable MountFailed[] @60
    hint Autoscaler c
    log failed n0 MountFailed[]
    ");
    assert_snapshot!(failed(), @"refused: a node that is unusable cannot become unusable");
}

#[test]
fn a_node_leaves_with_or_without_the_end_of_its_job() {
    let leave = |fixture: &Fixture, reason, end_reason: Option<&EndReason>| {
        fixture.react(|draft| leave(draft, &node_id(0), reason, end_reason))
    };
    let displaced = EndReason::DeallocatedRequeue { node: node_id(0) };
    let fixture = busy();
    assert_snapshot!(leave(&fixture, LeaveReason::ShrinkWhenDone, None), @r"
    replace node n0: leaving ShrinkWhenDone by @604860 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 ShrinkWhenDone
    ");
    assert_snapshot!(leave(&fixture, LeaveReason::Shrink, Some(&displaced)), @r"
    replace job a: running #1 on n0 (ending DeallocatedRequeue n0 @60 in 10 s)
    replace node n0: leaving Shrink by @70 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Shrink
    log ending a#1 DeallocatedRequeue n0
    ");
    assert_snapshot!(leave(&fixture, LeaveReason::TooSlow, Some(&displaced)), @"refused: a node that is leaving cannot leave again");
    assert_snapshot!(leave(&fixture, LeaveReason::Lost, None), @r"
    replace node n0: leaving Lost by @70 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Lost
    ");
    let fixture = with(idle(0, NOW));
    assert_snapshot!(leave(&fixture, LeaveReason::ClusterDeleted, None), @r"
    replace node n0: leaving ClusterDeleted by @70
    delete idle n0
    hint Autoscaler c
    notify n0
    log leaving n0 ClusterDeleted
    ");
    assert_snapshot!(leave(&with(launching(0, "l")), LeaveReason::Interrupted, None), @r"
    replace node n0: leaving Interrupted by @180
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
    let empty = Fixture::of(manual_cluster(0), vec![], vec![]);
    assert_snapshot!(leave(&empty, LeaveReason::Shrink, None), @"refused: a node that is removed cannot change");
}

#[test]
fn part_of_a_notice_is_reserved_for_the_report() {
    let reserve = [0, 4, 5, 9, 10, 120].map(flush_reserve_seconds);
    assert_eq!(reserve, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn an_interruption_requeues_its_job_within_the_notice() {
    let fixture = busy();
    let interrupted = |seconds| fixture.react(|draft| interrupted(draft, &node_id(0), seconds));
    assert_snapshot!(interrupted(120), @r"
    replace job a: running #1 on n0 (ending Interrupted n0 @60 in 118 s)
    replace node n0: leaving Interrupted by @180 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    log ending a#1 Interrupted n0
    ");
    assert_snapshot!(interrupted(120), @"nothing");
    assert_snapshot!(interrupted(30), @"nothing");
}

#[test]
fn an_interruption_of_a_node_without_a_job() {
    let interrupted =
        |fixture: &Fixture| fixture.react(|draft| interrupted(draft, &node_id(0), 120));
    assert_snapshot!(interrupted(&with(idle(0, NOW))), @r"
    replace node n0: leaving Interrupted by @180
    delete idle n0
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
    assert_snapshot!(interrupted(&Fixture::of(manual_cluster(0), vec![], vec![])), @"nothing");
    let lost = idle(0, NOW).leave(LeaveReason::Lost, NOW).unwrap();
    assert_snapshot!(interrupted(&with(lost)), @"nothing");
}

#[test]
fn an_interruption_ends_the_attempt_of_a_leaving_node() {
    let (job, mut nodes) = gang("a", &[0]);
    nodes[0] = nodes[0].clone().leave(LeaveReason::ShrinkWhenDone, NOW).unwrap();
    let fixture = Fixture::of(manual_cluster(1), vec![job], nodes);
    assert_snapshot!(fixture.react(|draft| interrupted(draft, &node_id(0), 120)), @r"
    replace job a: running #1 on n0 (ending Interrupted n0 @60 in 118 s)
    replace node n0: leaving Interrupted by @180 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    log ending a#1 Interrupted n0
    ");
}

#[test]
fn a_node_whose_agent_has_left_is_removed() {
    let left = |fixture: &Fixture| {
        fixture.react(|draft| {
            left(draft, &node_id(0));
            Ok(())
        })
    };
    let fixture = with(idle(0, NOW));
    assert_snapshot!(left(&fixture), @r"
    replace node n0: leaving Interrupted by @60
    delete idle n0
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
    assert_snapshot!(left(&fixture), @"hint Autoscaler c");
    assert_snapshot!(left(&Fixture::of(manual_cluster(0), vec![], vec![])), @"nothing");
}

#[test]
fn a_removed_node_releases_its_usage() {
    let remove = |fixture: &Fixture| fixture.react(|draft| removed(draft, &node_id(0)));
    let fixture = with(idle(0, NOW).leave(LeaveReason::Shrink, NOW).unwrap());
    assert_snapshot!(remove(&fixture), @"
    remove node n0
    delete inst i-0
    put ended n0: shrink: n0 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Autoscaler c
    log removed n0
    ");
    assert_snapshot!(remove(&fixture), @"nothing");
    assert_snapshot!(remove(&with(idle(0, NOW))), @"
    remove node n0
    delete idle n0
    delete inst i-0
    put ended n0: lost: n0 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Autoscaler c
    log removed n0
    ");
    assert_snapshot!(remove(&with(launching(0, "l"))), @"
    remove node n0
    put ended n0: notLaunched: n0 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Autoscaler c
    log removed n0
    ");
}

#[test]
fn a_removed_node_ends_its_attempt() {
    let (job, mut nodes) = gang("a", &[0, 1]);
    nodes[0] = nodes[0].clone().leave(LeaveReason::Lost, NOW).unwrap();
    let fixture = Fixture::of(manual_cluster(2), vec![job], nodes);
    assert_snapshot!(fixture.react(|draft| removed(draft, &node_id(0))), @"
    replace job a: running #1 on n0- n1 (ending NodeLost n0 (its instance has ended) @60 in 10 s)
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
    assert_snapshot!(busy().react(|draft| removed(draft, &node_id(0))), @"
    replace job a: queued @60; #1 n0 NodeLost n0 (its instance has ended) @60
    create queue 1 a
    remove node n0
    delete inst i-0
    put ended n0: lost: n0 requested @0 ready never
    count meter cores -1 if CountAtLeast(1)
    count meter dedicated -1 if CountAtLeast(1)
    count meter dedicated D -1 if CountAtLeast(1)
    hint Dispatcher c
    hint Autoscaler c
    log member ended a#1 n0
    log attempt ended a#1 queued
    log removed n0
    ");
}

#[test]
fn a_failed_removal_is_backed_off_and_shown_once() {
    let fixture = with(idle(0, NOW).leave(LeaveReason::Shrink, NOW).unwrap());
    let fail = || fixture.react(|draft| removal_failed(draft, &node_id(0), &error("Denied")));
    assert_snapshot!(fail(), @r"
    replace cluster c: planned 0, steady @0, errors Denied[n0]
    replace node n0: leaving Shrink by @0, removal failed 1x, not before @65
    ");
    assert_snapshot!(fail(), @"replace node n0: leaving Shrink by @0, removal failed 2x, not before @70");
    let empty = Fixture::of(manual_cluster(0), vec![], vec![]);
    let failed = empty.react(|draft| removal_failed(draft, &node_id(0), &error("Denied")));
    assert_snapshot!(failed, @"refused: a node that is removed cannot change");
}

/// Otherwise a set-up task that shuts its instance down, or a spot market that interrupts every
/// instance before it is ready, would cause launches without a pause.
#[test]
fn a_node_interrupted_while_preparing_counts_as_one_failed_launch() {
    let fixture = with(preparing());
    let interrupted = || fixture.react(|draft| interrupted(draft, &node_id(0), 120));
    assert_snapshot!(interrupted(), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors NodeLostWhilePreparing[n0]
    replace node n0: leaving Interrupted by @180
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
    assert_snapshot!(interrupted(), @"nothing");
    let fixture = with(preparing());
    let left = || {
        fixture.react(|draft| {
            left(draft, &node_id(0));
            Ok(())
        })
    };
    assert_snapshot!(left(), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors NodeLostWhilePreparing[n0]
    replace node n0: leaving Interrupted by @60
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
    assert_snapshot!(left(), @"hint Autoscaler c");
}

/// The idle marker has the zone, by which dispatch forms gangs.
#[test]
fn a_description_changes_the_idle_marker() {
    let fixture = with(model::Node { offering: Offering::Unknown, ..idle(0, NOW) });
    let describe = || {
        fixture.applied(&scheduler::Action::Describe { node: node_id(0), offering: in_zone("a") })
    };
    assert_snapshot!(describe(), @r"
    replace node n0: idle @0
    put idle n0
    hint Dispatcher c
    hint Autoscaler c
    ");
    let zone = model::Zone::Named("a".into());
    assert_eq!(fixture.idle_nodes(), [model::IdleNode { id: node_id(0), zone }]);
}

fn replacing(cluster: Cluster) -> Cluster {
    let mut cluster = cluster;
    cluster.spec.extensions.replace_on_rebalance = Some(true);
    cluster
}

#[test]
fn a_recommendation_is_recorded_once() {
    let recommended =
        |fixture: &Fixture| fixture.react(|draft| rebalance_recommended(draft, &node_id(0)));
    let fixture = busy();
    assert_snapshot!(recommended(&fixture), @r"
    replace node n0: runs a#1 @0 to @3600
    log rebalance recommended n0
    ");
    assert_eq!(fixture.node(0).rebalance_recommended_at, Some(LATER));
    assert_snapshot!(recommended(&fixture), @"nothing");
    assert_snapshot!(recommended(&with(idle(0, NOW))), @r"
    replace node n0: idle @0
    log rebalance recommended n0
    ");
}

#[test]
fn a_node_that_is_replaced_takes_no_new_job() {
    let recommended =
        |fixture: &Fixture| fixture.react(|draft| rebalance_recommended(draft, &node_id(0)));
    let (job, nodes) = gang("a", &[0]);
    let fixture = Fixture::of(replacing(manual_cluster(1)), vec![job], nodes);
    assert_snapshot!(recommended(&fixture), @r"
    replace node n0: leaving AtRisk by @604860 with a#1
    hint Autoscaler c
    notify n0
    log rebalance recommended n0
    log leaving n0 AtRisk
    ");
    assert_snapshot!(recommended(&fixture), @"nothing");
    let fixture = |node| Fixture::of(replacing(manual_cluster(1)), vec![], vec![node]);
    assert_snapshot!(recommended(&fixture(idle(0, NOW))), @r"
    replace node n0: leaving AtRisk by @604860
    delete idle n0
    hint Autoscaler c
    notify n0
    log rebalance recommended n0
    log leaving n0 AtRisk
    ");
    assert_snapshot!(recommended(&fixture(preparing())), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors NodeLostWhilePreparing[n0]
    replace node n0: leaving AtRisk by @604860
    hint Autoscaler c
    notify n0
    log rebalance recommended n0
    log leaving n0 AtRisk
    ");
    let leaving = idle(0, NOW).leave(LeaveReason::Shrink, NOW).unwrap();
    assert_snapshot!(recommended(&fixture(leaving)), @"nothing");
}
