//! The typed queries and writes of the table, on storage in memory. The contract suite tests
//! storage itself.

use model::{
    ClusterRef, EndedNodes, JobRef, Lifecycle, Meter, Name, Node, NodeId, NodeMetrics, QueueEntry,
    Timestamp, Uid, Workspace, WorkspaceNames,
};
use scheduler::builders::{self, NOW};
use std::sync::Arc;
use table::{Error, Memory, Table, Writes};

fn table() -> Table {
    Table::new(Arc::new(Memory::new()))
}

fn uid(byte: u8) -> Uid {
    Uid::from_bytes([byte; 16])
}

async fn commit(table: &Table, fill: impl FnOnce(&mut Writes)) {
    let mut writes = Writes::default();
    fill(&mut writes);
    table.commit(writes).await.expect("every condition holds");
}

/// The conditions at these positions do not hold.
async fn refused(table: &Table, positions: &[usize], why: &str, fill: impl FnOnce(&mut Writes)) {
    let mut writes = Writes::default();
    fill(&mut writes);
    match table.commit(writes).await {
        Err(Error::Conflict { failed }) => assert_eq!(failed, positions, "{why}"),
        outcome => panic!("{why}: {outcome:?}"),
    }
}

fn workspace(group: &str, name: &str) -> Workspace {
    Workspace {
        names: WorkspaceNames {
            subscription: Name::new("s"),
            resource_group: Name::new(group),
            workspace: Name::new(name),
        },
        uid: uid(1),
        version: 1,
        location: "here".to_owned(),
        tags: None,
        created_at: NOW,
        etag: uid(2),
        modified_at: NOW,
        lifecycle: Lifecycle::Active,
    }
}

fn cluster() -> ClusterRef {
    builders::manual_cluster(1).reference()
}

fn entry(name: &str, rank: u8, submitted_at: i64, node_count: u32) -> QueueEntry {
    let job = JobRef { experiment: uid(3), name: name.to_owned(), uid: builders::uid(name) };
    let submitted_at = Timestamp(submitted_at);
    QueueEntry { job, rank, submitted_at, node_count, max_wall_clock_seconds: 60, sweep: None }
}

#[tokio::test]
async fn a_stale_version_is_refused() {
    let table = table();
    let read = workspace("g", "w");
    commit(&table, |it| it.create(&read)).await;
    refused(&table, &[0], "the key is taken", |it| it.create(&read)).await;
    let changed = Workspace { location: "elsewhere".to_owned(), ..read.clone() };
    commit(&table, |it| it.replace(&read, &changed)).await;
    let get = || async {
        table.workspace(&Name::new("S"), &Name::new("G"), &Name::new("W")).await.unwrap()
    };
    let now = get().await.expect("found without regard to case");
    assert_eq!((now.version, now.location.as_str()), (2, "elsewhere"));
    refused(&table, &[0], "written since", |it| it.replace(&read, &changed)).await;
    refused(&table, &[0], "written since", |it| it.remove(&read)).await;
    commit(&table, |it| it.remove(&now)).await;
    assert_eq!(get().await, None);
}

#[tokio::test]
async fn required_conditions_must_hold() {
    let table = table();
    let active = builders::manual_cluster(1);
    commit(&table, |it| it.create(&active)).await;
    commit(&table, |it| it.require_scheduled_cluster(&active)).await;
    let mut later = active.clone();
    later.uid = uid(9);
    refused(&table, &[0], "a later one of that name", |it| it.require_scheduled_cluster(&later))
        .await;
    let mut dormant = active.clone();
    dormant.scheduled = false;
    commit(&table, |it| it.replace(&active, &dormant)).await;
    refused(&table, &[0], "dormant", |it| it.require_scheduled_cluster(&active)).await;
    refused(&table, &[0], "changed since", |it| it.require_unchanged(&active)).await;
    let deleting = Lifecycle::Deleting { operation: uid(4), since: NOW };
    let leaving = Workspace { lifecycle: deleting, ..workspace("g", "leaving") };
    commit(&table, |it| it.create(&leaving)).await;
    refused(&table, &[0], "being deleted", |it| it.require_workspace(&leaving)).await;
}

