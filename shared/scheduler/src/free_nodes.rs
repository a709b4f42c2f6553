//! Free nodes by zone, and which of them a job gets: those of one zone, and of the smallest group that
//! suffices, so that the large groups are left for gangs.

use std::collections::BTreeMap;

/// Nodes in groups. Those of a group can form a gang; a node without a group can only run a job of one
/// node.
#[derive(Clone, Debug)]
pub(crate) struct FreeNodes<K, T> {
    groups: BTreeMap<K, Vec<T>>,
    ungrouped: Vec<T>,
}

impl<K: Ord + Clone, T> FreeNodes<K, T> {
    /// Nodes, each with its group.
    pub(crate) fn new(nodes: impl IntoIterator<Item = (Option<K>, T)>) -> Self {
        let mut free = Self { groups: BTreeMap::new(), ungrouped: Vec::new() };
        for (group, node) in nodes {
            match group {
                Some(group) => free.groups.entry(group).or_default().push(node),
                None => free.ungrouped.push(node),
            }
        }
        free
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.values().map(Vec::len).sum::<usize>() + self.ungrouped.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a job of this width gets its nodes.
    pub(crate) fn suffice(&self, width: usize) -> bool {
        (width == 1 && !self.ungrouped.is_empty())
            || self.groups.values().any(|nodes| nodes.len() >= width)
    }

    /// The nodes of a job of this width. The kept group is used last.
    pub(crate) fn take(&mut self, width: usize, kept: Option<&K>) -> Option<Vec<T>> {
        if width == 1 && !self.ungrouped.is_empty() {
            return Some(vec![self.ungrouped.remove(0)]);
        }
        let sufficient = self.groups.iter().filter(|(_, nodes)| nodes.len() >= width);
        let cost = |(group, nodes): &(&K, &Vec<T>)| (kept == Some(*group), nodes.len());
        let group = sufficient.min_by_key(cost)?.0.clone();
        Some(self.take_from(&group, width))
    }

    /// The largest group; of several the first.
    pub(crate) fn largest(&self) -> Option<&K> {
        let groups = self.groups.iter().rev().filter(|(_, nodes)| !nodes.is_empty());
        Some(groups.max_by_key(|(_, nodes)| nodes.len())?.0)
    }

    /// Up to this many nodes of a group.
    pub(crate) fn take_from(&mut self, group: &K, count: usize) -> Vec<T> {
        let Some(nodes) = self.groups.get_mut(group) else { return Vec::new() };
        nodes.drain(..count.min(nodes.len())).collect()
    }

    /// All nodes without a group.
    pub(crate) fn take_ungrouped(&mut self) -> Vec<T> {
        std::mem::take(&mut self.ungrouped)
    }

    /// All nodes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.values().flatten().chain(&self.ungrouped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(groups: &[(&'static str, usize)]) -> FreeNodes<&'static str, usize> {
        let nodes = groups.iter().flat_map(|(group, count)| {
            (0..*count).map(|node| ((*group != "?").then_some(*group), node))
        });
        FreeNodes::new(nodes)
    }

    #[test]
    fn a_job_gets_the_smallest_group_that_suffices() {
        let mut nodes = free(&[("a", 4), ("b", 2), ("c", 3)]);
        assert_eq!((nodes.len(), nodes.largest()), (9, Some(&"a")));
        assert_eq!(nodes.take(3, None), Some(vec![0, 1, 2]));
        assert_eq!(nodes.take(3, None).map(|it| it.len()), Some(3), "of the largest");
        assert_eq!(nodes.take(1, None).map(|it| it.len()), Some(1), "what that left");
        assert!(nodes.suffice(2) && !nodes.suffice(3));
        assert_eq!(nodes.take(3, None), None);
        assert_eq!(nodes.take(2, None), Some(vec![0, 1]));
        assert!(nodes.is_empty() && nodes.largest().is_none());
    }

    #[test]
    fn nodes_without_a_group_are_for_single_jobs() {
        let mut nodes = free(&[("a", 1), ("?", 2)]);
        assert!(!nodes.suffice(2) && nodes.take(2, None).is_none());
        assert!(nodes.take(1, None).is_some() && nodes.take(1, None).is_some());
        assert_eq!(nodes.largest(), Some(&"a"), "they are used first");
        assert!(nodes.suffice(1) && nodes.take(1, None).is_some() && !nodes.suffice(1));
    }

    #[test]
    fn the_kept_group_is_used_last() {
        let mut nodes = free(&[("a", 1), ("b", 2)]);
        let mut take = || nodes.take(1, Some(&"a")).map(|_| nodes.take_from(&"a", 0));
        assert!(take().is_some() && take().is_some());
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes.largest(), Some(&"a"));
    }
}
