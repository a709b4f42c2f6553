//! The nodes of a cluster or a job, as `listRemoteLoginInformation` answers them.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub node_id: String,
    #[serde(default)]
    pub ip_address: String,
    #[serde(default)]
    pub port: f64,
    #[serde(default)]
    pub extensions: Option<NodeMetrics>,
}

/// What the agent of the node measured last.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMetrics {
    pub last_seen_time: Option<String>,
    /// The load average of the last minute.
    pub load: Option<f64>,
    pub memory_used_mib: Option<u64>,
    pub memory_total_mib: Option<u64>,
    pub gpus: Vec<GpuMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GpuMetrics {
    pub utilization_percent: Option<u64>,
    pub memory_used_mib: Option<u64>,
    pub memory_total_mib: Option<u64>,
}
