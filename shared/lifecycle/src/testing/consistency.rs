//! Invariants of the table, checked after every commit.

use super::Fixture;
use crate::Draft;
use model::{Quota, Uid};
use std::collections::BTreeMap;
use table::{Body, Key, WriteKind};

#[track_caller]
pub fn check(fixture: &Fixture) {
    derived_items(fixture);
    occupation(fixture);
    launches(fixture);
    schedule(fixture);
}

/// The derived items are the same as after the creation of these records.
#[track_caller]
fn derived_items(fixture: &Fixture) {
    let mut draft = Draft::new(
        fixture.now,
        Quota { clusters: u32::MAX, cores: u32::MAX, total_cores: u32::MAX },
    );
    fixture.cluster().into_iter().for_each(|it| draft.create_cluster(it));
    fixture.jobs().into_iter().for_each(|it| draft.create_job(it));
    fixture.nodes().into_iter().for_each(|it| draft.create_node(it));
    let mut expected = BTreeMap::new();
    for write in draft.finish().writes.into_vec() {
        match write.kind {
            WriteKind::Put { body, .. } => record(&mut expected, write.key, None, &body),
            WriteKind::Add(count) => record(&mut expected, write.key, Some(count), &Body::None),
            other => panic!("creation writes {other:?}"),
        }
    }
    let mut stored = BTreeMap::new();
    for item in fixture.items() {
        record(&mut stored, item.key, item.attributes.count, &item.body);
    }
    assert_eq!(stored, expected, "items derived from the records");
}

fn record(found: &mut BTreeMap<Key, String>, key: Key, count: Option<i64>, body: &Body) {
    let (pk, sk) = (&key.pk, &key.sk);
    let of_cluster = sk.starts_with("queue#") || sk.starts_with("idle#");
    let of_others = ["inst#", "usage#", "fs#"].iter().any(|prefix| pk.starts_with(prefix));
    // A counter that returned to 0 is kept.
    if (of_cluster || of_others) && count != Some(0) {
        found.insert(key, format!("{count:?} {body:?}"));
    }
}

#[track_caller]
fn occupation(fixture: &Fixture) {
    let (jobs, nodes) = (fixture.jobs(), fixture.nodes());
    let mut of_jobs = Vec::new();
    for job in &jobs {
        let Some(attempt) = job.state.attempt() else { continue };
        assert!(!attempt.has_ended_everywhere(), "a live attempt that has ended: {attempt:?}");
        let reference = attempt.reference(&job.reference());
        let unended = attempt.members.iter().filter(|it| !it.progress.is_over());
        of_jobs.extend(unended.map(|member| (member.node.clone(), reference.clone())));
    }
    let occupied = |node: &model::Node| Some((node.id.clone(), node.attempt()?.clone()));
    let mut of_nodes: Vec<_> = nodes.iter().filter_map(occupied).collect();
    of_jobs.sort_unstable();
    of_nodes.sort_unstable();
    assert_eq!(of_jobs, of_nodes, "members that have not ended, and attempts of nodes");
}

/// A launch is stored while one of its nodes waits, and knows which. The builders make launching
/// nodes without one, as an earlier version did.
#[track_caller]
fn launches(fixture: &Fixture) {
    let nodes = fixture.nodes();
    for launch in fixture.launches() {
        let launching = |node: &&model::Node| {
            node.launch == *launch.id() && crate::nodes::is_launching(&node.state)
        };
        let mut waiting: Vec<_> = launch.waiting().cloned().collect();
        let mut expected: Vec<_> =
            nodes.iter().filter(launching).map(|node| node.id.clone()).collect();
        waiting.sort_unstable();
        expected.sort_unstable();
        assert_eq!(waiting, expected, "nodes that wait in launch {:?}", launch.id());
        assert!(!waiting.is_empty(), "nobody waits for launch {:?}", launch.id());
        for node in &nodes {
            let Some(instance) = node.instance().filter(|_| node.launch == *launch.id()) else {
                continue;
            };
            assert!(launch.has_bound(&instance.id), "{node:?} {launch:?}");
        }
    }
}

/// Every scheduled cluster is on the schedule's list.
#[track_caller]
fn schedule(fixture: &Fixture) {
    let Some(cluster) = fixture.cluster().filter(|cluster| cluster.scheduled) else { return };
    let listed = |uid: &Uid| {
        let sk = format!("target#{uid}");
        fixture.items().iter().any(|item| item.key.sk == sk)
    };
    assert!(listed(&cluster.uid), "a scheduled cluster is listed");
}
