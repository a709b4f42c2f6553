//! Effects as values. `control` carries each of them out in one place.

use model::{AttemptRef, Ending, LaunchId, LeaveReason, NodeId, QueueEntry, ResourceError};

/// One step of a plan. Each is written under the versions it finds when it is carried out, and is
/// refused when the state no longer allows it; then the rest is dropped and a new plan is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A gang starts: the job leaves the queue, its nodes become busy.
    Start { entry: QueueEntry, nodes: Vec<NodeId> },
    /// A queued job whose cluster is being deleted fails.
    Abandon { entry: QueueEntry },
    /// The attempt is to end on all its nodes.
    EndAttempt { attempt: AttemptRef, ending: Ending, grace_seconds: u64 },
    /// A member whose node no longer exists has ended, whatever it was doing.
    MemberGone { attempt: AttemptRef, node: NodeId },
    /// Records the intent to launch this many nodes, then asks for the machines. With them the
    /// cluster has `planned_nodes`.
    Launch { count: u32, planned_nodes: u32 },
    /// Asks again for the machines of a launch whose answer was never recorded.
    Relaunch { launch: LaunchId, nodes: Vec<NodeId> },
    /// The node takes no further jobs and goes.
    Leave { node: NodeId, reason: LeaveReason },
    /// The machine is ended and, once that is certain, the node's record removed.
    Remove { node: NodeId },
    /// A machine without a node is ended.
    TerminateStray { instance: String },
    /// Shown on the cluster; counts against the health of its launches.
    RecordFailure { error: ResourceError },
    /// The number of nodes has changed, has become settled, or has stopped being so.
    SetAllocation { resizing: bool, planned_nodes: u32 },
    /// Nothing to look at for now: whoever brings something wakes the cluster.
    FallAsleep,
    /// Something came while it fell asleep.
    Awaken,
    /// It sleeps and nothing came: the schedule need not look here any more.
    Rest,
    /// Everything that belonged to the cluster is gone; so is the cluster.
    FinishDeletion,
}
