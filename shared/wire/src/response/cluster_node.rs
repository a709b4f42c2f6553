//! A node of a cluster, an addition to the contract (docs/api.md, "Nodes and queue of a cluster"). It has no address, port
//! or login: those require another role.

#![expect(missing_docs, reason = "docs/api.md describes the fields")]

use super::file_entry::NodeExtensions;
use super::parts::{self, BatchAiError};
use crate::ids;
use model::{
    JobNames, LeaveReason, Node, NodeId, NodeState, Offering, ResourceId, Timestamp, VmPriority,
};
use schemars::JsonSchema;
use serde::Serialize;

/// A node, the job that it runs, and what its agent measured last.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNode {
    pub node_id: NodeId,
    #[schemars(extend("enum" = ["launching", "preparing", "idle", "running", "leaving", "unusable"]))]
    pub state: &'static str,
    /// Since when it has the state, if that is recorded.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub state_transition_time: Option<Timestamp>,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub creation_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parts::optional_instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub ready_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<ResourceId>,
    /// Number of the attempt, with `job`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["shrink", "shrinkWhenDone", "atRisk", "interrupted", "lost", "tooSlow", "clusterDeleted"]))]
    pub leave_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_priority: Option<VmPriority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_micro_usd_per_hour: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<BatchAiError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<NodeExtensions>,
}

impl ClusterNode {
    /// The body of a node. `job` is the job that it runs; without it the attempt is not shown either.
    pub fn of(node: &Node, job: Option<&JobNames>) -> Self {
        let (zone, vm_size, vm_priority) = match &node.offering {
            Offering::Single | Offering::Unknown => (None, None, None),
            Offering::Described { zone, vm_size, priority } => {
                (Some(zone.clone()), Some(vm_size.clone()), Some(*priority))
            }
        };
        Self {
            node_id: node.id.clone(),
            state: node.state.name(),
            state_transition_time: since(node),
            creation_time: node.created_at,
            ready_time: node.ready_at,
            job: job.map(|names| ResourceId { id: ids::job_id(names) }),
            attempt: job.and(node.attempt()).map(|attempt| attempt.number),
            leave_reason: leave_reason(&node.state),
            zone,
            vm_size,
            vm_priority,
            price_micro_usd_per_hour: node.price.micro_usd_per_hour(),
            error: error(&node.state),
            metrics: NodeExtensions::of(node),
        }
    }
}

fn since(node: &Node) -> Option<Timestamp> {
    match node.state {
        NodeState::Launching { .. } => Some(node.created_at),
        NodeState::Idle { since, .. }
        | NodeState::Running { since, .. }
        | NodeState::Unusable { since, .. } => Some(since),
        NodeState::Preparing { .. } | NodeState::Leaving { .. } => None,
    }
}

fn leave_reason(state: &NodeState) -> Option<&'static str> {
    let NodeState::Leaving { reason, .. } = state else { return None };
    Some(match reason {
        LeaveReason::Shrink => "shrink",
        LeaveReason::ShrinkWhenDone => "shrinkWhenDone",
        LeaveReason::AtRisk => "atRisk",
        LeaveReason::Interrupted => "interrupted",
        LeaveReason::Lost => "lost",
        LeaveReason::TooSlow => "tooSlow",
        LeaveReason::ClusterDeleted => "clusterDeleted",
    })
}

