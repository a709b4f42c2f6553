//! Launches: one request for the instances of several nodes, and which instance each node got.
//!
//! The record is written with its nodes, before the request is sent. It is removed with the commit
//! after which none of its nodes waits for an instance. While it exists the request is repeated to
//! the letter; every binding of an instance is a write of this record, so that no instance is bound
//! twice.

use crate::{
    ClusterRef, Instance, LaunchId, NodeId, Offering, Pool, PoolRefusal, ResourceError, Timestamp,
    VmPriority, limits,
};
use serde::{Deserialize, Serialize};

/// The record of a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Incremented by every write.
    pub version: u64,
    /// What was requested. It never changes.
    pub request: LaunchRequest,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// What each node of the request got, in the same order.
    pub claims: Vec<Claim>,
}

/// A request for instances. Its id is the idempotency token, so a repetition has the same content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRequest {
    /// Id of the launch: idempotency token and tag of every instance.
    pub launch: LaunchId,
    /// The cluster.
    pub cluster: ClusterRef,
    /// The nodes, one instance for each.
    pub nodes: Vec<NodeId>,
    /// Preferred VM size.
    pub vm_size: String,
    /// Other acceptable sizes, in the order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternate_vm_sizes: Vec<String>,
    /// On-demand or spot.
    pub priority: VmPriority,
    /// The nodes are for one gang: all of them are in one zone, and all of one size, or there are none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gang: bool,
    /// Where, and from which image.
    #[serde(default, skip_serializing_if = "Placement::is_open")]
    pub placement: Placement,
}

/// What was chosen when the launch was planned. What is empty is left to the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Names of the zones, where the launch is limited to some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Ids of the subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    /// Id of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Ids of security groups, besides that of the stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Id of a capacity reservation, or the ARN of a resource group of reservations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_reservation: Option<String>,
    /// Pools that refused an earlier launch, and are not used where others are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<Pool>,
}

impl Placement {
    /// Whether everything is left to the provider.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// What is known of the instances before the provider has described them.
    pub fn offering(&self) -> Offering {
        match self.zones.is_empty() && self.subnets.is_empty() {
            true => Offering::Single,
            false => Offering::Unknown,
        }
    }
}

/// What a node of a launch got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Claim {
    /// Nothing yet.
    Waiting,
    /// This instance. No other node of the launch gets it, even after this node is removed.
    Bound {
        /// Id of the instance.
        instance: String,
    },
    /// Nothing: the node leaves, or was removed.
    Withdrawn,
}

/// An instance of a launch, as far as the provider describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchedInstance {
    /// Its id.
    pub id: String,
    /// Its private IP address, once that is known.
    pub address: Option<String>,
    /// Its node, where the provider launches each instance for one node. `None` where all instances of a
    /// launch are alike.
    pub node: Option<NodeId>,
    /// What it is, and where.
    pub offering: Offering,
}

/// The outcome of a launch, which may succeed in part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchOutcome {
    /// All instances of the launch.
    pub launched: Vec<LaunchedInstance>,
    /// Why there are not more of them.
    pub refused: Option<ResourceError>,
    /// The pools that gave none, also where others did. Empty where the provider has no pools.
    pub pools: Vec<PoolRefusal>,
}

impl LaunchedInstance {
    /// The instance, once its address is known.
    pub fn described(&self) -> Option<Instance> {
        let address = self.address.clone()?;
        Some(Instance { id: self.id.clone(), address })
    }
}

impl Launch {
    /// A launch that is requested next.
    pub fn new(request: LaunchRequest, now: Timestamp) -> Self {
        let claims = vec![Claim::Waiting; request.nodes.len()];
        Self { version: 1, request, created_at: now, claims }
    }

    /// The reference of the launch.
    pub fn id(&self) -> &LaunchId {
        &self.request.launch
    }

    /// The nodes that wait for an instance, in the order of the request.
    pub fn waiting(&self) -> impl Iterator<Item = &NodeId> {
        let claims = self.request.nodes.iter().zip(&self.claims);
        claims.filter(|(_, claim)| **claim == Claim::Waiting).map(|(node, _)| node)
    }

