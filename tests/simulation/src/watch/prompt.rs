//! What must hold in a healthy environment whenever nothing is under way and no hint is waiting: the
//! service does not wait for its schedule with what it can do now.

use super::{ClusterView, Watch};
use crate::scenario::Scenario;
use model::{Node, NodeState, ScaleSettings, Timestamp};

impl Watch {
    /// Something that could go on, though nothing is on its way.
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
        let free_to_go =
            |it: &&Node| it.is_leaving() && it.attempt().is_none() && it.removal.is_clear();
        if let Some(node) = nodes().find(free_to_go) {
            return Some(format!("node {} of {name} could be removed", node.id));
        }
        if cluster.is_deleting() {
            let empty = view.nodes.is_empty() && view.queue.is_empty();
            let waits = !view.queue.is_empty() || nodes().any(|it| !it.is_leaving());
            return (empty || waits).then(|| format!("the deletion of {name} could go on"));
        }
        let ceiling = cluster.scale.ceiling();
        let mut startable = view.queue.values().filter(|it| it.entry.node_count <= ceiling);
        if let Some(head) = startable.next()
            && head.entry.node_count as usize <= view.idle.len()
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
        if !cluster.health.is_clear() || now < cluster.health.not_before {
            return None;
        }
        let missing = self.wanted(view) > usable(nodes()) && (view.nodes.len() as u32) < ceiling;
        // Where capacity is scarce, clusters wait for each other.
        let gives = scenario.quota_nodes > 10 && scenario.instances > 10;
        (missing && gives).then(|| format!("{name} could grow: it has {staying} nodes"))
    }

    fn wanted(&self, view: &ClusterView) -> u32 {
        let ceiling = view.record.scale.ceiling();
        match view.record.scale {
            ScaleSettings::Manual { target_node_count, .. } => target_node_count,
            ScaleSettings::AutoScale { .. } => {
                let widths = view.queue.values().map(|it| it.entry.node_count);
                let queued: u32 = widths.filter(|width| *width <= ceiling).sum();
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
