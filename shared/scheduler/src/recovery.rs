//! What is overdue, lost or left over.
//!
//! Policies are tried in the order of [`plan`]; each is one function. Loss is told by two
//! witnesses: what the cloud says of a machine is final, and a node that was silent beyond its
//! lease is given up even if its machine seems to run. "Not described yet" is no loss.

use crate::Action;
use model::{
    Attempt, Cluster, Ending, LaunchId, LeaveReason, MemberProgress, Node, NodeId, NodeState,
    ResourceError, Timestamp, limits,
};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct RecoverySnapshot {
    pub cluster: Cluster,
    pub nodes: Vec<Node>,
    pub attempts: Vec<Attempt>,
    /// Machines tagged as this cluster's; `None` when they could not be listed.
    pub machines: Option<Vec<FoundMachine>>,
    /// Since when nodes can reach the control plane: a lease does not run while nobody listens.
    pub listening_since: Timestamp,
}

/// A machine as the cloud describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMachine {
    pub instance: String,
    pub launch: LaunchId,
    pub running: bool,
}

/// A launch that was not answered for so long is asked for again (the token makes that harmless).
const RELAUNCH_SECONDS: u64 = 30;

pub fn plan(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    actions.extend(lost_nodes(snapshot, now));
    actions.extend(slow_nodes(snapshot, now));
    actions.extend(unanswered_launches(snapshot, now));
    actions.extend(overdue_attempts(snapshot, now));
    actions.extend(overdue_endings(snapshot, now));
    actions.extend(members_without_node(snapshot));
    actions.extend(stray_machines(snapshot));
    actions
}

/// Nodes whose machine has ended, or that were silent beyond their lease.
fn lost_nodes(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for node in &snapshot.nodes {
        let Some(reason) = loss(snapshot, node, now) else { continue };
        actions.push(Action::Leave { node: node.id.clone(), reason: LeaveReason::Lost });
        if let Some(attempt) = node.occupant() {
            actions.push(Action::EndAttempt {
                attempt: attempt.clone(),
                ending: Ending::NodeLost { node: node.id.clone(), reason },
                grace_seconds: limits::STOP_GRACE_SECONDS,
            });
        }
    }
    actions
}

fn loss(snapshot: &RecoverySnapshot, node: &Node, now: Timestamp) -> Option<String> {
    if let NodeState::Leaving { reason: LeaveReason::Lost, .. } = node.state {
        return None;
    }
    let machine = node.machine()?;
    let described =
        snapshot.machines.iter().flatten().find(|found| found.instance == machine.instance);
    if described.is_some_and(|found| !found.running) {
        return Some("its machine has ended".to_owned());
    }
    let silent = now.seconds_since(node.seen_at.max(snapshot.listening_since));
    if silent > limits::LEASE_SECONDS {
        return Some(format!("it was silent for {silent} s"));
    }
    match &node.state {
        NodeState::Leaving {
            reason: LeaveReason::Interrupted,
            occupant: Some(_),
            deadline,
            ..
        } if now >= deadline.plus_seconds(limits::STOP_REPORT_SECONDS) => {
            Some("its notice is over".to_owned())
        }
        NodeState::Launching { .. }
        | NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Running { .. }
        | NodeState::Leaving { .. }
        | NodeState::Unusable { .. } => None,
    }
}

/// Nodes that did not come up, or did not get ready, in time.
fn slow_nodes(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for node in &snapshot.nodes {
        let (deadline, code, what) = match &node.state {
            NodeState::Launching { deadline } => (deadline, "NodeLaunchTimeout", "did not come up"),
            NodeState::Preparing { deadline, .. } => {
                (deadline, "NodePreparationTimeout", "was not prepared")
            }
            NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => continue,
        };
        if now >= *deadline {
            let message = format!("A node {what} in time and is being replaced");
            actions.push(Action::Leave { node: node.id.clone(), reason: LeaveReason::TooSlow });
            actions.push(Action::RecordFailure {
                error: ResourceError::new(code, message).with_detail("Node", node.id.as_str()),
            });
        }
    }
    actions
}

