//! The size of a cluster and its books: launches, failures, allocation, dormancy.

use crate::change::{Event, LaunchRequest};
use crate::draft::Draft;
use crate::{nodes, resources};
use model::{
    Allocation, Cluster, Instance, InvalidTransition, LaunchId, Node, NodeId, ResourceError,
    VmPriority, limits,
};

/// Records the intent to launch nodes of these ids under the version of the cluster that the plan
/// was made on, so that two plans cannot both grow it. The instances are asked for afterwards.
///
/// # Errors
/// When the cluster was not read.
pub fn launch(
    draft: &mut Draft,
    launch: LaunchId,
    nodes: Vec<NodeId>,
    planned_nodes: u32,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    let cluster = draft.cluster_mut().ok_or(GONE)?;
    cluster.planned_nodes = planned_nodes;
    // Its nodes are to be looked after, whatever made a late plan grow a dormant cluster.
    cluster.scheduled = true;
    if !cluster.allocation.resizing {
        cluster.allocation = Allocation { resizing: true, since: now };
    }
    let (reference, charge, name) = (cluster.reference(), cluster.charge(), cluster.name.clone());
    let request = launch_request(cluster, launch.clone(), nodes.clone());
    let count = u32::try_from(nodes.len()).expect("bounded by limits::MAX_NODES_PER_LAUNCH");
    for id in nodes {
        let (launch, charge) = (launch.clone(), charge.clone());
        draft.create_node(Node::launching(id, reference.clone(), launch, charge, now));
    }
    // Written in any case: another plan on this version must not add nodes too.
    draft.fence_cluster();
    draft.launch(request);
    draft.event(Event::Launching { cluster: name, launch, count });
    Ok(())
}

/// The same request again: the launch id makes it harmless.
///
/// # Errors
/// When the cluster was not read.
pub fn relaunch(
    draft: &mut Draft,
    launch: LaunchId,
    nodes: Vec<NodeId>,
) -> Result<(), InvalidTransition> {
    let request = launch_request(draft.cluster().ok_or(GONE)?, launch, nodes);
    draft.launch(request);
    Ok(())
}

/// Instances came up. A node that registered by itself already, or is unwanted by now, is left as
/// it is.
pub fn launched(draft: &mut Draft, id: &NodeId, instance: Instance) {
    if draft.node(id).is_some_and(|node| nodes::is_launching(&node.state)) {
        // Refused: it is not launching, which was just ruled out.
        let _ = nodes::register(draft, id, instance);
    }
}

/// Instances that were refused are no longer intended.
pub fn withdrawn(draft: &mut Draft, ids: &[NodeId], error: ResourceError) {
    for id in ids {
        if draft.node(id).is_some_and(|node| nodes::is_launching(&node.state)) {
            draft.remove_node(id);
        }
    }
    record_failure(draft, error);
}

/// Shown on the cluster; the next launch waits for the backoff.
pub fn record_failure(draft: &mut Draft, error: ResourceError) {
    let now = draft.now;
    if let Some(cluster) = draft.cluster_mut() {
        cluster.health = cluster.health.failed(now);
        cluster.record_error(error);
    }
}

/// Shown on the cluster, without counting against its launches.
pub fn show_error(draft: &mut Draft, error: ResourceError) {
    let error = error.within(limits::MAX_ERROR_BYTES);
    if let Some(cluster) = draft.cluster_mut().filter(|it| it.errors.first() != Some(&error)) {
        cluster.record_error(error);
    }
}

/// The number of nodes has changed, has become settled, or has stopped being so.
pub fn set_allocation(draft: &mut Draft, resizing: bool, planned_nodes: u32) {
    let now = draft.now;
    if let Some(cluster) = draft.cluster_mut() {
        if cluster.allocation.resizing != resizing {
            cluster.allocation = Allocation { resizing, since: now };
        }
        cluster.planned_nodes = planned_nodes;
    }
}

/// Whether the schedule is to visit the cluster.
pub fn set_scheduled(draft: &mut Draft, scheduled: bool) {
    if let Some(cluster) = draft.cluster_mut() {
        cluster.scheduled = scheduled;
    }
}

/// Takes a dormant cluster off the list of the schedule, if it is as it was read: a job that
/// schedules it meanwhile is not overlooked.
///
/// # Errors
/// When the cluster was not read.
pub fn unschedule(draft: &mut Draft) -> Result<(), InvalidTransition> {
    let cluster = draft.cluster().ok_or(GONE)?.clone();
    let writes = draft.writes();
    writes.require_unchanged(&cluster);
    writes.unschedule(&cluster.uid);
    Ok(())
}

/// Everything that belonged to a cluster that is being deleted is gone; so is the cluster.
///
/// # Errors
/// When the cluster was not read.
pub fn finish_deletion(draft: &mut Draft) -> Result<(), InvalidTransition> {
    let cluster = draft.cluster().ok_or(GONE)?.clone();
    resources::finish_deletion(draft, &cluster);
    Ok(())
}

fn launch_request(cluster: &Cluster, launch: LaunchId, nodes: Vec<NodeId>) -> LaunchRequest {
    let alternates = &cluster.spec.extensions.alternate_vm_sizes;
    LaunchRequest {
        cluster: cluster.reference(),
        launch,
        nodes,
        vm_size: cluster.spec.vm_size.clone(),
        alternate_vm_sizes: alternates.clone().unwrap_or_default(),
        priority: cluster.spec.vm_priority,
    }
}

/// Whether nodes of this priority are spot instances; part of the id of a node.
pub fn is_low_priority(cluster: &Cluster) -> bool {
    cluster.spec.vm_priority == VmPriority::LowPriority
}

pub(crate) const GONE: InvalidTransition =
    InvalidTransition { what: "cluster", state: "gone", transition: "change" };

#[cfg(test)]
mod tests;
