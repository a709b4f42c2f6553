//! Actions of a plan as changes: one match over [`Action`].

use crate::capacity::NewLaunch;
use crate::change::Function;
use crate::draft::Draft;
use crate::{capacity, jobs, launches, members, nodes};
use model::{InvalidTransition, JobRef, LaunchId, NodeId};
use scheduler::Action;

/// The records that an action needs besides the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffectedRecords {
    /// These nodes.
    pub nodes: Vec<NodeId>,
    /// This job.
    pub job: Option<JobRef>,
    /// The job that runs on the first of the nodes.
    pub running_job: bool,
    /// This launch.
    pub launch: Option<LaunchId>,
    /// The nodes that wait in this launch.
    pub waiting_nodes: bool,
    /// The version of the cluster.
    pub cluster: ClusterRead,
}

/// Which version of the cluster an action changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterRead {
    /// None: it does not change the cluster.
    #[default]
    None,
    /// The version on which the plan was made.
    Planned,
    /// The current version: an earlier action of the same plan may have changed it.
    Current,
}

/// The records to read before the action is applied.
pub fn affected_records(action: &Action) -> AffectedRecords {
    let none = AffectedRecords::default();
    match action {
        Action::Start { entry, nodes } => {
            let cluster = match entry.sweep {
                Some(_) => ClusterRead::Planned,
                None => ClusterRead::None,
            };
            AffectedRecords { nodes: nodes.clone(), job: Some(entry.job.clone()), cluster, ..none }
        }
        Action::FailQueued { entry } => AffectedRecords { job: Some(entry.job.clone()), ..none },
        Action::EndAttempt { attempt, .. } => {
            AffectedRecords { job: Some(attempt.job.clone()), ..none }
        }
        Action::Leave { node, end_reason, .. } => {
            AffectedRecords { nodes: vec![node.clone()], running_job: end_reason.is_some(), ..none }
        }
        Action::Price { nodes } => AffectedRecords { nodes: nodes.clone(), ..none },
        Action::Describe { node, .. } => AffectedRecords { nodes: vec![node.clone()], ..none },
        Action::Remove { node } => {
            AffectedRecords { nodes: vec![node.clone()], running_job: true, ..none }
        }
        Action::Launch { .. }
        | Action::MarkDormant
        | Action::MarkScheduled
        | Action::Unschedule
        | Action::FinishDeletion => AffectedRecords { cluster: ClusterRead::Planned, ..none },
        Action::RecordFailure { .. } | Action::ShowError { .. } | Action::SetAllocation { .. } => {
            AffectedRecords { cluster: ClusterRead::Current, ..none }
        }
        Action::Relaunch { launch } => AffectedRecords { launch: Some(launch.clone()), ..none },
        Action::Bind { launch, .. } => {
            AffectedRecords { launch: Some(launch.clone()), waiting_nodes: true, ..none }
        }
        Action::TerminateStray { .. } => none,
    }
}

/// Applies one action to the records that it affects. [`Action::Remove`] is applied after the
/// instance has ended; [`Action::TerminateStray`] changes no record.
///
/// # Errors
/// When a record does not allow the action any more.
pub fn apply(
    draft: &mut Draft,
    action: &Action,
    new: Option<NewLaunch>,
) -> Result<(), InvalidTransition> {
    match action {
        Action::Start { entry, nodes } => jobs::start(draft, entry, nodes),
        Action::FailQueued { entry } => jobs::fail_queued(draft, &entry.job),
        Action::EndAttempt { attempt, end_reason, grace_seconds } => {
            members::end_attempt(draft, attempt, end_reason, *grace_seconds)
        }
        Action::Launch { planned_nodes, is_gang, .. } => match new {
            Some(new) => capacity::launch(draft, new, *planned_nodes, *is_gang),
            None => {
                Err(InvalidTransition { what: "launch", state: "without ids", transition: "begin" })
            }
        },
        Action::Relaunch { launch } => {
            capacity::relaunch(draft, launch);
            Ok(())
        }
        Action::Bind { launch, instances } => {
            launches::bind(draft, launch, instances);
            // A gang may have waited to learn where they are.
            let is_described = instances.iter().any(|it| it.offering.is_described());
            let cluster = draft.launch(launch).map(|it| it.request.cluster.clone());
            if let Some(cluster) = cluster.filter(|_| is_described) {
                draft.hint_cluster(Function::Autoscaler, &cluster);
            }
            Ok(())
        }
        // The prices are recorded when the provider has answered.
        Action::Price { .. } => Ok(()),
        Action::Describe { node, offering } => nodes::describe(draft, node, offering),
        Action::Leave { node, reason, end_reason } => {
            nodes::leave(draft, node, *reason, end_reason.as_ref())
        }
        Action::Remove { node } => nodes::removed(draft, node),
        Action::TerminateStray { .. } => Ok(()),
        Action::RecordFailure { error } => {
            capacity::record_failure(draft, error.clone());
            Ok(())
        }
        Action::ShowError { error } => {
            capacity::show_error(draft, error.clone());
            Ok(())
        }
        Action::SetAllocation { resizing, planned_nodes } => {
            capacity::set_allocation(draft, *resizing, *planned_nodes);
            Ok(())
        }
        Action::MarkDormant => {
            capacity::set_scheduled(draft, false);
            Ok(())
        }
        Action::MarkScheduled => {
            capacity::set_scheduled(draft, true);
            Ok(())
        }
        Action::Unschedule => capacity::unschedule(draft),
        Action::FinishDeletion => capacity::finish_deletion(draft),
    }
}

#[cfg(test)]
mod tests;
