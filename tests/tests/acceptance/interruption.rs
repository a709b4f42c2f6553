//! Interrupted nodes, and jobs that resist termination.

use super::api::attempts;
use super::processes;
use super::service::{Service, until};
use reqwest::Method;
use serde_json::json;
use std::fs;

/// A command whose first attempt runs until SIGTERM and then saves its work.
const RESUMABLE: &str = "trap 'echo saved; exit 1' TERM; echo attempt $AZ_BATCHAI_ATTEMPT; \
    [ $AZ_BATCHAI_ATTEMPT -gt 1 ] || while :; do sleep 0.05; done";

/// Interrupts the node of a running job; returns the output of the first attempt.
async fn interrupted(notice_seconds: &str) -> String {
    let service = Service::start();
    service.prepare(2).await;
    service.submit("j", RESUMABLE, json!({})).await;
    until("the first attempt writes", async || {
        let files = service.files("j", "stdouterr", ".").await;
        files.iter().any(|file| file["name"] == "stdout.txt").then_some(())?;
        (service.output("j", ".", "stdout.txt").await == "attempt 1\n").then_some(())
    })
    .await;
    let first = service.nodes_of("j").await;
    let command = ["node", "interrupt", &first[0], "--notice-seconds", notice_seconds];
    let output = service.batchai(&command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let job = service.job_in("j", "succeeded").await;
    assert_eq!(attempts(&job), 2, "{job:#}");
    let result = job["properties"]["extensions"]["attempts"][0]["result"].as_str().unwrap();
    assert!(result.contains(&first[0]), "the result names the lost node: {result}");
    assert_ne!(service.nodes_of("j").await, first, "the second attempt has another node");
    assert_eq!(service.output("j", ".", "stdout.txt").await, "attempt 2\n");
    let repeated = service.batchai(&["node", "interrupt", &first[0]]);
    assert_eq!(repeated.status.code(), Some(1), "an interrupted node does not exist");
    service.output("j", "attempt-1", "stdout.txt").await
}

#[tokio::test]
async fn a_job_has_notice_of_an_interruption_and_runs_again_elsewhere() {
    assert_eq!(interrupted("10").await, "attempt 1\nsaved\n");
}

#[tokio::test]
async fn a_job_whose_node_is_killed_runs_again_elsewhere() {
    assert_eq!(interrupted("0").await, "attempt 1\n", "the command had no time to write");
}

/// A command whose processes ignore SIGTERM, start other sessions, and clear their environment.
const STUBBORN: &str = "
cd $AZ_BATCHAI_MOUNT_ROOT/nfs
note() { echo $1 >> pids; }
trap '' TERM
note $$
setsid sleep 611 & note $!
(setsid bash -c 'trap \"\" TERM; echo $$ >> pids; sleep 612' &)
env -i PATH=$PATH setsid bash -c 'trap \"\" TERM; echo $$ >> pids; (setsid sleep 613 & echo $! >> pids); sleep 614' &
note $!
echo all started >> pids
sleep 615
";

#[tokio::test]
async fn termination_ends_all_processes_of_a_job() {
    let service = Service::start();
    service.prepare(1).await;
    service.submit("j", STUBBORN, json!({})).await;
    let pids = until("all processes have started", async || {
        let text = fs::read_to_string(service.file_server().join("pids")).ok()?;
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        (text.contains("all started") && pids.len() >= 6).then_some(pids)
    })
    .await;
    assert!(pids.iter().all(|pid| processes::is_alive(*pid)), "{pids:?}");
    let path = "/experiments/e/jobs/j/terminate";
    let answer = service.ask(Method::POST, path, None).await;
    assert_eq!(service.job("j").await["properties"]["executionState"], "terminating");
    service.finish(path, &answer).await;
    let left: Vec<u32> = pids.into_iter().filter(|pid| processes::is_alive(*pid)).collect();
    let left: Vec<String> = left.into_iter().map(processes::describe).collect();
    assert!(left.is_empty(), "processes are left after the operation: {left:#?}");
    let job = service.job_in("j", "failed").await;
    let info = &job["properties"]["executionInfo"];
    assert_eq!(info["errors"][0]["code"], "JobTerminated", "{job:#}");
    assert!(info.get("exitCode").is_none(), "{job:#}");
    // The node can run another job.
    service.submit("k", "true", json!({})).await;
    service.job_in("k", "succeeded").await;
}
