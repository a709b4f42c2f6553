//! The nodes that a job runs on, with what they measure, in the order of its ranks.

use crate::links::{WorkspacePath, name_of};
use crate::shell::Visit;
use resources::{ClusterNode, Job};
use std::collections::HashMap;

/// The most nodes of a cluster.
const NODES: usize = 1000;
/// So many nodes of the job are shown: a page that a browser updates at once.
const SHOWN: usize = 64;

/// A node of the job's current attempt.
pub(crate) struct NodeRow {
    pub(crate) node: ClusterNode,
    /// None of a node that the attempt does not name.
    pub(crate) rank: Option<usize>,
}

impl NodeRow {
    /// The rank in words: the first node runs the job's command.
    pub(crate) fn rank(&self) -> String {
        match self.rank {
            None => String::new(),
            Some(0) => "0 (master)".to_owned(),
            Some(rank) => rank.to_string(),
        }
    }
}

/// The first nodes, and how many others there are. None if the job does not run, or the viewer may not see its cluster.
pub(crate) async fn of_job(visit: &Visit, job: &Job) -> Option<(Vec<NodeRow>, usize)> {
    if !job.properties.execution_state.has_nodes() {
        return None;
    }
    let id = &job.properties.cluster.as_ref()?.id;
    let nodes = WorkspacePath::of_id(id)?.api(&["clusters", name_of(id), "nodes"]);
    let nodes = visit.api.list::<ClusterNode>(&nodes, NODES).await.ok()?.items;
    let mut rows = ranked(nodes, job);
    let others = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    (!rows.is_empty()).then_some((rows, others))
}

/// Those of a cluster's nodes that the job runs on.
fn ranked(nodes: Vec<ClusterNode>, job: &Job) -> Vec<NodeRow> {
    let ranks: &[String] = job.attempts().last().map_or(&[], |attempt| &attempt.nodes);
    let ranks: HashMap<&str, usize> =
        ranks.iter().enumerate().map(|(rank, node)| (node.as_str(), rank)).collect();
    let runs = |node: &ClusterNode| {
        node.job.as_ref().is_some_and(|it| it.id.eq_ignore_ascii_case(&job.id))
    };
    let row = |node: ClusterNode| {
        let rank = ranks.get(node.node_id.as_str()).copied();
        NodeRow { node, rank }
    };
    let mut rows: Vec<NodeRow> = nodes.into_iter().filter(runs).map(row).collect();
    rows.sort_by_key(|row| row.rank.unwrap_or(usize::MAX));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_of_the_job_are_in_the_order_of_their_ranks() {
        let job: Job = serde_json::from_value(json!({ "id": "/w/jobs/train", "name": "train",
            "properties": { "extensions": { "attempts": [
                { "number": 1, "nodes": ["a", "old"] }, { "number": 2, "nodes": ["b", "a"] } ] } } }))
        .unwrap();
        let node = |name: &str, job: Option<&str>| -> ClusterNode {
            let job = job.map(|id| json!({ "id": id }));
            serde_json::from_value(json!({ "nodeId": name, "state": "running", "job": job }))
                .unwrap()
        };
        let nodes = vec![
            node("a", Some("/W/jobs/train")),
            node("other", Some("/w/jobs/other")),
            node("idle", None),
            node("new", Some("/w/jobs/train")),
            node("b", Some("/w/jobs/train")),
        ];
        let rows = ranked(nodes, &job);
        let shown: Vec<String> =
            rows.iter().map(|row| format!("{}: {:?}", row.node.node_id, row.rank())).collect();
        insta::assert_snapshot!(shown.join(", "), @r#"b: "0 (master)", a: "1", new: """#);
    }
}
