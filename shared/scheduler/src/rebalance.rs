//! Nodes whose instance EC2 recommends to replace, since an interruption is more likely than before (EC2 User
//! Guide, "EC2 instance rebalance recommendations").
//!
//! A cluster with `replaceOnRebalance` replaces such a node: it takes no new job, its job runs to completion
//! unless the interruption comes first, and another node is launched where the settings leave room. An idle
//! node leaves at once. In other clusters the recommendation changes nothing.

use crate::Action;
use model::{Cluster, LeaveReason, Node, NodeState, ResourceError};

/// Whether a node leaves because of a recommendation. An unusable node takes no jobs anyway.
pub fn is_replaced(cluster: &Cluster, node: &Node) -> bool {
    let is_at_risk = node.rebalance_recommended_at.is_some();
    cluster.spec.extensions.replace_on_rebalance == Some(true)
        && is_at_risk
        && match node.state {
            NodeState::Preparing { .. } | NodeState::Idle { .. } | NodeState::Running { .. } => {
                true
            }
            NodeState::Launching { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. } => false,
        }
}

/// The error that the cluster shows, and counts against its launches, if the node leaves before it was ever
/// ready: the next instance may be at risk too.
pub fn failure(node: &Node) -> Option<ResourceError> {
    node.lost_while_preparing("EC2 recommends to replace its instance")
}

/// Whether the job of the node needs another one soon.
pub(crate) fn needs_replacement(node: &Node) -> bool {
    match &node.state {
        NodeState::Leaving { reason: LeaveReason::AtRisk, attempt, .. } => attempt.is_some(),
        NodeState::Leaving { .. }
        | NodeState::Launching { .. }
        | NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Running { .. }
        | NodeState::Unusable { .. } => false,
    }
}

/// Nodes that are replaced, such as those of a cluster whose setting has changed since the recommendation.
pub(crate) fn plan(cluster: &Cluster, nodes: &[Node]) -> Vec<Action> {
    let mut actions = Vec::new();
    for node in nodes.iter().filter(|node| is_replaced(cluster, node)) {
        let (id, reason) = (node.id.clone(), LeaveReason::AtRisk);
        actions.push(Action::Leave { node: id, reason, end_reason: None });
        actions.extend(failure(node).map(|error| Action::RecordFailure { error }));
    }
    actions
}
