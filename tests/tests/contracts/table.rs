//! The table: on the embedded engine in memory, on a file, and over HTTP as on AWS.

use crate::records::{
    NOW, cluster, cluster_ref, entry, experiment, file_server, job, names, node, uid, workspace,
};
use aws_sdk_dynamodb::Client;
use dynamo::{Error, Table, Transaction};
use local::engine::Engine;
use model::{Cluster, FileServerState, Lifecycle, Name, NodeId, Timestamp, Workspace};
use std::error::Error as _;
use tests::table_server::TableServer;

const TABLE: &str = "batchai";

async fn table(client: Client) -> Table {
    dynamo::create_table_if_missing(&client, TABLE).await.expect("the engine makes tables");
    dynamo::create_table_if_missing(&client, TABLE).await.expect("a second time it is there");
    Table::new(client, TABLE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_table_in_memory() {
    check(&table(Engine::in_memory().unwrap().client()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_table_on_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("batchai.db");
    let record = workspace(names("w"));
    {
        let table = table(Engine::open(&path).unwrap().client()).await;
        check(&table).await;
        table.commit(Transaction::new().create_workspace(&record)).await.unwrap();
    }
    let table = table(Engine::open(&path).unwrap().client()).await;
    assert_eq!(stored(&table, &record).await, Some(record), "it is there after a restart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_table_over_http() {
    let server = TableServer::start().await;
    check(&table(server.client()).await).await;
}

/// Each has records of its own.
async fn check(table: &Table) {
    a_key_is_taken_once(table).await;
    a_stale_version_is_refused(table).await;
    a_transaction_happens_as_a_whole(table).await;
    what_is_required_must_hold(table).await;
    names_are_found_without_regard_to_case(table).await;
    the_queue_is_in_order(table).await;
    what_is_too_wide_hides_nothing(table).await;
    a_list_goes_on_where_its_page_ended(table).await;
    a_range_of_more_than_a_megabyte_comes_whole(table).await;
    named_nodes_are_found_as_far_as_they_exist(table).await;
    a_sign_of_life_is_no_new_version(table).await;
    no_update_is_lost(table).await;
    what_is_consumed_is_counted(table).await;
    an_error_tells_no_secret(table).await;
}

async fn commit(table: &Table, transaction: Transaction) {
    table.commit(transaction).await.expect("every condition holds");
}

/// The conditions at these positions do not hold.
async fn refused(table: &Table, transaction: Transaction, positions: &[usize], why: &str) {
    match table.commit(transaction).await {
        Err(Error::Conflict { failed }) => assert_eq!(failed, positions, "{why}"),
        outcome => panic!("{why}: {outcome:?}"),
    }
}

async fn stored(table: &Table, like: &Workspace) -> Option<Workspace> {
    let names = &like.names;
    let found = table.workspace(&names.subscription, &names.resource_group, &names.workspace);
    found.await.expect("the table answers")
}

async fn a_key_is_taken_once(table: &Table) {
    let first = workspace(names("w"));
    commit(table, Transaction::new().create_workspace(&first)).await;
    let second = Workspace { uid: uid(), ..first.clone() };
    let create = Transaction::new().create_workspace(&second);
    refused(table, create, &[0], "the key is taken").await;
    assert_eq!(stored(table, &first).await, Some(first.clone()));
    commit(table, Transaction::new().remove_workspace(&first)).await;
    assert_eq!(stored(table, &first).await, None);
    commit(table, Transaction::new().create_workspace(&second)).await;
}

async fn a_stale_version_is_refused(table: &Table) {
    let read = workspace(names("w"));
    commit(table, Transaction::new().create_workspace(&read)).await;
    let changed = Workspace { location: "elsewhere".to_owned(), ..read.clone() };
    commit(table, Transaction::new().replace_workspace(&changed)).await;
    let now = stored(table, &read).await.expect("it is there");
    assert_eq!((now.version, now.location.as_str()), (2, "elsewhere"));

    let late = Workspace { location: "too late".to_owned(), ..read.clone() };
    let replace = Transaction::new().replace_workspace(&late);
    refused(table, replace, &[0], "written since it was read").await;
    refused(table, Transaction::new().remove_workspace(&read), &[0], "likewise").await;
    let absent = workspace(names("w"));
    refused(table, Transaction::new().replace_workspace(&absent), &[0], "never there").await;
    refused(table, Transaction::new().remove_workspace(&absent), &[0], "never there").await;
    assert_eq!(stored(table, &read).await, Some(now));
}

async fn a_transaction_happens_as_a_whole(table: &Table) {
    let present = workspace(names("w"));
    commit(table, Transaction::new().create_workspace(&present)).await;
    let (new, stale) = (workspace(names("w")), Workspace { version: 7, ..present.clone() });
    let transaction = Transaction::new()
        .create_workspace(&new)
        .replace_workspace(&stale)
        .create_workspace(&workspace(names("w")))
        .dequeue(&cluster_ref(), &entry("j", 1, 1, 1));
    refused(table, transaction, &[1, 3], "the second and the fourth do not hold").await;
    assert_eq!(stored(table, &new).await, None, "the first did not happen either");

    // As many as DynamoDB takes.
    let reference = cluster_ref();
    let nodes: Vec<_> = (0..100).map(|_| node(&reference)).collect();
    let all = nodes.iter().fold(Transaction::new(), Transaction::create_node);
    commit(table, all).await;
    assert_eq!(table.nodes(&reference).await.unwrap().len(), 100);
    commit(table, Transaction::new()).await;
}

async fn what_is_required_must_hold(table: &Table) {
    let deleting = || Lifecycle::Deleting { operation: uid(), since: NOW };

    let active = workspace(names("w"));
    let leaving = Workspace { lifecycle: deleting(), ..workspace(names("w")) };
    let never = workspace(names("w"));
    let other = Workspace { uid: uid(), ..active.clone() };
    let both = Transaction::new().create_workspace(&active).create_workspace(&leaving);
    commit(table, both).await;
    commit(table, guarded().require_workspace(&active)).await;
    for (workspace, why) in
        [(&leaving, "on its way out"), (&never, "not there"), (&other, "a later one of that name")]
    {
        refused(table, guarded().require_workspace(workspace), &[1], why).await;
    }

    let active = experiment();
    commit(table, Transaction::new().create_experiment(&active)).await;
    commit(table, guarded().require_experiment(&active)).await;
    refused(table, guarded().require_experiment(&experiment()), &[1], "not there").await;

    let ready = file_server(FileServerState::Ready { since: NOW });
    let creating = file_server(FileServerState::Creating { operation: uid(), since: NOW });
    let both = Transaction::new().create_file_server(&ready).create_file_server(&creating);
    commit(table, both).await;
    commit(table, guarded().require_file_server(&ready)).await;
    refused(table, guarded().require_file_server(&creating), &[1], "not yet there").await;

    let awake = cluster();
    let resting = Cluster { awake: false, ..cluster() };
    let leaving = Cluster { state: deleting(), ..cluster() };
    for it in [&awake, &resting, &leaving] {
        commit(table, Transaction::new().create_cluster(it)).await;
    }
    commit(table, guarded().require_awake_cluster(&awake)).await;
    refused(table, guarded().require_awake_cluster(&resting), &[1], "at rest").await;
    refused(table, guarded().require_awake_cluster(&leaving), &[1], "on its way out").await;
}

/// Something to write under a condition.
fn guarded() -> Transaction {
    Transaction::new().create_workspace(&workspace(names("w")))
}

async fn names_are_found_without_regard_to_case(table: &Table) {
    let record = workspace(names("MyWorkspace"));
    commit(table, Transaction::new().create_workspace(&record)).await;
    let found = table
        .workspace(&record.names.subscription, &Name::new("gROUP"), &Name::new("MYworkspace"))
        .await
        .unwrap()
        .expect("the case does not matter");
    assert_eq!(found.names.workspace.as_str(), "MyWorkspace", "shown as it was created");
}

async fn the_queue_is_in_order(table: &Table) {
    let reference = cluster_ref();
    let entries = [
        entry("low", 2, 1, 1),
        entry("late", 1, 1_530_000_000_000, 1),
        entry("early", 1, 999_999_999_999, 1),
        entry("high", 0, 1_600_000_000_000, 1),
    ];
    for it in &entries {
        commit(table, Transaction::new().enqueue(&reference, it)).await;
    }
    let queue = || async {
        let found = table.startable(&reference, 1, 10).await.unwrap();
        found.into_iter().map(|entry| entry.job.name).collect::<Vec<_>>()
    };
    assert_eq!(queue().await, ["high", "early", "late", "low"], "priority, then time");
    refused(table, Transaction::new().enqueue(&reference, &entries[0]), &[0], "it waits").await;
    commit(table, Transaction::new().dequeue(&reference, &entries[3])).await;
    refused(table, Transaction::new().dequeue(&reference, &entries[3]), &[0], "it left").await;
    assert_eq!(queue().await, ["early", "late", "low"]);
    assert!(table.startable(&cluster_ref(), 1, 10).await.unwrap().is_empty(), "another queue");
}

async fn what_is_too_wide_hides_nothing(table: &Table) {
    let reference = cluster_ref();
    let entries: Vec<_> = (0..40)
        .map(|time| entry(&format!("j{time}"), 1, time, if time < 30 { 5 } else { 4 }))
        .collect();
    let all = entries.iter().fold(Transaction::new(), |all, it| all.enqueue(&reference, it));
    commit(table, all).await;
    let head = table.startable(&reference, 4, 3).await.unwrap();
    assert_eq!(head, entries[30..33], "the first three that fit, from behind thirty that do not");
    assert_eq!(table.startable(&reference, 4, 100).await.unwrap(), entries[30..]);
    assert_eq!(table.startable(&reference, 5, 2).await.unwrap(), entries[..2]);
    assert!(table.startable(&reference, 3, 2).await.unwrap().is_empty());
    assert!(table.startable(&reference, 4, 0).await.unwrap().is_empty());
}

async fn a_list_goes_on_where_its_page_ended(table: &Table) {
    let first = names("w0");
    let (subscription, other_group) = (&first.subscription, Name::new("Group2"));
    for number in 0..5 {
        let mut names = first.clone();
        names.workspace = Name::new(format!("w{number}"));
        commit(table, Transaction::new().create_workspace(&workspace(names))).await;
    }
    let mut elsewhere = first.clone();
    elsewhere.resource_group = other_group;
    commit(table, Transaction::new().create_workspace(&workspace(elsewhere))).await;

    let (mut after, mut seen, mut pages) = (None, Vec::new(), 0);
    loop {
        let group = Some(&first.resource_group);
        let page = table.workspaces(subscription, group, after, 2).await.unwrap();
        seen.extend(page.items.iter().map(|it| it.names.workspace.as_str().to_owned()));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!((seen, pages), (["w0", "w1", "w2", "w3", "w4"].map(str::to_owned).to_vec(), 3));
    let whole = table.workspaces(subscription, None, None, 6).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (6, None), "a page that is just full is the last");
}

/// DynamoDB answers a query in pages of one megabyte.
async fn a_range_of_more_than_a_megabyte_comes_whole(table: &Table) {
    let experiment = uid();
    for number in 0..20 {
        let job = job(&experiment, &format!("j{number:02}"), "x".repeat(60_000));
        commit(table, Transaction::new().create_job(&job)).await;
    }
    let page = table.jobs(&experiment, None, 1000).await.unwrap();
    assert_eq!((page.items.len(), page.next), (20, None));
    let page = table.jobs(&experiment, None, 19).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (19, Some("job#j18")));
}

async fn named_nodes_are_found_as_far_as_they_exist(table: &Table) {
    let reference = cluster_ref();
    let nodes: Vec<_> = (0..3).map(|_| node(&reference)).collect();
    commit(table, nodes.iter().fold(Transaction::new(), Transaction::create_node)).await;
    let absent = NodeId::new(&uid(), false);
    let named = async |ids: Vec<NodeId>| {
        let mut found = table.nodes_named(&reference, &ids).await.unwrap();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found
    };
    let mut expected = vec![nodes[0].clone(), nodes[2].clone()];
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let ids = vec![nodes[2].id.clone(), absent.clone(), nodes[0].id.clone()];
    assert_eq!(named(ids).await, expected);
    assert_eq!(named(vec![nodes[1].id.clone()]).await, nodes[1..2]);
    assert_eq!(named(vec![absent]).await, []);
    assert_eq!(named(Vec::new()).await, []);
}

async fn a_sign_of_life_is_no_new_version(table: &Table) {
    let reference = cluster_ref();
    let node = node(&reference);
    commit(table, Transaction::new().create_node(&node)).await;
    let later = Timestamp(NOW.0 + 5000);
    table.touch_node(&node, later).await.unwrap();
    let read = table.node(&reference, &node.id).await.unwrap().expect("it is there");
    assert_eq!(read, model::Node { seen_at: later, ..node.clone() });
    assert_eq!(table.nodes(&reference).await.unwrap(), [read], "in a list too");
    commit(table, Transaction::new().replace_node(&node)).await;
    let gone = table.node(&reference, &node.id).await.unwrap().expect("it is there");
    commit(table, Transaction::new().remove_node(&gone)).await;
    let touched = table.touch_node(&node, later).await;
    assert!(matches!(touched, Err(Error::Conflict { .. })), "a node that is gone: {touched:?}");
    assert_eq!(table.node(&reference, &node.id).await.unwrap(), None, "it does not come back");
}

async fn no_update_is_lost(table: &Table) {
    const WRITERS: u64 = 50;
    let record = workspace(names("w"));
    commit(table, Transaction::new().create_workspace(&record)).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (table, record) = (table.clone(), record.clone());
        writers.spawn(async move {
            loop {
                let mut read = stored(&table, &record).await.expect("it is there");
                let count: u64 = read.location.parse().unwrap_or(0);
                read.location = (count + 1).to_string();
                match table.commit(Transaction::new().replace_workspace(&read)).await {
                    Ok(()) => return,
                    Err(Error::Conflict { .. } | Error::Throttled(_)) => {}
                    Err(error) => panic!("{error}: {:?}", error.source()),
                }
            }
        });
    }
    writers.join_all().await;
    let counted = stored(table, &record).await.expect("it is there");
    assert_eq!((counted.location, counted.version), (WRITERS.to_string(), WRITERS + 1));
}

async fn what_is_consumed_is_counted(table: &Table) {
    let record = workspace(names("w"));
    let before = table.units().consumed();
    commit(table, Transaction::new().create_workspace(&record)).await;
    let written = table.units().consumed();
    assert_eq!(written.write_units - before.write_units, 2.0, "a transaction costs twice");
    assert_eq!(written.read_units, before.read_units);
    stored(table, &record).await;
    let read = table.units().consumed();
    assert_eq!(read.read_units - written.read_units, 1.0, "a consistent read of up to 4 KB");
    let after = table.clone().units().consumed();
    assert_eq!(after, read, "every copy counts in one place");
}

async fn an_error_tells_no_secret(table: &Table) {
    // Larger than an item may be.
    let job = job(&uid(), "j", "hunter2 ".repeat(60_000));
    let error = table.commit(Transaction::new().create_job(&job)).await.expect_err("too large");
    assert!(matches!(error, Error::TooLarge(_)), "{error}");
    let mut said = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        said.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(!said.contains("hunter2"), "a record's content is in its error: {said}");
}
