//! Every change at its maximum fits into one commit, and the largest record into one item. A
//! [`Fixture`] refuses commits beyond the limits of the table.

use crate::actions;
use crate::members::NodeDisposition;
use crate::size::{self, GrowingRecord};
use crate::testing::*;
use crate::{Change, Draft, jobs, launches, members, nodes, resources};
use model::*;
use protocol::{End, NodePhase, Problem};
use scheduler::{Action, builders};
use table::limits::{MAX_ITEM_BYTES, MAX_WRITES, check_sizes, check_writes, size_of};
use table::{Versioned, Writes};

const GANG: usize = limits::MAX_GANG_NODES as usize;

/// Checks that a change fits into a commit, and its number of writes.
#[track_caller]
fn check(change: &Change, expected: usize) {
    let writes = change.writes.clone().into_vec();
    check_writes(&writes).expect("number and keys");
    check_sizes(&writes).expect("sizes");
    assert_eq!(writes.len(), expected);
    assert!(writes.len() <= MAX_WRITES);
}

fn full_name(number: usize) -> NodeId {
    NodeId::parse(&format!("tvm-{number:016}-p")).unwrap()
}

/// The node with an id of maximal length.
fn named(mut node: Node, number: usize) -> Node {
    node.id = full_name(number);
    node
}

fn idle_gang() -> Vec<Node> {
    (0..GANG).map(|number| named(idle(number, NOW), number)).collect()
}

fn ids(nodes: &[Node]) -> Vec<NodeId> {
    nodes.iter().map(|node| node.id.clone()).collect()
}

fn draft(cluster: Option<Cluster>, jobs: Vec<Job>, nodes: Vec<Node>) -> Draft {
    let mut draft = Draft::new(LATER, Quota::DEFAULT);
    cluster.into_iter().for_each(|it| draft.read_cluster(it));
    jobs.into_iter().for_each(|it| draft.read_job(it));
    nodes.into_iter().for_each(|it| draft.read_node(it));
    draft
}

#[test]
fn the_largest_gang_starts() {
    let (entry, nodes) = (queued("a", limits::MAX_GANG_NODES), idle_gang());
    let start = Action::Start { entry, nodes: ids(&nodes) };
    let mut planned = draft(None, vec![job("a", limits::MAX_GANG_NODES)], nodes.clone());
    actions::apply(&mut planned, &start, None).unwrap();
    check(&planned.finish(), 2 * GANG + 2);

    let mut at_once = draft(None, vec![], nodes.clone());
    let gang = job("a", limits::MAX_GANG_NODES);
    jobs::submit(&mut at_once, gang, &manual_cluster(48), &ids(&nodes)).unwrap();
    check(&at_once.finish(), 2 * GANG + 1);
}

/// A node that becomes idle gets its next job in the same change. At worst the job that ends is
/// removed and completes two operations, and the next job is the largest gang.
#[test]
fn the_largest_gang_starts_on_a_node_that_another_job_frees() {
    let mut nodes = idle_gang();
    let mut over = job("b", 1);
    over.start(vec![(nodes[0].id.clone(), String::new())], NOW).unwrap();
    over.terminate(Some(uid("op")), NOW).unwrap();
    over.deletion = Some(Deletion { operation: uid("e"), since: NOW });
    let attempt = over.live_attempt().unwrap();
    nodes[0] = nodes[0].clone().assigned(attempt.clone(), NOW, NOW).unwrap();
    let gang = job("a", limits::MAX_GANG_NODES);
    let mut both = draft(None, vec![over, gang.clone()], nodes.clone());
    members::ended(
        &mut both,
        &attempt,
        &nodes[0].id,
        &EndReason::Terminated,
        NodeDisposition::Release,
    )
    .unwrap();
    jobs::start(&mut both, &gang.queue_entry(), &ids(&nodes)).unwrap();
    check(&both.finish(), MAX_WRITES);
}

