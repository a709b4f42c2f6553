//! Events of gang members: prepared, ended, failed.

use crate::change::{Event, Function};
use crate::draft::Draft;
use crate::{capacity, jobs};
use model::{
    AttemptPhase, AttemptRef, ClusterRef, EndReason, InvalidTransition, JobState, NodeId, NodeState,
};

/// What happens to a node on which an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeDisposition {
    /// It takes the next job, or leaves if it was leaving.
    Release,
    /// Its instance has ended: its record is removed.
    Remove,
}

/// Mounts and job preparation of one member are done. After the last member the command may start.
///
/// # Errors
/// When the job was not read.
pub fn prepared(
    draft: &mut Draft,
    attempt: &AttemptRef,
    node: &NodeId,
) -> Result<(), InvalidTransition> {
    let job = draft.job_mut(&attempt.job)?;
    if job.attempt(attempt).is_none() || !job.member_prepared(node) {
        return Ok(());
    }
    let complete = job.attempt(attempt).is_some_and(|it| it.phase == AttemptPhase::Running);
    if complete {
        for member in jobs::members(draft.job_mut(&attempt.job)?) {
            draft.notify(member);
        }
    }
    Ok(())
}

/// Asks the attempt to end on all its nodes.
///
/// # Errors
/// When the job was not read.
pub fn end_attempt(
    draft: &mut Draft,
    attempt: &AttemptRef,
    end_reason: &EndReason,
    grace_seconds: u64,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    let job = draft.job_mut(&attempt.job)?;
    let ends = job.attempt(attempt).is_some_and(|live| !live.is_ending());
    if !ends {
        return Ok(());
    }
    job.end_attempt(end_reason.clone(), grace_seconds, now);
    for member in jobs::members(draft.job_mut(&attempt.job)?) {
        draft.notify(member);
    }
    draft.event(Event::AttemptEnding { attempt: attempt.clone(), end_reason: end_reason.clone() });
    Ok(())
}

/// No process of the attempt runs on that node any more. The node is released or removed; after the
/// last member the job ends or is requeued. `end_reason` is the reason that this member reported.
/// It counts if no other was recorded before, or if the attempt ended by itself.
///
/// # Errors
/// When a record was not read, or does not allow the transition.
pub fn ended(
    draft: &mut Draft,
    attempt: &AttemptRef,
    node: &NodeId,
    end_reason: &EndReason,
    disposition: NodeDisposition,
) -> Result<(), InvalidTransition> {
    let live = draft.job(&attempt.job).is_some_and(|job| job.attempt(attempt).is_some());
    if live {
        end_member(draft, attempt, node, end_reason)?;
    }
    let occupied = draft.node(node).is_some_and(|it| it.attempt() == Some(attempt));
    release(draft, attempt, node, disposition)?;
    if let EndReason::NodeFailed { error, .. } = end_reason
        && occupied
        && disposition == NodeDisposition::Release
    {
        let now = draft.now;
        let idle = |state: &NodeState| matches!(state, NodeState::Idle { .. });
        if draft.node(node).is_some_and(|node| idle(&node.state)) {
            draft.change_node(node, |it| it.failed(error.clone(), now))?;
            draft.event(Event::NodeFailed { node: node.clone(), error: error.clone() });
        }
        let shown = error.clone().with_detail("Node", node.as_str());
        capacity::record_failure(draft, shown);
    }
    Ok(())
}

fn end_member(
    draft: &mut Draft,
    attempt: &AttemptRef,
    node: &NodeId,
    end_reason: &EndReason,
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    let job = draft.job_mut(&attempt.job)?;
    let cluster = job.cluster.clone();
    let operations = job.completed_operations(now);
    let others = jobs::members(job);
    job.member_ended(attempt, node, end_reason.clone(), now)?;
    let over = job.state.attempt().is_none();
    let (removed, state) = (over && job.deletion.is_some(), job.state.name());
    let queued_again = matches!(job.state, JobState::Queued { .. });
    draft.event(Event::MemberEnded { attempt: attempt.clone(), node: node.clone() });
    for other in others.into_iter().filter(|other| other != node) {
        draft.notify(other);
    }
    if over {
        draft.event(Event::JobEnded { attempt: attempt.clone(), state });
        for operation in &operations {
            draft.put_operation(operation);
        }
    }
    if removed {
        draft.remove_job(&attempt.job);
    } else if queued_again {
        draft.hint_cluster(Function::Dispatcher, &cluster);
        draft.hint_cluster(Function::Autoscaler, &cluster);
    }
    Ok(())
}

fn release(
    draft: &mut Draft,
    attempt: &AttemptRef,
    id: &NodeId,
    disposition: NodeDisposition,
) -> Result<(), InvalidTransition> {
    let Some(node) = draft.node(id) else { return Ok(()) };
    let (cluster, occupied) = (node.cluster.clone(), node.attempt() == Some(attempt));
    let has_limit = node.sweep_key().is_some();
    if disposition == NodeDisposition::Remove {
        draft.remove_node(id);
        draft.hint_cluster(Function::Autoscaler, &cluster);
        hint_sweep(draft, has_limit, &cluster);
        return Ok(());
    }
    if !occupied {
        return Ok(());
    }
    let now = draft.now;
    draft.change_node(id, |node| node.released(attempt, now))?;
    if draft.node(id).is_some_and(|node| node.is_leaving()) {
        draft.hint_cluster(Function::Autoscaler, &cluster);
        hint_sweep(draft, has_limit, &cluster);
    }
    Ok(())
}

/// No node becomes free, but the next job of the sweep may start on another.
fn hint_sweep(draft: &mut Draft, has_limit: bool, cluster: &ClusterRef) {
    if has_limit {
        draft.hint_cluster(Function::Dispatcher, cluster);
    }
}

#[cfg(test)]
mod tests;
