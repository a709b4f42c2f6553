//! What went wrong on the running service, each as a story that must not happen again.

#![expect(clippy::unwrap_used, reason = "a panic with the error is what a test has to say")]

use control::uptime::Uptime;
use control::{Context, Control, Function, Parts, operations::StartedOperation};
use model::{
    JobState, LeaveReason, Name, Node, NodeState, Operation, OperationState, Target, limits,
};
use protocol::{AttemptReport, Desired, End, NodePhase, Problem, Progress, SyncRequest};
use serde_json::json;
use std::sync::Arc;
use tests::stage::{JobOrder, Stage, auto, cluster_id, manual, names, path};

async fn nodes(stage: &Stage) -> Vec<Node> {
    let found = stage.world.control.clusters.get(&names(), &Name::new("c")).await;
    stage.world.control.clusters.nodes(&found.unwrap().0).await.unwrap()
}

async fn operation(stage: &Stage, started: &StartedOperation) -> Operation {
    let operations = &stage.world.control.operations;
    operations.get(&started.operation, started.completed.as_deref()).await.unwrap()
}

fn has_succeeded(operation: &Operation) -> bool {
    matches!(operation.state, OperationState::Succeeded { .. })
}

fn request(node: &Node, attempt: Option<AttemptReport>) -> SyncRequest {
    let machine = node.machine().expect("it has an instance");
    SyncRequest {
        instance: machine.instance.clone(),
        address: machine.address.clone(),
        phase: NodePhase::Ready,
        attempt,
        interruption_notice_seconds: None,
    }
}

/// The node reports that what runs there has ended so.
async fn report_end(stage: &Stage, node: &Node, end: End) -> Desired {
    let attempt = node.attempt().expect("it runs something");
    let key = lifecycle::report::attempt_key(attempt);
    let progress = Progress::Ended { end };
    let report = AttemptReport { key, progress, needs_assignment: false };
    let control = &stage.world.control;
    let answer = control.nodes.sync(&node.cluster, &node.id, &request(node, Some(report))).await;
    answer.unwrap().desired
}

async fn running_on_one_node(seed: u64, job: &str) -> (Stage, Node) {
    let stage = Stage::set(seed).await;
    stage.put_cluster("c", &manual(1, "requeue")).await;
    stage.run(4).await;
    stage.submit(&JobOrder { millis: 600_000, ..JobOrder::new(job, "c") }).await.unwrap();
    let node = nodes(&stage).await.remove(0);
    assert!(node.attempt().is_some(), "it starts at once on an idle node");
    (stage, node)
}

#[tokio::test]
async fn a_command_that_ended_before_the_notice_has_succeeded() {
    let (stage, node) = running_on_one_node(1, "a").await;
    let instance = node.machine().unwrap().instance.clone();
    assert!(stage.world.control.handle_interruption(&instance, 120).await.unwrap());
    report_end(&stage, &node, End::Exited { exit_code: 0 }).await;
    let job = stage.job("a").await;
    assert!(matches!(job.state, JobState::Succeeded { .. }), "{:?}", job.state);
    assert_eq!(job.attempts.len(), 1);
}

#[tokio::test]
async fn a_thousand_terminations_are_one() {
    let (stage, node) = running_on_one_node(2, "a").await;
    let jobs = &stage.world.control.jobs;
    let first = jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
    let size = serde_json::to_string(&stage.job("a").await).unwrap().len();
    for _ in 0..1000 {
        let again = jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
        assert_eq!(again.operation, first.operation);
    }
    assert_eq!(serde_json::to_string(&stage.job("a").await).unwrap().len(), size);
    report_end(&stage, &node, End::Stopped).await;
    assert!(has_succeeded(&operation(&stage, &first).await));
}

#[tokio::test]
async fn a_job_that_is_terminated_while_it_is_deleted_goes() {
    let (stage, node) = running_on_one_node(3, "a").await;
    let jobs = &stage.world.control.jobs;
    let deleted = jobs.delete(&path(), &Name::new("a")).await.unwrap().unwrap();
    let terminated = jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
    assert_eq!(terminated.operation, deleted.operation, "it joins the deletion");
    report_end(&stage, &node, End::Stopped).await;
    let gone = jobs.get(&path(), &Name::new("a")).await.unwrap_err();
    assert!(gone.to_string().starts_with("JobNotFound"), "{gone}");
    assert!(has_succeeded(&operation(&stage, &deleted).await));

    let (stage, node) = running_on_one_node(4, "b").await;
    let jobs = &stage.world.control.jobs;
    let terminated = jobs.terminate(&path(), &Name::new("b")).await.unwrap().unwrap();
    let deleted = jobs.delete(&path(), &Name::new("b")).await.unwrap().unwrap();
    assert_ne!(terminated.operation, deleted.operation);
    report_end(&stage, &node, End::Stopped).await;
    assert!(jobs.get(&path(), &Name::new("b")).await.is_err());
    for started in [terminated, deleted] {
        assert!(has_succeeded(&operation(&stage, &started).await));
    }
}

