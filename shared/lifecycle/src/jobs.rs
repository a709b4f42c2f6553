//! Submission, start, termination and deletion of jobs.

use crate::change::{Event, Function};
use crate::draft::Draft;
use model::{
    Cluster, Deletion, InvalidTransition, Job, JobRef, JobState, Node, NodeId, Operation, Price,
    QueueEntry, Uid, Zone,
};

/// How a client learns that its request is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The request is complete with the commit.
    Immediate,
    /// Id of the operation that completes later. An earlier request may have started it.
    Operation(Uid),
}

/// Submits a job. It starts in the same commit if there are idle nodes for which no other job
/// waits; otherwise it is queued. `idle` are nodes that were read for it: as many as it needs, or
/// none.
///
/// # Errors
/// When the nodes have changed since they were listed.
pub fn submit(
    draft: &mut Draft,
    job: Job,
    cluster: &Cluster,
    idle: &[NodeId],
) -> Result<(), InvalidTransition> {
    let (entry, is_final) = (job.queue_entry(), job.state.is_final());
    draft.create_job(job);
    if is_final {
        return Ok(());
    }
    if !idle.is_empty() && idle.len() == entry.node_count as usize {
        // A cluster with nodes is neither removed nor dormant, so the nodes' versions suffice as a
        // condition.
        return start(draft, &entry, idle);
    }
    match cluster.scheduled {
        true => draft.writes().require_scheduled_cluster(cluster),
        false => {
            draft.read_cluster(cluster.clone());
            if let Some(cluster) = draft.cluster_mut() {
                cluster.scheduled = true;
            }
        }
    }
    draft.hint_cluster(Function::Dispatcher, &cluster.reference());
    Ok(())
}

/// Starts a gang: the job leaves the queue and its nodes become busy. With a job whose sweep has a limit the
/// cluster is written too, if it was read.
///
/// # Errors
/// When job or nodes changed since the plan was made.
pub fn start(
    draft: &mut Draft,
    entry: &QueueEntry,
    nodes: &[NodeId],
) -> Result<(), InvalidTransition> {
    let now = draft.now;
    let mut gang = Vec::with_capacity(nodes.len());
    let zones: Vec<Zone> = nodes.iter().filter_map(|id| Some(draft.node(id)?.zone())).collect();
    let price =
        Price::sum(nodes.iter().map(|id| draft.node(id).map_or(Price::Unknown, |it| it.price)));
    if !Zone::is_shared(&zones) {
        // The zone of a node was recorded after the idle nodes were listed.
        return Err(InvalidTransition {
            what: "gang",
            state: "in several zones",
            transition: "start",
        });
    }
    for id in nodes {
        let address = draft.node(id).and_then(|node| node.instance()).map(|it| it.address.clone());
        gang.push((id.clone(), address.unwrap_or_default()));
    }
    let job = draft.job_mut(&entry.job)?;
    let waited = now.millis_since(job.queued_since());
    job.start(gang, now)?;
    job.set_price(price);
    let attempt = job.live_attempt().ok_or(InvalidTransition {
        what: "job",
        state: "started",
        transition: "have no attempt",
    })?;
    let ends_by = job.expected_end(now);
    let sweep = entry.sweep.as_ref().map(|limit| limit.name.clone());
    if sweep.is_some() {
        // Two starts that were planned on the same number of running jobs must not both succeed.
        draft.fence_cluster();
    }
    for id in nodes {
        draft.change_node(id, |node| {
            let node = node.assigned(attempt.clone(), ends_by, now)?;
            Ok(Node { sweep: sweep.clone(), ..node })
        })?;
        draft.notify(id.clone());
    }
    draft.event(Event::JobStarted { attempt, nodes: nodes.to_vec(), waited });
    Ok(())
}

/// Ends a job for the user. `None` if it has ended already.
///
/// # Errors
/// When the job was not read.
pub fn terminate(
    draft: &mut Draft,
    reference: &JobRef,
    operation: Uid,
) -> Result<Option<Completion>, InvalidTransition> {
    let now = draft.now;
    let job = draft.job_mut(reference)?;
    if job.state.is_final() {
        return Ok(None);
    }
    if let Some(deletion) = &job.deletion {
        return Ok(Some(Completion::Operation(deletion.operation.clone())));
    }
    if let JobState::Terminating { operation: Some(known), .. } = &job.state {
        return Ok(Some(Completion::Operation(known.clone())));
    }
    job.terminate(Some(operation.clone()), now)?;
    if job.state.is_final() {
        hint_queue_of(draft, reference);
        return Ok(Some(Completion::Immediate));
    }
    begin(draft, reference, &operation);
    Ok(Some(Completion::Operation(operation)))
}

/// Deletes a job for the user: it is ended if necessary, then its record is removed. Its files
/// stay.
///
/// # Errors
/// When the job was not read.
pub fn delete(
    draft: &mut Draft,
    reference: &JobRef,
    operation: Uid,
) -> Result<Completion, InvalidTransition> {
    let now = draft.now;
    let job = draft.job_mut(reference)?;
    if let Some(deletion) = &job.deletion {
        return Ok(Completion::Operation(deletion.operation.clone()));
    }
    if job.state.attempt().is_none() {
        if !job.state.is_final() {
            hint_queue_of(draft, reference);
        }
        draft.remove_job(reference);
        return Ok(Completion::Immediate);
    }
    job.terminate(None, now)?;
    job.deletion = Some(Deletion { operation: operation.clone(), since: now });
    begin(draft, reference, &operation);
    Ok(Completion::Operation(operation))
}

/// Fails a queued job because its cluster is being deleted.
///
/// # Errors
/// When it is no longer queued.
pub fn fail_queued(draft: &mut Draft, reference: &JobRef) -> Result<(), InvalidTransition> {
    let now = draft.now;
    draft.job_mut(reference)?.fail_queued(now)
}

/// A job that leaves the queue may have blocked others: a waiting gang reserves nodes.
fn hint_queue_of(draft: &mut Draft, reference: &JobRef) {
    if let Some(cluster) = draft.job(reference).map(|job| job.cluster.clone()) {
        draft.hint_cluster(Function::Dispatcher, &cluster);
    }
}

/// Stores the operation and notifies the members that they have to stop.
fn begin(draft: &mut Draft, reference: &JobRef, operation: &Uid) {
    let Some(job) = draft.job(reference) else { return };
    let started = Operation::started(operation.clone(), job.names.operation_key(), draft.now);
    let members: Vec<NodeId> = members(job);
    let end_reason = job.state.attempt().and_then(|attempt| attempt.end_reason().cloned());
    let event = job.live_attempt().zip(end_reason);
    draft.put_operation(&started);
    for node in members {
        draft.notify(node);
    }
    if let Some((attempt, end_reason)) = event {
        draft.event(Event::AttemptEnding { attempt, end_reason });
    }
}

/// The nodes of the live attempt.
pub(crate) fn members(job: &Job) -> Vec<NodeId> {
    let members = job.state.attempt().map(|attempt| attempt.members.as_slice());
    members.unwrap_or_default().iter().map(|member| member.node.clone()).collect()
}

#[cfg(test)]
mod tests;
