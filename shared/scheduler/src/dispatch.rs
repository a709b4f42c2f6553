//! Which queued jobs start now, and on which nodes.
//!
//! The order is priority, then age. The first job that waits for nodes makes a reservation: later jobs
//! start only where they cannot delay it (EASY backfill on `maxWallClockTime`). A job that could never
//! start with the current settings of its cluster reserves nothing.
//!
//! A gang starts on nodes of one zone. A reservation counts the nodes of all zones: those that lie in the
//! wrong one are replaced ([`crate::capacity`]).

use crate::Action;
use crate::free_nodes::FreeNodes;
use model::{Cluster, IdleNode, Node, NodeId, NodeState, QueueEntry, Timestamp, Zone, limits};

/// The input of dispatch: the head of the queue and the idle markers, not every node.
#[derive(Clone, Debug)]
pub struct DispatchSnapshot {
    /// The cluster.
    pub cluster: Cluster,
    /// The head of the queue, in order, at most [`limits::BACKFILL_DEPTH`] entries, without those that their sweep
    /// does not admit ([`crate::sweeps`]).
    pub queue: Vec<QueueEntry>,
    /// Idle nodes.
    pub idle: Vec<IdleNode>,
    /// The latest end of each busy node's attempt; read only if [`depends_on_running`].
    pub running: Vec<Timestamp>,
}

/// The latest end of the attempt of each busy node.
pub fn busy_until(nodes: &[Node]) -> Vec<Timestamp> {
    let ends_by = |node: &Node| match &node.state {
        NodeState::Running { ends_by, .. } => Some(*ends_by),
        NodeState::Launching { .. }
        | NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Leaving { .. }
        | NodeState::Unusable { .. } => None,
    };
    nodes.iter().filter_map(ends_by).collect()
}

/// Whether the plan depends on when running attempts end: a job has to wait, others are queued
/// behind it, and there are idle nodes for them.
pub fn depends_on_running(cluster: &Cluster, queue: &[QueueEntry], idle: &[IdleNode]) -> bool {
    let mut left = by_zone(idle);
    for (position, entry) in queue.iter().enumerate() {
        let needed = entry.node_count as usize;
        if entry.node_count > cluster.scale.ceiling() {
            continue;
        }
        if left.take(needed, None).is_none() {
            return !left.is_empty() && position + 1 < queue.len();
        }
    }
    false
}

/// Whether to hint the autoscaler: jobs stay queued after `started` of them left the queue, and the
/// cluster may have more nodes than planned, or others in place of those it has.
pub fn needs_capacity(snapshot: &DispatchSnapshot, started: u32) -> bool {
    let waiting = snapshot.queue.len() > started as usize;
    let ceiling = snapshot.cluster.scale.ceiling();
    waiting && (snapshot.cluster.planned_nodes < ceiling || (started == 0 && is_spread(snapshot)))
}

/// Whether a gang waits although enough nodes are idle, since they lie in several zones.
fn is_spread(snapshot: &DispatchSnapshot) -> bool {
    let idle = by_zone(&snapshot.idle);
    let is_spread = |width: usize| width <= idle.len() && !idle.suffice(width);
    snapshot.queue.iter().any(|entry| is_spread(entry.node_count as usize))
}

/// The idle nodes that a job of this width gets, if there are enough in one zone.
pub fn nodes_for(idle: &[IdleNode], width: usize) -> Option<Vec<NodeId>> {
    by_zone(idle).take(width, None)
}

/// The most idle nodes in one zone.
pub fn most_in_one_zone(idle: &[IdleNode]) -> usize {
    let mut idle = by_zone(idle);
    let largest = idle.largest().cloned();
    largest.map_or(0, |zone| idle.take_from(&zone, usize::MAX).len())
}

fn by_zone(idle: &[IdleNode]) -> FreeNodes<Zone, NodeId> {
    FreeNodes::new(idle.iter().map(|IdleNode { id, zone }| {
        let zone = Some(zone.clone()).filter(|zone| *zone != Zone::Unknown);
        (zone, id.clone())
    }))
}

