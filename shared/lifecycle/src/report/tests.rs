//! Requests of agents, each applied to only the records that it names as affected; each case shows
//! the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::Backoff;

fn with(node: Node) -> Fixture {
    Fixture::of(manual_cluster(1), vec![], vec![node])
}

fn preparing() -> Node {
    launching(0, "l").launched(instance(0), NOW).unwrap()
}

/// The nodes with these numbers run "a"; the one that reports was seen just now.
fn busy(numbers: &[usize]) -> Fixture {
    let (job, mut nodes) = gang("a", numbers);
    nodes.iter_mut().for_each(|node| node.seen_at = LATER);
    Fixture::of(manual_cluster(2), vec![job], nodes)
}

#[test]
fn the_first_request_of_a_launching_node_registers_it() {
    let mut cluster = manual_cluster(1);
    cluster.health = Backoff::CLEAR.failed(NOW);
    let fixture = || Fixture::of(cluster.clone(), vec![], vec![launching(0, "l")]);
    assert_snapshot!(fixture().observed(0, &request(0, NodePhase::Preparing)), @r"
    replace node n0: preparing i-0 by @3660
    create inst i-0
    ");
    let fixture = fixture();
    assert_snapshot!(fixture.observed(0, &request(0, NodePhase::Ready)), @r"
    replace cluster c: planned 0, steady @0
    replace node n0: idle @60
    put idle n0
    create inst i-0
    hint Dispatcher c
    log idle n0
    ");
    assert_snapshot!(fixture.observed(0, &request(0, NodePhase::Ready)), @"nothing");
    let failed = NodePhase::Failed { problem: problem() };
    assert_snapshot!(with(preparing()).observed(0, &request(0, failed.clone())), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors DiskFull[n0]
    replace node n0: unusable DiskFull[] @60
    hint Autoscaler c
    log failed n0 DiskFull[]
    ");
    // A GPU of an idle node has failed. That of a busy node: its job ends first, and no other one starts there.
    assert_snapshot!(fixture.observed(0, &request(0, failed.clone())), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors DiskFull[n0]
    replace node n0: unusable DiskFull[] @60
    delete idle n0
    hint Autoscaler c
    log failed n0 DiskFull[]
    ");
    assert_snapshot!(busy(&[0]).observed(0, &request(0, failed.clone())), @"nothing");
    let ended = reports(0, "a", has_ended(End::Exited { exit_code: 0 }));
    assert_snapshot!(busy(&[0]).observed(0, &SyncRequest { phase: failed, ..ended }), @r"
    replace cluster c: planned 0, steady @0, launch failed 1x, not before @65, errors DiskFull[n0]
    replace job a: succeeded @0-@60; #1 n0 Exited 0 @60
    replace node n0: unusable DiskFull[] @60
    hint Autoscaler c
    log member ended a#1 n0
    log attempt ended a#1 succeeded
    log failed n0 DiskFull[]
    ");
}

#[test]
fn a_heartbeat_is_written_with_each_held_request_and_never_backwards() {
    let node = |seconds_ago: i64| {
        let mut node = idle(0, NOW);
        node.seen_at = Timestamp(LATER.0 - 1000 * seconds_ago);
        with(node)
    };
    let ready = request(0, NodePhase::Ready);
    assert_snapshot!(node(7).observed(0, &ready), @"nothing");
    assert_snapshot!(node(8).observed(0, &ready), @"seen node n0 @60");
    assert_snapshot!(node(-5).observed(0, &ready), @"nothing");
    let fixture = node(8);
    fixture.observed(0, &ready);
    assert_eq!(fixture.node(0).seen_at, LATER);
}

/// What was measured costs no write of its own.
#[test]
fn metrics_are_written_with_a_heartbeat_under_the_same_version() {
    let fixture = with(idle(0, NOW));
    let before = fixture.node(0);
    let mut measured = request(0, NodePhase::Ready);
    let gpu = protocol::GpuMetrics { utilization_percent: Some(87), ..Default::default() };
    measured.metrics =
        Some(protocol::Metrics { load_percent: 7, gpus: vec![gpu; 17], ..Default::default() });
    assert_snapshot!(fixture.observed(0, &measured), @"replace node n0: idle @0");
    let after = fixture.node(0);
    assert_eq!((after.version, after.seen_at), (before.version, LATER));
    let stored = after.metrics.unwrap();
    assert_eq!((stored.load_percent, stored.gpus.len()), (7, 16));
    measured.metrics = None;
    assert_snapshot!(fixture.observed(0, &measured), @"nothing");
}

/// A write of a node that was read before a heartbeat must not set the time back.
#[test]
fn a_write_planned_before_a_heartbeat_is_a_conflict() {
    let fixture = with(idle(0, NOW));
    let mut late = fixture.draft();
    nodes::mark_interrupted(&mut late, &node_id(0), 120);
    fixture.observed(0, &request(0, NodePhase::Ready));
    assert!(fixture.commit(&late.finish()).unwrap_err().is_conflict());
}

#[test]
fn progress_of_a_gang() {
    let fixture = busy(&[0, 1]);
    assert_snapshot!(fixture.observed(1, &reports(1, "a", Progress::Preparing)), @"nothing");
    assert_snapshot!(fixture.observed(1, &reports(1, "a", Progress::Prepared)), @"replace job a: running #1 on n0 n1+ (preparing)");
    assert_snapshot!(fixture.observed(1, &reports(1, "a", Progress::Prepared)), @"nothing");
    assert_snapshot!(fixture.observed(0, &reports(0, "a", Progress::Prepared)), @r"
    replace job a: running #1 on n0+ n1+ (runs)
    notify n0 n1
    ");
    assert_snapshot!(fixture.observed(0, &reports(0, "a", Progress::Running)), @"nothing");
}

#[test]
fn reports_about_another_attempt_are_ignored() {
    let exited = || has_ended(End::Exited { exit_code: 0 });
    let mut older = reports(0, "a", exited());
    older.attempt.as_mut().unwrap().key.number = 2;
    assert_snapshot!(busy(&[0]).observed(0, &older), @"nothing");
    assert_snapshot!(busy(&[0]).observed(0, &reports(0, "b", exited())), @"nothing");
    let mut idle = idle(0, NOW);
    idle.seen_at = LATER;
    assert_snapshot!(with(idle).observed(0, &reports(0, "a", exited())), @"nothing");
}

/// The recorded end of the attempt.
#[test]
fn every_end_that_a_node_can_report() {
    let ends = [
        End::Exited { exit_code: 0 },
        End::Exited { exit_code: 3 },
        End::PreparationFailed { exit_code: 4 },
        End::NotProvided { problem: problem() },
        End::NodeFailed { problem: problem() },
        End::WallClockExceeded,
        End::Stopped,
        End::Interrupted,
        End::Lost { reason: "killed".into() },
    ];
    let recorded = |end: End| {
        let fixture = busy(&[0]);
        let change = fixture.observe(0, &reports(0, "a", has_ended(end.clone()))).unwrap();
        assert!(change.writes.len() <= 5);
        let again = fixture.observe(0, &reports(0, "a", has_ended(end))).unwrap();
        assert_eq!(again, Default::default(), "a repetition changes nothing");
        fixture.stored().lines().filter(|line| line.starts_with("job")).collect::<String>()
    };
    assert_snapshot!(ends.map(recorded).join("\n"), @r"
    job a: succeeded @0-@60; #1 n0 Exited 0 @60
    job a: failed with 3 JobFailed @0-@60; #1 n0 Exited 3 @60
    job a: failed with 4 JobPreparationFailed @0-@60; #1 n0 PreparationFailed 4 @60
    job a: failed with -1 DiskFull @0-@60; #1 n0 NotProvided DiskFull @60
    job a: queued @60; #1 n0 NodeFailed n0 DiskFull @60
    job a: failed JobMaxWallClockTimeExceeded @0-@60; #1 n0 WallClockExceeded @60
    job a: queued @60; #1 n0 NodeLost n0 (it stopped the job) @60
    job a: queued @60; #1 n0 Interrupted n0 @60
    job a: queued @60; #1 n0 NodeLost n0 (killed) @60
    ");
}

#[test]
fn a_node_that_could_not_run_a_job_is_unusable_and_shown() {
    let failed = has_ended(End::NodeFailed { problem: problem() });
    assert_snapshot!(busy(&[0]).observed(0, &reports(0, "a", failed)), @r"
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
}

#[test]
fn a_notice_interrupts_the_job_once() {
    let fixture = busy(&[0]);
    let running = with_notice(reports(0, "a", Progress::Running), 100);
    assert_snapshot!(fixture.observed(0, &running), @r"
    replace job a: running #1 on n0 (ending Interrupted n0 @60 in 98 s)
    replace node n0: leaving Interrupted by @160 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    log ending a#1 Interrupted n0
    ");
    assert_snapshot!(fixture.observed(0, &running), @"nothing");
    let interrupted = has_ended(End::Interrupted);
    let last = with_notice(reports(0, "a", interrupted), 40);
    assert_snapshot!(fixture.observed(0, &last), @r"
    replace job a: queued @60; #1 n0 Interrupted n0 @60
    create queue 1 a
    replace node n0: leaving Interrupted by @160
    hint Dispatcher c
    hint Autoscaler c
    log member ended a#1 n0
    log attempt ended a#1 queued
    ");
    assert_snapshot!(fixture.observed(0, &last), @"nothing");
}

#[test]
fn an_end_before_the_notice_counts() {
    let exited = || has_ended(End::Exited { exit_code: 0 });
    let request = with_notice(reports(0, "a", exited()), 100);
    assert_snapshot!(busy(&[0]).observed(0, &request), @r"
    replace job a: succeeded @0-@60; #1 n0 Exited 0 @60
    replace node n0: leaving Interrupted by @160
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    log member ended a#1 n0
    log attempt ended a#1 succeeded
    ");
    let fixture = busy(&[0]);
    fixture.react(|draft| nodes::interrupted(draft, &node_id(0), 100));
    assert_snapshot!(fixture.observed(0, &reports(0, "a", exited())), @r"
    replace job a: succeeded @0-@60; #1 n0 Exited 0 @60
    replace node n0: leaving Interrupted by @160
    hint Autoscaler c
    log member ended a#1 n0
    log attempt ended a#1 succeeded
    ");
}

#[test]
fn a_notice_does_not_extend_the_deadline_of_a_leaving_node() {
    let fixture = busy(&[0]);
    fixture.react(|draft| nodes::leave(draft, &node_id(0), LeaveReason::Lost, None));
    let stored = fixture.node(0);
    fixture.observed(0, &with_notice(reports(0, "a", Progress::Running), 100));
    assert_eq!(fixture.node(0), stored);
}

#[test]
fn the_final_report_of_an_agent() {
    let mut node = idle(0, NOW);
    node.seen_at = LATER;
    let fixture = with(node);
    assert_snapshot!(fixture.observed(0, &request(0, NodePhase::Left)), @r"
    replace node n0: leaving Interrupted by @60
    delete idle n0
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
    assert_snapshot!(fixture.observed(0, &request(0, NodePhase::Left)), @"hint Autoscaler c");
    assert_snapshot!(busy(&[0]).observed(0, &request(0, NodePhase::Left)), @r"
    replace node n0: leaving Interrupted by @60 with a#1
    hint Autoscaler c
    notify n0
    log leaving n0 Interrupted
    ");
}

#[test]
fn records_affected_by_a_request() {
    let failed = || reports(0, "a", has_ended(End::NodeFailed { problem: problem() }));
    let failed_phase = NodePhase::Failed { problem: problem() };
    let ready = || request(0, NodePhase::Ready);
    let leaving = idle(0, NOW).leave(LeaveReason::Shrink, NOW).unwrap();
    let mut unusable = preparing().failed(error("A"), NOW).unwrap();
    unusable.seen_at = LATER;
    let cases = [
        (launching(0, "l"), ready(), (false, true)),
        (preparing(), ready(), (false, true)),
        (preparing(), request(0, failed_phase.clone()), (false, true)),
        (preparing(), request(0, NodePhase::Preparing), (false, false)),
        (preparing(), with_notice(request(0, NodePhase::Preparing), 120), (false, true)),
        (preparing(), request(0, NodePhase::Left), (false, true)),
        (idle(0, NOW), request(0, NodePhase::Left), (false, false)),
        (idle(0, NOW), with_notice(ready(), 120), (false, false)),
        (idle(0, NOW), ready(), (false, false)),
        (idle(0, NOW), request(0, failed_phase.clone()), (false, true)),
        (running(0, "a"), request(0, failed_phase.clone()), (true, true)),
        (unusable.clone(), ready(), (false, false)),
        (unusable, request(0, failed_phase), (false, false)),
        (leaving, ready(), (false, false)),
        (running(0, "a"), ready(), (true, false)),
        (running(0, "a"), failed(), (true, true)),
        (running(0, "a"), reports(0, "a", has_ended(End::Stopped)), (true, false)),
    ];
    for (node, request, (running_job, cluster)) in cases {
        let expected = AffectedRecords { running_job, cluster };
        assert_eq!(affected_records(&node, &request), expected, "{node:?} {request:?}");
    }
}

#[test]
fn desired_states_of_a_node() {
    let (job, nodes) = gang("a", &[0, 1]);
    let attempt = job.live_attempt().unwrap();
    let check = |node: &Node, job: Option<&Job>, expected: DesiredState| {
        assert_eq!(desired_state(node, job, LATER), expected, "{node:?}");
    };
    check(&preparing(), None, DesiredState::Prepare);
    check(&launching(0, "l"), None, DesiredState::Nothing);
    check(&idle(0, NOW), None, DesiredState::Nothing);
    check(&preparing().failed(error("A"), NOW).unwrap(), None, DesiredState::Nothing);
    let run = |start| DesiredState::Run { attempt: attempt.clone(), start };
    check(&nodes[0], Some(&job), run(false));
    check(&nodes[0], None, DesiredState::Nothing);
    let mut prepared = job.clone();
    assert!(prepared.member_prepared(&node_id(0)) && prepared.member_prepared(&node_id(1)));
    check(&nodes[0], Some(&prepared), run(true));
    let mut other = job.clone();
    other.uid = uid("b");
    check(&nodes[0], Some(&other), DesiredState::Nothing);

    let mut end_reason = job.clone();
    end_reason.end_attempt(EndReason::Terminated, 100, NOW);
    let stop = |grace_seconds| DesiredState::Stop { attempt: attempt.clone(), grace_seconds };
    check(&nodes[0], Some(&end_reason), stop(40));
    let late = desired_state(&nodes[0], Some(&end_reason), LATER.plus_seconds(60));
    assert_eq!(late, stop(0), "no grace is left");
    for reason in [
        LeaveReason::Shrink,
        LeaveReason::ShrinkWhenDone,
        LeaveReason::AtRisk,
        LeaveReason::Interrupted,
        LeaveReason::TooSlow,
        LeaveReason::ClusterDeleted,
    ] {
        let leaving = nodes[0].clone().leave(reason, NOW).unwrap();
        check(&leaving, Some(&end_reason), stop(40));
        check(&leaving.released(&attempt, NOW).unwrap(), Some(&end_reason), DesiredState::Leave);
    }
    let lost = nodes[0].clone().leave(LeaveReason::Lost, NOW).unwrap();
    check(&lost, Some(&end_reason), DesiredState::Leave);
}

/// The notice of an interruption comes from EventBridge and from the agent, in either order, or only from one.
#[test]
fn every_source_of_a_notice_has_the_same_result() {
    let after = |by_event: bool, by_agent: bool, event_first: bool, end: End| {
        let fixture = busy(&[0]);
        let event = || {
            if by_event {
                fixture.react(|draft| nodes::interrupted(draft, &node_id(0), 120));
            }
        };
        let running = || {
            let report = reports(0, "a", Progress::Running);
            let report = if by_agent { with_notice(report, 120) } else { report };
            fixture.observed(0, &report);
        };
        if event_first {
            event();
            running();
        } else {
            running();
            event();
        }
        fixture.observed(0, &reports(0, "a", has_ended(end)));
        fixture.observed(0, &request(0, NodePhase::Left));
        fixture.stored()
    };
    let expected = after(true, false, true, End::Stopped);
    assert!(expected.contains("queued"), "{expected}");
    assert_eq!(after(false, true, true, End::Interrupted), expected, "only the agent");
    for event_first in [true, false] {
        for end in [End::Stopped, End::Interrupted] {
            assert_eq!(after(true, true, event_first, end.clone()), expected, "{end:?}");
        }
    }
}

#[test]
fn an_agent_that_leaves_or_is_interrupted_while_preparing_counts_as_a_failed_launch() {
    let observed = |request: SyncRequest| {
        let fixture = with(preparing());
        fixture.observed(0, &request);
        let cluster = fixture.cluster().unwrap();
        let again = fixture.observed(0, &request);
        assert!(again == "nothing" || again == "hint Autoscaler c", "{again}");
        let errors: Vec<String> = cluster.errors.iter().map(|it| it.message.clone()).collect();
        format!("{} {}", cluster.health.failures, errors.join(", "))
    };
    let left = request(0, NodePhase::Left);
    let notice = |phase| with_notice(request(0, phase), 120);
    let text = "A node was lost while it was being prepared: its";
    assert_eq!(observed(left), format!("1 {text} agent has left"));
    assert_eq!(
        observed(notice(NodePhase::Preparing)),
        format!("1 {text} instance is being interrupted")
    );
    assert_eq!(
        observed(notice(NodePhase::Ready)),
        format!("1 {text} instance is being interrupted")
    );
    assert_eq!(observed(request(0, NodePhase::Preparing)), "0 ");
}