#[test]
fn the_largest_launch_and_any_answer_to_it() {
    let count = limits::MAX_NODES_PER_LAUNCH;
    let ids: Vec<NodeId> = (0..count).map(full_name).collect();
    let mut cluster = manual_cluster(100);
    cluster.spec.vm_size = "STANDARD_NC6".into();
    let mut launch = draft(Some(cluster.clone()), vec![], vec![]);
    let (count_u32, is_gang) = (count as u32, false);
    let action = Action::Launch { count: count_u32, planned_nodes: count_u32, is_gang, zone: None };
    actions::apply(&mut launch, &action, Some(new_launch("l", ids.clone()))).unwrap();
    check(&launch.finish(), count + 5);

    let mut stored = builders::launch_of("l", &[]);
    stored.request.nodes.clone_from(&ids);
    stored.claims = vec![Claim::Waiting; count];
    let node = |number| Node { charge: cluster.charge(), ..named(launching(number, "l"), number) };
    for up in 0..=count {
        let bound = if up < count { up.min(count - 2) } else { up };
        let mut answer = draft(Some(cluster.clone()), vec![], (0..count).map(node).collect());
        answer.read_launch(stored.clone());
        let instances: Vec<LaunchedInstance> = (0..up).map(launched).collect();
        let refused = (up < count).then(|| error("NoCapacity"));
        let pool =
            Pool { vm_size: "t".into(), subnet: "s".into(), priority: VmPriority::Dedicated };
        let pools = vec![PoolRefusal { pool, problem: PoolProblem::NoCapacity }];
        let outcome = LaunchOutcome { launched: instances, refused, pools };
        launches::answered(&mut answer, &uid("l"), outcome);
        // The cluster shows the pool, also when all instances were launched.
        // The withdrawn nodes, three meters, and the record of their end.
        let withdrawn = if up < count { count - up + 3 + 1 } else { 0 };
        check(&answer.finish(), 2 * bound + withdrawn + 2);
    }
}

#[test]
fn the_largest_gang_is_asked_to_end_and_ends() {
    let mut nodes = idle_gang();
    let addresses = |node: &Node| (node.id.clone(), node.instance().unwrap().address.clone());
    let mut gang = job("a", limits::MAX_GANG_NODES);
    gang.start(nodes.iter().map(addresses).collect(), NOW).unwrap();
    let attempt = gang.live_attempt().unwrap();
    for node in &mut nodes {
        *node = node.clone().assigned(attempt.clone(), NOW, NOW).unwrap();
    }
    let read = || draft(Some(manual_cluster(48)), vec![gang.clone()], nodes.clone());

    let mut deleted = read();
    jobs::delete(&mut deleted, &gang.reference(), uid("op")).unwrap();
    let change = deleted.finish();
    assert_eq!(change.notify.len(), GANG);
    check(&change, 2);

    let mut ended = read();
    for node in &nodes {
        members::ended(
            &mut ended,
            &attempt,
            &node.id,
            &EndReason::Terminated,
            NodeDisposition::Release,
        )
        .unwrap();
    }
    check(&ended.finish(), 2 * GANG + 1);

    let mut interrupted = read();
    nodes::interrupted(&mut interrupted, &nodes[0].id, 120).unwrap();
    check(&interrupted.finish(), 2);
    let mut removed = read();
    nodes::removed(&mut removed, &nodes[0].id).unwrap();
    check(&removed.finish(), 7);
}

/// Includes the conditions on other records.
#[test]
fn a_cluster_with_the_most_mounts_is_created_and_removed() {
    let mount = |number: usize| FileServerMount {
        id: "/".repeat(300),
        uid: uid(&format!("server {number}")),
        share: model::FileShare::Directory,
        source_directory: None,
        relative_mount_path: format!("{number}"),
        mount_options: None,
    };
    let file_servers = (0..limits::MAX_FILE_SERVER_MOUNTS).map(mount).collect();
    let mut cluster = deleting(manual_cluster(0));
    cluster.spec.mounts = Some(MountVolumes { file_servers, ..MountVolumes::default() });
    let mut created = draft(None, vec![], vec![]);
    created.create_cluster(cluster.clone());
    let change = created.finish();
    // In addition: one check per file server, the workspace, the operation, ….
    assert!(change.writes.len() + limits::MAX_FILE_SERVER_MOUNTS + 7 <= MAX_WRITES);
    check(&change, limits::MAX_FILE_SERVER_MOUNTS + 3);

    let mut marked = draft(None, vec![], vec![]);
    let dormant = Cluster { scheduled: false, ..manual_cluster(0) };
    resources::begin_deletion(&mut marked, &dormant, uid("op"));
    check(&marked.finish(), 3);
    let mut removed = draft(Some(cluster), vec![], vec![]);
    actions::apply(&mut removed, &Action::FinishDeletion, None).unwrap();
    check(&removed.finish(), limits::MAX_FILE_SERVER_MOUNTS + 4);
}

const EARLIEST: Timestamp = Timestamp(i64::MIN);

fn error_of(bytes: usize) -> ResourceError {
    ResourceError::new("C", "m".repeat(bytes)).within(bytes)
}

/// A job with a record that grows the most: the largest gang with all retries.
fn widest_job(padding: usize) -> Job {
    let mut widest = job("a", limits::MAX_GANG_NODES);
    widest.spec.max_retries = Some(limits::MAX_RETRIES);
    widest.spec.std_out_err_path_prefix = "p".repeat(padding);
    widest
}

