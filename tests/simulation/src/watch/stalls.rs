//! Stalls: work that the service could do now, although no handler is running and no hint is pending.
//! Without faults it must never wait for its schedule.

use super::{ClusterView, Queued, Watch};
use crate::scenario::Scenario;
use model::{IdleNode, Node, NodeState, ScaleSettings, Timestamp, Zone};
use scheduler::dispatch;
use scheduler::sweeps::Admission;

impl Watch {
    /// Work that could be done now.
    pub fn stalled(&self, scenario: &Scenario, now: Timestamp) -> Option<String> {
        self.clusters.values().find_map(|view| self.stalled_cluster(view, scenario, now))
    }

    fn stalled_cluster(
        &self,
        view: &ClusterView,
        scenario: &Scenario,
        now: Timestamp,
    ) -> Option<String> {
        let cluster = &view.record;
        let name = &cluster.name;
        let nodes = || view.nodes.iter().filter_map(|id| self.nodes.get(id)).map(|it| &**it);
        let is_removable =
            |it: &&Node| it.is_leaving() && it.attempt().is_none() && it.removal.is_clear();
        if let Some(node) = nodes().find(is_removable) {
            return Some(format!("node {} of {name} could be removed", node.id));
        }
        if cluster.is_deleting() {
            let empty = view.nodes.is_empty() && view.queue.is_empty();
            let is_blocked = !view.queue.is_empty() || nodes().any(|it| !it.is_leaving());
            return (empty || is_blocked).then(|| format!("the deletion of {name} could continue"));
        }
        let ceiling = cluster.scale.ceiling();
        let mut startable = self.startable(view);
        if let Some(head) = startable.next()
            && dispatch::nodes_for(&self.idle(view), head.entry.node_count as usize).is_some()
        {
            let (job, since) = (&head.entry.job.name, head.since);
            return Some(format!("job {job} could start in {name}, queued at step {since}"));
        }
        let staying = nodes().filter(|it| !it.is_leaving()).count() as u32;
        if let ScaleSettings::Manual { target_node_count, .. } = cluster.scale
            && staying > target_node_count
        {
            return Some(format!("{name} has {staying} nodes of {target_node_count}"));
        }
        let paced = !cluster.launch_rate.allows_one(now);
        if !cluster.health.is_clear() || now < cluster.health.not_before || paced {
            return None;
        }
        // A gang waits to learn the zone of a new node.
        let is_unknown = |it: &Node| it.zone() == Zone::Unknown && it.instance().is_none();
        if nodes().any(is_unknown) {
            return None;
        }
        let missing =
            self.desired_nodes(view) > usable(nodes()) && (view.nodes.len() as u32) < ceiling;
        // With scarce capacity, clusters wait for each other.
        let has_capacity = scenario.quota_nodes > 10 && scenario.instances > 10;
        (missing && has_capacity).then(|| format!("{name} could grow: it has {staying} nodes"))
    }

    /// The queued jobs that the settings and their sweeps admit.
    fn startable<'a>(&self, view: &'a ClusterView) -> impl Iterator<Item = &'a Queued> {
        let ceiling = view.record.scale.ceiling();
        let nodes: Vec<Node> = view
            .nodes
            .iter()
            .filter_map(|id| self.nodes.get(id))
            .map(|it| (**it).clone())
            .collect();
        let mut admission = Admission::of(&nodes);
        view.queue
            .values()
            .filter(move |it| it.entry.node_count <= ceiling && admission.admits(&it.entry))
    }

    /// The idle nodes.
    fn idle(&self, view: &ClusterView) -> Vec<IdleNode> {
        let nodes = view.idle.keys().filter_map(|id| self.nodes.get(id));
        nodes.map(|node| IdleNode { id: node.id.clone(), zone: node.zone() }).collect()
    }

    fn desired_nodes(&self, view: &ClusterView) -> u32 {
        let ceiling = view.record.scale.ceiling();
        match view.record.scale {
            ScaleSettings::Manual { target_node_count, .. } => target_node_count,
            ScaleSettings::AutoScale { .. } => {
                let queued: u32 = self.startable(view).map(|it| it.entry.node_count).sum();
                let busy = view.nodes.iter().filter_map(|id| self.nodes.get(id));
                let busy = busy.filter(|it| matches!(it.state, NodeState::Running { .. })).count();
                (queued + busy as u32).min(ceiling)
            }
        }
    }
}

fn usable<'a>(nodes: impl Iterator<Item = &'a Node>) -> u32 {
    let usable =
        |it: &&Node| !matches!(it.state, NodeState::Leaving { .. } | NodeState::Unusable { .. });
    nodes.filter(usable).count() as u32
}
