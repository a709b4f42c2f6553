//! What becomes of nodes: registered, ready, failed, leaving, interrupted, removed.

use crate::capacity;
use crate::change::{Event, Function};
use crate::draft::Draft;
use crate::members::{self, NodeDisposition};
use model::{
    Backoff, EndReason, Instance, InvalidTransition, LeaveReason, NodeId, NodeState, ResourceError,
    limits,
};

/// A launching node gets its instance: the answer of the launch, or its own first report.
///
/// # Errors
/// When it is not launching any more.
pub fn register(
    draft: &mut Draft,
    id: &NodeId,
    instance: Instance,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    draft.change_node(id, |node| node.launched(instance, now))
}

/// Mounts and set-up task are done: the node takes jobs. Launches work again.
///
/// # Errors
/// When it is not preparing.
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

/// Mounts or set-up task failed: the node takes no jobs, its cluster shows why.
///
/// # Errors
/// When it is not preparing.
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

/// The node takes no further jobs and is removed. What runs on it ends for the given reason, or
/// runs to completion.
///
/// # Errors
/// When it is gone, or leaves already for a reason that is as urgent.
pub fn leave(
    draft: &mut Draft,
    id: &NodeId,
    reason: LeaveReason,
    end_reason: Option<&EndReason>,
) -> Result<(), InvalidTransition> {
    let seconds = match reason {
        LeaveReason::Interrupted => limits::SPOT_NOTICE_SECONDS,
        LeaveReason::ShrinkWhenDone => limits::MAX_WALL_CLOCK_SECONDS,
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

/// Of a notice, the part that is kept for flushing logs and for the final report.
pub fn flush_reserve_seconds(notice_seconds: u64) -> u64 {
    (notice_seconds / 5).min(2)
}

/// The node is being taken away: it gets no further job. One that is known to be leaving keeps its
/// reason and its deadline.
pub fn mark_interrupted(draft: &mut Draft, id: &NodeId, notice_seconds: u64) {
    take_away(draft, id, notice_seconds, "its instance is being interrupted");
}

/// One that was still preparing counts as a failed launch, whoever took it away: a set-up task that
/// shuts its machine down looks the same as an interruption, and where capacity is interrupted
/// before it is ready the next launch fares no better. The first ready node clears the backoff, so a
/// single interruption costs a few seconds.
fn take_away(draft: &mut Draft, id: &NodeId, notice_seconds: u64, why: &str) {
    let failure = draft.node(id).and_then(|node| node.lost_while_preparing(why));
    let marked = leave_within(draft, id, LeaveReason::Interrupted, notice_seconds);
    // Refused: it leaves already, for a reason as urgent.
    if let (Ok(()), Some(failure)) = (marked, failure) {
        capacity::record_failure(draft, failure);
    }
}

/// Its job gets the time that is left, and returns to the queue.
///
/// # Errors
/// When its job was not read.
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
/// When its job was not read.
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

/// The agent has ended everything and exits. If nobody asked for that, the instance is going.
pub fn left(draft: &mut Draft, id: &NodeId) {
    let Some(node) = draft.node(id) else { return };
    let (leaving, cluster) = (node.is_leaving(), node.cluster.clone());
    if !leaving {
        take_away(draft, id, 0, "its agent has left");
    }
    draft.hint_cluster(Function::Autoscaler, &cluster);
}

/// The instance has certainly ended. Only now is the attempt free to end on it: the same job must
/// not run twice.
///
/// # Errors
/// When its job was not read.
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
    // What follows (allocation settled, the cluster dormant or deleted) needs another pass.
    draft.hint_cluster(Function::Autoscaler, &cluster);
    Ok(())
}

/// Its instance could not be terminated: tried again later, and shown meanwhile.
///
/// # Errors
/// When the node is gone.
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

/// Whether a node still waits for its instance.
pub fn is_launching(state: &NodeState) -> bool {
    matches!(state, NodeState::Launching { .. })
}

#[cfg(test)]
mod tests;
