//! What is overdue, lost or left over: each case with the resulting plan.

use super::*;
use crate::builders::*;

fn snapshot(nodes: Vec<Node>, jobs: Vec<Job>) -> RecoverySnapshot {
    let found = |node: &Node| {
        node.instance().map(|instance| FoundInstance {
            id: instance.id.clone(),
            launch: node.launch.clone(),
            state: InstanceState::Running,
            address: Some(instance.address.clone()),
            node: None,
            offering: Offering::Single,
        })
    };
    let instances = Some(nodes.iter().filter_map(found).collect());
    let listening_since = Timestamp(0);
    let (cluster, launches) = (manual_cluster(4), vec![]);
    RecoverySnapshot { cluster, nodes, jobs, launches, instances, listening_since }
}

/// The instance as the cloud describes it, of a launch that does not name its nodes.
fn found(id: &str, launch: &str, running: bool) -> FoundInstance {
    let address = Some("10.0.0.1".to_owned());
    let state = if running { InstanceState::Running } else { InstanceState::Ended };
    let (id, launch, offering) = (id.into(), uid(launch), Offering::Single);
    FoundInstance { id, launch, state, address, node: None, offering }
}

fn lost(number: usize, end_reason: Option<EndReason>) -> Action {
    Action::Leave { node: node_id(number), reason: LeaveReason::Lost, end_reason }
}

#[track_caller]
fn check(snapshot: &RecoverySnapshot, seconds: u64, expected: &[Action]) {
    assert_eq!(plan(snapshot, NOW.plus_seconds(seconds)), expected);
}

/// A node that runs "a", and the job whose state records it.
fn busy() -> (Node, Job) {
    (running(0, "a"), running_job("a", &[0], 100))
}

#[test]
fn an_ended_instance_ends_its_attempt() {
    let (node, job) = busy();
    let mut snapshot = snapshot(vec![node], vec![job]);
    check(&snapshot, 1, &[]);
    snapshot.instances.as_mut().unwrap()[0].state = InstanceState::Ended;
    let end_reason =
        EndReason::NodeLost { node: node_id(0), reason: "its instance has ended".into() };
    check(&snapshot, 1, &[lost(0, Some(end_reason))]);
}

/// Only the cloud's report that an instance has ended counts before the time is over: neither a
/// failed listing nor one without the instance does.
#[test]
fn a_silent_node_is_kept_unless_its_instance_has_ended() {
    let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
    let described = snapshot.instances.clone();
    for instances in [described, None, Some(vec![])] {
        snapshot.instances = instances;
        check(&snapshot, limits::LEASE_SECONDS + 1, &[]);
        check(&snapshot, limits::SILENCE_SECONDS, &[]);
        check(&snapshot, limits::SILENCE_SECONDS + 1, &[lost(0, None)]);
    }
    snapshot.instances = Some(vec![found("i-0", "l", false)]);
    check(&snapshot, 1, &[lost(0, None)]);
}

fn shown() -> Action {
    let error = silent_cluster(&silent_pair(), NOW.plus_seconds(limits::LEASE_SECONDS + 1));
    error.expect("both nodes are silent")
}

fn silent_pair() -> RecoverySnapshot {
    snapshot(vec![idle(0, NOW), idle(1, NOW)], vec![])
}

#[test]
fn many_silent_nodes_are_our_own_outage() {
    let silent = limits::SILENCE_SECONDS + 1;
    let mut nodes: Vec<Node> = (0..8).map(|number| idle(number, NOW)).collect();
    for node in &mut nodes[2..] {
        node.seen_at = NOW.plus_seconds(silent);
    }
    let mut snapshot = snapshot(nodes, vec![]);
    check(&snapshot, silent, &[lost(0, None), lost(1, None)]);
    snapshot.nodes[2].seen_at = NOW;
    check(&snapshot, silent, &[shown()]);
    // The cloud's report still counts.
    snapshot.instances.as_mut().unwrap()[0].state = InstanceState::Ended;
    check(&snapshot, silent, &[shown(), lost(0, None)]);
    // Shown once.
    let Action::ShowError { error } = shown() else { panic!("an error") };
    assert!(error.message.contains("45 s") && error.message.contains("1800 s"), "{error:?}");
    snapshot.cluster.errors = vec![error];
    check(&snapshot, silent, &[lost(0, None)]);
    for node in &mut snapshot.nodes[3..] {
        node.seen_at = NOW.plus_seconds(limits::MASS_SILENCE_SECONDS + 1);
    }
    let all = [lost(0, None), lost(1, None), lost(2, None)];
    check(&snapshot, limits::MASS_SILENCE_SECONDS, &all[..1]);
    check(&snapshot, limits::MASS_SILENCE_SECONDS + 1, &all);
}

