//! Steps of a plan, as values. `lifecycle` turns each into a change of the records it concerns.

use model::{AttemptRef, EndReason, LaunchId, LeaveReason, NodeId, QueueEntry, ResourceError};

/// One step of a plan. Each is a change of its own: a step that the state no longer allows, or that
/// fails, is dropped without the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A gang starts: the job leaves the queue, its nodes become busy.
    Start { entry: QueueEntry, nodes: Vec<NodeId> },
    /// A queued job whose cluster is being deleted fails.
    FailQueued { entry: QueueEntry },
    /// The attempt is to end on all its nodes.
    EndAttempt { attempt: AttemptRef, end_reason: EndReason, grace_seconds: u64 },
    /// Records the intent to launch this many nodes, then asks for the instances. With them the
    /// cluster has `planned_nodes`.
    Launch { count: u32, planned_nodes: u32 },
    /// Asks again for the instances of a launch whose answer was never recorded.
    Relaunch { launch: LaunchId, nodes: Vec<NodeId> },
    /// The node takes no further jobs and is removed; what runs on it ends for the given reason, in
    /// the same change, or runs to completion.
    Leave { node: NodeId, reason: LeaveReason, end_reason: Option<EndReason> },
    /// The instance is terminated and, once that is certain, the node's record removed.
    Remove { node: NodeId },
    /// An instance without a node is terminated.
    TerminateStray { instance: String },
    /// Shown on the cluster; counts against the health of its launches.
    RecordFailure { error: ResourceError },
    /// The number of nodes has changed, has become settled, or has stopped being so.
    SetAllocation { resizing: bool, planned_nodes: u32 },
    /// Nothing to do for now: a submission schedules the cluster again.
    MarkDormant,
    /// Something arrived while the cluster became dormant.
    MarkScheduled,
    /// It is dormant and nothing came: the schedule need not visit it any more.
    Unschedule,
    /// Everything that belonged to the cluster is gone; so is the cluster.
    FinishDeletion,
}

impl Action {
    /// How many nodes it makes busy.
    pub fn nodes_started(&self) -> usize {
        match self {
            Self::Start { nodes, .. } => nodes.len(),
            Self::FailQueued { .. }
            | Self::EndAttempt { .. }
            | Self::Launch { .. }
            | Self::Relaunch { .. }
            | Self::Leave { .. }
            | Self::Remove { .. }
            | Self::TerminateStray { .. }
            | Self::RecordFailure { .. }
            | Self::SetAllocation { .. }
            | Self::MarkDormant
            | Self::MarkScheduled
            | Self::Unschedule
            | Self::FinishDeletion => 0,
        }
    }
}
