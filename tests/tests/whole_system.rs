//! Tests of the whole control plane: the production handlers and table code, agents that follow the
//! protocol, and a clock that the test advances.

#[path = "whole_system/costs.rs"]
mod costs;

use model::{JobState, Name, NodeState};
use serde_json::json;
use tests::environment::IDLE_SECONDS;
use tests::harness::{Harness, JobSpec, auto, cluster_id, manual, names, path};

async fn nodes(harness: &Harness, cluster: &str) -> Vec<model::Node> {
    let control = &harness.environment.control;
    let found = control.clusters.get(&names(), &model::Name::new(cluster)).await;
    control.clusters.nodes(&found.expect("the cluster exists").0).await.expect("the table answers")
}

async fn state(harness: &Harness, job: &str) -> &'static str {
    harness.job(job).await.state.name()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_grows_with_its_queue_and_shrinks_to_zero() {
    let harness = Harness::new(1).await;
    harness.put_cluster("c", &auto(0, 2)).await;
    harness.run(2).await;
    assert!(nodes(&harness, "c").await.is_empty());
    assert!(
        harness.environment.table().scheduled_targets().await.unwrap().is_empty(),
        "it is dormant"
    );
    for name in ["a", "b", "c"] {
        harness.submit(&JobSpec::new(name, "c")).await.unwrap();
    }
    harness.run(10).await;
    for name in ["a", "b", "c"] {
        assert_eq!(state(&harness, name).await, "succeeded");
    }
    assert_eq!(nodes(&harness, "c").await.len(), 2, "idle nodes are kept for a while");
    harness.run(IDLE_SECONDS + 3).await;
    assert!(nodes(&harness, "c").await.is_empty());
    assert!(harness.environment.machines.running().is_empty());
    assert!(
        harness.environment.table().scheduled_targets().await.unwrap().is_empty(),
        "it is dormant again"
    );
}

