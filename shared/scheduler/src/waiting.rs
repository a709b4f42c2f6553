//! What a queued job waits for, as text for the user.

use crate::capacity::CORE_QUOTA_REACHED;
use crate::dispatch;
use crate::sweeps::Admission;
use model::{
    Cluster, IdleNode, Name, Node, NodeState, QueueEntry, ResourceError, ScaleSettings, Timestamp,
    Waiting, WaitingReason,
};

/// What is read of a cluster to explain why its jobs wait.
#[derive(Clone, Debug)]
pub struct WaitingSnapshot {
    /// The cluster.
    pub cluster: Cluster,
    /// Why it can never have nodes.
    pub blocked: Option<ResourceError>,
    /// All nodes.
    pub nodes: Vec<Node>,
    /// The first queued jobs that the settings admit, in order.
    pub queue: Vec<QueueEntry>,
}

/// The first obstacle: an unsupported cluster, then settings that the user can change, then the limit of its sweep, then
/// unusable nodes in place of others, then failed launches, then a lack of idle nodes. `queued_at` is the time since when
/// the job is queued.
pub fn explain(
    snapshot: &WaitingSnapshot,
    entry: &QueueEntry,
    queued_at: Timestamp,
    now: Timestamp,
) -> Waiting {
    let cluster = &snapshot.cluster;
    let waits = |reason, since: Timestamp, message: String| Waiting {
        reason,
        message,
        since: since.max(queued_at),
    };
    if let Some(ResourceError { code, message, .. }) = &snapshot.blocked {
        let message = format!(
            "Cluster {} never gets nodes ({code}: {message}). Delete the job and submit it to another cluster.",
            cluster.name
        );
        return waits(WaitingReason::Cluster, queued_at, message);
    }
    if let Some(message) = setting(cluster, entry.node_count) {
        return waits(WaitingReason::Setting, cluster.modified_at, message);
    }
    if let Some(message) = sweep(snapshot, entry) {
        return waits(WaitingReason::Sweep, queued_at, message);
    }
    let nodes = Nodes::of(snapshot);
    if nodes.unusable_are_in_the_way(cluster) {
        return waits(WaitingReason::Unusable, queued_at, nodes.lacking(snapshot, entry));
    }
    if let Some(message) = failed_launches(cluster, now) {
        return waits(WaitingReason::Capacity, cluster.health.since, message);
    }
    let message = nodes
        .in_several_zones(cluster, entry.node_count)
        .unwrap_or_else(|| nodes.lacking(snapshot, entry));
    waits(WaitingReason::Nodes, queued_at, message)
}

/// The settings of the cluster never allow as many nodes as the job needs.
fn setting(cluster: &Cluster, needs: u32) -> Option<String> {
    let (name, wanted) = (&cluster.name, counted(needs as usize, "node"));
    match cluster.scale {
        ScaleSettings::Manual { target_node_count, .. } if needs > target_node_count => {
            Some(format!(
                "Needs {wanted}; cluster {name} is scaled manually to {target_node_count}. Set targetNodeCount to at least {needs}, or use autoScale. Run: batchai cluster auto-scale {name} --min 0 --max {needs}"
            ))
        }
        ScaleSettings::AutoScale { minimum_node_count, maximum_node_count, .. }
            if needs > maximum_node_count =>
        {
            Some(format!(
                "Needs {wanted}; cluster {name} allows at most {maximum_node_count}. Set maximumNodeCount to at least {needs}. Run: batchai cluster auto-scale {name} --min {minimum_node_count} --max {needs}"
            ))
        }
        ScaleSettings::Manual { .. } | ScaleSettings::AutoScale { .. } => None,
    }
}