/// The jobs to start now, each with its nodes. If the cluster is being deleted, all queued jobs
/// fail.
pub fn plan(snapshot: &DispatchSnapshot, now: Timestamp) -> Vec<Action> {
    if snapshot.cluster.is_deleting() {
        let fail_queued = |entry: &QueueEntry| Action::FailQueued { entry: entry.clone() };
        return snapshot.queue.iter().map(fail_queued).collect();
    }
    let mut idle = by_zone(&snapshot.idle);
    let mut starts: Vec<Start> = Vec::new();
    let mut reservation: Option<Reservation> = None;
    let startable = |entry: &&QueueEntry| entry.node_count <= snapshot.cluster.scale.ceiling();
    for entry in snapshot.queue.iter().filter(startable) {
        if idle.is_empty() {
            break;
        }
        let needed = entry.node_count as usize;
        let nodes = match &mut reservation {
            None => idle.take(needed, None),
            Some(reservation) => {
                if !idle.suffice(needed) || !reservation.admits(entry, now) {
                    continue;
                }
                idle.take(needed, reservation.zone.as_ref())
            }
        };
        match nodes {
            Some(nodes) => {
                starts.push(Start { entry: entry.clone(), nodes });
                if entry.sweep.is_some() {
                    // Its start writes the cluster, so what is planned on this version ends here.
                    break;
                }
            }
            None => {
                let mut made = Reservation::make(snapshot, &starts, entry, idle.len(), now);
                made.zone = idle.largest().cloned();
                reservation = Some(made);
            }
        }
    }
    starts.into_iter().map(Action::from).collect()
}

/// A job that starts now.
#[derive(Debug)]
struct Start {
    entry: QueueEntry,
    nodes: Vec<NodeId>,
}

impl Start {
    fn expected_end(&self, now: Timestamp) -> Timestamp {
        now.plus_seconds(self.entry.max_wall_clock_seconds)
    }
}

impl From<Start> for Action {
    fn from(Start { entry, nodes }: Start) -> Self {
        Self::Start { entry, nodes }
    }
}

/// When the first waiting job can start at the latest, and how many nodes are left over then.
#[derive(Debug)]
struct Reservation {
    at: Timestamp,
    spare: usize,
    /// The zone where it has the most nodes: other jobs get those last.
    zone: Option<Zone>,
}

impl Reservation {
    /// Busy nodes become idle at the wall clock limit of their attempt. Nodes that the cluster may
    /// still get count as idle now, since they may become idle at any moment.
    fn make(
        snapshot: &DispatchSnapshot,
        starts: &[Start],
        head: &QueueEntry,
        idle: usize,
        now: Timestamp,
    ) -> Self {
        let starting: usize = starts.iter().map(|start| start.nodes.len()).sum();
        let existing = snapshot.running.len() + starting + idle;
        let coming = (snapshot.cluster.scale.ceiling() as usize).saturating_sub(existing);
        let mut free: Vec<(Timestamp, usize)> = snapshot
            .running
            .iter()
            .map(|ends_by| ((*ends_by).max(now), 1))
            .chain(starts.iter().map(|start| (start.expected_end(now), start.nodes.len())))
            .chain([(now, coming)])
            .collect();
        free.sort_unstable();
        let needed = head.node_count as usize;
        let available = |at| {
            let by_then = free.iter().filter(|(free_at, _)| *free_at <= at);
            idle + by_then.map(|(_, nodes)| nodes).sum::<usize>()
        };
        for (at, _) in &free {
            if let Some(spare) = available(*at).checked_sub(needed) {
                return Self { at: *at, spare, zone: None };
            }
        }
        // All nodes together are too few for the head. No job may pass it: none ends by `now`.
        Self { at: now, spare: 0, zone: None }
    }

