//! What is overdue, lost or left over.
//!
//! Policies are applied in the order of [`plan`]; each is one function. Silence is not death: the
//! cloud's report about an instance is final; without one a silent node is kept for a long time, and
//! longer if many others are silent too.

use crate::Action;
use model::{
    Attempt, Cluster, EndReason, Job, Launch, LaunchId, LaunchedInstance, LeaveReason, Node,
    NodeId, NodeState, Offering, ResourceError, Timestamp, limits,
};

/// The input of recovery.
#[derive(Clone, Debug)]
pub struct RecoverySnapshot {
    /// The cluster.
    pub cluster: Cluster,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// The jobs that run on these nodes.
    pub jobs: Vec<Job>,
    /// The launches of which a node waits for its instance.
    pub launches: Vec<Launch>,
    /// Instances tagged with this cluster; `None` if they could not be listed.
    pub instances: Option<Vec<FoundInstance>>,
    /// Since when nodes can reach the control plane. Leases do not count earlier time.
    pub listening_since: Timestamp,
}

impl RecoverySnapshot {
    fn attempts(&self) -> impl Iterator<Item = (&Job, &Attempt)> {
        self.jobs.iter().filter_map(|job| Some((job, job.state.attempt()?)))
    }

    /// The instance of a node as the cloud describes it.
    fn described(&self, node: &Node) -> Option<&FoundInstance> {
        let instance = node.instance()?;
        self.instances.iter().flatten().find(|found| found.id == instance.id)
    }

    /// Whether the instance is a node.
    fn owns(&self, found: &FoundInstance) -> bool {
        let has = |node: &Node| node.instance().is_some_and(|instance| instance.id == found.id);
        self.nodes.iter().any(has)
    }

    /// Whether a node with an instance did not report within its lease.
    fn is_silent(&self, node: &Node, now: Timestamp) -> bool {
        node.instance().is_some() && self.silence(node, now) > limits::LEASE_SECONDS
    }

    /// Seconds for which a node has been silent while the control plane was reachable.
    fn silence(&self, node: &Node, now: Timestamp) -> u64 {
        now.seconds_since(node.seen_at.max(self.listening_since))
    }
}

/// An instance as the cloud describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundInstance {
    /// Id of the instance.
    pub id: String,
    /// The launch with which it is tagged.
    pub launch: LaunchId,
    /// Whether it runs.
    pub state: InstanceState,
    /// Its private IP address, once that is known.
    pub address: Option<String>,
    /// Its node, where the provider launches each instance for one node.
    pub node: Option<NodeId>,
    /// What it is, and where.
    pub offering: Offering,
}

/// The state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs, or may still run.
    Running,
    /// It exists, but none of its processes runs: it switched itself off. It has to be terminated.
    Stopped,
    /// It has ended for certain.
    Ended,
}

impl FoundInstance {
    /// Whether it exists, so that it has to be terminated before its node is removed.
    pub fn exists(&self) -> bool {
        match self.state {
            InstanceState::Running | InstanceState::Stopped => true,
            InstanceState::Ended => false,
        }
    }

    /// Whether its processes run, or may still run.
    pub fn may_run(&self) -> bool {
        match self.state {
            InstanceState::Running => true,
            InstanceState::Stopped | InstanceState::Ended => false,
        }
    }

    fn launched(&self) -> LaunchedInstance {
        LaunchedInstance {
            id: self.id.clone(),
            address: self.address.clone(),
            node: self.node.clone(),
            offering: self.offering.clone(),
        }
    }
}

/// The actions of all policies.
pub fn plan(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    actions.extend(silent_cluster(snapshot, now));
    actions.extend(lost_nodes(snapshot, now));
    actions.extend(slow_nodes(snapshot, now));
    actions.extend(unbound_instances(snapshot, now));
    actions.extend(undescribed_nodes(snapshot));
    actions.extend(overdue_attempts(snapshot, now));
    actions.extend(overdue_endings(snapshot, now));
    actions.extend(stray_instances(snapshot));
    actions
}