/// End reasons of all attempts of the longest history: user failures, lost nodes, and finally nodes
/// that could not run it.
fn longest_history(retries: u32) -> Vec<EndReason> {
    let node = || full_name(0);
    let failed = || EndReason::PreparationFailed { exit_code: i32::MIN };
    let reason = || "r".repeat(limits::MAX_REASON_BYTES);
    let lost = || EndReason::NodeLost { node: node(), reason: reason() };
    let error = || error_of(limits::MAX_REPORTED_ERROR_BYTES);
    let broken = || EndReason::NodeFailed { node: node(), error: error() };
    let losses = limits::MAX_INFRASTRUCTURE_LOSSES as usize + 1 - limits::MAX_NODE_FAILURES;
    let mut endings = Vec::new();
    endings.extend((0..retries).map(|_| failed()));
    endings.extend((0..losses).map(|_| lost()));
    endings.extend((0..limits::MAX_NODE_FAILURES).map(|_| broken()));
    endings
}

/// The largest size of the record over its life. It is written after each step.
fn largest_size(mut job: Job) -> usize {
    let address = "a".repeat(limits::MAX_ADDRESS_BYTES);
    let (gang, retries) = (job.spec.node_count as usize, job.spec.max_retries.unwrap_or_default());
    let nodes = || (0..gang).map(|number| (full_name(number), address.clone()));
    let mut largest = 0;
    job.has_metrics = true;
    for end_reason in longest_history(retries) {
        assert!(job.start(nodes().collect(), EARLIEST).is_ok());
        job.set_price(Some(u64::MAX));
        let attempt = job.live_attempt().unwrap();
        let mut ends = job.clone();
        ends.terminate(Some(uid("op")), EARLIEST).unwrap();
        ends.deletion = Some(Deletion { operation: uid("op"), since: EARLIEST });
        for job in [&mut ends, &mut job] {
            job.note_shortage(Shortage {
                resource: ScarceResource::Memory,
                node: full_name(0),
                evidence: "e".repeat(limits::MAX_EVIDENCE_BYTES),
            });
        }
        for (node, _) in nodes() {
            ends.member_ended(&attempt, &node, end_reason.clone(), EARLIEST).unwrap();
            with_largest_costs(&mut ends);
            largest = largest.max(stored_size(&ends));
            job.member_ended(&attempt, &node, end_reason.clone(), EARLIEST).unwrap();
            with_largest_costs(&mut job);
            largest = largest.max(stored_size(&job));
        }
    }
    assert!(job.state.is_final());
    let runs = retries + limits::MAX_INFRASTRUCTURE_LOSSES + 1;
    assert_eq!(job.attempts.len(), runs as usize, "bounded");
    largest
}

fn with_largest_costs(job: &mut Job) {
    for record in &mut job.attempts {
        record.cost_micro_usd = Some(u64::MAX);
    }
}

/// The size of a record with the highest version. A record that does not fit into an item fails the
/// test.
fn stored_size<R: Versioned>(record: &R) -> usize {
    let mut writes = Writes::default();
    writes.create(&record.at_version(u64::MAX));
    check_sizes(&writes.into_vec()).unwrap_or_else(|error| panic!("{error}"))[0]
}

/// The reserved room is enough, and at most an eighth of it is not needed.
#[track_caller]
fn check_growth(new: usize, largest: usize, kept: usize) {
    let grown = largest - new;
    println!("{new} bytes grow by {grown} of {kept}");
    assert!(grown <= kept && grown >= kept - kept / 8, "{grown} of {kept}");
}

/// The padding with which a record has just enough room to grow.
fn padding_to_the_limit<R: GrowingRecord>(unpadded: &R) -> usize {
    MAX_ITEM_BYTES - unpadded.growth_bytes() - size_of(unpadded).unwrap()
}

/// The record of a job can be written after every event.
#[test]
fn an_accepted_job_can_always_end() {
    let padding = padding_to_the_limit(&widest_job(0));
    let job = widest_job(padding);
    assert_eq!(size::check(&job), Ok(()));
    let refused = size::check(&widest_job(padding + 1)).unwrap_err().to_string();
    assert!(refused.starts_with("The job with the mounts of its cluster takes 29"), "{refused}");
    check_growth(size_of(&job).unwrap(), largest_size(job.clone()), job.growth_bytes());
}

/// A job with one node and no retries grows less, so its specification may be larger.
#[test]
fn a_job_keeps_room_for_its_own_history() {
    let narrow = job("a", 1);
    let new = size_of(&narrow).unwrap();
    check_growth(new, largest_size(narrow.clone()), narrow.growth_bytes());
    assert!(narrow.growth_bytes() * 3 < widest_job(0).growth_bytes());
    let body = limits::MAX_BODY_BYTES + widest_job(0).growth_bytes() + 32 * 1024;
    assert!(body < MAX_ITEM_BYTES, "the largest unencrypted body fits with a few mounts");
}

fn large_cluster(padding: usize) -> Cluster {
    let mut cluster = manual_cluster(0);
    cluster.spec.user_account.admin_user_name = "p".repeat(padding);
    cluster
}

