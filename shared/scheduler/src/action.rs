//! Actions of a plan, as values. `lifecycle` turns each into a change of the affected records.

use model::{
    AttemptRef, EndReason, LaunchId, LaunchedInstance, LeaveReason, NodeId, Offering, QueueEntry,
    ResourceError,
};

/// One action of a plan. Each is a change of its own: an action that the state no longer allows, or
/// that fails, is dropped without the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Starts a gang: the job leaves the queue and its nodes become busy.
    Start {
        /// The queue entry of the job.
        entry: QueueEntry,
        /// The gang, the master first.
        nodes: Vec<NodeId>,
    },
    /// Fails a queued job whose cluster is being deleted.
    FailQueued {
        /// The queue entry of the job.
        entry: QueueEntry,
    },
    /// Asks an attempt to end on all its nodes.
    EndAttempt {
        /// The attempt.
        attempt: AttemptRef,
        /// Why.
        end_reason: EndReason,
        /// Seconds between SIGTERM and SIGKILL.
        grace_seconds: u64,
    },
    /// Records the intent to launch nodes, then requests the instances.
    Launch {
        /// Number of nodes to launch.
        count: u32,
        /// Number of nodes of the cluster, the new ones included.
        planned_nodes: u32,
        /// The nodes are for one gang: they are launched in one zone, all or none.
        is_gang: bool,
        /// The zone of the nodes that the gang has already.
        zone: Option<String>,
    },
    /// Repeats the request of a launch whose answer was never recorded, all of it.
    Relaunch {
        /// The launch.
        launch: LaunchId,
    },
    /// Binds instances that were found by their tag to nodes of their launch.
    Bind {
        /// The launch.
        launch: LaunchId,
        /// The instances.
        instances: Vec<LaunchedInstance>,
    },
    /// Records what the provider says about the instance of a node.
    Describe {
        /// The node.
        node: NodeId,
        /// What it says.
        offering: Offering,
    },
    /// Asks the provider what these nodes cost, and records it.
    Price {
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// The node takes no new jobs and is removed.
    Leave {
        /// The node.
        node: NodeId,
        /// Why it leaves.
        reason: LeaveReason,
        /// Why its attempt ends, in the same change; `None` to let it run to completion.
        end_reason: Option<EndReason>,
    },
    /// Terminates the instance and, once it has certainly ended, removes the node's record.
    Remove {
        /// The node.
        node: NodeId,
    },
    /// Terminates an instance without a node.
    TerminateStray {
        /// Id of the instance.
        instance: String,
    },
    /// Shows an error on the cluster and delays its next launch.
    RecordFailure {
        /// The error.
        error: ResourceError,
    },
    /// Shows an error on the cluster without delaying its launches.
    ShowError {
        /// The error.
        error: ResourceError,
    },
    /// Records whether the number of nodes is changing.
    SetAllocation {
        /// `true` for `resizing`, `false` for `steady`.
        resizing: bool,
        /// Number of nodes of the cluster.
        planned_nodes: u32,
    },
    /// Marks the cluster as dormant: there is nothing to do, and a submission schedules it again.
    MarkDormant,
    /// Reverts `MarkDormant`: something arrived meanwhile.
    MarkScheduled,
    /// Takes a dormant cluster off the schedule's list.
    Unschedule,
    /// Removes the record of a cluster of which nothing is left.
    FinishDeletion,
}

impl Action {
    /// Number of nodes that become busy.
    pub fn nodes_started(&self) -> usize {
        match self {
            Self::Start { nodes, .. } => nodes.len(),
            Self::FailQueued { .. }
            | Self::EndAttempt { .. }
            | Self::Launch { .. }
            | Self::Relaunch { .. }
            | Self::Bind { .. }
            | Self::Describe { .. }
            | Self::Price { .. }
            | Self::Leave { .. }
            | Self::Remove { .. }
            | Self::TerminateStray { .. }
            | Self::RecordFailure { .. }
            | Self::ShowError { .. }
            | Self::SetAllocation { .. }
            | Self::MarkDormant
            | Self::MarkScheduled
            | Self::Unschedule
            | Self::FinishDeletion => 0,
        }
    }
}
