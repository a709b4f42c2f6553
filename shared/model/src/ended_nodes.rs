//! What is kept of a node after its removal: when it was requested, ready and removed, and why it ended.
//!
//! The commit that removes a node stores it. Nothing reads it to decide anything, so it may expire.

use crate::error::shortened;
use crate::{
    ClusterRef, LeaveReason, Node, NodeId, NodeState, Offering, Price, Timestamp, VmPriority,
    limits,
};
use serde::{Deserialize, Serialize};

/// Why a node ended. The first reason counts, as an instance that was asked to stop is seen as lost
/// afterwards; only an interruption replaces a planned reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum NodeEnd {
    /// The cluster had more nodes than it needed.
    Shrink,
    /// EC2 recommended to replace its instance.
    AtRisk,
    /// The instance was interrupted (spot).
    Interrupted,
    /// The instance ended without a notice, or was silent beyond its lease.
    Lost,
    /// Launch or preparation took longer than its deadline.
    TooSlow,
    /// The cluster was deleted.
    ClusterDeleted,
    /// It was unusable, and was replaced.
    Unusable {
        /// Code of the error.
        code: String,
    },
    /// There was no instance for it.
    NotLaunched {
        /// Code of the error of the launch, if the provider named one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
}

/// A node that was removed, or several of one launch that got no instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedNodes {
    /// Their ids. Several nodes are one record only if everything else is the same, so that a launch
    /// without capacity costs one write.
    pub ids: Vec<NodeId>,
    /// Their cluster.
    pub cluster: ClusterRef,
    /// The instance, if the node ever had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// When they were requested.
    pub created_at: Timestamp,
    /// When the node took its first job, or could have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// When they were removed.
    pub removed_at: Timestamp,
    /// Why they ended.
    pub end: NodeEnd,
    /// The market that was requested.
    pub priority: VmPriority,
    /// What the provider gave.
    #[serde(default, skip_serializing_if = "Offering::is_single")]
    pub offering: Offering,
    /// What an hour cost.
    #[serde(default, skip_serializing_if = "Price::is_not_asked")]
    pub price: Price,
    /// The end of the record, in seconds since 1970 (the unit of DynamoDB's time to live).
    pub expires_at: i64,
}

impl NodeEnd {
    /// An unusable node.
    pub fn unusable(code: &str) -> Self {
        Self::Unusable { code: shortened(code, limits::MAX_ERROR_CODE_BYTES) }
    }

    /// A node without an instance.
    pub fn not_launched(code: Option<&str>) -> Self {
        let code = code.map(|code| shortened(code, limits::MAX_ERROR_CODE_BYTES));
        Self::NotLaunched { code }
    }

    /// The reason of a node that leaves, after the reason that was recorded before.
    pub(crate) fn after(before: Option<Self>, leaves: LeaveReason) -> Self {
        match (before, leaves) {
            (Some(before @ (Self::Unusable { .. } | Self::Interrupted)), _) => before,
            (_, LeaveReason::Interrupted) => Self::Interrupted,
            (Some(before), _) => before,
            (None, LeaveReason::Shrink | LeaveReason::ShrinkWhenDone) => Self::Shrink,
            (None, LeaveReason::AtRisk) => Self::AtRisk,
            (None, LeaveReason::Lost) => Self::Lost,
            (None, LeaveReason::TooSlow) => Self::TooSlow,
            (None, LeaveReason::ClusterDeleted) => Self::ClusterDeleted,
        }
    }

    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shrink => "shrink",
            Self::AtRisk => "atRisk",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
            Self::TooSlow => "tooSlow",
            Self::ClusterDeleted => "clusterDeleted",
            Self::Unusable { .. } => "unusable",
            Self::NotLaunched { .. } => "notLaunched",
        }
    }

    /// The code of the error behind it.
    pub fn error_code(&self) -> Option<&str> {
        match self {
            Self::Unusable { code } => Some(code),
            Self::NotLaunched { code } => code.as_deref(),
            Self::Shrink
            | Self::AtRisk
            | Self::Interrupted
            | Self::Lost
            | Self::TooSlow
            | Self::ClusterDeleted => None,
        }
    }
}

impl EndedNodes {
    /// The record of a node that is removed now. `launch_error` is the code of the error of its launch, for a
    /// node that still waits for an instance.
    pub fn of(node: &Node, launch_error: Option<&str>, now: Timestamp) -> Self {
        let end = match (&node.state, &node.end) {
            (_, Some(end)) => end.clone(),
            (NodeState::Launching { .. }, None) => NodeEnd::not_launched(launch_error),
            // A leaving or unusable node has a reason, unless an earlier version wrote its record.
            (NodeState::Leaving { reason, .. }, None) => NodeEnd::after(None, *reason),
            (NodeState::Unusable { error, .. }, None) => NodeEnd::unusable(&error.code),
            (
                NodeState::Preparing { .. } | NodeState::Idle { .. } | NodeState::Running { .. },
                None,
            ) => NodeEnd::Lost,
        };
        let expires_at = now.plus_seconds(limits::ENDED_NODE_SECONDS).epoch_seconds();
        Self {
            ids: vec![node.id.clone()],
            cluster: node.cluster.clone(),
            instance: node.instance().map(|it| it.id.clone()),
            created_at: node.created_at,
            ready_at: node.ready_at,
            removed_at: now,
            end,
            priority: node.charge.priority,
            offering: node.offering.clone(),
            price: node.price,
            expires_at,
        }
    }

