//! How many nodes a cluster should have, and which ones leave: each case with the resulting plan.

mod rebalance;
mod zones;

use super::*;
use crate::builders::*;
use model::{Backoff, NodeDeallocation};

const IDLE: u64 = 30;

fn check(cluster: Cluster, nodes: Vec<Node>, queued: &[u32], expected: &[Action]) {
    check_at(NOW, cluster, nodes, queued, expected);
}

fn check_at(
    now: Timestamp,
    cluster: Cluster,
    nodes: Vec<Node>,
    queued: &[u32],
    expected: &[Action],
) {
    let queued = queued.to_vec();
    let snapshot = CapacitySnapshot {
        cluster,
        blocked: false,
        nodes,
        queued,
        quota_left: 100,
        launches: vec![],
        strays: vec![],
    };
    assert_eq!(plan_without_allocation(&snapshot, now), expected);
}

/// The plan without its `SetAllocation` and `Price`.
fn plan_without_allocation(snapshot: &CapacitySnapshot, now: Timestamp) -> Vec<Action> {
    let mut plan = plan(snapshot, CapacitySettings { idle_seconds: IDLE }, now);
    plan.retain(|it| !matches!(it, Action::SetAllocation { .. } | Action::Price { .. }));
    plan
}

/// As [`check`], with the prices.
fn check_priced(cluster: Cluster, nodes: Vec<Node>, queued: &[u32], expected: &[Action]) {
    let snapshot = CapacitySnapshot {
        cluster,
        blocked: false,
        nodes,
        queued: queued.to_vec(),
        quota_left: 100,
        launches: vec![],
        strays: vec![],
    };
    let mut plan = plan(&snapshot, CapacitySettings { idle_seconds: IDLE }, NOW);
    plan.retain(|action| !matches!(action, Action::SetAllocation { .. }));
    assert_eq!(plan, expected);
}

#[test]
fn a_blocked_cluster_launches_nothing_and_becomes_dormant_without_a_queue() {
    for cluster in [manual_cluster(2), auto_cluster(1, 4)] {
        let blocked = |queued: &[u32]| CapacitySnapshot {
            cluster: cluster.clone(),
            blocked: true,
            nodes: vec![],
            queued: queued.to_vec(),
            quota_left: 100,
            launches: vec![],
            strays: vec![],
        };
        assert_eq!(plan_without_allocation(&blocked(&[1]), NOW), []);
        assert_eq!(plan_without_allocation(&blocked(&[]), NOW), [Action::MarkDormant]);
    }
}

fn leave(number: usize, reason: LeaveReason) -> Action {
    Action::Leave { node: node_id(number), reason, end_reason: None }
}

fn leave_and_end(number: usize, reason: LeaveReason, end_reason: EndReason) -> Action {
    Action::Leave { node: node_id(number), reason, end_reason: Some(end_reason) }
}

fn launch(count: u32, planned_nodes: u32) -> Action {
    Action::Launch { count, planned_nodes, is_gang: false, zone: None }
}

fn launch_gang(count: u32, planned_nodes: u32) -> Action {
    Action::Launch { count, planned_nodes, is_gang: true, zone: None }
}

/// The nodes of a gang are launched together, in a launch of its own; jobs of one node share one.
#[test]
fn each_gang_gets_a_launch_of_its_own() {
    let plan = |nodes: &[Node], queued: &[u32], expected: Action| {
        check(auto_cluster(0, 10), nodes.to_vec(), queued, &[expected]);
    };
    plan(&[], &[3, 3], launch_gang(3, 3));
    let three: Vec<Node> = (0..3).map(|number| launching(number, "l")).collect();
    plan(&three, &[3, 3], launch_gang(3, 6));
    plan(&[], &[1, 1, 4, 1], launch(2, 2));
    plan(&three[..2], &[1, 1, 4, 1], launch_gang(4, 6));
    // An idle node is a part of the gang, busy ones are not.
    plan(&[idle(0, NOW), running(1, "b")], &[3, 1], launch_gang(2, 4));
    // The last launch has the jobs behind it.
    plan(&three, &[3, 1, 1], launch(2, 5));
    check(manual_cluster(4), vec![], &[4], &[launch_gang(4, 4)]);
    check(manual_cluster(4), vec![], &[1], &[launch(4, 4)]);
}

