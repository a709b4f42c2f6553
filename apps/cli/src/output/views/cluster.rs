//! The columns of a cluster.

use super::{provisioning, when};
use crate::output::{Column, Style, View};
use jiff::Timestamp;
use resources::{Cluster, ClusterProperties, NodeStateCounts};

impl View for Cluster {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let properties = &self.properties;
        let error = properties.errors.first().map(|error| error.message.clone());
        vec![
            Column::new("name", &self.name).key(),
            cluster_state(properties),
            Column::new("size", &properties.vm_size).minor(),
            Column::new("priority", &properties.vm_priority).minor(),
            Column::new("scale", scale(properties)),
            Column::new(
                "nodes",
                nodes(properties.current_node_count, &properties.node_state_counts),
            ),
            when("created", properties.creation_time.as_deref(), now).minor(),
            Column::new("note", error.unwrap_or_default()).styled(Style::Bad).note(),
        ]
    }

    fn details(&self, _now: Timestamp) -> Vec<Column> {
        let errors = self.properties.errors.iter().skip(1);
        let mut columns: Vec<_> = errors
            .map(|error| Column::new("error", error.to_string()).styled(Style::Bad))
            .collect();
        columns.push(Column::new("id", &self.id));
        columns
    }
}

/// The allocation state, unless the cluster is being created or deleted.
fn cluster_state(properties: &ClusterProperties) -> Column {
    match (properties.provisioning_state.as_str(), properties.allocation_state.as_str()) {
        ("succeeded" | "", state @ "steady") => Column::new("state", state).styled(Style::Good),
        ("succeeded" | "", state) => Column::new("state", state).styled(Style::Active),
        (state, _) => provisioning(state),
    }
}

fn scale(properties: &ClusterProperties) -> String {
    let settings = &properties.scale_settings;
    match (&settings.auto_scale, &settings.manual) {
        (Some(auto), _) => {
            format!("auto {}..{}", auto.minimum_node_count, auto.maximum_node_count)
        }
        (None, Some(manual)) => format!("manual {}", manual.target_node_count),
        (None, None) => String::new(),
    }
}

/// "3: 2 running, 1 idle"
pub fn nodes(total: u32, counts: &NodeStateCounts) -> String {
    let kinds = [
        (counts.running_node_count, "running"),
        (counts.idle_node_count, "idle"),
        (counts.preparing_node_count, "preparing"),
        (counts.leaving_node_count, "leaving"),
        (counts.unusable_node_count, "unusable"),
    ];
    let parts: Vec<_> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    if parts.is_empty() { total.to_string() } else { format!("{total}: {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rows_of;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn clusters_show_node_counts() {
        let cluster = |name: &str, more: Value| {
            let mut cluster = json!({ "name": name, "properties": {
                "provisioningState": "succeeded", "allocationState": "resizing",
                "vmSize": "STANDARD_NC6", "vmPriority": "lowpriority", "currentNodeCount": 3,
                "creationTime": "2026-01-01T00:00:00Z",
                "nodeStateCounts": { "runningNodeCount": 2, "idleNodeCount": 0,
                    "preparingNodeCount": 1, "leavingNodeCount": 0, "unusableNodeCount": 0 },
                "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 4 } },
            }});
            for (key, value) in more.as_object().unwrap() {
                cluster["properties"][key] = value.clone();
            }
            cluster
        };
        let empty = json!({
            "allocationState": "steady", "currentNodeCount": 0, "nodeStateCounts": {},
            "vmPriority": "dedicated", "scaleSettings": { "manual": { "targetNodeCount": 0 } },
            "errors": [{ "code": "NoCapacity", "message": "There is no capacity at the moment" }],
        });
        insta::assert_snapshot!(rows_of::<Cluster>(vec![
            cluster("spot", json!({})),
            cluster("fixed", empty),
            cluster("old", json!({ "provisioningState": "deleting" })),
        ]), @"
        NAME   STATE     SIZE          PRIORITY     SCALE      NODES                      CREATED  NOTE
        spot   resizing  STANDARD_NC6  lowpriority  auto 0..4  3: 2 running, 1 preparing  10m ago
        fixed  steady    STANDARD_NC6  dedicated    manual 0   0                          10m ago  There is no capacity at the moment
        old    deleting  STANDARD_NC6  lowpriority  auto 0..4  3: 2 running, 1 preparing  10m ago
        ");
    }
}