    /// Whether nothing but the ids differs, as among the nodes of a launch without capacity. Each node with an
    /// instance is different.
    pub fn is_like(&self, other: &Self) -> bool {
        *self == Self { ids: self.ids.clone(), ..other.clone() }
    }

    /// Whether the record is still kept. DynamoDB deletes expired items some days late.
    pub fn is_kept(&self, now: Timestamp) -> bool {
        now.epoch_seconds() < self.expires_at
    }

    /// What the node cost, from its request to its removal, in micro-dollars; `None` if the price is not known.
    pub fn cost_micro_usd(&self) -> Option<u64> {
        let price = self.price.micro_usd_per_hour()?;
        Some(crate::price::cost_micro_usd(price, self.created_at, self.removed_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Charge, Instance, Name, ResourceError, Uid};

    const REQUESTED: Timestamp = Timestamp(1_000);
    const READY: Timestamp = Timestamp(61_000);
    const REMOVED: Timestamp = Timestamp(3_601_000);

    fn launching(id: &str) -> Node {
        let uid = || Uid::from_bytes([1; 16]);
        let account = Account { subscription: Name::new("s"), location: Name::new("l") };
        let charge = Charge::of(account, VmPriority::LowPriority, "STANDARD_D1");
        let cluster = ClusterRef { workspace: uid(), name: "c".into(), uid: uid() };
        Node::launching(NodeId::parse(id).unwrap(), cluster, uid(), charge, REQUESTED)
    }

    fn preparing() -> Node {
        let instance = Instance { id: "i-1".into(), address: "10.0.0.4".into() };
        launching("n").launched(instance, REQUESTED).unwrap()
    }

    fn idle() -> Node {
        preparing().prepared(READY).unwrap()
    }

    fn ended(node: &Node) -> EndedNodes {
        EndedNodes::of(node, Some("InsufficientInstanceCapacity"), REMOVED)
    }

    fn left(node: Node, reasons: &[LeaveReason]) -> NodeEnd {
        let leave = |node: Node, reason: &LeaveReason| node.leave(*reason, REMOVED).unwrap();
        ended(&reasons.iter().fold(node, leave)).end
    }

    /// An instance that was stopped or interrupted is seen as lost before its node is removed.
    #[test]
    fn the_first_reason_counts_and_an_interruption_more() {
        use LeaveReason::*;
        assert_eq!(left(idle(), &[Shrink, Lost]), NodeEnd::Shrink);
        assert_eq!(left(idle(), &[ShrinkWhenDone, ClusterDeleted]), NodeEnd::Shrink);
        assert_eq!(left(idle(), &[AtRisk, Interrupted, Lost]), NodeEnd::Interrupted);
        assert_eq!(left(idle(), &[Lost]), NodeEnd::Lost);
        assert_eq!(left(launching("n"), &[TooSlow, Lost]), NodeEnd::TooSlow);
        assert_eq!(left(preparing(), &[ClusterDeleted]), NodeEnd::ClusterDeleted);
        let failed = idle().failed(ResourceError::new("SetupTaskFailed", ""), READY).unwrap();
        let unusable = NodeEnd::unusable("SetupTaskFailed");
        assert_eq!(left(failed.clone(), &[]), unusable);
        assert_eq!(left(failed, &[Shrink, Interrupted, Lost]), unusable);
    }

    /// Such as one whose record an earlier version wrote.
    #[test]
    fn a_node_without_a_recorded_reason_has_that_of_its_state() {
        let code = "InsufficientInstanceCapacity";
        assert_eq!(ended(&launching("n")).end, NodeEnd::not_launched(Some(code)));
        assert_eq!(ended(&idle()).end, NodeEnd::Lost);
        let mut leaving = idle().leave(LeaveReason::AtRisk, REMOVED).unwrap();
        leaving.end = None;
        assert_eq!(ended(&leaving).end, NodeEnd::AtRisk);
        let mut unusable = idle().failed(ResourceError::new(&"C".repeat(500), ""), READY).unwrap();
        unusable.end = None;
        let code = ended(&unusable).end.error_code().map(str::len);
        assert_eq!(code, Some(limits::MAX_ERROR_CODE_BYTES));
    }

    #[test]
    fn an_hour_of_a_node() {
        let node = Node { price: Price::MicroUsdPerHour(158_400), ..idle() };
        let ended = ended(&node.leave(LeaveReason::Interrupted, REMOVED).unwrap());
        assert_eq!(ended.cost_micro_usd(), Some(158_400));
        assert_eq!((ended.created_at, ended.ready_at), (REQUESTED, Some(READY)));
        let last = Timestamp(ended.expires_at * 1000 - 1);
        assert!(ended.is_kept(last) && !ended.is_kept(Timestamp(ended.expires_at * 1000)));
        let text = serde_json::to_string(&ended).unwrap();
        assert_eq!(serde_json::from_str::<EndedNodes>(&text).unwrap(), ended);
        assert!(text.contains(r#""end":{"kind":"interrupted"}"#), "{text}");
    }

    #[test]
    fn only_nodes_without_an_instance_are_alike() {
        let (first, mut second) = (ended(&launching("a")), ended(&launching("b")));
        assert!(first.is_like(&second) && second.is_like(&first));
        assert!(!first.is_like(&ended(&idle())));
        second.priority = VmPriority::Dedicated;
        assert!(!first.is_like(&second));
    }
}
