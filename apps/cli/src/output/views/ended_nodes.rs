//! Nodes that were removed.

use super::{Column, View, when};
use jiff::{SignedDuration, Timestamp};
use resources::{EndedNodes, time};

impl View for EndedNodes {
    fn name(&self) -> &str {
        self.node_ids.first().map_or("", String::as_str)
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let shown =
            |duration: Option<SignedDuration>| duration.map(time::format).unwrap_or_default();
        let cost = self.cost_micro_usd.map(resources::dollars).unwrap_or_default();
        vec![
            Column::new("node", self.nodes()).key(),
            when("requested", Some(&self.creation_time), now),
            Column::new("ready after", shown(self.ready_after())),
            Column::new("lived", shown(self.lived())),
            Column::new("why it left", self.why()).key(),
            Column::new("cost", cost),
            Column::new("zone", self.zone.clone().unwrap_or_default()).minor(),
            Column::new("size", self.vm_size.clone().unwrap_or_default()).minor(),
            Column::new("priority", self.vm_priority.clone().unwrap_or_default()).minor(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows_of;
    use super::*;
    use serde_json::json;

    #[test]
    fn ended_nodes_show_why_they_left() {
        insta::assert_snapshot!(rows_of::<EndedNodes>(vec![
            json!({ "nodeIds": ["tvm-2-p"], "creationTime": "2026-01-01T00:00:00Z",
                "readyTime": "2026-01-01T00:00:50Z", "removalTime": "2026-01-01T00:09:00Z",
                "endReason": "interrupted", "zone": "us-east-1a", "vmSize": "g4dn.xlarge",
                "vmPriority": "lowpriority", "costMicroUsd": 23_760 }),
            json!({ "nodeIds": ["tvm-1", "tvm-0"], "creationTime": "2026-01-01T00:00:00Z",
                "removalTime": "2026-01-01T00:00:02Z", "vmPriority": "dedicated",
                "endReason": "notLaunched", "errorCode": "InsufficientInstanceCapacity" }),
        ]), @"
        NODE              REQUESTED  READY AFTER  LIVED  WHY IT LEFT                                COST     ZONE        SIZE         PRIORITY
        tvm-2-p           10m ago    50s          9m     interrupted                                $0.0238  us-east-1a  g4dn.xlarge  lowpriority
        tvm-1 and 1 more  10m ago                 2s     no instance: InsufficientInstanceCapacity                                    dedicated
        ");
    }
}