/// More than one silent node in this many is a mass silence.
const MASS_FRACTION: usize = 4;

/// Number of silent nodes. Nodes that are being prepared do not count: their instances may still boot.
pub fn silent_nodes(snapshot: &RecoverySnapshot, now: Timestamp) -> usize {
    let is_silent = |node: &&Node| match node.state {
        NodeState::Launching { .. } | NodeState::Preparing { .. } => false,
        NodeState::Idle { .. }
        | NodeState::Running { .. }
        | NodeState::Leaving { .. }
        | NodeState::Unusable { .. } => snapshot.is_silent(node, now),
    };
    snapshot.nodes.iter().filter(is_silent).count()
}

/// Number of silent nodes, if they are so many that our own outage is more likely than theirs.
pub fn mass_silence(snapshot: &RecoverySnapshot, now: Timestamp) -> Option<usize> {
    let silent = silent_nodes(snapshot, now);
    (silent > 1 && silent * MASS_FRACTION > snapshot.nodes.len()).then_some(silent)
}

/// The code of the error that a cluster shows in a mass silence.
const NODES_SILENT: &str = "NodesSilent";

/// A mass silence is shown once, until the cluster shows another error.
fn silent_cluster(snapshot: &RecoverySnapshot, now: Timestamp) -> Option<Action> {
    mass_silence(snapshot, now)?;
    if snapshot.cluster.errors.first().is_some_and(|error| error.code == NODES_SILENT) {
        return None;
    }
    let message = format!(
        "Many nodes have not reported for more than {} s. Nodes whose instances run are kept for {} s",
        limits::LEASE_SECONDS,
        limits::MASS_SILENCE_SECONDS
    );
    Some(Action::ShowError { error: ResourceError::new(NODES_SILENT, message) })
}

/// Nodes whose instance has ended, or that were silent for too long.
fn lost_nodes(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let patience = match mass_silence(snapshot, now) {
        Some(_) => limits::MASS_SILENCE_SECONDS,
        None => limits::SILENCE_SECONDS,
    };
    let mut actions = Vec::new();
    for node in &snapshot.nodes {
        let Some(reason) = loss(snapshot, node, patience, now) else { continue };
        let failure = node.lost_while_preparing(&reason);
        let end_reason = EndReason::NodeLost { node: node.id.clone(), reason };
        let end_reason = node.attempt().map(|_| end_reason);
        actions.push(Action::Leave {
            node: node.id.clone(),
            reason: LeaveReason::Lost,
            end_reason,
        });
        actions.extend(failure.map(|error| Action::RecordFailure { error }));
    }
    actions
}

/// Only the report of the cloud that the instance has ended counts before the end of `patience`. An
/// instance that is not described is unknown: descriptions lag behind launches.
fn loss(snapshot: &RecoverySnapshot, node: &Node, patience: u64, now: Timestamp) -> Option<String> {
    if let NodeState::Leaving { reason: LeaveReason::Lost, .. } = node.state {
        return None;
    }
    node.instance()?;
    let described = snapshot.described(node);
    if described.is_some_and(|found| !found.may_run()) {
        return Some("its instance has ended".to_owned());
    }
    let silent = snapshot.silence(node, now);
    if silent > patience {
        return Some(format!("it was silent for {silent} s"));
    }
    match &node.state {
        NodeState::Leaving {
            reason: LeaveReason::Interrupted, attempt: Some(_), deadline, ..
        } if now >= deadline.plus_seconds(limits::STOP_REPORT_SECONDS)
            && now.seconds_since(snapshot.listening_since) > limits::LEASE_SECONDS =>
        {
            Some("its interruption notice has expired".to_owned())
        }
        NodeState::Launching { .. }
        | NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Running { .. }
        | NodeState::Leaving { .. }
        | NodeState::Unusable { .. } => None,
    }
}

/// Nodes that were not up, or not ready, before their deadline.
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
            actions.push(Action::Leave { node: node_id, reason, end_reason: None });
            actions.push(Action::RecordFailure {
                error: ResourceError::new(code, message).with_detail("Node", node.id.as_str()),
            });
        }
    }
    actions
}

