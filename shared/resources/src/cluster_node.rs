//! The nodes of a cluster, as `GET …/clusters/{cluster}/nodes` answers them: their states and jobs, but no logins.

use crate::node::NodeMetrics;
use crate::{Problem, Reference};
use serde::Deserialize;
use std::fmt;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNode {
    pub node_id: String,
    #[serde(default)]
    pub state: NodeState,
    /// Absent where the service has not recorded it.
    #[serde(default)]
    pub state_transition_time: Option<String>,
    #[serde(default)]
    pub creation_time: Option<String>,
    /// Absent before it is ready.
    #[serde(default)]
    pub ready_time: Option<String>,
    /// The job that it runs, if the caller may read that.
    #[serde(default)]
    pub job: Option<Reference>,
    /// Number of the attempt of `job`.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// Why it leaves, in one word such as `interrupted`.
    #[serde(default)]
    pub leave_reason: Option<String>,
    #[serde(default)]
    pub zone: Option<String>,
    #[serde(default)]
    pub vm_size: Option<String>,
    /// `dedicated` or `lowpriority`.
    #[serde(default)]
    pub vm_priority: Option<String>,
    /// In millionths of a US dollar.
    #[serde(default)]
    pub price_micro_usd_per_hour: Option<u64>,
    /// Why it is unusable.
    #[serde(default)]
    pub error: Option<Problem>,
    #[serde(default)]
    pub metrics: Option<NodeMetrics>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    Launching,
    Preparing,
    Idle,
    Running,
    Leaving,
    Unusable,
    #[default]
    #[serde(other)]
    Unknown,
}

impl fmt::Display for NodeState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Launching => "launching",
            Self::Preparing => "preparing",
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Leaving => "leaving",
            Self::Unusable => "unusable",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_node_can_be_read() {
        let node: ClusterNode = serde_json::from_str(
            r#"{"nodeId":"tvm-0404040404044404-p","state":"running",
                "stateTransitionTime":"2018-06-06T20:47:00.03Z",
                "creationTime":"2018-06-06T20:46:53.03Z",
                "job":{"id":"/subscriptions/s/x/jobs/train"},"attempt":2,
                "zone":"us-east-1a","vmSize":"g4dn.xlarge","vmPriority":"lowpriority",
                "priceMicroUsdPerHour":158400,
                "metrics":{"lastSeenTime":"2018-06-06T20:47:01.03Z","load":1.25,
                "memoryUsedMib":4111,"memoryTotalMib":24111,"gpus":[]}}"#,
        )
        .unwrap();
        assert_eq!((node.state, node.attempt), (NodeState::Running, Some(2)));
        assert_eq!(node.job.unwrap().id, "/subscriptions/s/x/jobs/train");
        assert_eq!(node.price_micro_usd_per_hour, Some(158_400));
        assert_eq!(node.metrics.unwrap().load, Some(1.25));
    }

    /// A later service may add states.
    #[test]
    fn a_node_may_have_an_unknown_state_and_nothing_else() {
        let node: ClusterNode = serde_json::from_str(r#"{"nodeId":"n","state":"asleep"}"#).unwrap();
        assert_eq!(node.state.to_string(), "unknown");
        assert!(node.error.is_none() && node.metrics.is_none());
    }
}
