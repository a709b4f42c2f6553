//! What a queued job waits for, as text for the user.

use model::{Cluster, QueueEntry, ResourceError, ScaleSettings, Timestamp, Waiting, WaitingReason};

/// The first obstacle: an unsupported cluster (`blocked` has the error), then settings that the
/// user can change, then failed launches, then a lack of idle nodes. `queued_at` is the time since
/// when the job is queued.
pub fn explain(
    cluster: &Cluster,
    blocked: Option<&ResourceError>,
    entry: &QueueEntry,
    queued_at: Timestamp,
    now: Timestamp,
) -> Waiting {
    let (needs, name) = (entry.node_count, &cluster.name);
    let waits = |reason, since: Timestamp, message: String| Waiting {
        reason,
        message,
        since: since.max(queued_at),
    };
    if let Some(ResourceError { code, message, .. }) = blocked {
        let message = format!(
            "Cluster {name} never gets nodes ({code}: {message}). Delete the job and submit it to another cluster."
        );
        return waits(WaitingReason::Cluster, queued_at, message);
    }
    let setting = match cluster.scale {
        ScaleSettings::Manual { target_node_count, .. } if needs > target_node_count => {
            Some(format!(
                "Needs {needs} node(s); cluster {name} is scaled manually to {target_node_count}. Set targetNodeCount to at least {needs}, or use autoScale. Run: batchai cluster auto-scale {name} --min 0 --max {needs}"
            ))
        }
        ScaleSettings::AutoScale { minimum_node_count, maximum_node_count, .. }
            if needs > maximum_node_count =>
        {
            Some(format!(
                "Needs {needs} node(s); cluster {name} allows at most {maximum_node_count}. Set maximumNodeCount to at least {needs}. Run: batchai cluster auto-scale {name} --min {minimum_node_count} --max {needs}"
            ))
        }
        ScaleSettings::Manual { .. } | ScaleSettings::AutoScale { .. } => None,
    };
    if let Some(message) = setting {
        return waits(WaitingReason::Setting, cluster.modified_at, message);
    }
    if now < cluster.health.not_before {
        let why = cluster
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({}: {})", error.code, error.message));
        let message = format!(
            "Waits for capacity: the last {} launch(es) for cluster {name} failed{why}. Next try at {}.",
            cluster.health.failures, cluster.health.not_before
        );
        return waits(WaitingReason::Capacity, cluster.health.since, message);
    }
    let message = format!(
        "Waits for {needs} idle node(s) of cluster {name}, which has {} of at most {} nodes.",
        cluster.planned_nodes,
        cluster.scale.ceiling()
    );
    waits(WaitingReason::Nodes, queued_at, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::*;
    use model::Backoff;

    const QUEUED_AT: Timestamp = Timestamp(NOW.0 - 60_000);

    #[track_caller]
    fn check(
        cluster: &Cluster,
        blocked: Option<&ResourceError>,
        width: u32,
        expected: (WaitingReason, Timestamp, &str),
    ) {
        let waiting = explain(cluster, blocked, &queued("a", width), QUEUED_AT, NOW);
        let (reason, since, text) = expected;
        assert_eq!((waiting.reason, waiting.since), (reason, since), "{waiting:?}");
        assert!(waiting.message.starts_with(text), "{waiting:?}");
    }

    #[test]
    fn an_unsupported_cluster_is_named_with_the_reason() {
        let why = ResourceError::new("MountNotProvided", "No shares here");
        let text = "Cluster c never gets nodes (MountNotProvided: No shares";
        check(&manual_cluster(0), Some(&why), 1, (WaitingReason::Cluster, QUEUED_AT, text));
    }

    #[test]
    fn settings_come_before_idle_nodes() {
        let setting = |text| (WaitingReason::Setting, NOW, text);
        let text = "Needs 1 node(s); cluster c is scaled manually to 0.";
        check(&manual_cluster(0), None, 1, setting(text));
        let text = "Needs 3 node(s); cluster c allows at most 2. Set maximumNodeCount to at least 3. Run: batchai cluster auto-scale c --min 0 --max 3";
        check(&auto_cluster(0, 2), None, 3, setting(text));
        let text = "Waits for 2 idle node(s) of cluster c";
        check(&auto_cluster(0, 2), None, 2, (WaitingReason::Nodes, QUEUED_AT, text));
    }

    #[test]
    fn a_job_within_the_settings_waits_for_nodes() {
        let nodes = |text| (WaitingReason::Nodes, QUEUED_AT, text);
        let text = "Waits for 2 idle node(s) of cluster c, which has 0 of at most 2 nodes.";
        check(&manual_cluster(2), None, 2, nodes(text));
        let mut tried = auto_cluster(0, 2);
        tried.health = Backoff { failures: 1, since: NOW, not_before: NOW };
        check(&tried, None, 2, nodes(text));
    }

    #[test]
    fn failed_launches_count_from_the_first() {
        let mut cluster = auto_cluster(0, 2);
        let first = Timestamp(NOW.0 - 1000);
        cluster.health = Backoff::CLEAR.failed(first).failed(NOW);
        cluster.record_error(ResourceError::new("NoCapacity", "none left"));
        let text = "Waits for capacity: the last 2 launch(es) for cluster c failed (NoCapacity";
        check(&cluster, None, 1, (WaitingReason::Capacity, first, text));
    }
}