/// Instances whose launch was never answered: they are bound to its nodes, by the order of their
/// ids. An instance that has ended is left to the answer of the repeated request.
fn unbound_instances(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let bind = |launch: &Launch| {
        let waits = |node: &NodeId| launch.waiting().any(|waiting| waiting == node);
        let fits = |found: &&FoundInstance| {
            found.launch == *launch.id()
                && found.may_run()
                && found.address.is_some()
                && found.node.as_ref().is_none_or(waits)
                && !launch.has_bound(&found.id)
                && !snapshot.owns(found)
        };
        let found = snapshot.instances.iter().flatten().filter(fits);
        let mut instances: Vec<LaunchedInstance> = found.map(FoundInstance::launched).collect();
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        instances.dedup();
        instances.truncate(launch.waiting().count());
        let launch = launch.id().clone();
        (!instances.is_empty()).then_some(Action::Bind { launch, instances })
    };
    snapshot.launches.iter().filter(|launch| now < launch.deadline()).filter_map(bind).collect()
}

/// Nodes whose instance the provider describes otherwise than recorded: it signed in before it was
/// described, or an earlier release bound it.
fn undescribed_nodes(snapshot: &RecoverySnapshot) -> Vec<Action> {
    let describe = |node: &Node| {
        let offering = &snapshot.described(node)?.offering;
        let is_new = offering.is_described() && *offering != node.offering;
        let (node, offering) = (node.id.clone(), offering.clone());
        is_new.then_some(Action::Describe { node, offering })
    };
    snapshot.nodes.iter().filter_map(describe).collect()
}

/// The agent enforces the wall clock limit; this is for an agent that reports but does not. One that
/// is silent may have ended the attempt in time, and reports that when it can.
fn overdue_attempts(snapshot: &RecoverySnapshot, now: Timestamp) -> Vec<Action> {
    let limit = |job: &Job, attempt: &Attempt| {
        job.expected_end(attempt.started_at).plus_seconds(limits::WALL_CLOCK_SLACK_SECONDS)
    };
    let listened = now.seconds_since(snapshot.listening_since) > limits::LEASE_SECONDS;
    let silent = |attempt: &Attempt| {
        let is_member = |node: &&Node| attempt.member(&node.id).is_some();
        snapshot.nodes.iter().filter(is_member).any(|node| snapshot.is_silent(node, now))
    };
    snapshot
        .attempts()
        .filter(|(job, attempt)| listened && !attempt.is_ending() && now >= limit(job, attempt))
        .filter(|(_, attempt)| !silent(attempt))
        .map(|(job, attempt)| Action::EndAttempt {
            attempt: attempt.reference(&job.reference()),
            end_reason: EndReason::WallClockExceeded,
            grace_seconds: limits::STOP_GRACE_SECONDS,
        })
        .collect()
}

/// Nodes on which an attempt should have ended. They are treated as lost, and the attempt ends when
/// their instance has certainly ended.
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
        .filter(|member| !member.progress.is_over() && kept(&member.node))
        .map(|member| Action::Leave {
            node: member.node.clone(),
            reason: LeaveReason::Lost,
            end_reason: None,
        })
        .collect()
}

/// Instances that belong to no node, and to no launch of which a node waits. A node that is
/// launching in the snapshot protects the instances of its launch: it may have one of them by now.
fn stray_instances(snapshot: &RecoverySnapshot) -> Vec<Action> {
    let awaited = |found: &FoundInstance| {
        let waits = |node: &Node| match node.state {
            NodeState::Launching { .. } => node.launch == found.launch,
            NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => false,
        };
        snapshot.nodes.iter().any(waits)
    };
    snapshot
        .instances
        .iter()
        .flatten()
        .filter(|found| found.exists() && !snapshot.owns(found) && !awaited(found))
        .map(|found| Action::TerminateStray { instance: found.id.clone() })
        .collect()
}

#[cfg(test)]
mod tests;
