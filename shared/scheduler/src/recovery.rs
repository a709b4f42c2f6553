//! What is overdue, lost or left over.
//!
//! Policies are tried in the order of [`plan`]; each is one function. Silence is not death: what the
//! cloud reports of an instance is final, and a silent node is given up at its lease only when its
//! instance is not known to run and few others are silent too.

use crate::Action;
use model::{
    Attempt, Cluster, Ending, Job, LaunchId, LeaveReason, MemberProgress, Node, NodeId, NodeState,
    ResourceError, Timestamp, limits,
};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct RecoverySnapshot {
    pub cluster: Cluster,
    pub nodes: Vec<Node>,
    /// The jobs that run on these nodes.
    pub jobs: Vec<Job>,
    /// Instances tagged as this cluster's; `None` when they could not be listed.
    pub machines: Option<Vec<FoundMachine>>,
    /// Since when nodes can reach the control plane: a lease does not run while nobody listens.
    pub listening_since: Timestamp,
}

impl RecoverySnapshot {
    fn attempts(&self) -> impl Iterator<Item = (&Job, &Attempt)> {
        self.jobs.iter().filter_map(|job| Some((job, job.state.attempt()?)))
    }

    fn described(&self, node: &Node) -> Option<&FoundMachine> {
        let machine = node.machine()?;
        self.machines.iter().flatten().find(|found| found.instance == machine.instance)
    }

    /// For how many seconds a node has been silent while it could have been heard.
    fn silence(&self, node: &Node, now: Timestamp) -> u64 {
        now.seconds_since(node.seen_at.max(self.listening_since))
    }
}

/// An instance as the cloud describes it.
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
    actions.extend(stray_machines(snapshot));
    actions
}

/// Nodes whose instance has ended, or that were silent for too long.
fn lost_nodes(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let lease_over = |node: &&Node| {
        node.machine().is_some() && snapshot.silence(node, now) > limits::LEASE_SECONDS
    };
    let silent = snapshot.nodes.iter().filter(lease_over).count();
    // Many at once: more likely our own outage than theirs.
    let mass = silent > 1 && silent * MASS_FRACTION > snapshot.nodes.len();
    let leave = |node: &Node| {
        let reason = loss(snapshot, node, mass, now)?;
        let ending = Ending::NodeLost { node: node.id.clone(), reason };
        let ending = node.occupant().map(|_| ending);
        Some(Action::Leave { node: node.id.clone(), reason: LeaveReason::Lost, ending })
    };
    snapshot.nodes.iter().filter_map(leave).collect()
}

/// More than one silent node in this many is a mass loss.
const MASS_FRACTION: usize = 4;