/// As many jobs of its sweep run as may run at a time, or those before it will.
fn sweep(snapshot: &WaitingSnapshot, entry: &QueueEntry) -> Option<String> {
    let limit = entry.sweep.as_ref()?;
    let mut admission = Admission::of(&snapshot.nodes);
    let running = admission.count(entry);
    for earlier in snapshot.queue.iter().take_while(|earlier| earlier.job != entry.job) {
        admission.admits(earlier);
    }
    if admission.admits(entry) {
        return None;
    }
    let before = snapshot.queue.iter().take_while(|earlier| earlier.job != entry.job);
    let before = before.filter(|earlier| earlier.sweep_key() == entry.sweep_key()).count();
    let running = counted(running, "job");
    // Only the first entries of the queue are known.
    let before = match snapshot.queue.iter().any(|known| known.job == entry.job) {
        true => counted(before, "job"),
        false => format!("{before} or more jobs"),
    };
    Some(format!(
        "Waits for other runs of sweep {}, which runs at most {} at a time on cluster {} (maxParallel): {running} of it running, {before} of it queued before this one.",
        limit.name, limit.max_parallel, snapshot.cluster.name
    ))
}

fn failed_launches(cluster: &Cluster, now: Timestamp) -> Option<String> {
    if now >= cluster.health.not_before {
        return None;
    }
    let why = cluster
        .errors
        .first()
        .map_or_else(String::new, |error| format!(" ({}: {})", error.code, error.message));
    let details = match cluster.errors.first() {
        Some(error) if error.code == CORE_QUOTA_REACHED => {
            "What uses the quota: batchai usage".to_owned()
        }
        _ => format!("Details: batchai cluster show {}", cluster.name),
    };
    let launches = match cluster.health.failures {
        1 => "launch".to_owned(),
        failures => format!("{failures} launches"),
    };
    Some(format!(
        "Waits for capacity: the last {launches} for cluster {} failed{why}. Next try at {}. {details}",
        cluster.name, cluster.health.not_before
    ))
}

/// The nodes of a cluster by what they are to a waiting job.
#[derive(Debug, Default)]
struct Nodes<'a> {
    idle: Vec<IdleNode>,
    running: usize,
    starting: usize,
    leaving: usize,
    unusable: Vec<&'a ResourceError>,
}

impl<'a> Nodes<'a> {
    fn of(snapshot: &'a WaitingSnapshot) -> Self {
        let mut nodes = Self::default();
        for node in &snapshot.nodes {
            match &node.state {
                NodeState::Idle { .. } => {
                    nodes.idle.push(IdleNode { id: node.id.clone(), zone: node.zone() });
                }
                NodeState::Running { .. } => nodes.running += 1,
                NodeState::Launching { .. } | NodeState::Preparing { .. } => nodes.starting += 1,
                NodeState::Leaving { .. } => nodes.leaving += 1,
                NodeState::Unusable { error, .. } => nodes.unusable.push(error),
            }
        }
        nodes
    }

    fn count(&self) -> usize {
        self.idle.len() + self.running + self.starting + self.leaving + self.unusable.len()
    }

    /// Whether unusable nodes have the place of others, or are all there is.
    fn unusable_are_in_the_way(&self, cluster: &Cluster) -> bool {
        let others = self.count() - self.unusable.len();
        let is_full = self.count() >= cluster.scale.ceiling() as usize;
        !self.unusable.is_empty() && (is_full || others == 0)
    }

    fn in_several_zones(&self, cluster: &Cluster, needs: u32) -> Option<String> {
        let (width, idle) = (needs as usize, self.idle.as_slice());
        let is_spread = idle.len() >= width && dispatch::nodes_for(idle, width).is_none();
        is_spread.then(|| {
            format!(
                "Waits for {needs} idle nodes in one zone of cluster {}: {} nodes are idle, at most {} of them in one zone. Others are launched there, in place of idle nodes of other zones where necessary.",
                cluster.name,
                idle.len(),
                dispatch::most_in_one_zone(idle)
            )
        })
    }

