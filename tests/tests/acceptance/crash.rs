//! The service is killed or stopped while jobs are running and queued, and continues after its restart.

use super::api::{attempts, exit_code};
use super::processes;
use super::service::{Service, until};
use serde_json::{Value, json};
use std::fs;

/// A command that writes its attempt and process id, and exits when `release` creates a file.
fn held(name: &str, exit: u32) -> String {
    let directory = "$AZ_BATCHAI_MOUNT_ROOT/nfs";
    format!(
        "echo $AZ_BATCHAI_ATTEMPT $$ >> {directory}/{name}.starts; \
         until [ -e {directory}/{name}.go ]; do sleep 0.05; done; exit {exit}"
    )
}

/// The attempt and the process id of each start of a job.
fn starts(service: &Service, name: &str) -> Vec<(u32, u32)> {
    let path = service.file_server().join(format!("{name}.starts"));
    let text = fs::read_to_string(path).unwrap_or_default();
    let number = |text: &str| text.parse().unwrap();
    let start = |line: &str| line.split_once(' ').map(|(a, b)| (number(a), number(b))).unwrap();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|l| start(l.trim()))
        .collect()
}

async fn only_start(service: &Service, name: &str) -> u32 {
    let what = format!("{name} starts");
    until(&what, async || starts(service, name).first().copied()).await.1
}

fn release(service: &Service, name: &str) {
    fs::write(service.file_server().join(format!("{name}.go")), "").unwrap();
}

#[tokio::test]
async fn a_killed_service_loses_and_repeats_nothing() {
    let mut service = Service::start();
    service.prepare(2).await;
    for (name, exit) in [("a", 7), ("b", 8)] {
        service.submit(name, &held(name, exit), json!({})).await;
    }
    let (a, b) = (only_start(&service, "a").await, only_start(&service, "b").await);
    service.submit("c", &held("c", 0), json!({})).await;
    service.submit("d", &held("d", 9), json!({})).await;
    let before = service.endpoint.clone();

    service.kill();
    assert!(processes::is_alive(a) && processes::is_alive(b), "jobs continue without the service");
    // One job ends while the service is down.
    release(&service, "a");
    until("a ends", async || (!processes::is_alive(a)).then_some(())).await;
    service.restart();
    assert_ne!(service.endpoint, before, "the agents find the new address");

    let ended = service.job_in("a", "failed").await;
    assert_eq!((exit_code(&ended), attempts(&ended)), (Some(7), 1), "{ended:#}");
    let running = service.job_in("b", "running").await;
    assert_eq!(attempts(&running), 1, "{running:#}");
    assert!(processes::is_alive(b), "b has the same process");
    only_start(&service, "c").await;
    for name in ["b", "c", "d"] {
        release(&service, name);
    }
    for (name, state, exit) in [("b", "failed", 8), ("c", "succeeded", 0), ("d", "failed", 9)] {
        let job = service.job_in(name, state).await;
        assert_eq!((exit_code(&job), attempts(&job)), (Some(exit), 1), "{job:#}");
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(starts(&service, name).len(), 1, "{name} was started once");
    }
    let listed = service.get("/experiments/e/jobs").await;
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(4), "{listed:#}");
    assert_eq!(service.stop(), Some(0));
    assert_eq!(service.processes(), [0; 0], "no process is left");
}

#[tokio::test]
async fn jobs_complete_although_the_service_is_killed_repeatedly() {
    let mut service = Service::start();
    service.prepare(2).await;
    let record = "echo $AZ_BATCHAI_ATTEMPT $$ >> $AZ_BATCHAI_MOUNT_ROOT/nfs";
    for number in 0..8 {
        let command = format!("{record}/j{number}.starts; sleep 0.3; exit {number}");
        service.submit(&format!("j{number}"), &command, json!({})).await;
    }
    // At different times of the processing of these jobs.
    for millis in [40, 170, 330, 610] {
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
        service.kill();
        service.restart();
    }
    for number in 0..8 {
        let name = format!("j{number}");
        let state = if number == 0 { "succeeded" } else { "failed" };
        let job = service.job_in(&name, state).await;
        assert_eq!((exit_code(&job), attempts(&job)), (Some(number), 1), "{job:#}");
        assert_eq!(starts(&service, &name).len(), 1, "{name} was started once");
    }
}

#[tokio::test]
async fn a_stopped_service_requeues_its_jobs() {
    let mut service = Service::start();
    service.prepare(2).await;
    let directory = "$AZ_BATCHAI_MOUNT_ROOT/nfs";
    for name in ["a", "b"] {
        let saves = format!("trap 'echo saved >> {directory}/{name}.saved; exit 3' TERM");
        let first = "[ $AZ_BATCHAI_ATTEMPT -gt 1 ] || while :; do sleep 0.05; done";
        let command =
            format!("{saves}; echo $AZ_BATCHAI_ATTEMPT $$ >> {directory}/{name}.starts; {first}");
        service.submit(name, &command, json!({})).await;
    }
    for name in ["a", "b"] {
        only_start(&service, name).await;
    }
    service.submit("queued", "true", json!({})).await;

    assert_eq!(service.stop(), Some(0), "a requested stop is not a failure");
    let left: Vec<String> = service.processes().into_iter().map(processes::describe).collect();
    assert!(left.is_empty(), "processes are left: {left:#?}");
    for name in ["a", "b"] {
        let saved = fs::read_to_string(service.file_server().join(format!("{name}.saved")));
        assert_eq!(saved.unwrap(), "saved\n", "{name} could write a checkpoint");
    }

    service.restart();
    for name in ["a", "b"] {
        let job = service.job_in(name, "succeeded").await;
        assert_eq!(attempts(&job), 2, "{job:#}");
        let numbers: Vec<u32> = starts(&service, name).iter().map(|start| start.0).collect();
        assert_eq!(numbers, [1, 2], "{name} was started twice");
        assert_ne!(
            first_result(&job),
            Value::Null,
            "the reason for the end of the first attempt is listed"
        );
    }
    let job = service.job_in("queued", "succeeded").await;
    assert_eq!(attempts(&job), 1, "{job:#}");
}

fn first_result(job: &Value) -> Value {
    job["properties"]["extensions"]["attempts"][0]["result"].clone()
}