/// A gang may wait for capacity for long; then the jobs of one node behind it go on.
#[test]
fn a_gang_without_capacity_does_not_keep_single_jobs_waiting() {
    let mut cluster = auto_cluster(0, 10);
    cluster.health = Backoff::CLEAR.failed(NOW);
    let later = NOW.plus_seconds(limits::BACKOFF_LONGEST_SECONDS);
    check_at(later, cluster.clone(), vec![], &[3, 1, 1], &[launch(2, 2)]);
    check_at(later, cluster.clone(), vec![], &[3, 3], &[launch_gang(3, 3)]);
    cluster.health = cluster.health.failed(NOW);
    check_at(later, cluster, vec![], &[3, 1, 1], &[launch_gang(3, 3)]);
}

/// A limit leaves a part of the gang for later. The part is in one zone too.
#[test]
fn a_part_of_a_gang_is_launched_together() {
    let snapshot = |quota_left| CapacitySnapshot {
        cluster: auto_cluster(0, 8),
        blocked: false,
        nodes: vec![],
        queued: vec![4],
        quota_left,
        launches: vec![],
        strays: vec![],
    };
    assert_eq!(plan_without_allocation(&snapshot(3), NOW), [launch_gang(3, 3)]);
    assert_eq!(plan_without_allocation(&snapshot(4), NOW), [launch_gang(4, 4)]);
}

#[test]
fn launches_have_a_rate() {
    let mut cluster = auto_cluster(0, 8);
    cluster.launch_rate = model::LaunchRate { since: NOW, count: limits::MAX_LAUNCHES_PER_MINUTE };
    check_at(NOW.plus_seconds(59), cluster.clone(), vec![], &[1], &[]);
    check_at(NOW.plus_seconds(60), cluster, vec![], &[1], &[launch(1, 1)]);
}

#[test]
fn a_launch_is_repeated_until_its_deadline() {
    let plan = |launches: Vec<Launch>, seconds| {
        let snapshot = CapacitySnapshot {
            cluster: auto_cluster(0, 8),
            blocked: false,
            nodes: vec![launching(0, "l"), launching(1, "l")],
            queued: vec![2],
            quota_left: 0,
            launches,
            strays: vec![],
        };
        plan_without_allocation(&snapshot, NOW.plus_seconds(seconds))
    };
    let launch = || vec![launch_of("l", &[0, 1])];
    assert_eq!(plan(launch(), RELAUNCH_SECONDS - 1), []);
    let again = [Action::Relaunch { launch: uid("l") }];
    assert_eq!(plan(launch(), RELAUNCH_SECONDS), again);
    assert_eq!(plan(launch(), limits::LAUNCH_DEADLINE_SECONDS - 1), again);
    assert_eq!(plan(launch(), limits::LAUNCH_DEADLINE_SECONDS), []);
    assert_eq!(plan(vec![], RELAUNCH_SECONDS), []);
    let mut settled = launch();
    (0..2).for_each(|number| settled[0].settle(&node_id(number), None));
    assert_eq!(plan(settled, RELAUNCH_SECONDS), []);
}

#[test]
fn demand_counts_queued_and_running_nodes() {
    let nodes = vec![running(0, "a"), idle(1, NOW)];
    check(auto_cluster(0, 8), nodes, &[1, 2], &[launch_gang(2, 4)]);
}

#[test]
fn a_job_wider_than_the_maximum_is_no_demand() {
    check(auto_cluster(0, 2), vec![], &[3], &[]);
}

#[test]
fn leaving_nodes_still_count_against_the_maximum() {
    let leaving = node(
        0,
        NodeState::Leaving {
            instance: Some(instance(0)),
            attempt: None,
            reason: LeaveReason::Shrink,
            deadline: NOW,
        },
    );
    let expected = [Action::Remove { node: node_id(0) }, launch(1, 2)];
    check(auto_cluster(0, 2), vec![leaving], &[1, 1], &expected);
}

#[test]
fn a_failed_removal_is_backed_off_and_blocks_nothing_else() {
    let mut stuck = idle(0, NOW).leave(LeaveReason::Shrink, NOW).unwrap();
    stuck.removal = Backoff::CLEAR.failed(NOW);
    let removable = idle(1, NOW).leave(LeaveReason::Shrink, NOW).unwrap();
    let remove = |number| Action::Remove { node: node_id(number) };
    let nodes = || vec![stuck.clone(), removable.clone()];
    check(auto_cluster(0, 4), nodes(), &[1], &[remove(1), launch(1, 3)]);
    let later = stuck.removal.not_before;
    check_at(later, auto_cluster(0, 2), nodes(), &[], &[remove(0), remove(1)]);
}

