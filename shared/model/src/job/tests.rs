//! The transitions that each state of a job allows. The effect of an attempt's end on the job is
//! tested with the reactions.

use super::*;
use crate::{Priority, Toolkit};

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(61_000);

fn uid(number: u8) -> Uid {
    Uid::from_bytes([number; 16])
}

fn node() -> NodeId {
    NodeId::parse("n").unwrap()
}

fn queued() -> Job {
    let names = WorkspaceNames {
        subscription: Name::new("S"),
        resource_group: Name::new("G"),
        workspace: Name::new("W"),
    };
    Job {
        experiment: uid(1),
        names: JobNames { workspace: names, experiment: Name::new("X"), job: Name::new("J") },
        uid: uid(2),
        version: 1,
        cluster: ClusterRef { workspace: uid(3), name: "c".into(), uid: uid(4) },
        cluster_names: crate::ClusterNames { workspace: None, name: Name::new("c") },
        cluster_mounts: vec![],
        spec: JobSpec {
            priority: Priority::Low,
            node_count: 1,
            container: None,
            toolkit: Toolkit::custom("true"),
            preparation: None,
            std_out_err_path_prefix: String::new(),
            mounts: None,
            input_directories: None,
            output_directories: None,
            environment: None,
            secrets: None,
            max_wall_clock_seconds: 100,
            max_retries: None,
            sweep: None,
        },
        submitted_at: Timestamp(7),
        state: JobState::Queued { since: NOW },
        attempts: vec![],
        deletion: None,
        has_metrics: false,
    }
}

fn running() -> Job {
    let mut job = queued();
    job.start(vec![(node(), String::new())], NOW).unwrap();
    job
}

fn terminating() -> Job {
    let mut job = running();
    job.terminate(Some(uid(6)), LATER).unwrap();
    job
}

fn ended(exit_code: i32) -> Job {
    let mut job = running();
    let attempt = job.live_attempt().unwrap();
    job.member_ended(&attempt, &node(), EndReason::Exited { exit_code }, LATER).unwrap();
    job
}

/// In the order of their names below.
fn states() -> [Job; 5] {
    [queued(), running(), terminating(), ended(0), ended(3)]
}

/// The state that a transition leads to, from each state in turn.
#[track_caller]
fn check(transition: impl Fn(&mut Job) -> Result<(), InvalidTransition>, expected: [&str; 5]) {
    let outcome = |mut job: Job| {
        let before = job.clone();
        match transition(&mut job) {
            Ok(()) => job.state.name(),
            Err(refused) => {
                assert_eq!((refused.what, refused.state), ("job", before.state.name()));
                assert_eq!(job, before, "a refusal changes nothing");
                "-"
            }
        }
    };
    assert_eq!(states().map(outcome), expected);
}

#[test]
fn every_state_allows_its_transitions() {
    check(|_| Ok(()), ["queued", "running", "terminating", "succeeded", "failed"]);
    check(|it| it.start(vec![(node(), String::new())], LATER), ["running", "-", "-", "-", "-"]);
    check(|it| it.terminate(None, LATER), ["failed", "terminating", "terminating", "-", "-"]);
    check(|it| it.fail_queued(LATER), ["failed", "-", "-", "-", "-"]);
    let first = AttemptRef { job: queued().reference(), number: 1 };
    let end = |it: &mut Job| it.member_ended(&first, &node(), EndReason::WallClockExceeded, LATER);
    check(end, ["-", "failed", "failed", "-", "-"]);
    let second = AttemptRef { number: 2, ..first.clone() };
    check(|it| it.member_ended(&second, &node(), EndReason::Terminated, LATER), ["-"; 5]);
}

#[test]
fn states_have_times_and_attempts() {
    assert_eq!(states().map(|job| job.state.is_final()), [false, false, false, true, true]);
    assert_eq!(states().map(|job| job.state.since()), [NOW, NOW, LATER, LATER, LATER]);
    let live = states().map(|job| job.live_attempt().is_some());
    assert_eq!(live, [false, true, true, false, false]);
    let started =
        |job: Job| job.attempt_records().iter().map(|it| it.started_at).collect::<Vec<_>>();
    assert_eq!(states().map(started), [vec![], vec![NOW], vec![NOW], vec![NOW], vec![NOW]]);
    let records = |job: Job| (job.attempts.len(), job.attempt_records().len());
    assert_eq!(states().map(records), [(0, 0), (0, 1), (0, 1), (1, 1), (1, 1)]);
}

#[test]
fn the_live_attempt_is_that_of_this_job_and_number() {
    let job = running();
    let live = job.live_attempt().unwrap();
    assert_eq!(job.attempt(&live).map(|it| it.number), Some(1));
    assert_eq!(job.attempt(&AttemptRef { number: 2, ..live.clone() }), None);
    let other = JobRef { uid: uid(9), ..live.job.clone() };
    assert_eq!(job.attempt(&AttemptRef { job: other, ..live }), None);
    assert_eq!(queued().attempt(&job.live_attempt().unwrap()), None);
}

