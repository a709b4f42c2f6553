//! What agents measure on nodes. Stored with the node, for display: no decision reads it.

use crate::limits;
use serde::{Deserialize, Serialize};

/// Load, memory and GPUs of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMetrics {
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

/// The metrics of a GPU. What its driver does not measure is `None`. Stored as a list of three
/// numbers, so that the record of a node with seven GPUs stays within one write unit; with eight it takes two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Triple", into = "Triple")]
pub struct GpuMetrics {
    /// Percent of the time in which the GPU was busy.
    pub utilization_percent: Option<u32>,
    /// Memory in use, in MiB.
    pub memory_used_mib: Option<u32>,
    /// Memory of the GPU, in MiB.
    pub memory_total_mib: Option<u32>,
}

type Triple = (Option<u32>, Option<u32>, Option<u32>);

impl NodeMetrics {
    /// The metrics with no more GPUs than are stored.
    pub fn within_limits(mut self) -> Self {
        self.gpus.truncate(limits::MAX_MEASURED_GPUS);
        self
    }
}

impl From<Triple> for GpuMetrics {
    fn from((utilization_percent, memory_used_mib, memory_total_mib): Triple) -> Self {
        Self { utilization_percent, memory_used_mib, memory_total_mib }
    }
}

impl From<GpuMetrics> for Triple {
    fn from(gpu: GpuMetrics) -> Self {
        (gpu.utilization_percent, gpu.memory_used_mib, gpu.memory_total_mib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_stored_in_few_bytes() {
        let gpu = GpuMetrics {
            utilization_percent: Some(87),
            memory_used_mib: Some(12_345),
            memory_total_mib: None,
        };
        let metrics = NodeMetrics {
            load_percent: 250,
            memory_used_mib: 1,
            memory_total_mib: 2,
            gpus: vec![gpu; 100],
        };
        let metrics = metrics.within_limits();
        assert_eq!(metrics.gpus.len(), limits::MAX_MEASURED_GPUS);
        let one = NodeMetrics { gpus: vec![gpu], ..metrics };
        let text = serde_json::to_string(&one).unwrap();
        let expected = r#"{"load_percent":250,"memory_used_mib":1,"memory_total_mib":2,"gpus":[[87,12345,null]]}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<NodeMetrics>(&text).unwrap(), one);
    }
}
