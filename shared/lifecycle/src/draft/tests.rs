//! Records in a draft, and the writes derived from them.

use super::*;
use crate::testing::*;

#[test]
fn a_record_read_again_keeps_its_changes() {
    let (job, mut nodes) = gang("a", &[0]);
    let (node, cluster) = (nodes.remove(0), manual_cluster(1));
    let read = |draft: &mut Draft| {
        draft.read_cluster(cluster.clone());
        draft.read_job(job.clone());
        draft.read_node(node.clone());
    };
    let mut draft = Draft::new(LATER, Quota::DEFAULT);
    read(&mut draft);
    draft.cluster_mut().unwrap().planned_nodes = 7;
    draft.job_mut(&job.reference()).unwrap().deletion =
        Some(model::Deletion { operation: uid("op"), since: NOW });
    draft.remove_node(&node.id);
    let once = draft.clone().finish();
    read(&mut draft);
    assert_eq!(draft.node(&node.id), None, "it is removed");
    assert_eq!(draft.finish(), once);
    assert!(once.writes.len() > 2);
}

#[test]
fn records_are_distinguished_by_their_ids() {
    let mut draft = Draft::new(LATER, Quota::DEFAULT);
    draft.read_job(job("a", 1));
    draft.read_job(job("b", 1));
    draft.read_node(idle(0, NOW));
    draft.read_node(idle(1, NOW));
    for name in ["a", "b"] {
        assert_eq!(draft.job(&job_ref(name)).map(Job::reference), Some(job_ref(name)));
        assert_eq!(draft.job_mut(&job_ref(name)).map(|it| it.reference()), Ok(job_ref(name)));
    }
    for number in 0..2 {
        assert_eq!(draft.node(&node_id(number)).map(|it| &it.id), Some(&node_id(number)));
    }
    draft.remove_job(&job_ref("a"));
    draft.remove_node(&node_id(1));
    assert!(draft.job(&job_ref("a")).is_none() && draft.job(&job_ref("b")).is_some());
    assert!(draft.node(&node_id(1)).is_none() && draft.node(&node_id(0)).is_some());
    assert!(draft.finish().writes.len() > 2);
}

#[test]
fn an_unchanged_record_is_not_written() {
    let (job, nodes) = gang("a", &[0, 1]);
    let fixture = Fixture::of(manual_cluster(2), vec![job], nodes);
    assert_eq!(fixture.draft().finish(), Change::default());
}

/// Increments and decrements of one meter in one change are one write, or none.
#[test]
fn usage_is_summed_over_all_nodes() {
    let fixture = Fixture::of(manual_cluster(2), vec![], vec![idle(0, NOW), idle(1, NOW)]);
    let mut draft = fixture.draft();
    draft.remove_node(&node_id(0));
    draft.create_node(launching(2, "l"));
    assert!(!format!("{:?}", draft.finish().writes).contains("meter#"));
    let mut draft = fixture.draft();
    draft.remove_node(&node_id(0));
    draft.remove_node(&node_id(1));
    let change = draft.finish();
    assert_eq!(format!("{:?}", change.writes).matches("Add(-2)").count(), 3);
    fixture.commit(&change).unwrap();
    assert!(fixture.nodes().is_empty());
}

/// Each removed node has one record of its end; those of a launch without capacity share one.
#[test]
fn a_removed_node_is_recorded_once() {
    let nodes = vec![idle(0, NOW), launching(1, "l"), launching(2, "l"), launching(3, "l")];
    let fixture = Fixture::of(manual_cluster(4), vec![], nodes);
    let mut draft = fixture.draft();
    draft.remove_node(&node_id(0));
    draft.withdraw_node(&node_id(1), "NoCapacity");
    draft.withdraw_node(&node_id(3), "NoCapacity");
    let ended: Vec<EndedNodes> = draft
        .finish()
        .writes
        .into_vec()
        .into_iter()
        .filter(|it| it.key.pk.starts_with("ended#"))
        .map(|it| match it.kind {
            table::WriteKind::Put { body, attributes } => {
                let ended: EndedNodes = body.read().unwrap();
                assert_eq!(attributes.expires_at, Some(ended.expires_at));
                ended
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let summary: Vec<_> = ended.iter().map(|it| (it.ids.clone(), it.end.name())).collect();
    let expected = [(vec![node_id(0)], "lost"), (vec![node_id(1), node_id(3)], "notLaunched")];
    assert_eq!(summary, expected);
    assert_eq!(ended[1].end.error_code(), Some("NoCapacity"));
    assert!(ended.iter().all(|it| it.removed_at == LATER));
}

/// A record of an earlier version: cores that were not counted are not subtracted.
#[test]
fn a_node_outside_the_total_is_removed_without_it() {
    let mut node = idle(0, NOW);
    node.charge.in_total = false;
    let mut draft = Draft::new(LATER, Quota::DEFAULT);
    draft.read_node(node.clone());
    draft.remove_node(&node.id);
    let writes = format!("{:?}", draft.finish().writes);
    assert!(writes.contains("usage#") && !writes.contains("\"usage\""), "{writes}");
}
