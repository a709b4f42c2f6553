//! How many nodes a cluster should have, and which ones are removed.
//!
//! Demand is the number of nodes of running jobs and of queued jobs that could ever run, clamped to
//! the scale settings. A cluster grows at once, unless launches failed recently. Idle nodes beyond
//! demand leave after an idle time. A manual target applies at once, with the consequences that its
//! `nodeDeallocationOption` defines.
//!
//! Each launch serves one gang, or any number of jobs of one node: see [`next_launch`].

mod needs;
mod shrink;

use crate::{Action, rebalance};
use model::{
    Cluster, EndReason, Launch, LeaveReason, Node, NodeId, NodeState, ResourceError, ScaleSettings,
    Timestamp, limits,
};
use needs::{GangNeed, Needs};

/// The input of capacity. The cluster is read before the queue: a job that is submitted later
/// changes the version of a cluster that becomes dormant.
#[derive(Clone, Debug)]
pub struct CapacitySnapshot {
    /// The cluster.
    pub cluster: Cluster,
    /// The specification of the cluster is not supported, so it gets no nodes.
    pub blocked: bool,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Node counts of queued jobs, in order, as far as they can matter: without those that their sweep does not
    /// admit ([`crate::sweeps`]).
    pub queued: Vec<u32>,
    /// Additional nodes that the quota allows.
    pub quota_left: u32,
    /// The launches of which a node waits for its instance.
    pub launches: Vec<Launch>,
    /// Instances of a cluster without nodes.
    pub strays: Vec<String>,
}

/// Settings of the service.
#[derive(Clone, Copy, Debug)]
pub struct CapacitySettings {
    /// Seconds that idle nodes beyond demand are kept, unless the cluster has its own setting.
    pub idle_seconds: u64,
}

/// The actions that bring the cluster to the desired number of nodes.
pub fn plan(
    snapshot: &CapacitySnapshot,
    settings: CapacitySettings,
    now: Timestamp,
) -> Vec<Action> {
    let own = snapshot.cluster.spec.extensions.idle_seconds_before_scale_down.map(u64::from);
    let settings = CapacitySettings { idle_seconds: own.unwrap_or(settings.idle_seconds) };
    if snapshot.cluster.is_deleting() {
        return plan_deletion(snapshot, now);
    }
    // What they leave behind is planned in the next pass.
    let at_risk = rebalance::plan(&snapshot.cluster, &snapshot.nodes);
    if !at_risk.is_empty() {
        return at_risk;
    }
    let desired = desired_nodes(snapshot, settings, now);
    let mut actions = removals(&snapshot.nodes, now);
    actions.extend(unanswered_launches(&snapshot.launches, now));
    let needs = needs::of(snapshot, now);
    let growth = grow(snapshot, desired, &needs, now);
    actions.extend(growth.replaced.iter().map(replace));
    actions.extend(growth.launch);
    let used = shrink::Used { kept: &needs.kept, replaced: &growth.replaced };
    actions.extend(shrink::plan(snapshot, used, desired, settings, now));
    actions.extend(settle_allocation(snapshot, &actions));
    actions.extend(strays(snapshot));
    actions.extend(unpriced_nodes(&snapshot.nodes));
    if actions.is_empty() {
        actions.extend(become_dormant(snapshot, desired));
    }
    actions
}

/// A cluster without nodes must not become dormant while it has running instances.
fn strays(snapshot: &CapacitySnapshot) -> Vec<Action> {
    let end = |instance: &String| Action::TerminateStray { instance: instance.clone() };
    snapshot.strays.iter().map(end).collect()
}

/// Nodes of which the provider was not asked what they cost. Their jobs start later, with that price.
fn unpriced_nodes(nodes: &[Node]) -> Option<Action> {
    let is_unpriced = |node: &&Node| {
        !node.is_leaving() && node.price.is_not_asked() && node.offering.is_described()
    };
    let nodes = nodes.iter().filter(is_unpriced).take(limits::MAX_NODES_PER_LAUNCH);
    let nodes: Vec<NodeId> = nodes.map(|node| node.id.clone()).collect();
    (!nodes.is_empty()).then_some(Action::Price { nodes })
}

/// The desired number of nodes.
pub fn desired_nodes(
    snapshot: &CapacitySnapshot,
    settings: CapacitySettings,
    now: Timestamp,
) -> u32 {
    if snapshot.blocked {
        return 0;
    }
    match snapshot.cluster.scale {
        ScaleSettings::Manual { target_node_count, .. } => target_node_count,
        ScaleSettings::AutoScale { minimum_node_count, maximum_node_count, initial_node_count } => {
            let young = now.seconds_since(snapshot.cluster.created_at) < settings.idle_seconds;
            let floor =
                if young { minimum_node_count.max(initial_node_count) } else { minimum_node_count };
            demand(snapshot).clamp(floor, maximum_node_count)
        }
    }
}