#[tokio::test]
async fn the_queue_is_in_order() {
    let table = table();
    let entries = [
        entry("low", 2, 1, 1),
        entry("late", 1, 1_530_000_000_000, 1),
        entry("early", 1, 999_999_999_999, 1),
        entry("high", 0, 1_600_000_000_000, 1),
    ];
    for it in &entries {
        commit(&table, |writes| writes.enqueue(&cluster(), it)).await;
    }
    let queue = || async {
        let found = table.queue_head(&cluster(), 10, |entry| entry.node_count <= 1).await.unwrap();
        found.into_iter().map(|entry| entry.job.name).collect::<Vec<_>>()
    };
    assert_eq!(queue().await, ["high", "early", "late", "low"], "priority, then time");
    refused(&table, &[0], "it is queued", |it| it.enqueue(&cluster(), &entries[0])).await;
    commit(&table, |it| it.dequeue(&cluster(), &entries[3])).await;
    refused(&table, &[0], "it left", |it| it.dequeue(&cluster(), &entries[3])).await;
    assert_eq!(queue().await, ["early", "late", "low"]);
}

#[tokio::test]
async fn wide_jobs_hide_no_others() {
    let table = table();
    let width = |time| if time < 30 { 5 } else { 4 };
    let entries: Vec<_> =
        (0..40).map(|time| entry(&format!("j{time}"), 1, time, width(time))).collect();
    commit(&table, |it| entries.iter().for_each(|entry| it.enqueue(&cluster(), entry))).await;
    let startable = async |ceiling, limit| {
        let admits = |entry: &QueueEntry| entry.node_count <= ceiling;
        table.queue_head(&cluster(), limit, admits).await.unwrap()
    };
    assert_eq!(startable(4, 3).await, entries[30..33], "from behind thirty that do not fit");
    assert_eq!(startable(4, 100).await, entries[30..]);
    assert_eq!(startable(5, 2).await, entries[..2]);
    assert!(startable(3, 2).await.is_empty());
    assert!(startable(4, 0).await.is_empty());
}

#[tokio::test]
async fn a_list_continues_after_its_page() {
    let table = table();
    for number in 0..5 {
        commit(&table, |it| it.create(&workspace("g", &format!("w{number}")))).await;
    }
    commit(&table, |it| it.create(&workspace("g2", "w0"))).await;
    let (subscription, group) = (Name::new("s"), Name::new("g"));
    let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = table.workspaces(&subscription, Some(&group), after, 2).await.unwrap();
        seen.extend(page.items.iter().map(|it| it.names.workspace.as_str().to_owned()));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((seen.concat(), pages), ("w0w1w2w3w4".to_owned(), 3));
    let whole = table.workspaces(&subscription, None, None, 6).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (6, None), "a page that is just full is the last");
}

#[tokio::test]
async fn existing_records_are_found_by_key() {
    let table = table();
    let nodes: Vec<Node> = (0..3).map(|number| builders::idle(number, NOW)).collect();
    commit(&table, |it| nodes.iter().for_each(|node| it.create(node))).await;
    let reference = nodes[0].cluster.clone();
    let absent = NodeId::parse("absent").unwrap();
    let named = async |ids: &[&NodeId]| {
        let ids: Vec<NodeId> = ids.iter().map(|id| (*id).clone()).collect();
        let mut found = table.nodes_named(&reference, &ids).await.unwrap();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    };
    let some = named(&[&nodes[2].id, &absent, &nodes[0].id]).await;
    assert_eq!(some, [nodes[0].clone(), nodes[2].clone()]);
    assert_eq!(named(&[&nodes[1].id]).await, nodes[1..2]);
    assert_eq!(named(&[&absent]).await, []);
    assert_eq!(named(&[]).await, []);

    let job = builders::job("a", 1);
    commit(&table, |it| it.create(&job)).await;
    let mut later = job.reference();
    later.uid = uid(8);
    let found = table.jobs_named(&[job.reference()]).await.unwrap();
    assert_eq!(found, [job]);
    assert!(table.jobs_named(&[later]).await.unwrap().is_empty(), "a later one of that name");
}