#[tokio::test]
async fn a_node_that_cannot_run_jobs_is_the_nodes_failure() {
    let (stage, node) = running_on_one_node(5, "a").await;
    let full = || {
        let (code, message) = ("NodeStorageFailed".to_owned(), "no space left".to_owned());
        End::NodeFailed { problem: Problem { code, message, details: Vec::new() } }
    };
    let desired = report_end(&stage, &node, full()).await;
    assert_eq!(desired, Desired::Idle);
    let job = stage.job("a").await;
    assert!(matches!(job.state, JobState::Queued { .. }), "{:?}", job.state);
    let NodeState::Unusable { error, .. } = &nodes(&stage).await[0].state else {
        panic!("the node takes no more jobs")
    };
    assert_eq!(error.code, "NodeStorageFailed");
    let (cluster, _) = stage.world.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert_eq!(cluster.errors[0].code, "NodeStorageFailed");
    assert_eq!(job.infrastructure_losses(), 1, "visible in its attempts");
}

/// The first write of a shrink holds all that was asked for.
#[tokio::test]
async fn a_shrink_ends_node_and_job_together() {
    let stage = Stage::set(6).await;
    stage.put_cluster("c", &manual(3, "requeue")).await;
    stage.run(4).await;
    for name in ["a", "b", "d"] {
        stage.submit(&JobOrder { millis: 600_000, ..JobOrder::new(name, "c") }).await.unwrap();
    }
    stage.scale("c", &manual(0, "requeue")).await.unwrap();
    let (cluster, _) = stage.world.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert!(cluster.allocation.resizing, "from the first answer on");
    // One commit after another: none leaves a node without what was asked of its job.
    stage.world.tick().await;
    for node in nodes(&stage).await {
        let NodeState::Leaving { attempt: Some(attempt), reason, .. } = &node.state else {
            panic!("{:?}", node.state)
        };
        assert_eq!(*reason, LeaveReason::Shrink);
        let job = stage.world.table().job(&attempt.job).await.unwrap().unwrap();
        assert!(job.state.attempt().unwrap().is_ending());
    }
    stage.run(20).await;
    for name in ["a", "b", "d"] {
        assert!(matches!(stage.job(name).await.state, JobState::Queued { .. }), "{name}");
    }
    let (cluster, _) = stage.world.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert!(!cluster.allocation.resizing);
}

#[tokio::test]
async fn a_cluster_with_leaving_nodes_is_not_steady() {
    let stage = Stage::set(7).await;
    stage.put_cluster("c", &manual(1, "requeue")).await;
    stage.run(4).await;
    let clusters = &stage.world.control.clusters;
    assert!(!clusters.get(&names(), &Name::new("c")).await.unwrap().0.allocation.resizing);
    let body = json!({"properties": {"scaleSettings": manual(0, "requeue")}}).to_string();
    let update = wire::parse_cluster_update(body.as_bytes()).unwrap();
    let (updated, _) = clusters.update(&names(), &Name::new("c"), update).await.unwrap();
    assert!(updated.allocation.resizing);
    let node = nodes(&stage).await.remove(0);
    stage.world.machines.state().stuck.insert(node.machine().unwrap().instance.clone());
    stage.run(3).await;
    assert!(nodes(&stage).await[0].is_leaving());
    assert!(clusters.get(&names(), &Name::new("c")).await.unwrap().0.allocation.resizing);
}

#[tokio::test]
async fn an_instance_that_cannot_be_terminated_holds_up_nothing_else() {
    let stage = Stage::set(8).await;
    stage.put_cluster("c", &manual(2, "requeue")).await;
    stage.run(4).await;
    let stuck = nodes(&stage).await.remove(0).machine().unwrap().instance.clone();
    stage.world.machines.state().stuck.insert(stuck.clone());
    stage.scale("c", &manual(0, "requeue")).await.unwrap();
    stage.run(10).await;
    assert_eq!(nodes(&stage).await.len(), 1, "the other one is removed");
    let (cluster, _) = stage.world.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert_eq!(cluster.errors[0].code, "NodeRemovalFailed", "{:?}", cluster.errors);
    stage.scale("c", &auto(0, 2)).await.unwrap();
    stage.submit(&JobOrder::new("a", "c")).await.unwrap();
    stage.run(10).await;
    assert_eq!(stage.job("a").await.state.name(), "succeeded", "it grows beside the stuck one");
    stage.world.machines.state().stuck.clear();
    stage.run(limits::BACKOFF_LONGEST_SECONDS + 60).await;
    assert!(nodes(&stage).await.is_empty());
    assert!(!stage.world.machines.running().contains(&stuck));
}

