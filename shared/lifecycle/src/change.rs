//! What a reaction leads to, as a value: writes that happen together, and what follows from them
//! once they are committed.

use model::{
    AttemptRef, ClusterRef, EndReason, LaunchId, LeaveReason, Name, NodeId, ResourceError, Target,
    VmPriority,
};
use std::collections::BTreeSet;
use table::Writes;

/// The functions that a hint can wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Dispatcher,
    Autoscaler,
    Recovery,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    pub writes: Writes,
    /// Sent after the commit. Losing one costs time only.
    pub hints: BTreeSet<(Function, Target)>,
    /// Nodes for which something changed: a request of theirs that is being held is answered.
    pub notify: BTreeSet<NodeId>,
    /// Asked for after the commit, which recorded the intent.
    pub launches: Vec<LaunchRequest>,
    /// What happened, for the log.
    pub events: Vec<Event>,
}

/// Instances for nodes that are recorded as launching. The launch id makes a repetition harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchRequest {
    pub cluster: ClusterRef,
    pub launch: LaunchId,
    pub nodes: Vec<NodeId>,
    pub vm_size: String,
    /// Sizes that do as well, in the order of preference.
    pub alternate_vm_sizes: Vec<String>,
    pub priority: VmPriority,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    JobStarted { attempt: AttemptRef, nodes: Vec<NodeId> },
    AttemptEnding { attempt: AttemptRef, end_reason: EndReason },
    MemberEnded { attempt: AttemptRef, node: NodeId },
    JobEnded { attempt: AttemptRef, state: &'static str },
    Launching { cluster: Name, launch: LaunchId, count: u32 },
    NodeIdle { node: NodeId },
    NodeFailed { node: NodeId, error: ResourceError },
    NodeLeaving { node: NodeId, reason: LeaveReason },
    NodeRemoved { node: NodeId },
    ClusterDeleted { cluster: Name },
}
