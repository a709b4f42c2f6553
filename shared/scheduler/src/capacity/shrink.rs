//! Which nodes leave when there are more than desired.

use super::{CapacitySettings, CapacitySnapshot, usable};
use crate::Action;
use model::{EndReason, LeaveReason, Node, NodeDeallocation, NodeState, ScaleSettings, Timestamp};

pub(super) fn plan(
    snapshot: &CapacitySnapshot,
    desired: u32,
    settings: CapacitySettings,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = expired_nodes(snapshot, desired, settings, now);
    let expired = |node: &Node| actions.iter().any(|action| leaves(action, node));
    let staying: Vec<&Node> =
        snapshot.nodes.iter().filter(|node| !node.is_leaving() && !expired(node)).collect();
    let excess = staying.len().saturating_sub(snapshot.cluster.scale.ceiling() as usize);
    let above_ceiling = shrink_to_ceiling(staying, snapshot.cluster.scale.deallocation(), excess);
    actions.extend(above_ceiling);
    actions
}

/// Automatic scaling: idle nodes beyond demand leave after the idle time, those that were idle
/// longest first, and so do unusable nodes. Manual scaling keeps its nodes, the unusable ones for
/// inspection too, until a job waits for their place.
fn expired_nodes(
    snapshot: &CapacitySnapshot,
    desired: u32,
    settings: CapacitySettings,
    now: Timestamp,
) -> Vec<Action> {
    let expired = |since: &Timestamp| now >= since.plus_seconds(settings.idle_seconds);
    let serving = snapshot.nodes.iter().filter(|node| usable(node)).count();
    let (surplus, replaces) = match snapshot.cluster.scale {
        ScaleSettings::Manual { .. } => (0, !snapshot.queued.is_empty()),
        ScaleSettings::AutoScale { .. } => (serving.saturating_sub(desired as usize), true),
    };
    let mut idle: Vec<(Timestamp, &Node)> = Vec::new();
    let mut unusable = Vec::new();
    for node in &snapshot.nodes {
        match &node.state {
            NodeState::Idle { since, .. } if expired(since) => idle.push((*since, node)),
            NodeState::Unusable { since, .. } if replaces && expired(since) => unusable.push(node),
            NodeState::Launching { .. }
            | NodeState::Preparing { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => {}
        }
    }
    idle.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    let leaving = idle.into_iter().take(surplus).map(|(_, node)| node).chain(unusable);
    leaving.map(|node| leave(node, LeaveReason::Shrink, None)).collect()
}

/// Above the ceiling: the least useful nodes leave first, and of the busy nodes those whose job
/// loses the least time.
fn shrink_to_ceiling(
    mut staying: Vec<&Node>,
    option: NodeDeallocation,
    excess: usize,
) -> Vec<Action> {
    let rank = |node: &Node| match &node.state {
        NodeState::Unusable { .. } => (0, 0),
        NodeState::Launching { .. } => (1, 0),
        NodeState::Preparing { .. } => (2, 0),
        NodeState::Idle { since, .. } => (3, since.0),
        NodeState::Running { since, .. } => (4, -since.0),
        NodeState::Leaving { .. } => (5, 0),
    };
    staying.sort_by(|a, b| (rank(a), &a.id).cmp(&(rank(b), &b.id)));
    staying.into_iter().take(excess).map(|node| deallocate(node, option)).collect()
}

fn deallocate(node: &Node, option: NodeDeallocation) -> Action {
    if node.attempt().is_none() {
        return leave(node, LeaveReason::Shrink, None);
    }
    let id = node.id.clone();
    match option {
        NodeDeallocation::WaitForJobCompletion => leave(node, LeaveReason::ShrinkWhenDone, None),
        NodeDeallocation::Requeue => {
            leave(node, LeaveReason::Shrink, Some(EndReason::DeallocatedRequeue { node: id }))
        }
        NodeDeallocation::Terminate => {
            leave(node, LeaveReason::Shrink, Some(EndReason::DeallocatedTerminate { node: id }))
        }
    }
}

fn leaves(action: &Action, node: &Node) -> bool {
    matches!(action, Action::Leave { node: leaving, .. } if *leaving == node.id)
}

fn leave(node: &Node, reason: LeaveReason, end_reason: Option<EndReason>) -> Action {
    Action::Leave { node: node.id.clone(), reason, end_reason }
}
