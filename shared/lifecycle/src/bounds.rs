//! Every change at its maximum fits into one commit, and the largest record into one item. What
//! [`Fixture`] commits is refused beyond the limits of the table.

use crate::actions::{self, FreshIds};
use crate::members::Fate;
use crate::testing::*;
use crate::{Change, Draft, capacity, jobs, members, nodes, resources};
use model::*;
use scheduler::Action;
use table::limits::{MAX_ITEM_BYTES, MAX_WRITES, check_sizes, check_writes};

const GANG: usize = limits::MAX_GANG_NODES as usize;

/// The number of writes of a change that fits.
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

/// A node whose id is as long as any.
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

/// A node that becomes free gets its next job in the same change: at worst the job that ends is
/// removed and completes two operations, and the next one is the largest gang.
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
    members::ended(&mut both, &attempt, &nodes[0].id, &Ending::Terminated, Fate::Free).unwrap();
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
    let fresh = FreshIds { launch: uid("l"), nodes: ids.clone() };
    let action = Action::Launch { count: count as u32, planned_nodes: count as u32 };
    actions::apply(&mut launch, &action, Some(fresh)).unwrap();
    check(&launch.finish(), count + 3);

    let node = |number| Node { charge: cluster.charge(), ..named(launching(number, "l"), number) };
    for up in 0..=count {
        let mut answer = draft(Some(cluster.clone()), vec![], (0..count).map(node).collect());
        for (number, id) in ids[..up].iter().enumerate() {
            capacity::launched(&mut answer, id, machine(number));
        }
        if up < count {
            capacity::withdrawn(&mut answer, &ids[up..], error("NoCapacity"));
        }
        let withdrawn = if up < count { count - up + 3 } else { 0 };
        check(&answer.finish(), 2 * up + withdrawn);
    }
}

#[test]
fn the_largest_gang_is_asked_to_end_and_ends() {
    let mut nodes = idle_gang();
    let addresses = |node: &Node| (node.id.clone(), node.machine().unwrap().address.clone());
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
        members::ended(&mut ended, &attempt, &node.id, &Ending::Terminated, Fate::Free).unwrap();
    }
    check(&ended.finish(), 2 * GANG + 1);

    let mut interrupted = read();
    nodes::interrupted(&mut interrupted, &nodes[0].id, 120).unwrap();
    check(&interrupted.finish(), 2);
    let mut removed = read();
    nodes::removed(&mut removed, &nodes[0].id).unwrap();
    check(&removed.finish(), 5);
}

/// With all that is required of other records by whoever creates it.
#[test]
fn a_cluster_with_the_most_mounts_is_created_and_removed() {
    let mount = |number: usize| FileServerMount {
        id: "/".repeat(300),
        uid: uid(&format!("server {number}")),
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
    // One check of each file server comes to these, and the workspace, the operation, ….
    assert!(change.writes.len() + limits::MAX_FILE_SERVER_MOUNTS + 7 <= MAX_WRITES);
    check(&change, limits::MAX_FILE_SERVER_MOUNTS + 3);

    let mut marked = draft(None, vec![], vec![]);
    resources::begin_deletion(&mut marked, &manual_cluster(0), uid("op"));
    check(&marked.finish(), 3);
    let mut removed = draft(Some(cluster), vec![], vec![]);
    actions::apply(&mut removed, &Action::FinishDeletion, None).unwrap();
    check(&removed.finish(), limits::MAX_FILE_SERVER_MOUNTS + 4);
}

/// A spec whose JSON is as large as a request may be, with as many secrets as it may have.
fn largest_spec() -> JobSpec {
    let mut spec = job("a", limits::MAX_GANG_NODES).spec;
    // Sealed, a secret takes a third more, and what it takes to open it.
    let sealed = "s".repeat((limits::MAX_ENVIRONMENT_BYTES + 64) * 4 / 3);
    let secret = SecretVariable { name: "S".into(), value: SecretValue::Sealed(sealed) };
    spec.secrets = Some(vec![secret]);
    let rest = limits::MAX_BODY_BYTES - limits::MAX_ENVIRONMENT_BYTES;
    let directory = |number: usize| InputDirectory {
        id: format!("{number:03}"),
        path: "p".repeat((rest - limits::MAX_COMMAND_LINE_BYTES) / limits::MAX_DIRECTORIES - 32),
    };
    spec.input_directories = Some((0..limits::MAX_DIRECTORIES).map(directory).collect());
    spec.toolkit = Toolkit::custom("c".repeat(limits::MAX_COMMAND_LINE_BYTES));
    spec
}

/// Whatever happened to it, the record of a job can be written.
#[test]
fn a_job_with_the_largest_spec_and_the_longest_history_is_an_item() {
    let mut largest = job("a", limits::MAX_GANG_NODES);
    largest.spec = largest_spec();
    let mount = |number: usize| MountPoint {
        relative_mount_path: format!("mount-{number}"),
        file_server: uid("d"),
        source_directory: Some("d".repeat(100)),
    };
    largest.cluster_mounts = (0..limits::MAX_FILE_SERVER_MOUNTS).map(mount).collect();
    largest.spec.max_retries = Some(limits::MAX_RETRIES);
    let nodes = || (0..GANG).map(|number| (full_name(number), "100.100.100.100".to_owned()));
    let mut sizes = Vec::new();
    for run in 0.. {
        assert!(largest.start(nodes().collect(), NOW).is_ok());
        sizes.push(size_of(&largest));
        let attempt = largest.live_attempt().unwrap();
        let ending = match run < limits::MAX_RETRIES {
            true => Ending::Exited { exit_code: -1 },
            false => Ending::NodeLost { node: full_name(0), reason: "r".repeat(100) },
        };
        for (node, _) in nodes() {
            largest.member_ended(&attempt, &node, ending.clone(), NOW).unwrap();
        }
        if largest.state.is_final() {
            break;
        }
    }
    sizes.push(size_of(&largest));
    let runs = limits::MAX_RETRIES + limits::MAX_INFRASTRUCTURE_LOSSES + 1;
    assert_eq!(largest.attempts.len(), runs as usize, "bounded");
    let size = sizes.into_iter().max().unwrap();
    let grown = size
        - size_of(&Job { state: JobState::Queued { since: NOW }, attempts: vec![], ..largest });
    println!("the largest job has {size} of {MAX_ITEM_BYTES} bytes, of which {grown} are its runs");
    assert!(size <= MAX_ITEM_BYTES, "{size}");
}

fn size_of(job: &Job) -> usize {
    let mut change = draft(None, vec![], vec![]);
    change.create_job(job.clone());
    let writes = change.finish().writes.into_vec();
    check_sizes(&writes[..1]).unwrap_or_else(|error| panic!("{error}"))[0]
}

/// What an agent reports is cut to a length that the table takes.
#[test]
fn a_cluster_with_the_most_errors_is_an_item() {
    let mut cluster = manual_cluster(0);
    for number in 0..1000 {
        cluster.record_error(ResourceError::new("C", format!("{number}")));
    }
    assert_eq!(cluster.errors.len(), limits::MAX_CLUSTER_ERRORS);
    assert_eq!(cluster.errors[0].message, "999");
}
