//! Bugs that were found on the running service, one test each.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

use control::nodes::AgentIdentity;
use control::uptime::Uptime;
use control::{Context, Control, Function, Parts, operations::StartedOperation};
use model::{
    JobState, LeaveReason, Name, Node, NodeState, Operation, OperationState, Target, limits,
};
use protocol::{AttemptReport, Desired, End, NodePhase, Problem, Progress, SyncRequest};
use serde_json::json;
use std::sync::Arc;
use tests::harness::{Harness, JobSpec, auto, cluster_id, manual, names, path};

async fn nodes(harness: &Harness) -> Vec<Node> {
    let found = harness.environment.control.clusters.get(&names(), &Name::new("c")).await;
    harness.environment.control.clusters.nodes(&found.unwrap().0).await.unwrap()
}

async fn operation(harness: &Harness, started: &StartedOperation) -> Operation {
    let operations = &harness.environment.control.operations;
    operations.get(&started.operation, started.completed.as_deref()).await.unwrap()
}

fn has_succeeded(operation: &Operation) -> bool {
    matches!(operation.state, OperationState::Succeeded { .. })
}

fn request(node: &Node, attempt: Option<AttemptReport>) -> SyncRequest {
    let machine = node.instance().expect("it has an instance");
    SyncRequest {
        instance: machine.id.clone(),
        address: machine.address.clone(),
        phase: NodePhase::Ready,
        attempt,
        interruption_notice_seconds: None,
        login_port: None,
        metrics: None,
        job_metrics: Vec::new(),
    }
}

/// The node reports the end of its attempt.
async fn report_end(harness: &Harness, node: &Node, end: End) -> Desired {
    let attempt = node.attempt().expect("it has an attempt");
    let key = lifecycle::report::attempt_key(attempt);
    let progress = Progress::Ended { end };
    let report = AttemptReport::new(key, progress);
    let control = &harness.environment.control;
    let answer = control
        .nodes
        .sync(&node.cluster, &node.id, &AgentIdentity::Node, &request(node, Some(report)))
        .await;
    answer.unwrap().desired
}

async fn running_on_one_node(seed: u64, job: &str) -> (Harness, Node) {
    let harness = Harness::new(seed).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    harness.run(4).await;
    harness.submit(&JobSpec { millis: 600_000, ..JobSpec::new(job, "c") }).await.unwrap();
    let node = nodes(&harness).await.remove(0);
    assert!(node.attempt().is_some(), "it starts at once on an idle node");
    (harness, node)
}

#[tokio::test]
async fn a_command_that_ended_before_the_notice_has_succeeded() {
    let (harness, node) = running_on_one_node(1, "a").await;
    let instance = node.instance().unwrap().id.clone();
    assert!(harness.environment.control.handle_interruption(&instance, 120).await.unwrap());
    report_end(&harness, &node, End::Exited { exit_code: 0 }).await;
    let job = harness.job("a").await;
    assert!(matches!(job.state, JobState::Succeeded { .. }), "{:?}", job.state);
    assert_eq!(job.attempts.len(), 1);
}

#[tokio::test]
async fn repeated_terminations_are_one_operation() {
    let (harness, node) = running_on_one_node(2, "a").await;
    let jobs = &harness.environment.control.jobs;
    let first = jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
    let size = serde_json::to_string(&harness.job("a").await).unwrap().len();
    for _ in 0..1000 {
        let again = jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
        assert_eq!(again.operation, first.operation);
    }
    assert_eq!(serde_json::to_string(&harness.job("a").await).unwrap().len(), size);
    report_end(&harness, &node, End::Stopped).await;
    assert!(has_succeeded(&operation(&harness, &first).await));
}

#[tokio::test]
async fn termination_and_deletion_of_one_job_both_complete() {
    let (harness, node) = running_on_one_node(3, "a").await;
    let jobs = &harness.environment.control.jobs;
    let deleted = jobs.delete(&path(), &Name::new("a")).await.unwrap().unwrap();
    let terminated = jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
    assert_eq!(terminated.operation, deleted.operation, "it joins the deletion");
    report_end(&harness, &node, End::Stopped).await;
    let gone = jobs.get(&path(), &Name::new("a")).await.unwrap_err();
    assert!(gone.to_string().starts_with("JobNotFound"), "{gone}");
    assert!(has_succeeded(&operation(&harness, &deleted).await));

    let (harness, node) = running_on_one_node(4, "b").await;
    let jobs = &harness.environment.control.jobs;
    let terminated = jobs.terminate(&path(), &Name::new("b")).await.unwrap().unwrap();
    let deleted = jobs.delete(&path(), &Name::new("b")).await.unwrap().unwrap();
    assert_ne!(terminated.operation, deleted.operation);
    report_end(&harness, &node, End::Stopped).await;
    assert!(jobs.get(&path(), &Name::new("b")).await.is_err());
    for started in [terminated, deleted] {
        assert!(has_succeeded(&operation(&harness, &started).await));
    }
}

