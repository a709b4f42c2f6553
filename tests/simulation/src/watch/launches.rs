//! Invariants of launches: a launch is stored exactly while one of its nodes waits for an instance, and no
//! instance is ever bound to two nodes, nor a node to two instances.

use super::{Checked, Watch, ensure};
use crate::cloud::Cloud;
use model::{Node, NodeId, NodeState};
use std::collections::BTreeSet;

impl Watch {
    /// The instance that a node has, or had.
    pub(super) fn instance_of(&self, node: &str) -> Option<usize> {
        Cloud::number(self.bound.get(node)?)
    }

    /// The nodes that wait in a launch are the ones that are launching.
    pub(super) fn check_launch(&self, id: &str) -> Checked {
        let launching = |node: &&Node| {
            node.launch.as_str() == id && matches!(node.state, NodeState::Launching { .. })
        };
        let nodes = self.nodes.values().map(|it| &**it).filter(launching);
        let expected: BTreeSet<&NodeId> = nodes.map(|node| &node.id).collect();
        let waiting: BTreeSet<&NodeId> =
            self.launches.get(id).map(|it| it.waiting().collect()).unwrap_or_default();
        ensure(waiting == expected, || {
            format!("in launch {id} wait {waiting:?}, but {expected:?} are launching")
        })?;
        let settled = self.launches.get(id).is_some_and(|it| it.is_settled());
        ensure(!settled, || format!("launch {id} is stored, but none of its nodes waits"))
    }

    /// A node keeps its instance, and an instance its node.
    pub(super) fn check_bound(&mut self, node: &str) -> Checked {
        let Some(instance) = self.nodes.get(node).and_then(|it| it.instance()) else {
            return Ok(());
        };
        let name = instance.id.clone();
        let known = self.bound.entry(node.to_owned()).or_insert_with(|| name.clone());
        ensure(*known == name, || format!("node {node} had {known}, and has {name} now"))?;
        let owner = self.nodes_of_instances.entry(name.clone()).or_insert_with(|| node.to_owned());
        ensure(owner == node, || format!("{name} is bound to {node}, but it was {owner}"))
    }
}