/// An instance boots for minutes before its agent can report.
#[test]
fn nodes_that_are_being_prepared_are_not_silent_together() {
    let preparing = |number| launching(number, "l").launched(instance(number), NOW).unwrap();
    let snapshot = snapshot((0..4).map(preparing).collect(), vec![]);
    assert_eq!(mass_silence(&snapshot, NOW.plus_seconds(limits::SILENCE_SECONDS)), None);
    assert_eq!(mass_silence(&silent_pair(), NOW.plus_seconds(limits::LEASE_SECONDS)), None);
    assert_eq!(mass_silence(&silent_pair(), NOW.plus_seconds(limits::LEASE_SECONDS + 1)), Some(2));
}

#[test]
fn silence_does_not_count_while_the_control_plane_is_down() {
    let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
    snapshot.instances = Some(vec![]);
    let restart = 10 * limits::SILENCE_SECONDS;
    snapshot.listening_since = NOW.plus_seconds(restart);
    check(&snapshot, restart + limits::SILENCE_SECONDS, &[]);
    check(&snapshot, restart + limits::SILENCE_SECONDS + 1, &[lost(0, None)]);
}

#[test]
fn a_node_that_does_not_come_up_is_replaced() {
    let snapshot = snapshot(vec![launching(0, "l")], vec![]);
    check(&snapshot, limits::LAUNCH_DEADLINE_SECONDS - 1, &[]);
    let plan = plan(&snapshot, NOW.plus_seconds(limits::LAUNCH_DEADLINE_SECONDS));
    let slow = Action::Leave { node: node_id(0), reason: LeaveReason::TooSlow, end_reason: None };
    assert_eq!(plan[0], slow);
    assert!(
        matches!(&plan[1], Action::RecordFailure { error } if error.code == "NodeLaunchTimeout")
    );
    assert_eq!(plan.len(), 2);
}

/// An on-demand instance that switches itself off is stopped: it runs nothing, and has to be terminated.
#[test]
fn a_stopped_instance_is_lost_and_terminated() {
    let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
    snapshot.instances.as_mut().unwrap()[0].state = InstanceState::Stopped;
    check(&snapshot, 1, &[lost(0, None)]);
    snapshot.nodes.clear();
    check(&snapshot, 1, &[Action::TerminateStray { instance: "i-0".into() }]);
    snapshot.instances.as_mut().unwrap()[0].state = InstanceState::Ended;
    check(&snapshot, 1, &[]);
}

#[test]
fn an_attempt_beyond_its_wall_clock_is_ended_and_then_its_node_is_lost() {
    let (mut node, job) = busy();
    let late = 100 + limits::WALL_CLOCK_SLACK_SECONDS;
    node.seen_at = NOW.plus_seconds(late);
    let mut snapshot = snapshot(vec![node], vec![job]);
    check(&snapshot, late - 1, &[]);
    let end_reason = EndReason::WallClockExceeded;
    let grace_seconds = limits::STOP_GRACE_SECONDS;
    let attempt = snapshot.jobs[0].live_attempt().unwrap();
    let end = Action::EndAttempt { attempt, end_reason: end_reason.clone(), grace_seconds };
    check(&snapshot, late, &[end]);
    snapshot.jobs[0].end_attempt(end_reason, 10, NOW.plus_seconds(late));
    let overdue = late + 10 + limits::STOP_REPORT_SECONDS;
    check(&snapshot, overdue - 1, &[]);
    check(&snapshot, overdue, &[lost(0, None)]);
    snapshot.listening_since = NOW.plus_seconds(overdue - limits::LEASE_SECONDS);
    check(&snapshot, overdue, &[]);
}