/// The whole machine sleeps for ten minutes with a job on it, or only the service does.
#[tokio::test]
async fn a_suspend_loses_no_job() {
    let (stage, node) = running_on_one_node(9, "a").await;
    let world = &stage.world;
    let parts = &world.control.context;
    let control = Control::new(Context::new(Parts {
        table: parts.table.clone(),
        machines: Arc::clone(&parts.machines),
        directories: Arc::clone(&parts.directories),
        hints: Arc::clone(&parts.hints),
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
        keys: Arc::clone(&parts.keys),
        settings: parts.settings.clone(),
        uptime: Arc::new(Uptime::starting_at(world.now())),
    }));
    let target = Target::Cluster { cluster: node.cluster.clone() };
    world.clock.advance_millis(1000);
    control.reconcile(Function::Recovery, &target).await.unwrap();
    world.clock.advance_millis(10 * 60 * 1000 + 1000);
    control.reconcile(Function::Recovery, &target).await.unwrap();
    world.clock.advance_millis(1000);
    control.reconcile(Function::Recovery, &target).await.unwrap();
    assert!(nodes(&stage).await[0].attempt().is_some(), "it is not given up");
    report_end(&stage, &node, End::Exited { exit_code: 0 }).await;
    assert_eq!(stage.job("a").await.attempts.len(), 1);
}

#[tokio::test]
async fn too_many_file_servers_are_refused() {
    let stage = Stage::set(10).await;
    let spec = json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {"userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}},
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }});
    let spec = wire::parse_file_server_create(spec.to_string().as_bytes()).unwrap();
    let control = &stage.world.control;
    for number in 0..=limits::MAX_FILE_SERVER_MOUNTS {
        let name = Name::new(format!("f{number}"));
        control.file_servers.put(&names(), &name, &spec).await.unwrap();
        stage.world.deliver_all().await;
    }
    let setup = |count: usize| {
        let mount = |number: usize| {
            let id = format!(
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/fileservers/f{number}"
            );
            json!({"fileServer": {"id": id}, "relativeMountPath": format!("f{number}")})
        };
        json!({"fileServers": (0..count).map(mount).collect::<Vec<_>>()})
    };
    let job = |mounts| {
        json!({"properties": {
            "cluster": {"id": cluster_id("c")},
            "nodeCount": 1,
            "mountVolumes": mounts,
            "stdOutErrPathPrefix": "$AZ_BATCHAI_JOB_MOUNT_ROOT/f0",
            "customToolkitSettings": {"commandLine": "true"},
        }})
    };
    let most = setup(limits::MAX_FILE_SERVER_MOUNTS);
    stage.put_cluster_with("c", &auto(0, 1), &json!({"mountVolumes": most})).await;
    stage.put_job("most", &job(most)).await.unwrap();
    let more = setup(limits::MAX_FILE_SERVER_MOUNTS + 1);
    let error = stage.put_job("more", &job(more)).await.unwrap_err();
    assert!(error.to_string().starts_with("InvalidParameter"), "{error}");
}

#[tokio::test]
async fn an_experiment_is_cleared_a_part_at_a_time() {
    let stage = Stage::set(11).await;
    stage.put_cluster("c", &manual(0, "requeue")).await;
    for number in 0..250 {
        stage.submit(&JobOrder::new(&format!("j{number}"), "c")).await.unwrap();
    }
    let control = &stage.world.control;
    let started = control.experiments.delete(&names(), &Name::new("e")).await.unwrap().unwrap();
    let left = || async {
        let workspace = control.workspaces.get(&names()).await.unwrap();
        let found = stage.world.table().experiment(&workspace.uid, "e").await.unwrap();
        let Some(experiment) = found else { return 0 };
        stage.world.table().jobs(&experiment.uid, None, 1000).await.unwrap().items.len()
    };
    let waiting = stage.world.hints.waiting.lock().unwrap().clone();
    let (function, target) = waiting
        .into_iter()
        .find(|(_, target)| matches!(target, Target::Experiment { .. }))
        .expect("it is hinted");
    control.reconcile(function, &target).await.unwrap();
    assert_eq!(left().await, 150, "a hundred in one pass");
    stage.world.deliver_all().await;
    assert_eq!(left().await, 0);
    assert!(has_succeeded(&operation(&stage, &started).await));
}

/// The record of such a job can be written when it is submitted, but not after a few runs.
#[tokio::test]
async fn a_job_without_room_for_its_history_is_refused() {
    let (stage, _) = running_on_one_node(9, "a").await;
    let submit = async |bytes: usize| {
        let directory =
            |number: usize| json!({"id": format!("{number}"), "path": "p".repeat(bytes)});
        let directories: Vec<_> = (0..limits::MAX_DIRECTORIES).map(directory).collect();
        let body = json!({"properties": {
            "cluster": {"id": cluster_id("c")},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "customToolkitSettings": {"commandLine": "true"},
            "inputDirectories": directories,
        }});
        stage.put_job("b", &body).await
    };
    let refused = submit(3_900).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("RequestTooLarge: The job with the mounts of its cluster takes 39")
    );
    submit(2_600).await.unwrap();
}