/// Updates and errors can be written for every cluster that was created.
#[test]
fn a_cluster_that_is_created_can_be_changed_and_deleted() {
    let padding = padding_to_the_limit(&large_cluster(0));
    let cluster = large_cluster(padding);
    assert_eq!(size::check(&cluster), Ok(()));
    let refused = size::check(&large_cluster(padding + 1)).unwrap_err().to_string();
    assert!(refused.starts_with("The cluster takes 3"), "{refused}");

    let mut largest = deleting(cluster.clone());
    largest.state = ClusterState::Deleting { operation: uid("op"), since: EARLIEST };
    (largest.modified_at, largest.planned_nodes) = (EARLIEST, u32::MAX);
    largest.allocation = Allocation { resizing: false, since: EARLIEST };
    largest.health = Backoff { failures: u32::MAX, since: EARLIEST, not_before: EARLIEST };
    largest.scale = auto_cluster(u32::MAX, u32::MAX).scale;
    let sizes = vec!["s".repeat(limits::MAX_VM_SIZE_BYTES); limits::MAX_ALTERNATE_VM_SIZES];
    let group = "g".repeat(limits::MAX_SECURITY_GROUP_ID_BYTES);
    let groups = vec![group; limits::MAX_SECURITY_GROUPS];
    largest.spec.extensions = ClusterExtensions {
        idle_seconds_before_scale_down: Some(u32::MAX),
        alternate_vm_sizes: Some(sizes),
        security_groups: Some(groups),
        capacity_reservation: Some("r".repeat(limits::MAX_CAPACITY_RESERVATION_BYTES)),
        replace_on_rebalance: Some(false),
    };
    for number in 0..1000 {
        let mut error = error_of(2 * limits::MAX_ERROR_BYTES);
        error.code = number.to_string();
        largest.record_error(error);
    }
    for number in 0..1000 {
        let vm_size = format!("{number:0>width$}", width = limits::MAX_VM_SIZE_BYTES);
        let subnet = "s".repeat(limits::MAX_SUBNET_ID_BYTES);
        let pool = Pool { vm_size, subnet, priority: VmPriority::LowPriority };
        largest.avoid(&[PoolRefusal { pool, problem: PoolProblem::LimitReached }], EARLIEST);
    }
    assert_eq!(largest.avoided_pools.len(), limits::MAX_AVOIDED_POOLS);
    largest.launch_rate = LaunchRate { since: EARLIEST, count: u32::MAX };
    assert_eq!(largest.errors.len(), limits::MAX_CLUSTER_ERRORS);
    assert_eq!(largest.errors[0].code, "999");
    check_growth(size_of(&cluster).unwrap(), stored_size(&largest), cluster.growth_bytes());
}

/// Other resources do not grow: the largest body fits.
#[test]
fn the_largest_file_server_and_the_most_tags_are_items() {
    let text = || "t".repeat(limits::MAX_BODY_BYTES);
    let tags = || Some([(String::new(), text())].into());
    stored_size(&Workspace { tags: tags(), ..workspace() });
    stored_size(&ResourceGroup { tags: tags(), ..resource_group() });
    let mut server = file_server(FileServerState::Deleting { operation: uid("op"), since: NOW });
    server.spec.subnet_id = Some(text());
    stored_size(&server);
}

/// Texts that an agent reports are cut to the reserved room.
#[test]
fn oversized_reports_are_cut() {
    let text = || "\u{1}".repeat(limits::MAX_BODY_BYTES / 8);
    let details = vec![(text(), text()), ("n".into(), text())];
    let problem = Problem { code: "C".into(), message: text(), details };
    let preparing = launching(0, "l").launched(instance(0), NOW).unwrap();
    let fixture = Fixture::of(manual_cluster(1), vec![], vec![preparing]);
    let failed = NodePhase::Failed { problem: problem.clone() };
    fixture.observe(0, &request(0, failed)).unwrap();
    let NodeState::Unusable { error, .. } = fixture.node(0).state else { panic!("it failed") };
    assert_eq!(error.clone().within(limits::MAX_REPORTED_ERROR_BYTES), error);
    assert!(stored_size(&fixture.node(0)) < 2 * limits::MAX_ERROR_BYTES);
    let shown = fixture.cluster().unwrap().errors.remove(0);
    assert_eq!(shown, error.with_detail("Node", "n0"), "the node is named");

    for end in [End::NodeFailed { problem }, End::Lost { reason: text() }] {
        let (job, nodes) = gang("a", &[0]);
        let room = size_of(&job).unwrap() + 2 * limits::MAX_ERROR_BYTES;
        let fixture = Fixture::of(manual_cluster(1), vec![job], nodes);
        fixture.observe(0, &reports(0, "a", has_ended(end))).unwrap();
        assert!(stored_size(&fixture.job("a")) < room);
    }
}