    fn lacking(&self, snapshot: &WaitingSnapshot, entry: &QueueEntry) -> String {
        let (cluster, needs) = (&snapshot.cluster, entry.node_count as usize);
        let (name, ceiling) = (&cluster.name, cluster.scale.ceiling() as usize);
        let mut message = self.failure(name);
        message.push_str(&format!(
            "Waits for {} of cluster {name}, which has {} of at most {ceiling}{}.",
            counted(needs, "idle node"),
            self.count(),
            self.states()
        ));
        message.push_str(&before(&snapshot.queue, entry));
        if !self.unusable.is_empty() {
            message.push_str(&format!(
                " Unusable nodes are replaced after a while. Details: batchai cluster show {name}"
            ));
        } else if self.running >= ceiling {
            message.push_str(&more_nodes(cluster, ceiling + needs));
        }
        message
    }

    /// Why nodes are unusable, by one of them. Empty if none is.
    fn failure(&self, cluster: &Name) -> String {
        let Some(ResourceError { code, message, .. }) = self.unusable.last() else {
            return String::new();
        };
        let nodes = match self.unusable.len() {
            1 => "A node".to_owned(),
            count => format!("{count} nodes"),
        };
        let message = message.trim_end_matches('.');
        format!("{nodes} of cluster {cluster} cannot run jobs: {message} ({code}). ")
    }

    fn states(&self) -> String {
        let counts = [
            (self.running, "running"),
            (self.starting, "starting"),
            (self.idle.len(), "idle"),
            (self.leaving, "leaving"),
            (self.unusable.len(), "unusable"),
        ];
        let states: Vec<String> = (counts.iter().filter(|(count, _)| *count > 0))
            .map(|(count, state)| format!("{count} {state}"))
            .collect();
        match states.is_empty() {
            true => String::new(),
            false => format!(" ({})", states.join(", ")),
        }
    }
}

/// How many jobs are before this one in the queue. Empty if there are none.
fn before(queue: &[QueueEntry], entry: &QueueEntry) -> String {
    let position = queue.iter().position(|other| other.job == entry.job);
    let (count, more) = match position {
        Some(0) => return String::new(),
        Some(position) => (position, ""),
        None => (queue.len(), " or more"),
    };
    match count {
        0 => String::new(),
        1 if position.is_some() => " 1 job is before it in the queue.".to_owned(),
        count => format!(" {count}{more} jobs are before it in the queue."),
    }
}