/// In pages, newest first, of one cluster only.
#[tokio::test]
async fn ended_nodes_are_read_from_the_newest() {
    let table = table();
    let times = [5, 1_528_318_013_000, 1_528_318_013_001, 9_999_999_999_999];
    let ended = |number: usize| {
        let mut node = builders::idle(number, NOW);
        if number == 9 {
            node.cluster.uid = uid(9);
        }
        EndedNodes::of(&node, None, Timestamp(times[number % times.len()]))
    };
    for number in [2, 0, 9, 1, 3, 6] {
        commit(&table, |it| it.record_ended_nodes(&ended(number))).await;
    }
    let page = async |after, limit| {
        let page = table.ended_nodes(&builders::idle(0, NOW).cluster, after, limit).await.unwrap();
        let first = |it: EndedNodes| it.ids[0].clone();
        (page.items.into_iter().map(first).collect::<Vec<_>>(), page.next)
    };
    let ids = [3, 2, 6, 1, 0].map(builders::node_id);
    assert_eq!(page(None, 10).await, (ids.to_vec(), None));
    let (newest, next) = page(None, 2).await;
    assert_eq!(newest, ids[..2]);
    assert_eq!(page(next, 3).await, (ids[2..].to_vec(), None));
    // A repetition of the commit replaces the record.
    commit(&table, |it| it.record_ended_nodes(&ended(0))).await;
    assert_eq!(page(None, 10).await.0.len(), 5);
}

#[tokio::test]
async fn a_heartbeat_makes_no_new_version_and_only_moves_forward() {
    let table = table();
    let node = builders::idle(0, NOW);
    commit(&table, |it| it.create(&node)).await;
    let later = Timestamp(NOW.0 + 5000);
    let seen = |seen_at| Node { seen_at, ..node.clone() };
    commit(&table, |it| it.record_heartbeat(&node, &seen(later))).await;
    let read = || async { table.node(&node.cluster, &node.id).await.unwrap().unwrap() };
    assert_eq!(read().await, Node { seen_at: later, ..node.clone() });
    refused(&table, &[0], "an older one", |it| it.record_heartbeat(&node, &seen(NOW))).await;
    refused(&table, &[0], "planned before it", |it| it.replace(&node, &node)).await;
    assert_eq!(read().await.seen_at, later);
    let metrics = Some(NodeMetrics { load_percent: 7, ..NodeMetrics::default() });
    let measured = Node { metrics, ..seen(Timestamp(later.0 + 1000)) };
    refused(&table, &[0], "with metrics", |it| it.record_heartbeat(&node, &measured)).await;
    commit(&table, |it| it.record_heartbeat(&seen(later), &measured)).await;
    assert_eq!(read().await, measured);
    commit(&table, |writes| writes.remove(&measured)).await;
    refused(&table, &[0], "a removed node", |it| it.record_heartbeat(&node, &seen(later))).await;
    refused(&table, &[0], "with metrics", |it| it.record_heartbeat(&node, &measured)).await;
}

#[tokio::test]
async fn meters_stay_within_their_limit() {
    let table = table();
    let account = builders::manual_cluster(1).account();
    let count = |change, limit| {
        let account = account.clone();
        move |it: &mut Writes| it.count(&account, Meter::Clusters, change, limit)
    };
    refused(&table, &[0], "more than the limit", count(3, 2)).await;
    commit(&table, count(2, 2)).await;
    refused(&table, &[0], "full", count(1, 2)).await;
    refused(&table, &[0], "less than nothing", count(-3, 2)).await;
    commit(&table, count(-2, 2)).await;
    assert_eq!(table.usage(&account).await.unwrap(), [(Meter::Clusters, 0)]);
}