/// Intents whose effect is unknown: the same request is made again.
fn unanswered_launches(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let mut launches: BTreeMap<&LaunchId, Vec<NodeId>> = BTreeMap::new();
    for node in &snapshot.nodes {
        let NodeState::Launching { deadline } = node.state else { continue };
        if now < deadline && now.seconds_since(node.created_at) >= RELAUNCH_SECONDS {
            launches.entry(&node.launch).or_default().push(node.id.clone());
        }
    }
    let relaunch = |(launch, nodes): (&LaunchId, Vec<NodeId>)| Action::Relaunch {
        launch: launch.clone(),
        nodes,
    };
    launches.into_iter().map(relaunch).collect()
}

/// The agent enforces the wall clock; this is for an agent that does not.
fn overdue_attempts(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let limit =
        |attempt: &Attempt| attempt.expected_end().plus_seconds(limits::WALL_CLOCK_SLACK_SECONDS);
    snapshot
        .attempts
        .iter()
        .filter(|attempt| !attempt.is_ending() && now >= limit(attempt))
        .map(|attempt| Action::EndAttempt {
            attempt: attempt.id.clone(),
            ending: Ending::WallClockExceeded,
            grace_seconds: limits::STOP_GRACE_SECONDS,
        })
        .collect()
}

/// Nodes on which an attempt should long have ended: they are given up, which ends it for certain.
fn overdue_endings(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let overdue = |attempt: &&Attempt| {
        attempt.ending_deadline().is_some_and(|deadline| {
            now >= deadline && now.seconds_since(snapshot.listening_since) > limits::LEASE_SECONDS
        })
    };
    let lost = |node: &NodeId| {
        let known = snapshot.nodes.iter().find(|known| known.id == *node);
        known.is_some_and(|node| {
            !matches!(node.state, NodeState::Leaving { reason: LeaveReason::Lost, .. })
        })
    };
    snapshot
        .attempts
        .iter()
        .filter(overdue)
        .flat_map(|attempt| &attempt.members)
        .filter(|member| member.progress != MemberProgress::Ended && lost(&member.node))
        .map(|member| Action::Leave { node: member.node.clone(), reason: LeaveReason::Lost })
        .collect()
}

/// Members whose node is gone, or no longer theirs, run nothing.
fn members_without_node(snapshot: &RecoverySnapshot) -> Vec<Action> {
    let mut actions = Vec::new();
    for attempt in &snapshot.attempts {
        for member in &attempt.members {
            let holds =
                |node: &Node| node.id == member.node && node.occupant() == Some(&attempt.id);
            let ended = member.progress == MemberProgress::Ended;
            if !ended && !snapshot.nodes.iter().any(holds) {
                let (attempt, node) = (attempt.id.clone(), member.node.clone());
                actions.push(Action::MemberGone { attempt, node });
            }
        }
    }
    actions
}

