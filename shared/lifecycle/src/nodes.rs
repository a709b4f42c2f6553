//! Events of nodes: registered, ready, failed, leaving, interrupted, removed.

use crate::capacity;
use crate::change::{Event, Function};
use crate::draft::Draft;
use crate::members::{self, NodeDisposition};
use model::{
    Backoff, EndReason, Instance, InvalidTransition, LeaveReason, Node, NodeId, NodeState,
    Offering, Price, ResourceError, Timestamp, limits,
};
use scheduler::rebalance;

/// A launching node gets its instance, from the answer to the launch or from the agent's first
/// report.
///
/// # Errors
/// When the node is not launching.
pub fn register(
    draft: &mut Draft,
    id: &NodeId,
    instance: Instance,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    draft.change_node(id, |node| node.launched(instance, now))
}

/// Records what the provider says about the instance of the node.
///
/// # Errors
/// When the node was not read.
pub(crate) fn set_offering(
    draft: &mut Draft,
    id: &NodeId,
    offering: &Offering,
) -> Result<(), InvalidTransition> {
    draft.change_node(id, |node| Ok(Node { offering: offering.clone(), ..node }))
}

/// The provider says what an hour of the node costs.
///
/// # Errors
/// When the node was not read.
pub fn priced(draft: &mut Draft, id: &NodeId, price: Price) -> Result<(), InvalidTransition> {
    draft.change_node(id, |node| Ok(Node { price, ..node }))
}

/// The provider describes the instance of a node that was bound before.
///
/// # Errors
/// When the node was not read.
pub fn describe(
    draft: &mut Draft,
    id: &NodeId,
    offering: &Offering,
) -> Result<(), InvalidTransition> {
    set_offering(draft, id, offering)?;
    // A gang may have waited to learn the zone.
    draft.hint_cluster_of(Function::Dispatcher, id);
    draft.hint_cluster_of(Function::Autoscaler, id);
    Ok(())
}

/// Mounts and set-up task are done: the node takes jobs, and the backoff of launches is cleared.
///
/// # Errors
/// When the node is not preparing.
pub fn ready(draft: &mut Draft, id: &NodeId) -> Result<(), InvalidTransition> {
    let now = draft.now;
    draft.change_node(id, |node| node.prepared(now))?;
    if let Some(cluster) = draft.cluster_mut() {
        cluster.health = Backoff::CLEAR;
    }
    draft.event(Event::NodeIdle { node: id.clone() });
    draft.hint_cluster_of(Function::Dispatcher, id);
    Ok(())
}

/// Mounts or set-up task failed, or a GPU of an idle node: the node takes no jobs, and its cluster shows the error.
///
/// # Errors
/// When the node is neither preparing nor idle.
pub fn failed(
    draft: &mut Draft,
    id: &NodeId,
    error: &ResourceError,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    draft.change_node(id, |node| node.failed(error.clone(), now))?;
    draft.event(Event::NodeFailed { node: id.clone(), error: error.clone() });
    capacity::record_failure(draft, error.clone().with_detail("Node", id.as_str()));
    draft.hint_cluster_of(Function::Autoscaler, id);
    Ok(())
}

/// The node takes no new jobs and is removed. Its attempt ends for `end_reason`, or runs to
/// completion if there is none.
///
/// # Errors
/// When the node was not read, or is leaving for a reason at least as urgent.
pub fn leave(
    draft: &mut Draft,
    id: &NodeId,
    reason: LeaveReason,
    end_reason: Option<&EndReason>,
) -> Result<(), InvalidTransition> {
    let seconds = match reason {
        LeaveReason::Interrupted => limits::SPOT_NOTICE_SECONDS,
        LeaveReason::ShrinkWhenDone | LeaveReason::AtRisk => limits::MAX_WALL_CLOCK_SECONDS,
        LeaveReason::Shrink
        | LeaveReason::Lost
        | LeaveReason::TooSlow
        | LeaveReason::ClusterDeleted => limits::STOP_GRACE_SECONDS,
    };
    leave_within(draft, id, reason, seconds)?;
    if let Some(end_reason) = end_reason {
        end_current_attempt(draft, id, end_reason, limits::STOP_GRACE_SECONDS)?;
    }
    Ok(())
}

/// The part of an interruption notice that is reserved for flushing output and for the final
/// report, in seconds.
pub fn flush_reserve_seconds(notice_seconds: u64) -> u64 {
    (notice_seconds / 5).min(2)
}

/// The instance will be interrupted: the node takes no new job. A node that is leaving already
/// keeps its reason and its deadline.
pub fn mark_interrupted(draft: &mut Draft, id: &NodeId, notice_seconds: u64) {
    interrupt_node(draft, id, notice_seconds, "its instance is being interrupted");
}

/// A node that is interrupted while it prepares counts as a failed launch, whatever the cause: a
/// set-up task that shuts its instance down looks the same as an interruption, and where instances
/// are interrupted before they are ready the next launch is likely to fail too. The first ready
/// node clears the backoff, so a single interruption costs a few seconds.
fn interrupt_node(draft: &mut Draft, id: &NodeId, notice_seconds: u64, why: &str) {
    let failure = draft.node(id).and_then(|node| node.lost_while_preparing(why));
    let marked = leave_within(draft, id, LeaveReason::Interrupted, notice_seconds);
    // An error means that it is leaving already, for a reason at least as urgent.
    if let (Ok(()), Some(failure)) = (marked, failure) {
        capacity::record_failure(draft, failure);
    }
}