/// The command that makes room for more nodes.
fn more_nodes(cluster: &Cluster, wanted: usize) -> String {
    let name = &cluster.name;
    match cluster.scale {
        ScaleSettings::Manual { .. } => {
            format!(" For more nodes, run: batchai cluster resize {name} --target {wanted}")
        }
        ScaleSettings::AutoScale { minimum_node_count, .. } => format!(
            " For more nodes, run: batchai cluster auto-scale {name} --min {minimum_node_count} --max {wanted}"
        ),
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::*;
    use insta::assert_snapshot;
    use model::{Backoff, Instance};

    const QUEUED_AT: Timestamp = Timestamp(NOW.0 - 60_000);

    fn snapshot(cluster: Cluster) -> WaitingSnapshot {
        WaitingSnapshot { cluster, blocked: None, nodes: Vec::new(), queue: Vec::new() }
    }

    fn of_job(snapshot: &WaitingSnapshot, name: &str, width: u32) -> Waiting {
        explain(snapshot, &queued(name, width), QUEUED_AT, NOW)
    }

    /// What a job of one node waits for on a cluster with these nodes and jobs.
    fn message(cluster: Cluster, nodes: Vec<Node>, queue: &[&str]) -> String {
        let queue = queue.iter().map(|name| queued(name, 1)).collect();
        let waiting = of_job(&WaitingSnapshot { nodes, queue, ..snapshot(cluster) }, "a", 1);
        format!("{}: {}", waiting.reason.code(), waiting.message)
    }

    fn unusable(number: usize, code: &str) -> Node {
        let error = ResourceError::new(code, "It failed with exit code 1.");
        let instance: Instance = instance(number);
        node(number, NodeState::Unusable { instance, since: NOW, error })
    }

    #[test]
    fn an_unsupported_cluster_is_named_with_the_reason() {
        let blocked = Some(ResourceError::new("MountNotProvided", "No shares here."));
        let waiting = of_job(&WaitingSnapshot { blocked, ..snapshot(manual_cluster(0)) }, "a", 1);
        assert_eq!((waiting.reason, waiting.since), (WaitingReason::Cluster, QUEUED_AT));
        let text = "Cluster c never gets nodes (MountNotProvided: No shares here.)";
        assert!(waiting.message.starts_with(text), "{waiting:?}");
    }

    #[test]
    fn settings_come_before_idle_nodes() {
        let waiting = of_job(&snapshot(manual_cluster(0)), "a", 1);
        assert_eq!((waiting.reason, waiting.since), (WaitingReason::Setting, NOW));
        assert_snapshot!(waiting.message, @"Needs 1 node; cluster c is scaled manually to 0. Set targetNodeCount to at least 1, or use autoScale. Run: batchai cluster auto-scale c --min 0 --max 1");
        let waiting = of_job(&snapshot(auto_cluster(0, 2)), "a", 3);
        assert_eq!((waiting.reason, waiting.since), (WaitingReason::Setting, NOW));
        assert_snapshot!(waiting.message, @"Needs 3 nodes; cluster c allows at most 2. Set maximumNodeCount to at least 3. Run: batchai cluster auto-scale c --min 0 --max 3");
        let waiting = of_job(&snapshot(auto_cluster(0, 2)), "a", 2);
        assert_eq!((waiting.reason, waiting.since), (WaitingReason::Nodes, QUEUED_AT));
        assert_snapshot!(waiting.message, @"Waits for 2 idle nodes of cluster c, which has 0 of at most 2.");
    }

    #[test]
    fn the_nodes_of_the_cluster_are_counted_by_state() {
        let nodes = vec![running(0, "x"), launching(1, "l"), running(2, "y")];
        assert_snapshot!(message(auto_cluster(0, 4), nodes, &["a"]), @"WaitsForNodes: Waits for 1 idle node of cluster c, which has 3 of at most 4 (2 running, 1 starting).");
        let nodes = vec![running(0, "x"), running(1, "y")];
        assert_snapshot!(message(auto_cluster(1, 2), nodes.clone(), &["b", "a"]), @"WaitsForNodes: Waits for 1 idle node of cluster c, which has 2 of at most 2 (2 running). 1 job is before it in the queue. For more nodes, run: batchai cluster auto-scale c --min 1 --max 3");
        assert_snapshot!(message(manual_cluster(2), nodes, &["b", "c", "a"]), @"WaitsForNodes: Waits for 1 idle node of cluster c, which has 2 of at most 2 (2 running). 2 jobs are before it in the queue. For more nodes, run: batchai cluster resize c --target 3");
    }

    #[test]
    fn a_job_beyond_what_was_read_of_the_queue_has_at_least_so_many_before_it() {
        let nodes = vec![running(0, "x")];
        let text = message(manual_cluster(2), nodes, &["b", "c"]);
        assert!(text.ends_with("2 or more jobs are before it in the queue."), "{text}");
    }

    #[test]
    fn other_runs_of_a_sweep_with_a_limit_are_counted() {
        let run = |name| of_sweep(queued(name, 1), "lr", 2);
        let nodes = vec![Node { sweep: Some("lr".into()), ..running(0, "x") }];
        let queue = vec![run("a"), queued("b", 1), run("c"), run("d")];
        let snapshot = WaitingSnapshot { nodes, queue, ..snapshot(auto_cluster(0, 4)) };
        let of = |entry: QueueEntry| {
            let waiting = explain(&snapshot, &entry, QUEUED_AT, NOW);
            format!("{}: {}", waiting.reason.code(), waiting.message)
        };
        assert!(of(run("a")).starts_with("WaitsForNodes: "));
        assert!(of(queued("b", 1)).starts_with("WaitsForNodes: "));
        assert_snapshot!(of(run("d")), @"WaitsForSweep: Waits for other runs of sweep lr, which runs at most 2 at a time on cluster c (maxParallel): 1 job of it running, 2 jobs of it queued before this one.");
        let text = of(run("beyond"));
        assert!(text.ends_with(" 3 or more jobs of it queued before this one."), "{text}");
    }

    #[test]
    fn unusable_nodes_are_named_with_their_error() {
        let nodes = vec![unusable(0, "DiskFull"), unusable(1, "SetupTaskFailed")];
        assert_snapshot!(message(auto_cluster(0, 4), nodes, &["a"]), @"WaitsForUsableNodes: 2 nodes of cluster c cannot run jobs: It failed with exit code 1 (SetupTaskFailed). Waits for 1 idle node of cluster c, which has 2 of at most 4 (2 unusable). Unusable nodes are replaced after a while. Details: batchai cluster show c");
        let nodes = vec![running(0, "x"), unusable(1, "SetupTaskFailed")];
        assert_snapshot!(message(auto_cluster(0, 2), nodes.clone(), &["a"]), @"WaitsForUsableNodes: A node of cluster c cannot run jobs: It failed with exit code 1 (SetupTaskFailed). Waits for 1 idle node of cluster c, which has 2 of at most 2 (1 running, 1 unusable). Unusable nodes are replaced after a while. Details: batchai cluster show c");
        assert_snapshot!(message(auto_cluster(0, 3), nodes, &["a"]), @"WaitsForNodes: A node of cluster c cannot run jobs: It failed with exit code 1 (SetupTaskFailed). Waits for 1 idle node of cluster c, which has 2 of at most 3 (1 running, 1 unusable). Unusable nodes are replaced after a while. Details: batchai cluster show c");
    }

    #[test]
    fn nodes_in_several_zones_are_named() {
        let mut nodes =
            vec![offered(idle(0, NOW), in_zone("a")), offered(idle(1, NOW), in_zone("b"))];
        let of_gang = |nodes: &[Node]| {
            let nodes = nodes.to_vec();
            of_job(&WaitingSnapshot { nodes, ..snapshot(manual_cluster(2)) }, "a", 2).message
        };
        let text = "Waits for 2 idle nodes in one zone of cluster c: 2 nodes are idle, at most 1";
        assert!(of_gang(&nodes).starts_with(text), "{}", of_gang(&nodes));
        nodes.pop();
        assert!(of_gang(&nodes).starts_with("Waits for 2 idle nodes of cluster c"));
    }

    #[test]
    fn failed_launches_count_from_the_first() {
        let mut cluster = auto_cluster(0, 2);
        let first = Timestamp(NOW.0 - 1000);
        cluster.health = Backoff::CLEAR.failed(first).failed(NOW);
        cluster.record_error(ResourceError::new("NoCapacity", "none left"));
        let waiting = of_job(&snapshot(cluster.clone()), "a", 1);
        assert_eq!((waiting.reason, waiting.since), (WaitingReason::Capacity, first));
        let text =
            "Waits for capacity: the last 2 launches for cluster c failed (NoCapacity: none left)";
        assert!(waiting.message.starts_with(text), "{waiting:?}");
        cluster.record_error(ResourceError::new(CORE_QUOTA_REACHED, "none left"));
        let message = of_job(&snapshot(cluster.clone()), "a", 1).message;
        assert!(message.ends_with(" What uses the quota: batchai usage"), "{message}");
        cluster.health = Backoff { failures: 1, since: NOW, not_before: NOW };
        assert_eq!(of_job(&snapshot(cluster), "a", 1).reason, WaitingReason::Nodes);
    }
}