#[test]
fn an_instance_without_a_node_is_terminated_unless_its_launch_is_in_progress() {
    let terminate = [Action::TerminateStray { instance: "i-9".into() }];
    let mut snapshot = snapshot(vec![], vec![]);
    snapshot.instances = Some(vec![found("i-9", "other", true)]);
    check(&snapshot, 1, &terminate);
    snapshot.nodes = vec![launching(0, "other")];
    check(&snapshot, 1, &[]);
    // A node that leaves gets no instance any more.
    snapshot.nodes[0] = snapshot.nodes[0].clone().leave(LeaveReason::TooSlow, NOW).unwrap();
    check(&snapshot, 1, &terminate);
}

/// The answer of a launch was lost: its instances are found by their tag.
#[test]
fn instances_of_an_unanswered_launch_are_bound() {
    let mut snapshot = snapshot(vec![launching(0, "l"), launching(1, "l"), idle(7, NOW)], vec![]);
    let mut launch = launch_of("l", &[0, 1]);
    snapshot.launches = vec![launch.clone()];
    let all = [
        found("i-5", "l", true),
        found("i-4", "l", true),
        found("i-4", "l", true),
        found("i-6", "l", true),
        found("i-3", "l", false),
        found("i-7", "l", true),
        found("i-8", "other", true),
        FoundInstance { address: None, ..found("i-2", "l", true) },
        FoundInstance { node: Some(node_id(5)), ..found("i-1", "l", true) },
    ];
    snapshot.instances = Some(all.to_vec());
    let bind = |names: &[&str]| {
        let instance = |name: &&str| found(name, "l", true).launched();
        let instances = names.iter().map(instance).collect();
        Action::Bind { launch: uid("l"), instances }
    };
    let stray = Action::TerminateStray { instance: "i-8".into() };
    check(&snapshot, 1, &[bind(&["i-4", "i-5"]), stray.clone()]);
    // A surplus instance is a stray as soon as no node waits.
    launch.settle(&node_id(0), Some(&instance(4)));
    snapshot.launches = vec![launch];
    snapshot.nodes[0] = launching(0, "l").launched(instance(4), NOW).unwrap();
    check(&snapshot, 1, &[bind(&["i-5"]), stray]);
    let deadline = limits::LAUNCH_DEADLINE_SECONDS;
    let late = plan(&snapshot, NOW.plus_seconds(deadline));
    assert!(!late.iter().any(|action| matches!(action, Action::Bind { .. })), "{late:?}");
}

/// An interrupted node whose agent does not report the end is lost after its notice and the time
/// for the report.
#[test]
fn an_interrupted_node_is_lost_after_its_notice() {
    let (node, mut job) = busy();
    job.end_attempt(EndReason::Interrupted { node: node_id(0) }, 3600, NOW);
    let notice = 200;
    let deadline = NOW.plus_seconds(notice);
    let leaving = node.leave(LeaveReason::Interrupted, deadline).unwrap();
    let mut snapshot = snapshot(vec![leaving.clone()], vec![job]);
    let over = notice + limits::STOP_REPORT_SECONDS;
    let end_reason = EndReason::NodeLost {
        node: node_id(0),
        reason: "its interruption notice has expired".into(),
    };
    let lost = [lost(0, Some(end_reason))];
    check(&snapshot, over - 1, &[]);
    check(&snapshot, over, &lost);

    let listening = over - limits::LEASE_SECONDS;
    snapshot.listening_since = NOW.plus_seconds(listening);
    check(&snapshot, over, &[]);
    check(&snapshot, over + 1, &lost);

    let attempt = leaving.attempt().unwrap().clone();
    snapshot.nodes = vec![leaving.released(&attempt, NOW).unwrap()];
    check(&snapshot, over + 1, &[]);
}