#[test]
fn attempts_are_numbered_in_turn() {
    let mut job = queued();
    for number in 1..=3 {
        job.start(vec![(node(), String::new())], NOW).unwrap();
        let attempt = job.live_attempt().unwrap();
        assert_eq!(attempt.number, number);
        job.member_ended(&attempt, &node(), EndReason::DeallocatedRequeue { node: node() }, NOW)
            .unwrap();
        assert_eq!(job.infrastructure_losses(), number);
    }
}

#[test]
fn a_queue_entry_has_everything_that_dispatch_needs() {
    let expected = QueueEntry {
        sweep: None,
        job: JobRef { experiment: uid(1), name: "j".into(), uid: uid(2) },
        rank: 2,
        submitted_at: Timestamp(7),
        node_count: 1,
        max_wall_clock_seconds: 100,
    };
    assert_eq!(queued().queue_entry(), expected);
    assert_eq!(queued().expected_end(NOW), NOW.plus_seconds(100));
}

#[test]
fn operations_complete_with_the_end_of_the_job() {
    let operation = |number, since| {
        Operation::started(uid(number), "S$G$W$X$J".into(), since).succeeded(Timestamp(90_000))
    };
    let completed = |job: &Job| job.completed_operations(Timestamp(90_000));
    assert_eq!(completed(&queued()), []);
    assert_eq!(completed(&running()), []);
    assert_eq!(completed(&terminating()), [operation(6, LATER)]);
    let mut both = terminating();
    both.deletion = Some(Deletion { operation: uid(7), since: NOW });
    assert_eq!(completed(&both), [operation(6, LATER), operation(7, NOW)]);
}

#[test]
fn reasons_to_wait_have_codes() {
    use WaitingReason::{Capacity, Cluster, Nodes, Setting};
    let codes = [Cluster, Setting, Capacity, Nodes].map(WaitingReason::code);
    let expected = ["WaitsForCluster", "WaitsForSetting", "WaitsForCapacity", "WaitsForNodes"];
    assert_eq!(codes, expected);
}

/// A job that ran once for each of these end reasons.
fn after(max_retries: Option<u32>, endings: &[EndReason]) -> Job {
    let mut job = queued();
    job.spec.max_retries = max_retries;
    for end_reason in endings {
        job.start(vec![(node(), String::new())], NOW).expect("it is queued again");
        let attempt = job.live_attempt().unwrap();
        job.member_ended(&attempt, &node(), end_reason.clone(), LATER).unwrap();
    }
    job
}

#[test]
fn user_failures_are_retried_as_often_as_requested() {
    let failed = || EndReason::Exited { exit_code: 3 };
    let lost = || EndReason::Interrupted { node: node() };
    for (max_retries, endings, expected) in [
        (None, vec![failed()], "failed"),
        (Some(0), vec![failed()], "failed"),
        (Some(1), vec![failed()], "queued"),
        (Some(1), vec![lost(), lost(), failed()], "queued"),
        (Some(1), vec![failed(), lost(), failed()], "failed"),
        (Some(1), vec![EndReason::WallClockExceeded], "failed"),
        (Some(1), vec![failed(), EndReason::Exited { exit_code: 0 }], "succeeded"),
    ] {
        assert_eq!(after(max_retries, &endings).state.name(), expected, "{endings:?}");
    }
}

#[test]
fn a_terminated_job_does_not_run_again() {
    for end_reason in
        [EndReason::Exited { exit_code: 3 }, EndReason::DeallocatedRequeue { node: node() }]
    {
        let mut job = terminating();
        job.spec.max_retries = Some(5);
        let attempt = job.live_attempt().unwrap();
        job.member_ended(&attempt, &node(), end_reason, LATER).unwrap();
        assert_eq!(job.state.name(), "failed");
    }
}

/// The node was lost before the user terminated the job, so the attempt ends as a loss.
#[test]
fn a_job_that_is_terminated_while_it_would_be_requeued_does_not_run_again() {
    let lost = EndReason::NodeLost { node: node(), reason: String::new() };
    let mut job = running();
    let attempt = job.live_attempt().unwrap();
    job.end_attempt(lost.clone(), 1, NOW);
    job.terminate(None, LATER).unwrap();
    job.member_ended(&attempt, &node(), EndReason::Terminated, LATER).unwrap();
    let JobState::Failed { error, .. } = job.state else { panic!("{:?}", job.state) };
    assert_eq!(error.code, "JobTerminated");
    assert_eq!(job.attempts[0].ended.as_ref().map(|end| &end.end_reason), Some(&lost));
}

#[test]
fn losses_and_node_failures_are_bounded() {
    let lost = EndReason::NodeLost { node: node(), reason: String::new() };
    let most = limits::MAX_INFRASTRUCTURE_LOSSES as usize;
    assert_eq!(after(None, &vec![lost.clone(); most]).state.name(), "queued");
    let once_more = after(None, &vec![lost.clone(); most + 1]);
    let JobState::Failed { error, .. } = once_more.state else { panic!() };
    assert_eq!(error.code, "JobLostTooOften");

    let cause = ResourceError::new("DiskFull", "full");
    let failure = EndReason::NodeFailed { node: node(), error: cause.clone() };
    let most = limits::MAX_NODE_FAILURES;
    let mut endings = vec![failure.clone(); most - 1];
    endings.extend(vec![lost.clone(); 5]);
    assert_eq!(after(None, &endings).state.name(), "queued", "losses are not node failures");
    endings.push(failure);
    let JobState::Failed { error, exit_code, .. } = after(None, &endings).state else { panic!() };
    assert_eq!((error, exit_code), (cause, None));
}