#[tokio::test]
async fn a_node_that_cannot_run_jobs_is_the_nodes_failure() {
    let (harness, node) = running_on_one_node(5, "a").await;
    let full = || {
        let (code, message) = ("NodeStorageFailed".to_owned(), "no space left".to_owned());
        End::NodeFailed { problem: Problem { code, message, details: Vec::new() } }
    };
    let desired = report_end(&harness, &node, full()).await;
    assert_eq!(desired, Desired::Idle);
    let job = harness.job("a").await;
    assert!(matches!(job.state, JobState::Queued { .. }), "{:?}", job.state);
    let NodeState::Unusable { error, .. } = &nodes(&harness).await[0].state else {
        panic!("expected an unusable node")
    };
    assert_eq!(error.code, "NodeStorageFailed");
    let (cluster, _) =
        harness.environment.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert_eq!(cluster.errors[0].code, "NodeStorageFailed");
    assert_eq!(job.infrastructure_losses(), 1, "listed in its attempts");
}

/// The first write of a shrink has everything that was requested.
#[tokio::test]
async fn a_shrink_ends_node_and_job_together() {
    let harness = Harness::new(6).await;
    harness.put_cluster("c", &manual(3, "requeue")).await;
    harness.run(4).await;
    for name in ["a", "b", "d"] {
        harness.submit(&JobSpec { millis: 600_000, ..JobSpec::new(name, "c") }).await.unwrap();
    }
    harness.scale("c", &manual(0, "requeue")).await.unwrap();
    let (cluster, _) =
        harness.environment.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert!(cluster.allocation.resizing, "from the first answer on");
    // After each commit, a leaving node and its job agree.
    harness.environment.run_schedule().await;
    for node in nodes(&harness).await {
        let NodeState::Leaving { attempt: Some(attempt), reason, .. } = &node.state else {
            panic!("{:?}", node.state)
        };
        assert_eq!(*reason, LeaveReason::Shrink);
        let job = harness.environment.table().job(&attempt.job).await.unwrap().unwrap();
        assert!(job.state.attempt().unwrap().is_ending());
    }
    harness.run(20).await;
    for name in ["a", "b", "d"] {
        assert!(matches!(harness.job(name).await.state, JobState::Queued { .. }), "{name}");
    }
    let (cluster, _) =
        harness.environment.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert!(!cluster.allocation.resizing);
}

#[tokio::test]
async fn a_cluster_with_leaving_nodes_is_not_steady() {
    let harness = Harness::new(7).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    harness.run(4).await;
    let clusters = &harness.environment.control.clusters;
    assert!(!clusters.get(&names(), &Name::new("c")).await.unwrap().0.allocation.resizing);
    let body = json!({"properties": {"scaleSettings": manual(0, "requeue")}}).to_string();
    let update = wire::parse_cluster_update(body.as_bytes()).unwrap();
    let (updated, _) = clusters.update(&names(), &Name::new("c"), update).await.unwrap();
    assert!(updated.allocation.resizing);
    let node = nodes(&harness).await.remove(0);
    harness.environment.machines.state().stuck.insert(node.instance().unwrap().id.clone());
    harness.run(3).await;
    assert!(nodes(&harness).await[0].is_leaving());
    assert!(clusters.get(&names(), &Name::new("c")).await.unwrap().0.allocation.resizing);
}

#[tokio::test]
async fn an_instance_that_cannot_be_terminated_blocks_nothing_else() {
    let harness = Harness::new(8).await;
    harness.put_cluster("c", &manual(2, "requeue")).await;
    harness.run(4).await;
    let stuck = nodes(&harness).await.remove(0).instance().unwrap().id.clone();
    harness.environment.machines.state().stuck.insert(stuck.clone());
    harness.scale("c", &manual(0, "requeue")).await.unwrap();
    harness.run(10).await;
    assert_eq!(nodes(&harness).await.len(), 1, "the other one is removed");
    let (cluster, _) =
        harness.environment.control.clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert_eq!(cluster.errors[0].code, "NodeRemovalFailed", "{:?}", cluster.errors);
    harness.scale("c", &auto(0, 2)).await.unwrap();
    harness.submit(&JobSpec::new("a", "c")).await.unwrap();
    harness.run(10).await;
    assert_eq!(
        harness.job("a").await.state.name(),
        "succeeded",
        "the cluster grows despite the stuck instance"
    );
    harness.environment.machines.state().stuck.clear();
    harness.run(limits::BACKOFF_LONGEST_SECONDS + 60).await;
    assert!(nodes(&harness).await.is_empty());
    assert!(!harness.environment.machines.running().contains(&stuck));
}

