//! The columns of a node, with what its agent measured.

use super::when;
use crate::output::{Column, View};
use jiff::Timestamp;
use resources::{GpuMetrics, Node};

impl View for Node {
    fn name(&self) -> &str {
        &self.node_id
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let metrics = self.extensions.as_ref();
        let load = metrics.and_then(|it| it.load).map(|load| format!("{load:.1}"));
        let used = metrics.map(|it| memory(it.memory_used_mib, it.memory_total_mib));
        let gpus = metrics.map(|it| it.gpus.as_slice()).unwrap_or_default();
        let of_gpus =
            |show: fn(&GpuMetrics) -> String| gpus.iter().map(show).collect::<Vec<_>>().join(", ");
        let utilization = of_gpus(|gpu| {
            gpu.utilization_percent.map_or_else(|| "?".to_owned(), |percent| format!("{percent}%"))
        });
        let gpu_memory = of_gpus(|gpu| memory(gpu.memory_used_mib, gpu.memory_total_mib));
        vec![
            Column::new("node", &self.node_id).key(),
            Column::new("address", &self.ip_address),
            Column::new("ssh port", format!("{:.0}", self.port)),
            Column::new("load", load.unwrap_or_default()).minor(),
            Column::new("memory", used.unwrap_or_default()).minor(),
            Column::new("gpus", utilization),
            Column::new("gpu memory", gpu_memory).minor(),
            when("seen", metrics.and_then(|it| it.last_seen_time.as_deref()), now).minor(),
        ]
    }
}

/// "4.0/23.5 GiB"
fn memory(used_mib: Option<u64>, total_mib: Option<u64>) -> String {
    let gib = |mib: u64| mib as f64 / 1024.0;
    match (used_mib, total_mib) {
        (Some(used), Some(total)) => format!("{:.1}/{:.1} GiB", gib(used), gib(total)),
        (Some(used), None) => format!("{:.1} GiB", gib(used)),
        (None, Some(_) | None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows_of;
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_show_what_was_measured() {
        insta::assert_snapshot!(rows_of::<Node>(vec![
            json!({ "nodeId": "tvm-1", "ipAddress": "10.0.0.4", "port": 50000 }),
            json!({ "nodeId": "tvm-2", "ipAddress": "10.0.0.5", "port": 50000, "extensions": {
                "lastSeenTime": "2026-01-01T00:09:59Z", "load": 1.25,
                "memoryUsedMib": 4111, "memoryTotalMib": 24111,
                "gpus": [
                    { "utilizationPercent": 87, "memoryUsedMib": 12345, "memoryTotalMib": 81559 },
                    { "memoryUsedMib": 0 },
                ],
            }}),
        ]), @"
        NODE   ADDRESS   SSH PORT  LOAD  MEMORY        GPUS    GPU MEMORY              SEEN
        tvm-1  10.0.0.4  50000
        tvm-2  10.0.0.5  50000     1.2   4.0/23.5 GiB  87%, ?  12.1/79.6 GiB, 0.0 GiB  1s ago
        ");
    }
}