fn error(state: &NodeState) -> Option<BatchAiError> {
    let NodeState::Unusable { error, .. } = state else { return None };
    Some(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, instance, job, node, pretty};
    use crate::list;
    use model::{AttemptRef, NodeMetrics, Price, ResourceError};

    fn attempt() -> AttemptRef {
        AttemptRef { job: job().reference(), number: 2 }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one snapshot of a whole list")]
    fn nodes_in_every_state() {
        let instance = instance();
        let error = ResourceError::new("NodeSetupFailed", "The set-up task failed".to_owned());
        let leaving = NodeState::Leaving {
            instance: Some(instance.clone()),
            attempt: Some(attempt()),
            reason: LeaveReason::ShrinkWhenDone,
            deadline: at(99),
        };
        let running = Node {
            offering: Offering::Described {
                zone: "us-east-1a".to_owned(),
                vm_size: "g4dn.xlarge".to_owned(),
                priority: VmPriority::LowPriority,
            },
            price: Price::MicroUsdPerHour(158_400),
            login_port: Some(50_000),
            metrics: Some(NodeMetrics {
                load_percent: 125,
                memory_used_mib: 4111,
                memory_total_mib: 24_111,
                gpus: Vec::new(),
            }),
            seen_at: at(8),
            ..node(
                4,
                NodeState::Running {
                    instance: instance.clone(),
                    attempt: attempt(),
                    since: at(7),
                    ends_by: at(99),
                },
            )
        };
        let nodes = [
            node(1, NodeState::Launching { deadline: at(99) }),
            node(2, NodeState::Preparing { instance: instance.clone(), deadline: at(99) }),
            node(3, NodeState::Idle { instance: instance.clone(), since: at(7) }),
            running,
            node(5, leaving),
            node(6, NodeState::Unusable { instance, since: at(7), error }),
        ];
        let names = job().names;
        let shown = |node: &Node| ClusterNode::of(node, node.attempt().map(|_| &names));
        insta::assert_snapshot!(pretty(&list(nodes.iter().map(shown).collect(), None)), @r#"
        {
          "value": [
            {
              "nodeId": "tvm-0101010101014101",
              "state": "launching",
              "stateTransitionTime": "2018-06-06T20:46:53.03Z",
              "creationTime": "2018-06-06T20:46:53.03Z"
            },
            {
              "nodeId": "tvm-0202020202024202",
              "state": "preparing",
              "creationTime": "2018-06-06T20:46:53.03Z"
            },
            {
              "nodeId": "tvm-0303030303034303",
              "state": "idle",
              "stateTransitionTime": "2018-06-06T20:47:00.03Z",
              "creationTime": "2018-06-06T20:46:53.03Z"
            },
            {
              "nodeId": "tvm-0404040404044404",
              "state": "running",
              "stateTransitionTime": "2018-06-06T20:47:00.03Z",
              "creationTime": "2018-06-06T20:46:53.03Z",
              "job": {
                "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/experiments/first/jobs/train"
              },
              "attempt": 2,
              "zone": "us-east-1a",
              "vmSize": "g4dn.xlarge",
              "vmPriority": "lowpriority",
              "priceMicroUsdPerHour": 158400,
              "metrics": {
                "lastSeenTime": "2018-06-06T20:47:01.03Z",
                "load": 1.25,
                "memoryUsedMib": 4111,
                "memoryTotalMib": 24111,
                "gpus": []
              }
            },
            {
              "nodeId": "tvm-0505050505054505",
              "state": "leaving",
              "creationTime": "2018-06-06T20:46:53.03Z",
              "job": {
                "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/experiments/first/jobs/train"
              },
              "attempt": 2,
              "leaveReason": "shrinkWhenDone"
            },
            {
              "nodeId": "tvm-0606060606064606",
              "state": "unusable",
              "stateTransitionTime": "2018-06-06T20:47:00.03Z",
              "creationTime": "2018-06-06T20:46:53.03Z",
              "error": {
                "code": "NodeSetupFailed",
                "message": "The set-up task failed"
              }
            }
          ]
        }
        "#);
    }

    /// Of a job that the caller may not read, nothing is shown but that the node is in use.
    #[test]
    fn a_job_may_be_left_out() {
        let running = NodeState::Running {
            instance: instance(),
            attempt: attempt(),
            since: at(7),
            ends_by: at(99),
        };
        insta::assert_snapshot!(pretty(&ClusterNode::of(&node(1, running), None)), @r#"
        {
          "nodeId": "tvm-0101010101014101",
          "state": "running",
          "stateTransitionTime": "2018-06-06T20:47:00.03Z",
          "creationTime": "2018-06-06T20:46:53.03Z"
        }
        "#);
    }
}
