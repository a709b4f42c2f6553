//! What agents measure on their nodes.

use serde::{Deserialize, Serialize};

/// Load, memory and GPUs of a node, as its agent measured them last, about a minute ago at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// The load average of the last minute, multiplied by 100.
    pub load_percent: u32,
    /// Memory that is not available for further processes, in MiB.
    pub memory_used_mib: u32,
    /// Memory of the machine, in MiB.
    pub memory_total_mib: u32,
    /// The GPUs of the node, in the order of `nvidia-smi`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuMetrics>,
}

/// The metrics of a GPU. What its driver does not measure is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuMetrics {
    /// Percent of the time in which the GPU was busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<u32>,
    /// Memory in use, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_mib: Option<u32>,
    /// Memory of the GPU, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_mib: Option<u32>,
}