#[test]
fn calls_reach_the_live_attempt() {
    let mut gang = queued();
    let members = ["n", "m"].map(|name| (NodeId::parse(name).unwrap(), String::new()));
    gang.start(members.to_vec(), NOW).unwrap();
    assert!(gang.member_prepared(&node()));
    assert!(!gang.member_prepared(&node()));
    gang.end_attempt(EndReason::WallClockExceeded, 1, NOW);
    assert_eq!(gang.state.attempt().unwrap().end_reason(), Some(&EndReason::WallClockExceeded));
    let mut waiting = queued();
    waiting.end_attempt(EndReason::WallClockExceeded, 1, NOW);
    assert_eq!(waiting, queued(), "nothing runs");
    assert!(!waiting.member_prepared(&node()));
}

/// A running job on nodes "a" and "b", each of which has processes of its own.
fn running_on_every_node() -> (Job, AttemptRef, [NodeId; 2]) {
    let nodes = ["a", "b"].map(|id| NodeId::parse(id).unwrap());
    let mut job = queued();
    job.spec.node_count = 2;
    job.spec.toolkit = Toolkit::Caffe2(crate::toolkit::Caffe2 {
        python_script_file_path: "a.py".into(),
        python_interpreter_path: None,
        command_line_args: None,
    });
    job.start(nodes.clone().map(|node| (node, String::new())).to_vec(), NOW).unwrap();
    for node in &nodes {
        job.member_prepared(node);
    }
    let attempt = job.state.attempt().unwrap().reference(&job.reference());
    (job, attempt, nodes)
}

#[test]
fn a_job_of_every_node_succeeds_with_the_last() {
    let (mut job, attempt, [a, b]) = running_on_every_node();
    let exited = |exit_code| EndReason::Exited { exit_code };
    job.member_ended(&attempt, &a, exited(0), LATER).unwrap();
    job.member_ended(&attempt, &a, exited(0), LATER).unwrap();
    assert!(!job.state.attempt().unwrap().is_ending(), "the other still runs");
    let mut failed = job.clone();
    failed.member_ended(&attempt, &b, exited(5), LATER).unwrap();
    assert!(matches!(failed.state, JobState::Failed { exit_code: Some(5), .. }));
    let mut lost = job.clone();
    let reason = EndReason::NodeLost { node: b.clone(), reason: String::new() };
    lost.member_ended(&attempt, &b, reason, LATER).unwrap();
    assert!(matches!(lost.state, JobState::Queued { .. }), "the whole job runs again");
    job.member_ended(&attempt, &b, exited(0), LATER).unwrap();
    assert!(matches!(job.state, JobState::Succeeded { .. }));
}

#[test]
fn a_job_of_every_node_that_is_asked_to_end_has_succeeded_if_all_nodes_have() {
    let interrupted = |successes: usize| {
        let (mut job, attempt, nodes) = running_on_every_node();
        let reason = EndReason::Interrupted { node: nodes[1].clone() };
        job.end_attempt(reason.clone(), 10, NOW);
        for (number, node) in nodes.iter().enumerate() {
            let success = EndReason::Exited { exit_code: 0 };
            let own = if number < successes { success } else { reason.clone() };
            job.member_ended(&attempt, node, own, LATER).unwrap();
        }
        job.state.name()
    };
    assert_eq!([0, 1, 2].map(interrupted), ["queued", "queued", "succeeded"]);
}

/// What a job has cost: ended attempts, and the live one until now. An unknown price makes it unknown.
#[test]
fn the_cost_of_a_job_is_the_sum_of_its_attempts() {
    let hour = |hours: u64| NOW.plus_seconds(3600 * hours);
    let mut job = queued();
    assert_eq!(job.cost_micro_usd(hour(1)), None, "it never ran");
    job.start(vec![(node(), String::new())], NOW).unwrap();
    assert_eq!(job.cost_micro_usd(hour(1)), None, "the price is not known");
    job.set_price(Some(160_000));
    assert_eq!(job.cost_micro_usd(hour(2)), Some(320_000));
    let attempt = job.live_attempt().unwrap();
    let interrupted = EndReason::Interrupted { node: node() };
    job.member_ended(&attempt, &node(), interrupted, hour(3)).unwrap();
    assert_eq!(job.attempts[0].cost_micro_usd, Some(480_000));
    assert_eq!(job.cost_micro_usd(hour(9)), Some(480_000), "it waits");
    job.start(vec![(node(), String::new())], hour(9)).unwrap();
    job.set_price(Some(526_000));
    assert_eq!(job.cost_micro_usd(hour(10)), Some(1_006_000));
    let text = serde_json::to_string(&job).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
    job.set_price(None);
    assert_eq!(job.cost_micro_usd(hour(10)), None);
}
