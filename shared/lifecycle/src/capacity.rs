//! The capacity of a cluster: launches and their failures, allocation state, dormancy.

use crate::change::Event;
use crate::draft::Draft;
use crate::resources;
use model::{
    Allocation, Cluster, InvalidTransition, Launch, LaunchId, LaunchRequest, Node, NodeId,
    Placement, ResourceError, VmPriority, limits,
};

/// What the caller chose for a launch.
#[derive(Clone, Debug)]
pub struct NewLaunch {
    /// Id of the launch.
    pub launch: LaunchId,
    /// Ids of its nodes.
    pub nodes: Vec<NodeId>,
    /// Where the provider launches the instances of this cluster.
    pub placement: Placement,
}

/// Records the intent to launch nodes with these ids, and what is requested, on the version of the cluster on which the
/// plan was made, so that two plans cannot both grow it. The instances are requested afterwards.
///
/// # Errors
/// When the cluster was not read.
pub fn launch(
    draft: &mut Draft,
    new: NewLaunch,
    planned_nodes: u32,
    is_gang: bool,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    let cluster = draft.cluster_mut().ok_or(NOT_READ)?;
    cluster.planned_nodes = planned_nodes;
    cluster.launch_rate = cluster.launch_rate.counted(now);
    // A late plan may grow a dormant cluster; its nodes have to be reconciled.
    cluster.scheduled = true;
    if !cluster.allocation.resizing {
        cluster.allocation = Allocation { resizing: true, since: now };
    }
    let (reference, charge, name) = (cluster.reference(), cluster.charge(), cluster.name.clone());
    let NewLaunch { launch, nodes, placement } = new;
    let alternates = &cluster.spec.extensions.alternate_vm_sizes;
    let request = LaunchRequest {
        cluster: cluster.reference(),
        launch: launch.clone(),
        nodes: nodes.clone(),
        vm_size: cluster.spec.vm_size.clone(),
        alternate_vm_sizes: alternates.clone().unwrap_or_default(),
        priority: cluster.spec.vm_priority,
        is_gang,
        placement: Placement { avoid: cluster.pools_to_avoid(now), ..placement },
    };
    let count = u32::try_from(nodes.len()).expect("bounded by limits::MAX_NODES_PER_LAUNCH");
    for id in nodes {
        let (launch, charge) = (launch.clone(), charge.clone());
        let node = Node::launching(id, reference.clone(), launch, charge, now);
        draft.create_node(Node { offering: request.placement.offering(), ..node });
    }
    // Always written: another plan on the same version must not add nodes too.
    draft.fence_cluster();
    draft.create_launch(Launch::new(request.clone(), now));
    draft.request_launch(request);
    draft.event(Event::Launching { cluster: name, launch, count });
    Ok(())
}

/// Repeats the request of a launch to the letter, while one of its nodes waits for an instance.
pub fn relaunch(draft: &mut Draft, launch: &LaunchId) {
    if let Some(launch) = draft.launch(launch) {
        let request = launch.request.clone();
        draft.request_launch(request);
    }
}

/// Shows the error on the cluster and delays the next launch by the backoff.
pub fn record_failure(draft: &mut Draft, error: ResourceError) {
    let now = draft.now;
    if let Some(cluster) = draft.cluster_mut() {
        cluster.health = cluster.health.failed(now);
        cluster.record_error(error);
    }
}

/// Shows the error on the cluster without delaying its launches.
pub fn show_error(draft: &mut Draft, error: ResourceError) {
    let error = error.within(limits::MAX_ERROR_BYTES);
    if let Some(cluster) = draft.cluster_mut().filter(|it| it.errors.first() != Some(&error)) {
        cluster.record_error(error);
    }
}

/// Records whether the number of nodes is changing, and the number of nodes.
pub fn set_allocation(draft: &mut Draft, resizing: bool, planned_nodes: u32) {
    let now = draft.now;
    if let Some(cluster) = draft.cluster_mut() {
        if cluster.allocation.resizing != resizing {
            cluster.allocation = Allocation { resizing, since: now };
        }
        cluster.planned_nodes = planned_nodes;
    }
}

/// Sets whether the schedule reconciles the cluster.
pub fn set_scheduled(draft: &mut Draft, scheduled: bool) {
    if let Some(cluster) = draft.cluster_mut() {
        cluster.scheduled = scheduled;
    }
}

/// Takes a dormant cluster off the schedule's list, if its record is unchanged: a job that
/// schedules it at the same time is not missed.
///
/// # Errors
/// When the cluster was not read.
pub fn unschedule(draft: &mut Draft) -> Result<(), InvalidTransition> {
    let cluster = draft.cluster().ok_or(NOT_READ)?.clone();
    let writes = draft.writes();
    writes.require_unchanged(&cluster);
    writes.unschedule(&cluster.uid);
    Ok(())
}

/// Removes a cluster that is being deleted, once nothing is left that belongs to it.
///
/// # Errors
/// When the cluster was not read.
pub fn finish_deletion(draft: &mut Draft) -> Result<(), InvalidTransition> {
    let cluster = draft.cluster().ok_or(NOT_READ)?.clone();
    resources::finish_deletion(draft, &cluster);
    Ok(())
}

/// Whether the nodes of this cluster are spot instances; part of the id of a node.
pub fn is_low_priority(cluster: &Cluster) -> bool {
    cluster.spec.vm_priority == VmPriority::LowPriority
}

pub(crate) const NOT_READ: InvalidTransition =
    InvalidTransition { what: "cluster", state: "removed", transition: "change" };

#[cfg(test)]
mod tests;