#[tokio::test(start_paused = true)]
async fn jobs_start_by_priority_then_age() {
    let harness = Harness::new(2).await;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    for (name, priority) in
        [("low", "low"), ("first", "normal"), ("second", "normal"), ("high", "high")]
    {
        harness.submit(&JobSpec { priority, ..JobSpec::new(name, "c") }).await.unwrap();
        harness.advance_millis(10);
    }
    harness.scale("c", &manual(1, "requeue")).await.unwrap();
    harness.run(20).await;
    let mut starts = Vec::new();
    for name in ["low", "first", "second", "high"] {
        let job = harness.job(name).await;
        assert_eq!(job.state.name(), "succeeded");
        starts.push((job.attempts[0].started_at, name));
    }
    starts.sort();
    let order: Vec<&str> = starts.into_iter().map(|(_, name)| name).collect();
    assert_eq!(order, ["high", "first", "second", "low"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_instance_is_replaced_and_its_job_requeued() {
    let harness = Harness::new(3).await;
    harness.put_cluster("c", &auto(0, 2)).await;
    harness
        .submit(&JobSpec { nodes: 2, millis: 20_000, ..JobSpec::new("gang", "c") })
        .await
        .unwrap();
    harness.run(5).await;
    assert_eq!(state(&harness, "gang").await, "running");
    let lost = harness.environment.machines.running()[1].clone();
    harness.environment.machines.lose(&lost);
    harness.run(40).await;
    let job = harness.job("gang").await;
    assert_eq!(job.state.name(), "succeeded");
    assert_eq!(job.attempts.len(), 2);
    assert_eq!(job.infrastructure_losses(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_declared_lost_after_its_timeout() {
    let harness = Harness::new(4).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    harness.run(5).await;
    assert!(matches!(nodes(&harness, "c").await[0].state, NodeState::Idle { .. }));
    let first = nodes(&harness, "c").await[0].id.clone();
    // The instance is running, but its agent sends no reports.
    for _ in 0..model::limits::SILENCE_SECONDS + 3 {
        harness.advance_millis(1000);
        harness.environment.run_schedule().await;
    }
    harness.run(5).await;
    let after = nodes(&harness, "c").await;
    assert_eq!(after.len(), 1);
    assert_ne!(after[0].id, first);
    assert_eq!(
        harness.environment.machines.running().len(),
        1,
        "the silent instance was terminated"
    );
}

#[tokio::test(start_paused = true)]
async fn shrinking_follows_the_deallocation_option() {
    for (option, expected, attempts) in [
        ("requeue", "queued", 1),
        ("terminate", "failed", 1),
        ("waitforjobcompletion", "succeeded", 1),
    ] {
        let harness = Harness::new(5).await;
        harness.put_cluster("c", &manual(1, option)).await;
        harness.submit(&JobSpec { millis: 10_000, ..JobSpec::new("a", "c") }).await.unwrap();
        harness.run(5).await;
        assert_eq!(state(&harness, "a").await, "running");
        harness.scale("c", &manual(0, option)).await.unwrap();
        harness.run(15).await;
        let job = harness.job("a").await;
        assert_eq!((job.state.name(), job.attempts.len()), (expected, attempts), "{option}");
        assert!(nodes(&harness, "c").await.is_empty(), "{option}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_states_the_setting_it_waits_for_and_starts_when_it_changes() {
    let harness = Harness::new(6).await;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    harness.submit(&JobSpec::new("a", "c")).await.unwrap();
    harness.run(5).await;
    let reason = harness.waiting("a").await.unwrap();
    assert!(reason.message.starts_with("Needs "), "{reason:?}");
    harness.scale("c", &auto(0, 1)).await.unwrap();
    harness.run(5).await;
    assert_eq!(state(&harness, "a").await, "succeeded");
    let error =
        harness.submit(&JobSpec { nodes: 40, ..JobSpec::new("never", "c") }).await.unwrap_err();
    assert!(error.to_string().starts_with("QuotaExceeded"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn running_and_queued_jobs_can_be_terminated() {
    let harness = Harness::new(7).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    for name in ["running", "queued"] {
        harness.submit(&JobSpec { millis: 60_000, ..JobSpec::new(name, "c") }).await.unwrap();
        harness.run(4).await;
    }
    let control = &harness.environment.control;
    for name in ["running", "queued"] {
        let started =
            control.jobs.terminate(&path(), &model::Name::new(name)).await.unwrap().unwrap();
        harness.run(8).await;
        let operation =
            control.operations.get(&started.operation, started.completed.as_deref()).await.unwrap();
        assert!(matches!(operation.state, model::OperationState::Succeeded { .. }), "{name}");
        let JobState::Failed { exit_code, error, .. } = harness.job(name).await.state else {
            panic!("{name} has not failed")
        };
        assert_eq!((exit_code, error.code.as_str()), (None, "JobTerminated"));
    }
    assert!(control.jobs.terminate(&path(), &model::Name::new("queued")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_service_enforces_the_wall_clock_limit_if_the_agent_does_not() {
    let harness = Harness::new(8).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    let spec = JobSpec { millis: 3_600_000, wall_clock: "PT10S", ..JobSpec::new("long", "c") };
    harness.submit(&spec).await.unwrap();
    harness.run(10 + model::limits::WALL_CLOCK_SLACK_SECONDS + 15).await;
    let JobState::Failed { error, .. } = harness.job("long").await.state else {
        panic!("not failed")
    };
    assert_eq!(error.code, "JobMaxWallClockTimeExceeded");
}

#[tokio::test(start_paused = true)]
async fn refused_launches_are_shown_and_backed_off() {
    let harness = Harness::new(9).await;
    harness.environment.machines.state().refuse_per_mille = 1000;
    harness.put_cluster("c", &auto(0, 2)).await;
    harness.submit(&JobSpec::new("a", "c")).await.unwrap();
    harness.run(60).await;
    let control = &harness.environment.control;
    let (cluster, _) = control.clusters.get(&names(), &model::Name::new("c")).await.unwrap();
    assert_eq!(cluster.errors[0].code, "NoCapacity");
    let failures = cluster.health.failures;
    assert!((3..=6).contains(&failures), "the backoff doubles: {failures} failures in a minute");
    let reason = harness.waiting("a").await.unwrap();
    assert!(reason.message.starts_with("Waits for capacity"), "{reason:?}");
    harness.environment.machines.state().refuse_per_mille = 0;
    harness.run(700).await;
    assert_eq!(state(&harness, "a").await, "succeeded");
}

#[tokio::test(start_paused = true)]
async fn deleting_a_workspace_deletes_everything_in_it() {
    let harness = Harness::new(10).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    for name in ["running", "queued"] {
        harness.submit(&JobSpec { millis: 600_000, ..JobSpec::new(name, "c") }).await.unwrap();
    }
    harness.run(5).await;
    let control = &harness.environment.control;
    let started = control.workspaces.delete(&names()).await.unwrap().unwrap();
    harness.run(30).await;
    let operation =
        control.operations.get(&started.operation, started.completed.as_deref()).await.unwrap();
    assert!(matches!(operation.state, model::OperationState::Succeeded { .. }));
    let error = control.workspaces.get(&names()).await.unwrap_err();
    assert!(error.to_string().starts_with("WorkspaceNotFound"), "{error}");
    assert!(harness.environment.machines.running().is_empty());
    assert!(harness.environment.table().scheduled_targets().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_runs_again_up_to_max_retries() {
    let harness = Harness::new(11).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    let spec = JobSpec { exit_code: 3, max_retries: 2, ..JobSpec::new("a", "c") };
    harness.submit(&spec).await.unwrap();
    harness.run(15).await;
    let job = harness.job("a").await;
    assert!(matches!(job.state, JobState::Failed { exit_code: Some(3), .. }), "{:?}", job.state);
    assert_eq!(job.attempts.len(), 3);
    // An infrastructure failure uses none of the retries.
    let spec = JobSpec { millis: 5000, max_retries: 1, ..JobSpec { name: "b", ..spec } };
    harness.submit(&spec).await.unwrap();
    harness.run(3).await;
    let instance = harness.environment.machines.running()[0].clone();
    harness.environment.machines.lose(&instance);
    harness.run(300).await;
    let job = harness.job("b").await;
    assert!(job.state.is_final(), "{:?}", job.state);
    assert_eq!(job.attempts.len(), 3, "one lost, two failed");
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_job_is_accepted_then_fails_immediately() {
    let harness = Harness::new(9).await;
    harness.put_cluster("c", &auto(0, 2)).await;
    harness.run(2).await;
    let body = json!({"properties": {
        "cluster": {"id": cluster_id("c")},
        "nodeCount": 1,
        "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
        "customToolkitSettings": {"commandLine": "true"},
        "secrets": [{"name": "S", "valueSecretReference": {
            "sourceVault": {"id": "/v"},
            "secretUrl": "https://v.vault.azure.net/secrets/s",
        }}],
    }});
    harness.put_job("j", &body).await.unwrap();
    let job = harness.job("j").await;
    let JobState::Failed { started_at, ended_at, exit_code: None, error } = &job.state else {
        panic!("{:?}", job.state);
    };
    assert_eq!((*started_at, *ended_at), (job.submitted_at, job.submitted_at));
    assert_eq!(error.code, "SecretReferenceNotProvided");
    assert!(
        harness.environment.table().scheduled_targets().await.unwrap().is_empty(),
        "the cluster must stay dormant"
    );
    harness.put_job("j", &body).await.expect("a repeated request changes nothing");
    harness.run(5).await;
    assert!(nodes(&harness, "c").await.is_empty());
    assert_eq!(harness.job("j").await, job);
    harness.submit(&JobSpec::new("other", "c")).await.unwrap();
    harness.run(10).await;
    assert_eq!(state(&harness, "other").await, "succeeded");
}

#[tokio::test(start_paused = true)]
async fn an_unsupported_cluster_shows_the_reason_and_gets_no_nodes() {
    let harness = Harness::new(10).await;
    let vault =
        json!({"sourceVault": {"id": "/v"}, "secretUrl": "https://v.vault.azure.net/secrets/s"});
    let setup = json!({"setupTask": {
        "commandLine": "true",
        "secrets": [{"name": "S", "valueSecretReference": vault}],
        "stdOutErrPathPrefix": "/a",
    }});
    harness.put_cluster_with("c", &manual(2, "requeue"), &setup).await;
    let control = &harness.environment.control;
    let (cluster, _) = control.clusters.get(&names(), &model::Name::new("c")).await.unwrap();
    assert_eq!(cluster.errors[0].code, "SecretReferenceNotProvided");
    harness.run(5).await;
    assert!(
        harness.environment.table().scheduled_targets().await.unwrap().is_empty(),
        "it is dormant"
    );
    harness.submit(&JobSpec::new("j", "c")).await.unwrap();
    harness.run(60).await;
    assert!(nodes(&harness, "c").await.is_empty());
    let reason = harness.waiting("j").await.expect("it waits");
    assert!(reason.message.contains("SecretReferenceNotProvided"), "{reason:?}");
}

#[tokio::test(start_paused = true)]
async fn an_operation_can_be_read_for_a_day() {
    let harness = Harness::new(12).await;
    harness.put_cluster("c", &auto(0, 1)).await;
    harness.submit(&JobSpec::new("a", "c")).await.unwrap();
    let control = &harness.environment.control;
    let started = control.jobs.terminate(&path(), &Name::new("a")).await.unwrap().unwrap();
    harness.advance_millis(24 * 3600 * 1000 - 60_000);
    let operation =
        control.operations.get(&started.operation, started.completed.as_deref()).await.unwrap();
    assert!(matches!(operation.state, model::OperationState::Succeeded { .. }), "{operation:?}");
    harness.advance_millis(120_000);
    let error =
        control.operations.get(&started.operation, started.completed.as_deref()).await.unwrap_err();
    assert!(error.to_string().starts_with("OperationNotFound"), "{error}");
}

/// A file replaces the directory of the file servers, so that no directory can be created.
#[tokio::test(start_paused = true)]
async fn a_failed_file_server_shows_the_error_and_can_be_created_again() {
    let harness = Harness::new(13).await;
    let control = &harness.environment.control;
    let root = control.context.settings.file_server_root.as_ref().unwrap();
    std::fs::remove_dir(root).unwrap();
    std::fs::write(root, "in the way").unwrap();
    let body = json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {"userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}},
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }});
    let spec = wire::parse_file_server_create(body.to_string().as_bytes()).unwrap();
    let name = Name::new("nfs");
    let put = async || match control.file_servers.put(&names(), &name, &spec).await.unwrap() {
        control::operations::PutOutcome::Accepted(started) => started.operation,
        other => panic!("{other:?}"),
    };
    let operation = put().await;
    harness.run(30).await;
    let state = control.operations.get(&operation, None).await.unwrap().state;
    assert!(matches!(state, model::OperationState::InProgress), "{state:?}");
    harness.run(60).await;
    let state = control.operations.get(&operation, None).await.unwrap().state;
    let model::OperationState::Failed { error, .. } = state else { panic!("{state:?}") };
    assert_eq!(error.code, "FileServerProvisioningFailed");
    assert!(harness.environment.table().scheduled_targets().await.unwrap().is_empty());

    std::fs::remove_file(root).unwrap();
    let again = put().await;
    harness.run(5).await;
    let state = control.operations.get(&again, None).await.unwrap().state;
    assert!(matches!(state, model::OperationState::Succeeded { .. }), "{state:?}");
    let uid = control.file_servers.get(&names(), &name).await.unwrap().uid;
    assert!(root.join(uid.as_str()).is_dir());
}

#[tokio::test(start_paused = true)]
async fn tensorflow_workers_are_limited_by_gpus() {
    let harness = Harness::new(14).await;
    harness.put_cluster("c", &auto(0, 2)).await;
    let job = |workers: u32| {
        json!({"properties": {
            "cluster": {"id": cluster_id("c")},
            "nodeCount": 2,
            "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
            "tensorFlowSettings": {"pythonScriptFilePath": "train.py", "workerCount": workers},
        }})
    };
    let error = harness.put_job("crowded", &job(3)).await.unwrap_err().to_string();
    assert!(error.contains("workerCount must be at most 2"), "{error}");
    harness.put_job("fits", &job(2)).await.unwrap();
}

/// Agents and the service reach each other again after an outage of the agents' endpoint. The schedule
/// runs all the time.
async fn outage(harness: &Harness, seconds: u64) {
    for _ in 0..seconds / 5 {
        harness.advance_millis(5000);
        harness.environment.run_schedule().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_costs_no_running_job() {
    let harness = Harness::new(15).await;
    for (cluster, nodes, millis) in
        [("one", 1, 1_200_000), ("many", 4, 1_200_000), ("ends", 1, 120_000)]
    {
        harness.put_cluster(cluster, &auto(0, nodes)).await;
        let wall_clock = if cluster == "ends" { "PT3M" } else { "PT1H" };
        let job = JobSpec { nodes, millis, wall_clock, ..JobSpec::new(cluster, cluster) };
        harness.submit(&job).await.unwrap();
    }
    harness.run(10).await;
    let before = harness.environment.machines.running();
    assert_eq!(before.len(), 6);
    outage(&harness, model::limits::OUTAGE_SECONDS).await;
    for job in ["one", "many", "ends"] {
        assert_eq!(state(&harness, job).await, "running", "{job}");
    }
    let control = &harness.environment.control;
    let errors =
        async |cluster| control.clusters.get(&names(), &Name::new(cluster)).await.unwrap().0.errors;
    assert_eq!(errors("many").await[0].code, "NodesSilent");
    assert!(errors("one").await.is_empty(), "one silent node is no mass silence");
    harness.run(5).await;
    // It ended by itself, within its time, while the service could not be reached.
    assert_eq!(state(&harness, "ends").await, "succeeded");
    harness.run(700).await;
    for job in ["one", "many", "ends"] {
        let job = harness.job(job).await;
        assert_eq!((job.state.name(), job.attempts.len()), ("succeeded", 1), "{}", job.names.job);
    }
}

/// Its instances do not know which node they are; the fleet launches one too many.
#[tokio::test(start_paused = true)]
async fn the_instances_of_a_fleet_sign_in_and_the_surplus_is_terminated() {
    let harness = Harness::new(16).await;
    {
        let mut state = harness.environment.machines.state();
        (state.is_fleet, state.surplus, state.loses_answers) = (true, 1, true);
    }
    harness.put_cluster("c", &auto(0, 3)).await;
    harness.submit(&JobSpec { nodes: 3, ..JobSpec::new("gang", "c") }).await.unwrap();
    harness.environment.deliver_all().await;
    assert_eq!(harness.environment.machines.running().len(), 4);
    harness.run(60).await;
    assert_eq!(state(&harness, "gang").await, "succeeded");
    harness.environment.machines.state().loses_answers = false;
    harness.run(IDLE_SECONDS + 60).await;
    assert!(harness.environment.machines.running().is_empty());
    let leftover = harness.environment.memory.items();
    let leftover: Vec<_> = leftover.iter().filter(|it| it.key.sk.starts_with("launch#")).collect();
    assert!(leftover.is_empty(), "{leftover:?}");
    assert_eq!(harness.environment.machines.state().oracle.violation, None);
}

/// A launch is asked again to the letter, however many of its nodes have their instance by then.
#[tokio::test(start_paused = true)]
async fn a_launch_without_an_answer_is_repeated_as_it_was() {
    let harness = Harness::new(17).await;
    {
        let mut state = harness.environment.machines.state();
        (state.is_fleet, state.loses_answers) = (true, true);
    }
    harness.put_cluster("c", &manual(3, "requeue")).await;
    harness.environment.deliver_all().await;
    let first = harness.environment.machines.running().remove(0);
    harness.sync_agent(&first, false).await;
    let waiting = async || {
        let all = nodes(&harness, "c").await.into_iter();
        all.filter(|node| matches!(node.state, NodeState::Launching { .. })).count()
    };
    assert_eq!(waiting().await, 2);
    harness.advance_millis(31_000);
    harness.environment.machines.state().loses_answers = false;
    harness.environment.run_schedule().await;
    assert_eq!(waiting().await, 0);
    assert_eq!(harness.environment.machines.running().len(), 3, "the same instances");
    assert_eq!(harness.environment.machines.state().oracle.violation, None);
}

/// The provider carries a launch out after its cluster was deleted: the instances belong to nobody.
#[tokio::test(start_paused = true)]
async fn instances_of_a_cluster_that_no_longer_exists_are_terminated() {
    use control::ports::Machines as _;
    let harness = Harness::new(18).await;
    harness.put_cluster("c", &manual(1, "requeue")).await;
    harness.run(5).await;
    let launched = nodes(&harness, "c").await.remove(0);
    let control = &harness.environment.control;
    control.clusters.delete(&names(), &Name::new("c")).await.unwrap();
    harness.run(30).await;
    assert!(harness.environment.machines.running().is_empty());
    let late = model::LaunchRequest {
        launch: control.context.new_uid(),
        cluster: launched.cluster,
        nodes: vec![model::NodeId::parse("late").unwrap()],
        vm_size: "STANDARD_NC6".into(),
        alternate_vm_sizes: vec![],
        priority: model::VmPriority::LowPriority,
        is_gang: false,
        placement: model::Placement::default(),
    };
    harness.environment.machines.launch(&late).await.unwrap();
    assert_eq!(harness.environment.machines.running().len(), 1);
    harness.environment.run_schedule().await;
    assert!(harness.environment.machines.running().is_empty());
}
