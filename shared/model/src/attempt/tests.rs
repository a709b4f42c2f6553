//! Which end reason counts, and the progress of a gang.

use super::*;

const NOW: Timestamp = Timestamp(0);

fn node(number: usize) -> NodeId {
    NodeId::parse(&format!("n{number}")).unwrap()
}

fn attempt(nodes: usize) -> Attempt {
    Attempt::begin(1, (0..nodes).map(|it| (node(it), String::new())).collect(), NOW)
}

#[track_caller]
fn check(nodes: usize, first: EndReason, later: EndReason, expected: &EndReason) {
    let mut attempt = attempt(nodes);
    attempt.end(first, 10, NOW);
    attempt.end(later, 10, NOW);
    assert_eq!(attempt.end_reason(), Some(expected));
}

#[test]
fn an_end_by_itself_outranks_a_planned_end() {
    let exited = |exit_code| EndReason::Exited { exit_code };
    let interrupted = || EndReason::Interrupted { node: node(0) };
    let lost = || EndReason::NodeLost { node: node(0), reason: String::new() };
    for planned in [interrupted(), lost(), EndReason::Terminated, EndReason::ClusterDeleted] {
        check(1, planned.clone(), exited(0), &exited(0));
        check(1, planned.clone(), exited(3), &exited(3));
        check(2, planned.clone(), exited(0), &exited(0));
        check(2, planned.clone(), exited(3), &planned);
        check(1, exited(3), planned, &exited(3));
    }
    check(1, interrupted(), lost(), &interrupted());
    check(1, EndReason::Terminated, EndReason::WallClockExceeded, &EndReason::WallClockExceeded);
    check(1, EndReason::WallClockExceeded, EndReason::Terminated, &EndReason::WallClockExceeded);
    // The control plane stops an attempt that runs too long as far as it knows.
    check(1, EndReason::WallClockExceeded, exited(0), &exited(0));
    check(1, EndReason::WallClockExceeded, exited(3), &exited(3));
    check(2, EndReason::WallClockExceeded, exited(3), &EndReason::WallClockExceeded);
    check(1, exited(0), exited(3), &exited(0));
}

#[test]
fn members_end_one_by_one() {
    let mut gang = attempt(2);
    assert_eq!(gang.node_count(), 2);
    assert_eq!(gang.member(&node(1)).map(|it| &it.node), Some(&node(1)));
    assert_eq!(gang.member(&node(2)), None);
    assert!(!gang.is_ending());
    assert_eq!(gang.ending_deadline(), None);
    gang.end(EndReason::Terminated, 7, NOW);
    gang.end(EndReason::ClusterDeleted, 9, NOW.plus_seconds(1));
    assert!(gang.is_ending());
    let deadline = NOW.plus_seconds(7 + limits::STOP_REPORT_SECONDS);
    assert_eq!(gang.ending_deadline(), Some(deadline), "the first request counts");
    for (number, over) in [(0, false), (0, false), (1, true)] {
        gang.member_ended(&node(number));
        assert_eq!(gang.has_ended_everywhere(), over);
    }
    assert!(!gang.member_prepared(&node(0)), "it has ended");
}

#[test]
fn user_failures_are_failures_of_the_command() {
    assert!(EndReason::Exited { exit_code: 1 }.is_user_failure());
    assert!(EndReason::PreparationFailed { exit_code: 1 }.is_user_failure());
    assert!(!EndReason::Exited { exit_code: 0 }.is_user_failure());
    assert!(!EndReason::WallClockExceeded.is_user_failure());
    for (code, exit_code) in [("C", -1), ("AZFMountError", -1), ("BFSMountError", 1)] {
        let error = ResourceError::new(code, "m");
        let outcome = EndReason::NotProvided { error: error.clone() }.outcome();
        assert_eq!(outcome, Outcome::Failed { exit_code: Some(exit_code), error });
    }
}

#[test]
fn a_gang_runs_when_every_member_is_prepared() {
    let mut gang = attempt(2);
    assert_eq!(gang.phase, AttemptPhase::Preparing);
    assert!(gang.member_prepared(&node(1)));
    let progress = gang.members.iter().map(|member| member.progress).collect::<Vec<_>>();
    assert_eq!(progress, [MemberProgress::Assigned, MemberProgress::Prepared]);
    assert!(!gang.member_prepared(&node(1)), "a repetition changes nothing");
    assert_eq!(gang.phase, AttemptPhase::Preparing);
    assert!(gang.member_prepared(&node(0)));
    assert_eq!(gang.phase, AttemptPhase::Running);
    assert_eq!(attempt(1).phase, AttemptPhase::Running, "a single node waits for no other");
}