/// Nodes that running jobs hold, or need soon, and that queued jobs could use.
fn demand(snapshot: &CapacitySnapshot) -> u32 {
    let ceiling = snapshot.cluster.scale.ceiling();
    let busy = |node: &&Node| {
        matches!(node.state, NodeState::Running { .. }) || rebalance::needs_replacement(node)
    };
    let running = snapshot.nodes.iter().filter(busy).count() as u32;
    let queued = snapshot.queued.iter().filter(|width| **width <= ceiling);
    queued.fold(running, |sum, width| sum.saturating_add(*width))
}

/// Whether a node serves demand now or soon: launching, preparing, idle or running.
fn usable(node: &Node) -> bool {
    match node.state {
        NodeState::Launching { .. }
        | NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Running { .. } => true,
        NodeState::Leaving { .. } | NodeState::Unusable { .. } => false,
    }
}

/// What changes because nodes are missing.
#[derive(Debug, Default)]
struct Growth {
    /// Idle nodes that leave, since a gang needs their place in another zone.
    replaced: Vec<NodeId>,
    /// The launch, or why there is none.
    launch: Option<Action>,
}

/// Launches missing nodes, never above the ceiling. All existing and launching nodes count, leaving
/// ones included, as their instances still run.
fn grow(snapshot: &CapacitySnapshot, desired: u32, needs: &Needs, now: Timestamp) -> Growth {
    let cluster = &snapshot.cluster;
    if snapshot.blocked || now < cluster.health.not_before || !cluster.launch_rate.allows_one(now) {
        return Growth::default();
    }
    let existing = snapshot.nodes.len() as u32;
    let serving = snapshot.nodes.iter().filter(|node| usable(node)).count() as u32;
    let room = cluster.scale.ceiling().saturating_sub(existing);
    // The nodes of a gang that lie in several zones serve it only when others join them.
    let missing = desired.saturating_sub(serving).max(needs.lacking);
    let possible = missing.min(room).min(limits::MAX_NODES_PER_LAUNCH as u32);
    let allowed = possible.min(snapshot.quota_left);
    let next = next_launch(cluster, needs, allowed, room.min(snapshot.quota_left));
    let replaced = next.replaced;
    let launch = match (possible, allowed, next.count) {
        (0, _, _) => None,
        (_, 0, _) if !replaced.is_empty() => None,
        // Waits for cores that other clusters release; tried again after the backoff.
        (_, 0, _) => Some(Action::RecordFailure { error: core_quota_reached() }),
        (_, _, 0) => None,
        (_, _, count) => {
            let (is_gang, zone) = (next.is_gang, next.zone);
            Some(Action::Launch { count, planned_nodes: existing + count, is_gang, zone })
        }
    };
    Growth { replaced, launch }
}

/// What is launched next. The next pass plans the launch after it.
#[derive(Debug, Default, PartialEq, Eq)]
struct NextLaunch {
    count: u32,
    is_gang: bool,
    /// The zone of the nodes that the gang has already.
    zone: Option<String>,
    /// Idle nodes that make room for it.
    replaced: Vec<NodeId>,
}

/// The first queued job that lacks nodes determines the launch. A gang gets one of its own, so that its
/// nodes are in one zone; jobs of one node share one, and go first after every second failure: a gang
/// without capacity does not keep them waiting. What the scale settings keep beyond the demand is launched
/// last. `allowed` is what may be launched of what is missing, and `room` what the settings and the quota
/// leave.
fn next_launch(cluster: &Cluster, needs: &Needs, allowed: u32, room: u32) -> NextLaunch {
    let any = |count: u32| NextLaunch { count: allowed.min(count), ..NextLaunch::default() };
    let failures = cluster.health.failures;
    match &needs.gang {
        None => any(allowed),
        Some(_) if needs.singles_before > 0 => any(needs.singles_before),
        // Without room nothing is launched for them either, and no further failure changes the turn.
        Some(_) if failures % 2 == 1 && needs.singles > 0 && allowed > 0 => any(needs.singles),
        Some(gang) if gang.is_undecided => NextLaunch::default(),
        // In time the zone of its nodes has no capacity, but another has.
        Some(gang) if failures % 4 >= 2 && gang.can_move(room) => gang.moved(room),
        Some(gang) => gang.completed(allowed, room),
    }
}

impl GangNeed {
    /// Whether there is room for the whole gang in another zone, if its idle nodes leave.
    fn can_move(&self, room: u32) -> bool {
        let most = room as usize + self.idle.len() + self.elsewhere.len();
        (self.zone.is_some() || !self.elsewhere.is_empty()) && self.width as usize <= most
    }

    /// The whole gang, in any zone. Before that idle nodes of other zones leave: launches may fail for a
    /// limit of the account, which these use up.
    fn moved(&self, room: u32) -> NextLaunch {
        let replaced: Vec<NodeId> = match self.elsewhere.as_slice() {
            [] => {
                let lacking = self.width.saturating_sub(room) as usize;
                self.idle.iter().take(lacking).cloned().collect()
            }
            elsewhere => elsewhere.iter().take(self.width as usize).cloned().collect(),
        };
        let count = if replaced.is_empty() { self.width } else { 0 };
        NextLaunch { count, is_gang: true, zone: None, replaced }
    }