    /// Whether no node waits for an instance.
    pub fn is_settled(&self) -> bool {
        self.waiting().next().is_none()
    }

    /// Whether a node of the launch has this instance, or had it.
    pub fn has_bound(&self, instance: &str) -> bool {
        let same = |claim: &Claim| matches!(claim, Claim::Bound { instance: it } if it == instance);
        self.claims.iter().any(same)
    }

    /// The node has this instance now, or, with none, waits no longer. The first claim counts.
    pub fn settle(&mut self, node: &NodeId, instance: Option<&Instance>) {
        for (id, claim) in self.request.nodes.iter().zip(&mut self.claims) {
            if id == node && *claim == Claim::Waiting {
                *claim = match instance {
                    Some(instance) => Claim::Bound { instance: instance.id.clone() },
                    None => Claim::Withdrawn,
                };
            }
        }
    }

    /// When its nodes have to be up.
    pub fn deadline(&self) -> Timestamp {
        self.created_at.plus_seconds(limits::LAUNCH_DEADLINE_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uid;

    fn node(name: &str) -> NodeId {
        NodeId::parse(name).unwrap()
    }

    fn launch(nodes: &[&str]) -> Launch {
        let uid = |byte| Uid::from_bytes([byte; 16]);
        let request = LaunchRequest {
            launch: uid(1),
            cluster: ClusterRef { workspace: uid(2), name: "c".into(), uid: uid(3) },
            nodes: nodes.iter().map(|name| node(name)).collect(),
            vm_size: "STANDARD_D1".into(),
            alternate_vm_sizes: vec![],
            priority: VmPriority::Dedicated,
            is_gang: false,
            placement: Placement::default(),
        };
        Launch::new(request, Timestamp(1000))
    }

    fn instance(id: &str) -> Instance {
        Instance { id: id.into(), address: "10.0.0.1".into() }
    }

    #[test]
    fn a_launch_is_settled_when_no_node_waits() {
        let mut launch = launch(&["a", "b"]);
        assert_eq!(launch.waiting().collect::<Vec<_>>(), [&node("a"), &node("b")]);
        launch.settle(&node("a"), Some(&instance("i-1")));
        assert!(launch.has_bound("i-1") && !launch.has_bound("i-2") && !launch.is_settled());
        assert_eq!(launch.waiting().collect::<Vec<_>>(), [&node("b")]);
        launch.settle(&node("a"), Some(&instance("i-2")));
        launch.settle(&node("other"), Some(&instance("i-2")));
        assert!(!launch.has_bound("i-2"), "a claim does not change");
        launch.settle(&node("b"), None);
        assert!(launch.is_settled());
        assert_eq!(launch.deadline(), Timestamp(1000 + 15 * 60 * 1000));
    }

    #[test]
    fn a_stored_launch_is_read_again() {
        let mut stored = launch(&["a", "b", "c"]);
        stored.settle(&node("b"), Some(&instance("i-1")));
        stored.settle(&node("c"), None);
        let text = serde_json::to_string(&stored).unwrap();
        assert!(!text.contains("placement"), "{text}");
        assert_eq!(serde_json::from_str::<Launch>(&text).unwrap(), stored);
        let zones = vec!["z".to_owned()];
        stored.request.placement = Placement { zones, ..Placement::default() };
        assert!(!stored.request.placement.is_open());
        assert_eq!(stored.request.placement.offering(), Offering::Unknown);
        assert_eq!(Placement::default().offering(), Offering::Single);
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<Launch>(&text).unwrap(), stored);
    }

    #[test]
    fn an_instance_without_an_address_is_not_described() {
        let mut it = LaunchedInstance {
            id: "i".into(),
            address: None,
            node: None,
            offering: Offering::Single,
        };
        assert_eq!(it.described(), None);
        it.address = Some("10.0.0.1".into());
        assert_eq!(it.described(), Some(instance("i")));
    }
}
