//! Which instance of a launch is which of its nodes.
//!
//! The provider may know (a process is started for one node), or all instances of a launch are
//! alike (EC2 Fleet). Three callers learn of instances: the answer to the launch, the description of
//! instances by tag, and the sign-in of an agent. All of them call [`bind`], whose writes are the
//! node, the launch and the owner of the instance, each under the version that was read.

use crate::capacity;
use crate::change::Function;
use crate::draft::Draft;
use crate::nodes;
use model::{
    Instance, LaunchId, LaunchOutcome, LaunchedInstance, NodeId, NodeState, Offering,
    ResourceError,
    limits::{MAX_ERROR_BYTES, MAX_NODES_PER_LAUNCH},
};

/// Binds instances of a launch to its nodes that wait, in the order of both. Skipped are instances
/// that are or were bound to a node of the launch, those whose address is not known, and those for
/// which no node waits. Of the nodes, only those that were read are considered.
pub fn bind(draft: &mut Draft, launch: &LaunchId, instances: &[LaunchedInstance]) {
    for it in instances {
        let Some(instance) = it.described() else { continue };
        if is_bound(draft, launch, &it.id) {
            continue;
        }
        if let Some(node) = waiting_node(draft, launch, it.node.as_ref()) {
            // Cannot fail: the node is launching.
            let _ = nodes::register(draft, &node, instance);
            if it.offering.is_described() {
                let _ = nodes::set_offering(draft, &node, &it.offering);
            }
            if draft.node(&node).is_some_and(|it| it.offering == Offering::Unknown) {
                // It asks the provider.
                draft.hint_cluster_of(Function::Recovery, &node);
            }
        }
    }
}

/// Whether the instance is or was bound to a node of the launch.
fn is_bound(draft: &Draft, launch: &LaunchId, instance: &str) -> bool {
    let owns = |node: &NodeId| {
        let owned = draft.node(node).and_then(|node| node.instance());
        owned.is_some_and(|it| it.id == instance)
    };
    let launch = draft.launch(launch);
    launch.is_none_or(|it| it.has_bound(instance) || it.request.nodes.iter().any(owns))
}

/// The first node of the launch that was read and waits; with a name, only the one of that name.
fn waiting_node(draft: &Draft, launch: &LaunchId, named: Option<&NodeId>) -> Option<NodeId> {
    let waits = |id: &&NodeId| {
        named.is_none_or(|named| named == *id)
            && draft.node(id).is_some_and(|node| nodes::is_launching(&node.state))
    };
    draft.launch(launch)?.request.nodes.iter().find(waits).cloned()
}

/// Nodes of the launch that were read and wait.
fn waiting_nodes(draft: &Draft, launch: &LaunchId) -> Vec<NodeId> {
    let waits = |id: &&NodeId| draft.node(id).is_some_and(|node| nodes::is_launching(&node.state));
    let nodes = draft.launch(launch).map(|launch| launch.request.nodes.iter().filter(waits));
    nodes.into_iter().flatten().cloned().collect()
}

/// The provider answered a launch. Nodes for which there is no instance are removed, the last ones first,
/// and the cluster shows why; the autoscaler launches others, and avoids the pools that refused. A launch
/// that is settled already is not changed.
pub fn answered(draft: &mut Draft, launch: &LaunchId, outcome: LaunchOutcome) {
    if draft.launch(launch).is_none() {
        return;
    }
    let LaunchOutcome { launched: mut instances, refused, pools } = outcome;
    if instances.len() < waiting_nodes(draft, launch).len() {
        instances.iter_mut().skip(MAX_BOUND_BESIDE_WITHDRAWN).for_each(|it| it.address = None);
    }
    let now = draft.now;
    if let Some(cluster) = draft.cluster_mut().filter(|_| !pools.is_empty()) {
        cluster.avoid(&pools, now);
    }
    let is_new = |it: &&LaunchedInstance| it.address.is_none() && !is_bound(draft, launch, &it.id);
    let undescribed: Vec<LaunchedInstance> = instances.iter().filter(is_new).cloned().collect();
    bind(draft, launch, &instances);
    let mut missing = waiting_nodes(draft, launch);
    // Each instance that is not described yet will be one of the nodes.
    for it in &undescribed {
        let position = match &it.node {
            Some(named) => missing.iter().position(|node| node == named),
            None => (!missing.is_empty()).then_some(0),
        };
        position.map(|position| missing.remove(position));
    }
    if missing.is_empty() {
        return;
    }
    let failure = refused.unwrap_or_else(fewer_instances);
    for id in &missing {
        draft.withdraw_node(id, &failure.code);
    }
    capacity::record_failure(draft, failure);
}

/// Instances that are bound in a commit that withdraws nodes too: of a launch of the most nodes all but two,
/// as the commit has no room for more. The others are bound when the launch is repeated or recovery finds them.
const MAX_BOUND_BESIDE_WITHDRAWN: usize = MAX_NODES_PER_LAUNCH - 2;

fn fewer_instances() -> ResourceError {
    let message = "Fewer instances were launched than requested, without a reason";
    ResourceError::new("InstancesMissing", message).within(MAX_ERROR_BYTES)
}

/// The outcome of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// The instance is this node now.
    Bound(NodeId),
    /// No node of its launch waits: it is not needed.
    Surplus,
    /// The records were read at different times: read them again.
    Stale,
}

/// The agent of an instance that is no node signs in. The launch and its first waiting node were
/// read, as far as they exist.
pub fn signed_in(draft: &mut Draft, launch: &LaunchId, instance: Instance) -> SignIn {
    let Some(record) = draft.launch(launch) else { return SignIn::Surplus };
    if record.is_settled() || record.has_bound(&instance.id) {
        return SignIn::Surplus;
    }
    let Some(node) = waiting_node(draft, launch, None) else { return SignIn::Stale };
    let Instance { id, address } = instance;
    let (address, offering) = (Some(address), Offering::Unknown);
    bind(draft, launch, &[LaunchedInstance { id, address, node: None, offering }]);
    match draft.node(&node).map(|node| &node.state) {
        Some(NodeState::Preparing { .. }) => SignIn::Bound(node),
        Some(
            NodeState::Launching { .. }
            | NodeState::Idle { .. }
            | NodeState::Running { .. }
            | NodeState::Leaving { .. }
            | NodeState::Unusable { .. },
        )
        | None => SignIn::Stale,
    }
}

#[cfg(test)]
mod tests;