fn loss(snapshot: &RecoverySnapshot, node: &Node, mass: bool, now: Timestamp) -> Option<String> {
    if let NodeState::Leaving { reason: LeaveReason::Lost, .. } = node.state {
        return None;
    }
    node.machine()?;
    let described = snapshot.described(node);
    if described.is_some_and(|found| !found.running) {
        return Some("its machine has ended".to_owned());
    }
    let silent = snapshot.silence(node, now);
    // Not listed at all is no answer either.
    let may_run = described.is_some() || snapshot.machines.is_none();
    let patience = if may_run || mass { limits::SILENCE_SECONDS } else { limits::LEASE_SECONDS };
    if silent > patience {
        return Some(format!("it was silent for {silent} s"));
    }
    match &node.state {
        NodeState::Leaving {
            reason: LeaveReason::Interrupted,
            occupant: Some(_),
            deadline,
            ..
        } if now >= deadline.plus_seconds(limits::STOP_REPORT_SECONDS)
            && now.seconds_since(snapshot.listening_since) > limits::LEASE_SECONDS =>
        {
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
            let (node_id, reason) = (node.id.clone(), LeaveReason::TooSlow);
            actions.push(Action::Leave { node: node_id, reason, ending: None });
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
    let limit = |job: &Job, attempt: &Attempt| {
        job.expected_end(attempt.started_at).plus_seconds(limits::WALL_CLOCK_SLACK_SECONDS)
    };
    let listened = now.seconds_since(snapshot.listening_since) > limits::LEASE_SECONDS;
    snapshot
        .attempts()
        .filter(|(job, attempt)| listened && !attempt.is_ending() && now >= limit(job, attempt))
        .map(|(job, attempt)| Action::EndAttempt {
            attempt: attempt.reference(&job.reference()),
            ending: Ending::WallClockExceeded,
            grace_seconds: limits::STOP_GRACE_SECONDS,
        })
        .collect()
}

/// Nodes on which an attempt should long have ended: they are given up, which ends it for certain.
fn overdue_endings(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let overdue = |attempt: &Attempt| {
        attempt.ending_deadline().is_some_and(|deadline| {
            now >= deadline && now.seconds_since(snapshot.listening_since) > limits::LEASE_SECONDS
        })
    };
    let kept = |node: &NodeId| {
        let known = snapshot.nodes.iter().find(|known| known.id == *node);
        known.is_some_and(|node| {
            !matches!(node.state, NodeState::Leaving { reason: LeaveReason::Lost, .. })
        })
    };
    snapshot
        .attempts()
        .filter(|(_, attempt)| overdue(attempt))
        .flat_map(|(_, attempt)| &attempt.members)
        .filter(|member| member.progress != MemberProgress::Ended && kept(&member.node))
        .map(|member| Action::Leave {
            node: member.node.clone(),
            reason: LeaveReason::Lost,
            ending: None,
        })
        .collect()
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

    fn snapshot(nodes: Vec<Node>, jobs: Vec<Job>) -> RecoverySnapshot {
        let found = |node: &Node| {
            node.machine().map(|machine| FoundMachine {
                instance: machine.instance.clone(),
                launch: node.launch.clone(),
                running: true,
            })
        };
        let machines = Some(nodes.iter().filter_map(found).collect());
        let listening_since = Timestamp(0);
        RecoverySnapshot { cluster: manual_cluster(4), nodes, jobs, machines, listening_since }
    }

    fn lost(number: usize, ending: Option<Ending>) -> Action {
        Action::Leave { node: node_id(number), reason: LeaveReason::Lost, ending }
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
    fn an_instance_that_ended_takes_its_attempt_along() {
        let (node, job) = busy();
        let mut snapshot = snapshot(vec![node], vec![job]);
        check(&snapshot, 1, &[]);
        snapshot.machines.as_mut().unwrap()[0].running = false;
        let ending = Ending::NodeLost { node: node_id(0), reason: "its machine has ended".into() };
        check(&snapshot, 1, &[lost(0, Some(ending))]);
    }

    #[test]
    fn a_silent_node_is_kept_while_its_instance_may_run() {
        let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
        let lease_over = limits::LEASE_SECONDS + 1;
        check(&snapshot, lease_over, &[]);
        check(&snapshot, limits::SILENCE_SECONDS, &[]);
        check(&snapshot, limits::SILENCE_SECONDS + 1, &[lost(0, None)]);
        snapshot.machines = None;
        check(&snapshot, lease_over, &[]);
        snapshot.machines = Some(vec![]);
        check(&snapshot, limits::LEASE_SECONDS, &[]);
        check(&snapshot, lease_over, &[lost(0, None)]);
    }

    #[test]
    fn many_silent_nodes_are_our_own_outage() {
        let lease_over = limits::LEASE_SECONDS + 1;
        let mut nodes: Vec<Node> = (0..8).map(|number| idle(number, NOW)).collect();
        for node in &mut nodes[2..] {
            node.seen_at = NOW.plus_seconds(lease_over);
        }
        let mut snapshot = snapshot(nodes, vec![]);
        snapshot.machines = Some(vec![]);
        check(&snapshot, lease_over, &[lost(0, None), lost(1, None)]);
        snapshot.nodes[2].seen_at = NOW;
        check(&snapshot, lease_over, &[]);
        let machine = snapshot.nodes[0].machine().unwrap().instance.clone();
        let launch = snapshot.nodes[0].launch.clone();
        snapshot.machines = Some(vec![FoundMachine { instance: machine, launch, running: false }]);
        check(&snapshot, lease_over, &[lost(0, None)]);
    }

    #[test]
    fn no_lease_runs_out_while_nobody_listens() {
        let mut snapshot = snapshot(vec![idle(0, NOW)], vec![]);
        snapshot.machines = Some(vec![]);
        let restart = 10 * limits::LEASE_SECONDS;
        snapshot.listening_since = NOW.plus_seconds(restart);
        check(&snapshot, restart + limits::LEASE_SECONDS, &[]);
        check(&snapshot, restart + limits::LEASE_SECONDS + 1, &[lost(0, None)]);
    }

    #[test]
    fn a_launch_is_asked_for_again_and_given_up_in_the_end() {
        let snapshot = snapshot(vec![launching(0, "l")], vec![]);
        check(&snapshot, RELAUNCH_SECONDS - 1, &[]);
        let again = Action::Relaunch { launch: uid("l"), nodes: vec![node_id(0)] };
        check(&snapshot, RELAUNCH_SECONDS, &[again.clone()]);
        check(&snapshot, limits::LAUNCH_DEADLINE_SECONDS - 1, &[again]);
        let plan = plan(&snapshot, NOW.plus_seconds(limits::LAUNCH_DEADLINE_SECONDS));
        let slow = Action::Leave { node: node_id(0), reason: LeaveReason::TooSlow, ending: None };
        assert_eq!(plan[0], slow);
        assert!(
            matches!(&plan[1], Action::RecordFailure { error } if error.code == "NodeLaunchTimeout")
        );
        assert_eq!(plan.len(), 2);
    }

    #[test]
    fn an_attempt_over_its_wall_clock_is_ended_and_then_its_node_given_up() {
        let (mut node, job) = busy();
        let late = 100 + limits::WALL_CLOCK_SLACK_SECONDS;
        node.seen_at = NOW.plus_seconds(late);
        let mut snapshot = snapshot(vec![node], vec![job]);
        check(&snapshot, late - 1, &[]);
        let ending = Ending::WallClockExceeded;
        let grace_seconds = limits::STOP_GRACE_SECONDS;
        let attempt = snapshot.jobs[0].live_attempt().unwrap();
        let end = Action::EndAttempt { attempt, ending: ending.clone(), grace_seconds };
        check(&snapshot, late, &[end]);
        snapshot.jobs[0].end_attempt(ending, 10, NOW.plus_seconds(late));
        let overdue = late + 10 + limits::STOP_REPORT_SECONDS;
        check(&snapshot, overdue - 1, &[]);
        check(&snapshot, overdue, &[lost(0, None)]);
        snapshot.listening_since = NOW.plus_seconds(overdue - limits::LEASE_SECONDS);
        check(&snapshot, overdue, &[]);
    }

    #[test]
    fn an_instance_without_a_node_is_terminated_unless_its_launch_is_in_progress() {
        let stray = FoundMachine { instance: "i-9".into(), launch: uid("other"), running: true };
        let mut snapshot = snapshot(vec![], vec![]);
        snapshot.machines = Some(vec![stray]);
        check(&snapshot, 1, &[Action::TerminateStray { instance: "i-9".into() }]);
        snapshot.nodes = vec![launching(0, "other")];
        check(&snapshot, 1, &[]);
    }
}
