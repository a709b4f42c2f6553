//! What a queued job waits for, in words for the person who asks.

use model::{Cluster, QueueEntry, ResourceError, ScaleSettings, Timestamp};

/// What the cluster can never give first, then settings (the user can change them), then failures,
/// then plain lack of free nodes. `blocked` says why the cluster gets no nodes at all.
pub fn explain(
    cluster: &Cluster,
    blocked: Option<&ResourceError>,
    entry: &QueueEntry,
    now: Timestamp,
) -> String {
    let (needs, name) = (entry.node_count, &cluster.name);
    if let Some(ResourceError { code, message, .. }) = blocked {
        return format!(
            "Waits for another cluster: {name} gets no nodes ({code}: {message}). Delete the job, and submit it to a cluster without that."
        );
    }
    match cluster.scale {
        ScaleSettings::Manual { target_node_count, .. } if needs > target_node_count => {
            return format!(
                "Waits for a setting: the job needs {needs} node(s), but cluster {name} is scaled manually to {target_node_count}. Set targetNodeCount to at least {needs}, or scale automatically."
            );
        }
        ScaleSettings::AutoScale { maximum_node_count, .. } if needs > maximum_node_count => {
            return format!(
                "Waits for a setting: the job needs {needs} node(s), but cluster {name} may have at most {maximum_node_count}. Set maximumNodeCount to at least {needs}."
            );
        }
        ScaleSettings::Manual { .. } | ScaleSettings::AutoScale { .. } => {}
    }
    if now < cluster.health.not_before {
        let why = cluster
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({}: {})", error.code, error.message));
        return format!(
            "Waits for capacity: the last {} launch(es) of nodes for cluster {name} failed{why}; the next one is tried at {}.",
            cluster.health.failures, cluster.health.not_before
        );
    }
    format!(
        "Waits for {needs} free node(s) of cluster {name}, which has {} of at most {}.",
        cluster.planned_nodes,
        cluster.scale.ceiling()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::*;
    use model::LaunchHealth;

    fn check(cluster: &Cluster, width: u32, expected: &str) {
        let text = explain(cluster, None, &queued("a", width), NOW);
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_cluster_that_gets_no_nodes_says_why() {
        let why = ResourceError::new("MountNotProvided", "No shares here");
        let text = explain(&manual_cluster(0), Some(&why), &queued("a", 1), NOW);
        let expected = "Waits for another cluster: c gets no nodes (MountNotProvided: No shares";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn the_first_thing_in_the_way_is_named() {
        check(&manual_cluster(0), 1, "Waits for a setting: the job needs 1 node(s), but cluster c");
        check(
            &auto_cluster(0, 2),
            3,
            "Waits for a setting: the job needs 3 node(s), but cluster c may",
        );
        check(&auto_cluster(0, 2), 2, "Waits for 2 free node(s) of cluster c");
        let mut cluster = auto_cluster(0, 2);
        cluster.health = LaunchHealth::HEALTHY.failed(NOW);
        cluster.record_error(ResourceError::new("NoCapacity", "none left"));
        check(
            &cluster,
            1,
            "Waits for capacity: the last 1 launch(es) of nodes for cluster c failed (NoCapacity",
        );
    }
}