#[test]
fn idle_nodes_leave_after_the_idle_time_and_not_below_the_minimum() {
    let nodes = || vec![idle(0, NOW), idle(1, NOW)];
    check_at(NOW.plus_seconds(IDLE - 1), auto_cluster(1, 4), nodes(), &[], &[]);
    let late = NOW.plus_seconds(IDLE);
    let expected = [leave(0, LeaveReason::Shrink)];
    check_at(late, auto_cluster(1, 4), nodes(), &[], &expected);
}

#[test]
fn a_cluster_may_set_its_idle_time() {
    let mut cluster = auto_cluster(0, 4);
    cluster.spec.extensions.idle_seconds_before_scale_down = Some(5);
    let nodes = || vec![idle(0, NOW)];
    check_at(NOW.plus_seconds(4), cluster.clone(), nodes(), &[], &[]);
    let expected = [leave(0, LeaveReason::Shrink)];
    check_at(NOW.plus_seconds(5), cluster, nodes(), &[], &expected);
}

#[test]
fn idle_nodes_that_a_gang_collects_stay() {
    let late = NOW.plus_seconds(10 * IDLE);
    let nodes = vec![idle(0, NOW), idle(1, NOW)];
    check_at(late, auto_cluster(0, 3), nodes, &[3], &[launch_gang(1, 3)]);
}

#[test]
fn a_manual_target_takes_idle_nodes_first_and_requeues_the_youngest_job() {
    let mut old = running(1, "old");
    if let NodeState::Running { since, .. } = &mut old.state {
        *since = Timestamp(NOW.0 - 5000);
    }
    let nodes = vec![running(0, "young"), old, idle(2, NOW)];
    let expected = [
        leave(2, LeaveReason::Shrink),
        leave_and_end(0, LeaveReason::Shrink, EndReason::DeallocatedRequeue { node: node_id(0) }),
    ];
    check(manual_cluster(1), nodes, &[], &expected);
}

#[test]
fn wait_for_job_completion_ends_no_job() {
    let cluster = cluster(ScaleSettings::Manual {
        target_node_count: 0,
        node_deallocation_option: NodeDeallocation::WaitForJobCompletion,
    });
    let expected = [leave(0, LeaveReason::ShrinkWhenDone)];
    check(cluster, vec![running(0, "a")], &[], &expected);
}

#[test]
fn launches_pause_after_failures() {
    let mut cluster = auto_cluster(0, 2);
    cluster.health = Backoff::CLEAR.failed(NOW);
    check(cluster.clone(), vec![], &[1], &[]);
    let after = cluster.health.not_before;
    check_at(after, cluster, vec![], &[1], &[launch(1, 1)]);
}

#[test]
fn the_quota_limits_launches() {
    let snapshot = |quota_left| CapacitySnapshot {
        cluster: auto_cluster(0, 8),
        blocked: false,
        nodes: vec![],
        queued: vec![4],
        quota_left,
        launches: vec![],
        strays: vec![],
    };
    assert_eq!(plan_without_allocation(&snapshot(3), NOW), [launch_gang(3, 3)]);
    let refused = Action::RecordFailure { error: core_quota_reached() };
    assert_eq!(plan_without_allocation(&snapshot(0), NOW), [refused]);
}

#[test]
fn dormancy_takes_two_passes() {
    let mut cluster = auto_cluster(0, 2);
    check(cluster.clone(), vec![], &[], &[Action::MarkDormant]);
    cluster.scheduled = false;
    check(cluster.clone(), vec![], &[], &[Action::Unschedule]);
    cluster.scale = manual_cluster(0).scale;
    check(cluster, vec![], &[1], &[Action::MarkScheduled]);
}

