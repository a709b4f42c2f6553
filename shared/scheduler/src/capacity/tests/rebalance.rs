//! Nodes that EC2 recommends to replace: each case with the resulting plan.

use super::*;
use model::Instance;

fn replacing(cluster: Cluster) -> Cluster {
    let mut cluster = cluster;
    cluster.spec.extensions.replace_on_rebalance = Some(true);
    cluster
}

fn at_risk(node: Node) -> Node {
    Node { rebalance_recommended_at: Some(NOW), ..node }
}

fn preparing(number: usize) -> Node {
    let instance: Instance = instance(number);
    node(number, NodeState::Preparing { instance, deadline: NOW.plus_seconds(600) })
}

/// What the first pass makes of a node at risk.
fn replaced(node: Node) -> Node {
    at_risk(node).leave(LeaveReason::AtRisk, NOW.plus_seconds(3600)).unwrap()
}

#[test]
fn idle_and_busy_nodes_at_risk_leave_and_end_no_job() {
    let nodes = vec![at_risk(running(0, "a")), at_risk(idle(1, NOW)), idle(2, NOW)];
    let expected = [leave(0, LeaveReason::AtRisk), leave(1, LeaveReason::AtRisk)];
    check(replacing(auto_cluster(0, 4)), nodes, &[1], &expected);
}

#[test]
fn without_the_setting_a_recommendation_changes_nothing() {
    let nodes = || vec![at_risk(running(0, "a")), at_risk(idle(1, NOW))];
    check(auto_cluster(0, 4), nodes(), &[1], &[]);
    let mut cluster = auto_cluster(0, 4);
    cluster.spec.extensions.replace_on_rebalance = Some(false);
    check(cluster, nodes(), &[1], &[]);
}

/// The next launch waits, so that a market that is always at risk does not launch for ever.
#[test]
fn a_node_at_risk_before_it_is_ready_is_a_failed_launch() {
    let node = at_risk(preparing(0));
    let error = crate::rebalance::failure(&node).unwrap();
    let expected = [leave(0, LeaveReason::AtRisk), Action::RecordFailure { error }];
    check(replacing(auto_cluster(0, 4)), vec![node], &[1], &expected);
}

#[test]
fn an_unusable_node_stays_for_inspection() {
    let error = ResourceError::new("MountFailed", "no");
    let unusable = NodeState::Unusable { instance: instance(0), since: NOW, error };
    check(replacing(manual_cluster(1)), vec![at_risk(node(0, unusable))], &[], &[]);
}

#[test]
fn a_replacement_is_launched_while_the_job_runs() {
    let nodes = || vec![replaced(running(0, "a"))];
    check(replacing(auto_cluster(0, 4)), nodes(), &[], &[launch(1, 2)]);
    let with_replacement = vec![replaced(running(0, "a")), idle(1, Timestamp(0))];
    check(replacing(auto_cluster(0, 4)), with_replacement, &[], &[]);
}

#[test]
fn the_maximum_holds_for_both_nodes() {
    let nodes = || vec![replaced(running(0, "a"))];
    check(replacing(auto_cluster(0, 1)), nodes(), &[], &[]);
    check(replacing(manual_cluster(1)), nodes(), &[], &[]);
    check(replacing(manual_cluster(1)), vec![], &[], &[launch(1, 1)]);
}

/// Its job has ended: nothing else wants the replacement.
#[test]
fn a_node_at_risk_without_a_job_is_removed_and_not_replaced() {
    let nodes = vec![replaced(idle(0, NOW)), idle(1, Timestamp(0))];
    let expected = [Action::Remove { node: node_id(0) }, leave(1, LeaveReason::Shrink)];
    check(replacing(auto_cluster(0, 4)), nodes, &[], &expected);
}