#[test]
fn a_wall_clock_is_not_enforced_while_nodes_cannot_report() {
    let (mut node, job) = busy();
    let late = 100 + limits::WALL_CLOCK_SLACK_SECONDS;
    node.seen_at = NOW.plus_seconds(late);
    let mut snapshot = snapshot(vec![node], vec![job]);
    snapshot.listening_since = NOW.plus_seconds(late - limits::LEASE_SECONDS);
    check(&snapshot, late, &[]);
    assert_eq!(plan(&snapshot, NOW.plus_seconds(late + 1)).len(), 1);
    // An agent that is silent may have ended the attempt in time.
    snapshot.nodes[0].seen_at = NOW.plus_seconds(late - limits::LEASE_SECONDS);
    check(&snapshot, late + 1, &[]);
}

#[test]
fn only_members_that_have_not_ended_are_overdue() {
    let mut job = running_job("a", &[0, 1, 2], 100);
    job.end_attempt(EndReason::Terminated, 10, NOW);
    let attempt = job.live_attempt().unwrap();
    job.member_ended(&attempt, &node_id(0), EndReason::Terminated, NOW).unwrap();
    let overdue = 10 + limits::STOP_REPORT_SECONDS;
    let mut nodes = vec![idle(0, NOW), running(1, "a"), running(2, "a")];
    nodes[2] = nodes[2].clone().leave(LeaveReason::Lost, NOW).unwrap();
    let mut snapshot = snapshot(nodes, vec![job]);
    snapshot.instances = None;
    check(&snapshot, overdue - 1, &[]);
    check(&snapshot, overdue, &[lost(1, None)]);
    snapshot.nodes.remove(1);
    check(&snapshot, overdue, &[]);
}

#[test]
fn instances_are_matched_by_id() {
    let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
    let all = [found("i-0", "l", true), found("i-7", "l", true), found("i-8", "l", false)];
    snapshot.instances = Some(all.to_vec());
    check(&snapshot, 1, &[Action::TerminateStray { instance: "i-7".into() }]);
}

/// A set-up task that ends its instance must not cause endless immediate launches.
#[test]
fn a_node_that_is_lost_while_preparing_counts_as_a_failed_launch_once() {
    let preparing = launching(0, "l").launched(instance(0), NOW).unwrap();
    let failure = |reason| {
        let error = preparing.lost_while_preparing(reason).unwrap();
        [lost(0, None), Action::RecordFailure { error }]
    };
    let mut snapshot = snapshot(vec![preparing.clone()], vec![]);
    check(&snapshot, 1, &[]);
    snapshot.instances.as_mut().unwrap()[0].state = InstanceState::Ended;
    check(&snapshot, 1, &failure("its instance has ended"));
    snapshot.instances = Some(vec![]);
    let silent = limits::SILENCE_SECONDS + 1;
    check(&snapshot, silent, &failure("it was silent for 901 s"));
    snapshot.nodes[0] = preparing.leave(LeaveReason::Lost, NOW).unwrap();
    check(&snapshot, silent, &[]);
}

/// It signed in before the provider described it, or an earlier release bound it.
#[test]
fn a_node_is_described_as_the_provider_says() {
    let nodes = vec![
        offered(idle(0, NOW), Offering::Unknown),
        offered(idle(1, NOW), in_zone("a")),
        idle(2, NOW),
        idle(3, NOW),
    ];
    let mut snapshot = snapshot(nodes, vec![]);
    let zones = [in_zone("b"), in_zone("a"), in_zone("a"), Offering::Single];
    for (found, offering) in snapshot.instances.iter_mut().flatten().zip(zones) {
        found.offering = offering;
    }
    let describe =
        |number, zone| Action::Describe { node: node_id(number), offering: in_zone(zone) };
    assert_eq!(plan(&snapshot, NOW), [describe(0, "b"), describe(2, "a")]);
    snapshot.instances = None;
    assert_eq!(plan(&snapshot, NOW), []);
}
