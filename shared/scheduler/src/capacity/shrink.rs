//! Which nodes leave when there are more than desired.

use super::{CapacitySettings, CapacitySnapshot, usable};
use crate::Action;
use model::{
    EndReason, LeaveReason, Node, NodeDeallocation, NodeId, NodeState, ScaleSettings, Timestamp,
};
use std::collections::BTreeSet;

/// What the plan does with nodes already.
#[derive(Clone, Copy)]
pub(super) struct Used<'a> {
    /// Free nodes that queued jobs will use.
    pub(super) kept: &'a BTreeSet<NodeId>,
    /// Nodes that leave.
    pub(super) replaced: &'a [NodeId],
}

pub(super) fn plan(
    snapshot: &CapacitySnapshot,
    used: Used<'_>,
    desired: u32,
    settings: CapacitySettings,
    now: Timestamp,
) -> Vec<Action> {
    let mut actions = expired_nodes(snapshot, used, desired, settings, now);
    let leaves = |node: &Node| {
        let expires = actions.iter().any(|action| leaves(action, node));
        expires || node.is_leaving() || used.replaced.contains(&node.id)
    };
    let staying: Vec<&Node> = snapshot.nodes.iter().filter(|node| !leaves(node)).collect();
    let excess = staying.len().saturating_sub(snapshot.cluster.scale.ceiling() as usize);
    let option = snapshot.cluster.scale.deallocation();
    let above_ceiling = shrink_to_ceiling(staying, used.kept, option, excess);
    actions.extend(above_ceiling);
    actions
}

/// Automatic scaling: idle nodes beyond demand leave after the idle time, those that were idle
/// longest first, unless a queued job will use them; and so do unusable nodes. Manual scaling keeps its nodes, the unusable ones for
/// inspection too, until a job waits for their place.
fn expired_nodes(
    snapshot: &CapacitySnapshot,
    used: Used<'_>,
    desired: u32,
    settings: CapacitySettings,
    now: Timestamp,
) -> Vec<Action> {
    let expired = |since: &Timestamp| now >= since.plus_seconds(settings.idle_seconds);
    let is_spare = |node: &Node| !used.kept.contains(&node.id) && !used.replaced.contains(&node.id);
    let serving = snapshot.nodes.iter().filter(|node| usable(node)).count();
    let serving = serving.saturating_sub(used.replaced.len());
    let (surplus, replaces) = match snapshot.cluster.scale {
        ScaleSettings::Manual { .. } => (0, !snapshot.queued.is_empty()),
        ScaleSettings::AutoScale { .. } => (serving.saturating_sub(desired as usize), true),
    };
    let mut idle: Vec<(Timestamp, &Node)> = Vec::new();
    let mut unusable = Vec::new();
    for node in &snapshot.nodes {
        match &node.state {
            NodeState::Idle { since, .. } if expired(since) && is_spare(node) => {
                idle.push((*since, node));
            }
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

/// Above the ceiling: the least useful nodes leave first, of the free ones those that no queued job will
/// use, and of the busy ones those whose job loses the least time.
fn shrink_to_ceiling(
    mut staying: Vec<&Node>,
    kept: &BTreeSet<NodeId>,
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
    let rank = |node: &Node| {
        let (state, since) = rank(node);
        (state, kept.contains(&node.id), since)
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