#[test]
fn a_deleted_cluster_ends_its_jobs_then_its_nodes_then_itself() {
    let cluster = deleting(auto_cluster(0, 4));
    let expected = [leave_and_end(0, LeaveReason::ClusterDeleted, EndReason::ClusterDeleted)];
    check(cluster.clone(), vec![running(0, "a")], &[], &expected);
    let leaving = running(0, "a").leave(LeaveReason::ShrinkWhenDone, NOW).unwrap();
    let end = Action::EndAttempt {
        attempt: leaving.attempt().unwrap().clone(),
        end_reason: EndReason::ClusterDeleted,
        grace_seconds: limits::STOP_GRACE_SECONDS,
    };
    check(cluster.clone(), vec![leaving], &[], &[end]);
    check(cluster.clone(), vec![], &[1], &[]);
    check(cluster, vec![], &[], &[Action::FinishDeletion]);
}

#[test]
fn a_young_cluster_has_its_initial_nodes() {
    let mut cluster = auto_cluster(0, 4);
    cluster.scale = ScaleSettings::AutoScale {
        minimum_node_count: 0,
        maximum_node_count: 4,
        initial_node_count: 2,
    };
    check_at(NOW.plus_seconds(IDLE - 1), cluster.clone(), vec![], &[], &[launch(2, 2)]);
    check_at(NOW.plus_seconds(IDLE), cluster, vec![], &[], &[Action::MarkDormant]);
}

#[test]
fn a_cluster_with_stray_instances_is_neither_dormant_nor_removed() {
    for cluster in [auto_cluster(0, 4), deleting(auto_cluster(0, 4))] {
        let snapshot = CapacitySnapshot {
            cluster,
            blocked: false,
            nodes: vec![],
            queued: vec![],
            quota_left: 100,
            launches: vec![],
            strays: vec!["i-8".into(), "i-9".into()],
        };
        let end = |instance: &str| Action::TerminateStray { instance: instance.into() };
        assert_eq!(plan_without_allocation(&snapshot, NOW), [end("i-8"), end("i-9")]);
    }
}

/// Checks the allocation that the plan sets, for a cluster with the given one.
#[track_caller]
fn check_allocation(
    shown: (bool, u32),
    nodes: Vec<Node>,
    queued: &[u32],
    expected: Option<(bool, u32)>,
) {
    let mut cluster = auto_cluster(0, 4);
    (cluster.allocation.resizing, cluster.planned_nodes) = shown;
    let queued = queued.to_vec();
    let snapshot = CapacitySnapshot {
        cluster,
        blocked: false,
        nodes,
        queued,
        quota_left: 100,
        launches: vec![],
        strays: vec![],
    };
    let plan = plan(&snapshot, CapacitySettings { idle_seconds: IDLE }, NOW.plus_seconds(IDLE));
    let set = plan.iter().find_map(|action| {
        let Action::SetAllocation { resizing, planned_nodes } = action else { return None };
        Some((*resizing, *planned_nodes))
    });
    assert_eq!(set, expected, "{plan:?}");
}

#[test]
fn the_allocation_is_steady_without_launching_and_leaving_nodes() {
    let leaving = || idle(0, NOW).leave(LeaveReason::Shrink, NOW).unwrap();
    let busy = || vec![running(0, "a")];
    check_allocation((false, 1), busy(), &[], None);
    check_allocation((true, 1), busy(), &[], Some((false, 1)));
    check_allocation((false, 2), busy(), &[], Some((false, 1)));
    check_allocation((true, 2), busy(), &[], Some((false, 1)));
    check_allocation((false, 1), vec![leaving()], &[], Some((true, 1)));
    check_allocation((true, 1), vec![leaving()], &[], None);
    check_allocation((false, 1), vec![launching(0, "l")], &[1], Some((true, 1)));
    check_allocation((false, 1), vec![idle(0, NOW)], &[], Some((true, 1)));
    // A launch sets the allocation itself.
    check_allocation((false, 0), vec![], &[1], None);
}

#[test]
fn manual_scaling_keeps_unusable_nodes_until_a_job_waits() {
    let unusable = || idle(0, NOW).failed(ResourceError::new("A", "a"), NOW).unwrap();
    let (early, late) = (NOW.plus_seconds(IDLE - 1), NOW.plus_seconds(IDLE));
    check_at(late, manual_cluster(1), vec![unusable()], &[], &[]);
    check_at(early, manual_cluster(1), vec![unusable()], &[1], &[]);
    let expected = [leave(0, LeaveReason::Shrink)];
    check_at(late, manual_cluster(1), vec![unusable()], &[1], &expected);
    check_at(late, manual_cluster(1), vec![idle(0, NOW)], &[1], &[]);
}