/// Machines that no node owns, and that no launch in progress will own.
fn stray_machines(snapshot: &RecoverySnapshot) -> Vec<Action> {
    let owned = |found: &FoundMachine| {
        snapshot.nodes.iter().any(|node| match node.machine() {
            Some(machine) => machine.instance == found.instance,
            None => node.launch == found.launch,
        })
    };
    snapshot
        .machines
        .iter()
        .flatten()
        .filter(|found| found.running && !owned(found))
        .map(|found| Action::TerminateStray { instance: found.instance.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::*;

    fn snapshot(nodes: Vec<Node>, attempts: Vec<Attempt>) -> RecoverySnapshot {
        let found = |node: &Node| {
            node.machine().map(|machine| FoundMachine {
                instance: machine.instance.clone(),
                launch: node.launch.clone(),
                running: true,
            })
        };
        let machines = Some(nodes.iter().filter_map(found).collect());
        let listening_since = Timestamp(0);
        RecoverySnapshot { cluster: manual_cluster(4), nodes, attempts, machines, listening_since }
    }

    fn leave(number: usize, reason: LeaveReason) -> Action {
        Action::Leave { node: node_id(number), reason }
    }

    fn check(snapshot: &RecoverySnapshot, seconds: u64, expected: &[Action]) {
        assert_eq!(plan(snapshot, NOW.plus_seconds(seconds)), expected);
    }

    /// A node that runs "a", and the attempt that says so.
    fn busy() -> (Node, Attempt) {
        let mut attempt = attempt("a", 1, 100);
        attempt.members[0].node = node_id(0);
        (running(0, "a"), attempt)
    }

    #[test]
    fn a_machine_that_ended_takes_its_attempt_along() {
        let (node, attempt) = busy();
        let mut snapshot = snapshot(vec![node], vec![attempt.clone()]);
        check(&snapshot, 1, &[]);
        snapshot.machines.as_mut().unwrap()[0].running = false;
        let ending = Ending::NodeLost { node: node_id(0), reason: "its machine has ended".into() };
        let grace_seconds = limits::STOP_GRACE_SECONDS;
        let end = Action::EndAttempt { attempt: attempt.id, ending, grace_seconds };
        check(&snapshot, 1, &[leave(0, LeaveReason::Lost), end]);
    }

    #[test]
    fn a_machine_that_is_not_described_yet_is_not_lost() {
        let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
        snapshot.machines = Some(vec![]);
        check(&snapshot, 1, &[]);
        check(&snapshot, limits::LEASE_SECONDS + 1, &[leave(0, LeaveReason::Lost)]);
    }

    #[test]
    fn no_lease_runs_out_while_nobody_listens() {
        let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
        let restart = 10 * limits::LEASE_SECONDS;
        snapshot.listening_since = NOW.plus_seconds(restart);
        check(&snapshot, restart + limits::LEASE_SECONDS, &[]);
        check(&snapshot, restart + limits::LEASE_SECONDS + 1, &[leave(0, LeaveReason::Lost)]);
    }

    #[test]
    fn a_launch_is_asked_for_again_and_given_up_in_the_end() {
        let snapshot = snapshot(vec![launching(0, "l")], vec![]);
        check(&snapshot, 1, &[]);
        let again = Action::Relaunch { launch: uid("l"), nodes: vec![node_id(0)] };
        check(&snapshot, RELAUNCH_SECONDS, &[again]);
        let plan = plan(&snapshot, NOW.plus_seconds(limits::LAUNCH_DEADLINE_SECONDS));
        assert_eq!(plan[0], leave(0, LeaveReason::TooSlow));
        assert!(
            matches!(&plan[1], Action::RecordFailure { error } if error.code == "NodeLaunchTimeout")
        );
    }

    #[test]
    fn an_attempt_over_its_wall_clock_is_ended_and_then_its_node_given_up() {
        let (mut node, attempt) = busy();
        let late = 100 + limits::WALL_CLOCK_SLACK_SECONDS;
        node.seen_at = NOW.plus_seconds(late);
        let mut snapshot = snapshot(vec![node], vec![attempt.clone()]);
        check(&snapshot, late - 1, &[]);
        let ending = Ending::WallClockExceeded;
        let grace_seconds = limits::STOP_GRACE_SECONDS;
        let end = Action::EndAttempt { attempt: attempt.id, ending: ending.clone(), grace_seconds };
        check(&snapshot, late, &[end]);
        snapshot.attempts[0] = snapshot.attempts[0].clone().end(ending, 10, NOW.plus_seconds(late));
        let overdue = late + 10 + limits::STOP_REPORT_SECONDS;
        check(&snapshot, overdue - 1, &[]);
        check(&snapshot, overdue, &[leave(0, LeaveReason::Lost)]);
    }

    #[test]
    fn a_member_without_its_node_has_ended() {
        let (_, attempt) = busy();
        let snapshot = snapshot(vec![idle(0, NOW)], vec![attempt.clone()]);
        check(&snapshot, 1, &[Action::MemberGone { attempt: attempt.id, node: node_id(0) }]);
    }

    #[test]
    fn a_machine_without_a_node_is_ended_unless_its_launch_is_in_progress() {
        let stray = FoundMachine { instance: "i-9".into(), launch: uid("other"), running: true };
        let mut snapshot = snapshot(vec![], vec![]);
        snapshot.machines = Some(vec![stray]);
        check(&snapshot, 1, &[Action::TerminateStray { instance: "i-9".into() }]);
        snapshot.nodes = vec![launching(0, "other")];
        check(&snapshot, 1, &[]);
    }
}