/// The whole machine, or only the service, is suspended for ten minutes while a job is running.
#[tokio::test]
async fn a_suspend_loses_no_job() {
    let (harness, node) = running_on_one_node(9, "a").await;
    let environment = &harness.environment;
    let parts = &environment.control.context;
    let control = Control::new(Context::new(Parts {
        table: parts.table.clone(),
        machines: Arc::clone(&parts.machines),
        file_shares: Arc::clone(&parts.file_shares),
        shared_files: Arc::clone(&parts.shared_files),
        secret_store: Arc::clone(&parts.secret_store),
        hints: Arc::clone(&parts.hints),
        clock: Arc::clone(&parts.clock),
        ids: Arc::clone(&parts.ids),
        keys: Arc::clone(&parts.keys),
        settings: parts.settings.clone(),
        uptime: Arc::new(Uptime::starting_at(environment.now())),
    }));
    let target = Target::Cluster { cluster: node.cluster.clone() };
    environment.clock.advance_millis(1000);
    control.reconcile(Function::Recovery, &target).await.unwrap();
    environment.clock.advance_millis(10 * 60 * 1000 + 1000);
    control.reconcile(Function::Recovery, &target).await.unwrap();
    environment.clock.advance_millis(1000);
    control.reconcile(Function::Recovery, &target).await.unwrap();
    assert!(nodes(&harness).await[0].attempt().is_some(), "the node is not declared lost");
    report_end(&harness, &node, End::Exited { exit_code: 0 }).await;
    assert_eq!(harness.job("a").await.attempts.len(), 1);
}

#[tokio::test]
async fn too_many_file_servers_are_refused() {
    let harness = Harness::new(10).await;
    let spec = json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {"userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}},
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }});
    let spec = wire::parse_file_server_create(spec.to_string().as_bytes()).unwrap();
    let control = &harness.environment.control;
    for number in 0..=limits::MAX_FILE_SERVER_MOUNTS {
        let name = Name::new(format!("f{number}"));
        control.file_servers.put(&names(), &name, &spec).await.unwrap();
        harness.environment.deliver_all().await;
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
    harness.put_cluster_with("c", &auto(0, 1), &json!({"mountVolumes": most})).await;
    harness.put_job("most", &job(most)).await.unwrap();
    let more = setup(limits::MAX_FILE_SERVER_MOUNTS + 1);
    let error = harness.put_job("more", &job(more)).await.unwrap_err();
    assert!(error.to_string().starts_with("InvalidParameter"), "{error}");
}

#[tokio::test]
async fn the_jobs_of_an_experiment_are_deleted_in_batches() {
    let harness = Harness::new(11).await;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    for number in 0..250 {
        harness.submit(&JobSpec::new(&format!("j{number}"), "c")).await.unwrap();
    }
    let control = &harness.environment.control;
    let started = control.experiments.delete(&names(), &Name::new("e")).await.unwrap().unwrap();
    let left = || async {
        let workspace = control.workspaces.get(&names()).await.unwrap();
        let found = harness.environment.table().experiment(&workspace.uid, "e").await.unwrap();
        let Some(experiment) = found else { return 0 };
        harness.environment.table().jobs(&experiment.uid, None, 1000).await.unwrap().items.len()
    };
    let waiting = harness.environment.hints.pending.lock().unwrap().clone();
    let (function, target) = waiting
        .into_iter()
        .find(|(_, target)| matches!(target, Target::Experiment { .. }))
        .expect("there is a hint");
    control.reconcile(function, &target).await.unwrap();
    assert_eq!(left().await, 150, "a hundred jobs in one pass");
    harness.environment.deliver_all().await;
    assert_eq!(left().await, 0);
    assert!(has_succeeded(&operation(&harness, &started).await));
}

/// Without the check, the record could be written at submission, but not after some attempts.
#[tokio::test]
async fn a_job_without_room_for_its_history_is_refused() {
    let (harness, _) = running_on_one_node(9, "a").await;
    let submit = async |bytes: usize| {
        let directory =
            |number: usize| json!({"id": format!("{number}"), "path": "p".repeat(bytes)});
        let directories: Vec<_> = (0..limits::MAX_DIRECTORIES).map(directory).collect();
        let body = json!({"properties": {
            "cluster": {"id": cluster_id("c")},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
            "customToolkitSettings": {"commandLine": "true"},
            "inputDirectories": directories,
        }});
        harness.put_job("b", &body).await
    };
    let refused = submit(3_900).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("RequestTooLarge: The job with the mounts of its cluster takes 39")
    );
    submit(2_600).await.unwrap();
}

/// A pass that has no time left executes one action and leaves a hint for the others.
#[tokio::test]
async fn a_pass_out_of_time_is_continued_by_a_hint() {
    let harness = Harness::new(13).await;
    harness.put_cluster("c", &manual(4, "requeue")).await;
    harness.run(4).await;
    let cluster = nodes(&harness).await[0].cluster.clone();
    harness.scale("c", &manual(0, "requeue")).await.unwrap();
    let environment = &harness.environment;
    let target = Target::Cluster { cluster };
    let mut passes = 0;
    loop {
        environment.hints.clear();
        let (control, now) = (&environment.control, environment.now());
        control.reconcile_until(Function::Autoscaler, &target, now).await.unwrap();
        passes += 1;
        let own = (Function::Autoscaler, target.clone());
        if !environment.hints.pending.lock().unwrap().contains(&own) {
            break;
        }
        assert!(passes < 20, "the passes make no progress");
    }
    assert!(nodes(&harness).await.is_empty(), "after {passes} passes");
    assert!(passes >= 8, "{passes} passes for four nodes, which leave and are removed");
}
