//! Steps of a plan as changes: one match over [`Action`].

use crate::draft::Draft;
use crate::{capacity, jobs, members, nodes};
use model::{JobRef, LaunchId, NodeId, Refused};
use scheduler::Action;

/// Which records a step concerns, beside the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    pub nodes: Vec<NodeId>,
    pub job: Option<JobRef>,
    /// The job that runs on the first of the nodes.
    pub occupant: bool,
    pub cluster: ClusterRead,
}

/// Which version of the cluster a step changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClusterRead {
    #[default]
    None,
    /// The one that the plan was made on.
    Planned,
    /// As it is now: an earlier step of the same plan may have changed it.
    Fresh,
}

/// What has to be read before the step can be applied.
pub fn concerned(action: &Action) -> Concerned {
    let none = Concerned::default();
    match action {
        Action::Start { entry, nodes } => {
            Concerned { nodes: nodes.clone(), job: Some(entry.job.clone()), ..none }
        }
        Action::Abandon { entry } => Concerned { job: Some(entry.job.clone()), ..none },
        Action::EndAttempt { attempt, .. } => Concerned { job: Some(attempt.job.clone()), ..none },
        Action::Leave { node, ending, .. } => {
            Concerned { nodes: vec![node.clone()], occupant: ending.is_some(), ..none }
        }
        Action::Remove { node } => Concerned { nodes: vec![node.clone()], occupant: true, ..none },
        Action::Launch { .. }
        | Action::MarkDormant
        | Action::MarkScheduled
        | Action::Unschedule
        | Action::FinishDeletion => Concerned { cluster: ClusterRead::Planned, ..none },
        Action::Relaunch { .. } | Action::RecordFailure { .. } | Action::SetAllocation { .. } => {
            Concerned { cluster: ClusterRead::Fresh, ..none }
        }
        Action::TerminateStray { .. } => none,
    }
}

/// Fresh ids, for a step that creates something.
#[derive(Clone, Debug)]
pub struct FreshIds {
    pub launch: LaunchId,
    pub nodes: Vec<NodeId>,
}

/// Applies one step to the records it concerns. [`Action::Remove`] is applied once the instance has
/// ended; [`Action::TerminateStray`] changes no record.
///
/// # Errors
/// When a record does not allow the step any more.
pub fn apply(draft: &mut Draft, action: &Action, fresh: Option<FreshIds>) -> Result<(), Refused> {
    match action {
        Action::Start { entry, nodes } => jobs::start(draft, entry, nodes),
        Action::Abandon { entry } => jobs::abandon(draft, &entry.job),
        Action::EndAttempt { attempt, ending, grace_seconds } => {
            members::end_attempt(draft, attempt, ending, *grace_seconds)
        }
        Action::Launch { planned_nodes, .. } => match fresh {
            Some(FreshIds { launch, nodes }) => {
                capacity::launch(draft, launch, nodes, *planned_nodes)
            }
            None => Err(Refused { what: "launch", state: "without ids", transition: "begin" }),
        },
        Action::Relaunch { launch, nodes } => {
            capacity::relaunch(draft, launch.clone(), nodes.clone())
        }
        Action::Leave { node, reason, ending } => {
            nodes::leave(draft, node, *reason, ending.as_ref())
        }
        Action::Remove { node } => nodes::removed(draft, node),
        Action::TerminateStray { .. } => Ok(()),
        Action::RecordFailure { error } => {
            capacity::record_failure(draft, error.clone());
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
