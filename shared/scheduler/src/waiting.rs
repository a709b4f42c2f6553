//! What a queued job waits for, as text for the user.

use crate::dispatch;
use model::{
    Cluster, IdleNode, QueueEntry, ResourceError, ScaleSettings, Timestamp, Waiting, WaitingReason,
};

/// The first obstacle: an unsupported cluster (`blocked` has the error), then settings that the
/// user can change, then failed launches, then a lack of idle nodes. `idle` are the idle nodes, for a
/// job of several nodes. `queued_at` is the time since when the job is queued.
pub fn explain(
    cluster: &Cluster,
    blocked: Option<&ResourceError>,
    idle: &[IdleNode],
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
    if idle.len() >= needs as usize && dispatch::nodes_for(idle, needs as usize).is_none() {
        let message = format!(
            "Waits for {needs} idle nodes in one zone of cluster {name}: {} nodes are idle, at most {} of them in one zone. Others are launched there, in place of idle nodes of other zones where necessary.",
            idle.len(),
            dispatch::most_in_one_zone(idle)
        );
        return waits(WaitingReason::Nodes, queued_at, message);
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
        let waiting = explain(cluster, blocked, &[], &queued("a", width), QUEUED_AT, NOW);
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
    fn nodes_in_several_zones_are_named() {
        let idle = |number, zone: &str| model::IdleNode {
            id: node_id(number),
            zone: model::Zone::Named(zone.to_owned()),
        };
        let mut idle = vec![idle(0, "a"), idle(1, "b")];
        let explain = |idle: &[model::IdleNode]| {
            let entry = queued("a", 2);
            explain(&manual_cluster(2), None, idle, &entry, QUEUED_AT, NOW).message
        };
        let text = "Waits for 2 idle nodes in one zone of cluster c: 2 nodes are idle, at most 1";
        assert!(explain(&idle).starts_with(text), "{}", explain(&idle));
        idle.pop();
        assert!(explain(&idle).starts_with("Waits for 2 idle node(s) of cluster c"));
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