    /// Whether a later job may use idle nodes now. Subtracts from the spare nodes what it uses
    /// beyond the reservation.
    fn admits(&mut self, entry: &QueueEntry, now: Timestamp) -> bool {
        if now.plus_seconds(entry.max_wall_clock_seconds) <= self.at {
            return true;
        }
        let needed = entry.node_count as usize;
        let fits = needed <= self.spare;
        if fits {
            self.spare -= needed;
        }
        fits
    }
}

const _: () = assert!(limits::BACKFILL_DEPTH > limits::MAX_GANG_NODES as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builders::{
        NOW, WallClock, auto_cluster, deleting, idle, manual_cluster, node_id, queued, running,
    };

    /// Checks the names of the jobs that start.
    fn check(snapshot: &DispatchSnapshot, expected: &[&str]) {
        let started: Vec<String> = plan(snapshot, NOW)
            .into_iter()
            .map(|action| match action {
                Action::Start { entry, nodes } => {
                    assert_eq!(nodes.len(), entry.node_count as usize, "a gang is whole");
                    entry.job.name
                }
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(started, expected);
    }

    /// Idle nodes, in turn in each of these zones.
    fn idle_in(count: usize, zones: &[Zone]) -> Vec<IdleNode> {
        let zone = |number: usize| zones[number % zones.len()].clone();
        (0..count).map(|number| IdleNode { id: node_id(number), zone: zone(number) }).collect()
    }

    fn zone(name: &str) -> Zone {
        Zone::Named(name.to_owned())
    }

    /// `running`: seconds after which each busy node is idle at the latest.
    fn snapshot(queue: Vec<QueueEntry>, idle: usize, running: &[u64]) -> DispatchSnapshot {
        let cluster = manual_cluster((idle + running.len()) as u32);
        let running = running.iter().map(|seconds| NOW.plus_seconds(*seconds)).collect();
        DispatchSnapshot { cluster, queue, idle: idle_in(idle, &[Zone::Only]), running }
    }

    #[test]
    fn jobs_start_in_order_while_nodes_last() {
        let queue = vec![queued("a", 1), queued("b", 2), queued("c", 1)];
        check(&snapshot(queue, 3, &[]), &["a", "b"]);
    }

    #[test]
    fn a_job_that_could_delay_a_waiting_gang_does_not_pass_it() {
        let queue = vec![queued("gang", 3), queued("long", 1).wall_clock(1000)];
        check(&snapshot(queue, 1, &[100, 100]), &[]);
    }

    #[test]
    fn a_job_that_ends_before_the_gang_can_start_passes_it() {
        let queue = vec![queued("gang", 3), queued("short", 1).wall_clock(100)];
        check(&snapshot(queue, 1, &[100, 100]), &["short"]);
    }

    #[test]
    fn a_job_passes_on_nodes_that_the_gang_leaves_over() {
        let queue = vec![
            queued("gang", 3),
            queued("a", 1).wall_clock(9999),
            queued("b", 1).wall_clock(9999),
        ];
        check(&snapshot(queue, 1, &[100, 100, 100]), &["a"]);
    }

    #[test]
    fn nodes_to_be_launched_may_become_idle_at_any_moment() {
        let mut snapshot = snapshot(vec![queued("gang", 2), queued("long", 1)], 1, &[]);
        snapshot.cluster = auto_cluster(0, 2);
        check(&snapshot, &[]);
    }

    #[test]
    fn a_job_beyond_the_settings_reserves_nothing() {
        let queue = vec![queued("too-wide", 9), queued("a", 1)];
        check(&snapshot(queue, 2, &[]), &["a"]);
    }

    #[test]
    fn busy_nodes_are_read_only_when_they_matter() {
        let only = [Zone::Only];
        let cluster = manual_cluster(4);
        let queue = [queued("gang", 3), queued("a", 1)];
        assert!(depends_on_running(&cluster, &queue, &idle_in(2, &only)));
        assert!(!depends_on_running(&cluster, &queue, &idle_in(0, &only)), "nothing to start on");
        assert!(
            !depends_on_running(&cluster, &queue[..1], &idle_in(2, &only)),
            "no other job is queued"
        );
        assert!(!depends_on_running(&cluster, &queue, &idle_in(4, &only)), "everything fits");
    }

    #[test]
    fn nodes_of_a_job_are_not_counted_for_the_next_one() {
        let only = [Zone::Only];
        let cluster = manual_cluster(4);
        let queue = [queued("a", 2), queued("b", 2), queued("c", 1)];
        assert!(depends_on_running(&cluster, &queue, &idle_in(3, &only)), "b waits, c could pass");
        assert!(!depends_on_running(&cluster, &queue, &idle_in(2, &only)), "a takes all");
        assert!(!depends_on_running(&cluster, &queue, &idle_in(5, &only)), "everything fits");
        let widest = [queued("all", 4), queued("b", 1)];
        assert!(
            depends_on_running(&cluster, &widest, &idle_in(3, &only)),
            "as wide as the maximum"
        );
        assert!(
            !depends_on_running(&manual_cluster(3), &widest, &idle_in(3, &only)),
            "too wide to wait for nodes"
        );
    }

    #[test]
    fn a_gang_starts_in_one_zone() {
        let mut it = snapshot(vec![queued("gang", 2), queued("b", 1)], 0, &[]);
        it.cluster = manual_cluster(2);
        it.idle = idle_in(2, &[zone("a"), zone("b")]);
        check(&it, &[]);
        assert_eq!(most_in_one_zone(&it.idle), 1);
        it.cluster.planned_nodes = 2;
        assert!(needs_capacity(&it, 0), "the autoscaler replaces one");
        it.idle = idle_in(3, &[zone("a"), zone("b")]);
        it.queue[1] = queued("short", 1).wall_clock(1);
        let nodes = |plan: Vec<Action>| -> Vec<Vec<NodeId>> {
            let nodes = |action| match action {
                Action::Start { nodes, .. } => nodes,
                other => panic!("unexpected {other:?}"),
            };
            plan.into_iter().map(nodes).collect()
        };
        let gang = vec![node_id(0), node_id(2)];
        assert_eq!(nodes(plan(&it, NOW)), [gang, vec![node_id(1)]]);
        assert!(!needs_capacity(&it, 2));
    }

    #[test]
    fn nodes_of_unknown_zone_run_single_jobs() {
        let mut it = snapshot(vec![queued("gang", 2)], 0, &[]);
        it.cluster = manual_cluster(4);
        it.idle = idle_in(2, &[Zone::Unknown]);
        check(&it, &[]);
        it.queue = vec![queued("a", 1), queued("b", 1)];
        check(&it, &["a", "b"]);
    }

    /// What may pass a gang gets nodes of other zones first.
    #[test]
    fn the_zone_of_a_waiting_gang_is_left_to_it() {
        let mut it = snapshot(vec![queued("gang", 3), queued("b", 1)], 0, &[]);
        it.cluster = auto_cluster(0, 10);
        it.idle = idle_in(3, &[zone("a"), zone("b"), zone("a")]);
        let plan = plan(&it, NOW);
        let Action::Start { entry, nodes } = &plan[0] else { panic!("unexpected {plan:?}") };
        assert_eq!((entry.job.name.as_str(), nodes.as_slice()), ("b", &[node_id(1)][..]));
    }

    #[test]
    fn spare_nodes_are_spent_once() {
        let long = |name| queued(name, 1).wall_clock(9999);
        let queue = || vec![queued("gang", 3), long("a"), long("b"), long("c")];
        check(&snapshot(queue(), 2, &[100, 100]), &["a"]);
        check(&snapshot(queue(), 2, &[100, 100, 100]), &["a", "b"]);
    }

    #[test]
    fn busy_nodes_are_running_nodes() {
        let leaving = running(1, "b").leave(model::LeaveReason::Shrink, NOW).unwrap();
        let nodes = [idle(0, NOW), leaving, running(2, "a")];
        assert_eq!(busy_until(&nodes), [NOW.plus_seconds(3600)]);
    }

    #[test]
    fn capacity_is_needed_while_jobs_wait_below_the_maximum() {
        let mut snapshot = snapshot(vec![queued("a", 1), queued("b", 1)], 0, &[]);
        for (maximum, planned, started, needs) in [
            (2, 1, 0, true),
            (2, 1, 1, true),
            (2, 1, 2, false),
            (2, 2, 0, false),
            (2, 3, 0, false),
            (0, 0, 0, false),
        ] {
            snapshot.cluster = auto_cluster(0, maximum);
            snapshot.cluster.planned_nodes = planned;
            let needed = needs_capacity(&snapshot, started);
            assert_eq!(needed, needs, "{planned} of {maximum}, {started} started");
        }
    }

    #[test]
    fn a_cluster_being_deleted_fails_its_queued_jobs() {
        let mut snapshot = snapshot(vec![queued("a", 1)], 1, &[]);
        snapshot.cluster = deleting(snapshot.cluster);
        assert_eq!(plan(&snapshot, NOW), vec![Action::FailQueued { entry: queued("a", 1) }]);
    }

    proptest::proptest! {
        /// No node is given twice, every gang is whole, and the waiting head can start no later
        /// than it could without the jobs that passed it, if all run to their wall clock.
        #[test]
        fn backfill_never_delays_the_head(
            widths in proptest::collection::vec((1u32..5, 10u64..200), 1..12),
            idle in 0usize..5,
            running in proptest::collection::vec(1u64..150, 0..6),
        ) {
            let queue: Vec<QueueEntry> = widths
                .iter()
                .enumerate()
                .map(|(i, (nodes, wall))| queued(&format!("j{i}"), *nodes).wall_clock(*wall))
                .collect();
            let snapshot = snapshot(queue.clone(), idle, &running);
            let plan = plan(&snapshot, NOW);
            let mut given = std::collections::BTreeSet::new();
            let mut started = std::collections::BTreeSet::new();
            for action in &plan {
                let Action::Start { entry, nodes } = action else { panic!("only starts") };
                proptest::prop_assert_eq!(nodes.len(), entry.node_count as usize);
                started.insert(entry.job.name.clone());
                for node in nodes {
                    proptest::prop_assert!(given.insert(node.clone()));
                }
            }
            let ceiling = snapshot.cluster.scale.ceiling();
            let waits = |entry: &&QueueEntry| {
                entry.node_count <= ceiling && !started.contains(&entry.job.name)
            };
            let Some(head) = queue.iter().find(waits) else { return Ok(()) };
            let before = queue.iter().take_while(|entry| entry.job != head.job);
            let in_order: Vec<&QueueEntry> =
                before.filter(|entry| started.contains(&entry.job.name)).collect();
            let passed: Vec<&QueueEntry> = queue
                .iter()
                .filter(|entry| started.contains(&entry.job.name))
                .collect();
            let earliest = |taken: &[&QueueEntry]| {
                let used: usize = taken.iter().map(|entry| entry.node_count as usize).sum();
                let mut free: Vec<(u64, usize)> = running
                    .iter()
                    .map(|seconds| (*seconds, 1))
                    .chain(taken.iter().map(|e| (e.max_wall_clock_seconds, e.node_count as usize)))
                    .collect();
                free.sort_unstable();
                let mut available = idle - used;
                let mut at = 0;
                for (end, nodes) in free {
                    if available >= head.node_count as usize {
                        break;
                    }
                    at = end;
                    available += nodes;
                }
                at
            };
            proptest::prop_assert_eq!(earliest(&passed), earliest(&in_order));
        }
    }
}