    /// The missing nodes, in the zone of the others. Limits may leave a part of them for later.
    fn completed(&self, allowed: u32, room: u32) -> NextLaunch {
        let replaced = self.elsewhere.iter().take(self.lacking.saturating_sub(room) as usize);
        NextLaunch {
            count: allowed.min(self.lacking),
            is_gang: true,
            zone: self.zone.clone(),
            replaced: replaced.cloned().collect(),
        }
    }
}

fn replace(node: &NodeId) -> Action {
    let (node, reason) = (node.clone(), LeaveReason::Shrink);
    Action::Leave { node, reason, end_reason: None }
}

/// A launch without an answer is requested again after this time. Its id makes that harmless.
const RELAUNCH_SECONDS: u64 = 30;

/// Launches without a recorded answer: the whole request is repeated.
fn unanswered_launches(launches: &[Launch], now: Timestamp) -> Vec<Action> {
    let unanswered = |launch: &&Launch| {
        !launch.is_settled()
            && now < launch.deadline()
            && now.seconds_since(launch.created_at) >= RELAUNCH_SECONDS
    };
    let relaunch = |launch: &Launch| Action::Relaunch { launch: launch.id().clone() };
    launches.iter().filter(unanswered).map(relaunch).collect()
}

/// The code of the Batch AI service for a quota that leaves no room (docs/contract.md, "Clusters").
pub(crate) const CORE_QUOTA_REACHED: &str = "AccountCoreQuotaReached";

/// Code and message of the Batch AI service (docs/contract.md, "Clusters").
fn core_quota_reached() -> ResourceError {
    ResourceError::new(CORE_QUOTA_REACHED, "The specified account has reached core quota")
}

/// Removes leaving nodes without an attempt, and lost ones. A failed removal waits for its backoff.
fn removals(nodes: &[Node], now: Timestamp) -> Vec<Action> {
    let removable = |node: &&Node| match &node.state {
        NodeState::Leaving { attempt, reason, .. } => {
            let over = attempt.is_none() || *reason == LeaveReason::Lost;
            over && now >= node.removal.not_before
        }
        NodeState::Launching { .. }
        | NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Running { .. }
        | NodeState::Unusable { .. } => false,
    };
    nodes.iter().filter(removable).map(|node| Action::Remove { node: node.id.clone() }).collect()
}

/// `steady` means that the number of nodes does not change, not that they are ready.
fn settle_allocation(snapshot: &CapacitySnapshot, actions: &[Action]) -> Option<Action> {
    let resizing = snapshot.nodes.iter().any(Node::is_moving)
        || actions
            .iter()
            .any(|action| matches!(action, Action::Launch { .. } | Action::Leave { .. }));
    let planned_nodes = snapshot.nodes.len() as u32;
    let launches = actions.iter().any(|action| matches!(action, Action::Launch { .. }));
    let known = snapshot.cluster.allocation.resizing == resizing
        && snapshot.cluster.planned_nodes == planned_nodes;
    (!known && !launches).then_some(Action::SetAllocation { resizing, planned_nodes })
}

/// Becoming dormant takes two passes. The first one marks the cluster; from then on a submission
/// schedules it again. Only the second one, which sees the queue as it was after that, takes the
/// cluster off the schedule's list.
fn become_dormant(snapshot: &CapacitySnapshot, desired: u32) -> Option<Action> {
    let quiet = snapshot.nodes.is_empty() && snapshot.queued.is_empty() && desired == 0;
    match (quiet, snapshot.cluster.scheduled) {
        (true, true) => Some(Action::MarkDormant),
        (true, false) => Some(Action::Unschedule),
        (false, false) => Some(Action::MarkScheduled),
        (false, true) => None,
    }
}

fn plan_deletion(snapshot: &CapacitySnapshot, now: Timestamp) -> Vec<Action> {
    let mut actions = removals(&snapshot.nodes, now);
    for node in &snapshot.nodes {
        let end_reason = node.attempt().map(|_| EndReason::ClusterDeleted);
        match (node.is_leaving(), node.attempt()) {
            (false, _) => actions.push(Action::Leave {
                node: node.id.clone(),
                reason: LeaveReason::ClusterDeleted,
                end_reason,
            }),
            // It is leaving for another reason, perhaps with a job that runs to completion.
            (true, Some(attempt)) => actions.push(Action::EndAttempt {
                attempt: attempt.clone(),
                end_reason: EndReason::ClusterDeleted,
                grace_seconds: limits::STOP_GRACE_SECONDS,
            }),
            (true, None) => {}
        }
    }
    actions.extend(strays(snapshot));
    if snapshot.nodes.is_empty() && snapshot.queued.is_empty() && snapshot.strays.is_empty() {
        actions.push(Action::FinishDeletion);
    }
    actions
}

#[cfg(test)]
mod tests;
