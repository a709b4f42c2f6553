//! The result of a reaction, as a value: writes of one commit, and effects that follow the commit.

use model::{
    AttemptRef, EndReason, LaunchId, LaunchRequest, LeaveReason, Name, NodeId, ResourceError,
    Target,
};
use std::collections::BTreeSet;
use table::Writes;

/// The functions that a hint can wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// Starts queued jobs on idle nodes.
    Dispatcher,
    /// Launches and removes nodes.
    Autoscaler,
    /// Finds what is overdue, lost or left over in clusters.
    Recovery,
    /// Creates the storage of file servers, and clears what is being deleted.
    Provisioner,
}

impl Function {
    /// All functions.
    pub const ALL: [Self; 4] =
        [Self::Recovery, Self::Autoscaler, Self::Dispatcher, Self::Provisioner];
}

/// The result of a reaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Writes of one commit.
    pub writes: Writes,
    /// Sent after the commit. A lost hint costs only time.
    pub hints: BTreeSet<(Function, Target)>,
    /// Nodes whose desired state changed. A held request of such a node is answered.
    pub notify: BTreeSet<NodeId>,
    /// Launches to request after the commit, which recorded the intent.
    pub launches: Vec<LaunchRequest>,
    /// What happened, for the log.
    pub events: Vec<Event>,
}

/// A fact for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job started on nodes.
    JobStarted {
        /// The attempt.
        attempt: AttemptRef,
        /// Its nodes.
        nodes: Vec<NodeId>,
        /// Milliseconds since the submission, or since the end of the attempt before.
        waited: u64,
    },
    /// An attempt was asked to end.
    AttemptEnding {
        /// The attempt.
        attempt: AttemptRef,
        /// Why.
        end_reason: EndReason,
    },
    /// An attempt ended on one node.
    MemberEnded {
        /// The attempt.
        attempt: AttemptRef,
        /// The node.
        node: NodeId,
    },
    /// An attempt ended on all nodes.
    JobEnded {
        /// The attempt.
        attempt: AttemptRef,
        /// State of the job after it.
        state: &'static str,
    },
    /// A launch was recorded.
    Launching {
        /// The cluster.
        cluster: Name,
        /// The launch.
        launch: LaunchId,
        /// Number of nodes.
        count: u32,
    },
    /// A node finished its preparation.
    NodeIdle {
        /// The node.
        node: NodeId,
    },
    /// A node became unusable.
    NodeFailed {
        /// The node.
        node: NodeId,
        /// Why.
        error: ResourceError,
    },
    /// A node leaves.
    NodeLeaving {
        /// The node.
        node: NodeId,
        /// Why.
        reason: LeaveReason,
    },
    /// EC2 recommends to replace the instance of a node.
    RebalanceRecommended {
        /// The node.
        node: NodeId,
    },
    /// The record of a node was removed.
    NodeRemoved {
        /// The node.
        node: NodeId,
    },
    /// The record of a cluster was removed.
    ClusterDeleted {
        /// The cluster.
        cluster: Name,
    },
}