/// Ends the attempt on the node within the notice. Its job is requeued.
///
/// # Errors
/// When the job was not read.
pub fn interrupt_job(
    draft: &mut Draft,
    id: &NodeId,
    notice_seconds: u64,
) -> Result<(), InvalidTransition> {
    let grace = notice_seconds - flush_reserve_seconds(notice_seconds);
    end_current_attempt(draft, id, &EndReason::Interrupted { node: id.clone() }, grace)
}

/// The instance will be interrupted (EC2 User Guide, "Spot Instance interruption notices").
///
/// # Errors
/// When the job of the node was not read.
pub fn interrupted(
    draft: &mut Draft,
    id: &NodeId,
    notice_seconds: u64,
) -> Result<(), InvalidTransition> {
    if draft.node(id).is_none() {
        return Ok(());
    }
    mark_interrupted(draft, id, notice_seconds);
    interrupt_job(draft, id, notice_seconds)
}

/// EC2 recommends to replace the instance. The first notice is recorded, and a node that is replaced leaves in
/// the same change: it takes no new job from now on.
///
/// # Errors
/// Never, for a node that was read.
pub fn rebalance_recommended(draft: &mut Draft, id: &NodeId) -> Result<(), InvalidTransition> {
    let is_new = |node: &Node| node.rebalance_recommended_at.is_none() && !node.is_leaving();
    if !draft.node(id).is_some_and(is_new) {
        return Ok(());
    }
    let now = draft.now;
    draft.change_node(id, |node| Ok(Node { rebalance_recommended_at: Some(now), ..node }))?;
    draft.event(Event::RebalanceRecommended { node: id.clone() });
    let (Some(node), Some(cluster)) = (draft.node(id), draft.cluster()) else { return Ok(()) };
    if !rebalance::is_replaced(cluster, node) {
        return Ok(());
    }
    let failure = rebalance::failure(node);
    leave(draft, id, LeaveReason::AtRisk, None)?;
    if let Some(failure) = failure {
        capacity::record_failure(draft, failure);
    }
    Ok(())
}

/// The agent has ended everything on the node and exits. If the service did not ask for that, the
/// instance is ending.
pub fn left(draft: &mut Draft, id: &NodeId) {
    let Some(node) = draft.node(id) else { return };
    let (leaving, cluster) = (node.is_leaving(), node.cluster.clone());
    if !leaving {
        interrupt_node(draft, id, 0, "its agent has left");
    }
    draft.hint_cluster(Function::Autoscaler, &cluster);
}

/// The instance has certainly ended. Only now its attempt ends on it, as a job must not run twice
/// at the same time.
///
/// # Errors
/// When the job of the node was not read.
pub fn removed(draft: &mut Draft, id: &NodeId) -> Result<(), InvalidTransition> {
    let Some(node) = draft.node(id) else { return Ok(()) };
    let cluster = node.cluster.clone();
    match node.attempt().cloned() {
        Some(attempt) => {
            let reason = "its instance has ended".to_owned();
            let end_reason = EndReason::NodeLost { node: id.clone(), reason };
            members::ended(draft, &attempt, id, &end_reason, NodeDisposition::Remove)?;
        }
        None => draft.remove_node(id),
    }
    // The next steps (steady allocation, dormancy or deletion of the cluster) need another pass.
    draft.hint_cluster(Function::Autoscaler, &cluster);
    Ok(())
}

/// Whether an instance that the provider does not know has ended for certain: its node is so old that
/// the instance would be visible.
pub fn is_unknown_for_good(node: &Node, now: Timestamp) -> bool {
    now.seconds_since(node.created_at) >= limits::UNKNOWN_INSTANCE_SECONDS
}

/// The instance could not be terminated. It is tried again later, and the cluster shows the error.
///
/// # Errors
/// When the node was not read.
pub fn removal_failed(
    draft: &mut Draft,
    id: &NodeId,
    error: &ResourceError,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    draft.change_node(id, |mut node| {
        node.removal = node.removal.failed(now);
        Ok(node)
    })?;
    capacity::show_error(draft, error.clone().with_detail("Node", id.as_str()));
    Ok(())
}

fn leave_within(
    draft: &mut Draft,
    id: &NodeId,
    reason: LeaveReason,
    seconds: u64,
) -> Result<(), InvalidTransition> {
    let deadline = draft.now.plus_seconds(seconds);
    draft.change_node(id, |node| node.leave(reason, deadline))?;
    draft.notify(id.clone());
    draft.event(Event::NodeLeaving { node: id.clone(), reason });
    draft.hint_cluster_of(Function::Autoscaler, id);
    Ok(())
}

fn end_current_attempt(
    draft: &mut Draft,
    id: &NodeId,
    end_reason: &EndReason,
    grace_seconds: u64,
) -> Result<(), InvalidTransition> {
    let occupant = draft.node(id).and_then(|node| node.attempt().cloned());
    match occupant {
        Some(attempt) => members::end_attempt(draft, &attempt, end_reason, grace_seconds),
        None => Ok(()),
    }
}

/// Whether a node waits for its instance.
pub fn is_launching(state: &NodeState) -> bool {
    matches!(state, NodeState::Launching { .. })
}

#[cfg(test)]
mod tests;
