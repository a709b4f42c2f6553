//! Nodes that were removed, an addition to the contract (docs/api.md, "Ended nodes").

#![expect(missing_docs, reason = "docs/api.md describes the fields")]

use super::parts;
use model::{EndedNodes, NodeId, Offering, Timestamp, VmPriority};
use schemars::JsonSchema;
use serde::Serialize;

/// A node that was removed, or several of one launch that got no instances.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndedNodes")]
pub struct EndedNodesBody {
    pub node_ids: Vec<NodeId>,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub creation_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub ready_time: Option<Timestamp>,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub removal_time: Timestamp,
    #[schemars(extend("enum" = ["shrink", "atRisk", "interrupted", "lost", "tooSlow", "clusterDeleted", "unusable", "notLaunched"]))]
    pub end_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_size: Option<String>,
    pub vm_priority: VmPriority,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_micro_usd_per_hour: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<u64>,
}

impl EndedNodesBody {
    /// The body of a record.
    pub fn of(ended: &EndedNodes) -> Self {
        let (zone, vm_size, vm_priority) = match &ended.offering {
            Offering::Single | Offering::Unknown => (None, None, ended.priority),
            Offering::Described { zone, vm_size, priority } => {
                (Some(zone.clone()), Some(vm_size.clone()), *priority)
            }
        };
        Self {
            node_ids: ended.ids.clone(),
            creation_time: ended.created_at,
            ready_time: ended.ready_at,
            removal_time: ended.removed_at,
            end_reason: ended.end.name(),
            error_code: ended.end.error_code().map(str::to_owned),
            zone,
            vm_size,
            vm_priority,
            price_micro_usd_per_hour: ended.price.micro_usd_per_hour(),
            cost_micro_usd: ended.cost_micro_usd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, instance, node, pretty};
    use crate::list;
    use model::{LeaveReason, Node, NodeState, Price};

    #[test]
    fn an_interrupted_node_and_a_launch_without_capacity() {
        let offering = Offering::Described {
            zone: "us-east-1a".to_owned(),
            vm_size: "g4dn.xlarge".to_owned(),
            priority: VmPriority::LowPriority,
        };
        let preparing = NodeState::Preparing { instance: instance(), deadline: at(99) };
        let price = Price::MicroUsdPerHour(158_400);
        let ran = Node { offering, price, ..node(1, preparing) };
        let ran = ran.prepared(at(90)).and_then(|it| it.leave(LeaveReason::Interrupted, at(3500)));
        let code = Some("InsufficientInstanceCapacity");
        let mut waited =
            EndedNodes::of(&node(2, NodeState::Launching { deadline: at(9) }), code, at(5));
        waited.ids.push(NodeId::new(&crate::fixtures::uid(3), false));
        let ended = [EndedNodes::of(&ran.unwrap(), None, at(3600)), waited];
        let bodies = ended.iter().map(EndedNodesBody::of).collect();
        insta::assert_snapshot!(pretty(&list(bodies, None)), @r#"
        {
          "value": [
            {
              "nodeIds": [
                "tvm-0101010101014101"
              ],
              "creationTime": "2018-06-06T20:46:53.03Z",
              "readyTime": "2018-06-06T20:48:23.03Z",
              "removalTime": "2018-06-06T21:46:53.03Z",
              "endReason": "interrupted",
              "zone": "us-east-1a",
              "vmSize": "g4dn.xlarge",
              "vmPriority": "lowpriority",
              "priceMicroUsdPerHour": 158400,
              "costMicroUsd": 158400
            },
            {
              "nodeIds": [
                "tvm-0202020202024202",
                "tvm-0303030303034303"
              ],
              "creationTime": "2018-06-06T20:46:53.03Z",
              "removalTime": "2018-06-06T20:46:58.03Z",
              "endReason": "notLaunched",
              "errorCode": "InsufficientInstanceCapacity",
              "vmPriority": "dedicated"
            }
          ]
        }
        "#);
    }
}