#[test]
fn unusable_nodes_leave_after_the_idle_time() {
    let unusable = || {
        let error = ResourceError::new("A", "a");
        let instance = instance(0);
        node(0, NodeState::Unusable { instance, since: NOW, error })
    };
    check_at(NOW.plus_seconds(IDLE - 1), auto_cluster(1, 1), vec![unusable()], &[], &[]);
    let late = NOW.plus_seconds(IDLE);
    let expected = [leave(0, LeaveReason::Shrink)];
    check_at(late, auto_cluster(1, 1), vec![unusable()], &[], &expected);
}

/// Nodes that leave after the idle time are not chosen again.
#[test]
fn nodes_above_the_maximum_leave_in_one_pass() {
    let late = NOW.plus_seconds(IDLE);
    let nodes = vec![idle(0, NOW), idle(1, NOW), idle(2, late), idle(3, late), idle(4, late)];
    let expected = [1, 2, 3, 4].map(|number| leave(number, LeaveReason::Shrink));
    check_at(late, auto_cluster(0, 1), nodes, &[1], &expected);
}

#[test]
fn the_least_useful_nodes_leave_first() {
    let unusable = idle(0, NOW).failed(ResourceError::new("A", "a"), NOW).unwrap();
    let preparing = launching(2, "l").launched(instance(2), NOW).unwrap();
    let longest = idle(3, Timestamp(NOW.0 - 1));
    let nodes = || {
        vec![
            running(5, "a"),
            idle(4, NOW),
            longest.clone(),
            preparing.clone(),
            launching(1, "l"),
            unusable.clone(),
        ]
    };
    for target in 1..=6 {
        let left = 6 - target as usize;
        let expected: Vec<Action> =
            (0..left).map(|number| leave(number, LeaveReason::Shrink)).collect();
        check(manual_cluster(target), nodes(), &[], &expected);
    }
}

proptest::proptest! {
    /// For all states of the nodes: a plan names no node twice, never removes nodes below the
    /// minimum, and never exceeds the maximum, launches included.
    #[test]
    fn a_plan_keeps_within_the_settings(
        states in proptest::collection::vec((0u8..6, 0u64..90), 0..9),
        (minimum, more) in (0u32..4, 0u32..5),
        queued in proptest::collection::vec(1u32..5, 0..4),
        quota_left in 0u32..5,
    ) {
        let nodes: Vec<Node> = states.iter().enumerate().map(|(number, (kind, ago))| {
            let since = NOW.plus_seconds(90 - ago);
            let instance = instance(number);
            match kind {
                0 => launching(number, "l"),
                1 => launching(number, "l").launched(instance, since).unwrap(),
                2 => idle(number, since),
                3 => running(number, &format!("j{number}")),
                4 => idle(number, since).leave(LeaveReason::Shrink, since).unwrap(),
                _ => idle(number, since).failed(ResourceError::new("A", "a"), since).unwrap(),
            }
        }).collect();
        let cluster = auto_cluster(minimum, minimum + more);
        let snapshot = CapacitySnapshot {
            cluster,
            blocked: false,
            nodes: nodes.clone(),
            queued,
            quota_left,
            launches: vec![],
            strays: vec![],
        };
        let plan = plan_without_allocation(&snapshot, NOW.plus_seconds(90));
        let mut named = std::collections::BTreeSet::new();
        let mut launched = 0;
        for action in &plan {
            if let Action::Leave { node, .. } | Action::Remove { node } = action {
                proptest::prop_assert!(named.insert(node.clone()), "{plan:?}");
            }
            if let Action::Launch { count, .. } = action {
                launched += count;
            }
        }
        let maximum = minimum + more;
        let existing = nodes.len() as u32;
        proptest::prop_assert!(launched == 0 || existing + launched <= maximum, "{plan:?}");
        proptest::prop_assert!(launched <= quota_left);
        let stays = |node: &&Node| !node.is_leaving() && !named.contains(&node.id);
        let staying: Vec<&Node> = nodes.iter().filter(stays).collect();
        proptest::prop_assert!(staying.len() as u32 <= maximum, "{plan:?}");
        let usable_before = nodes.iter().filter(|node| usable(node)).count() as u32;
        let usable_after = staying.iter().filter(|node| usable(node)).count() as u32;
        proptest::prop_assert!(usable_after >= usable_before.min(minimum), "{plan:?}");
    }
}
