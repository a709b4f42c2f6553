//! Nodes that are taken away, and jobs that do not want to end.

use super::api::attempts;
use super::processes;
use super::service::{Service, until};
use reqwest::Method;
use serde_json::json;
use std::fs;

/// The first attempt goes on until it is told to end, and then saves its work.
const RESUMABLE: &str = "trap 'echo saved; exit 1' TERM; echo attempt $AZ_BATCHAI_ATTEMPT; \
    [ $AZ_BATCHAI_ATTEMPT -gt 1 ] || while :; do sleep 0.05; done";

/// Takes the node of a running job away; answers what the first attempt wrote.
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
    assert!(result.contains(&first[0]), "it is said which node was lost: {result}");
    assert_ne!(service.nodes_of("j").await, first, "the second attempt has another node");
    assert_eq!(service.output("j", ".", "stdout.txt").await, "attempt 2\n");
    let gone = service.batchai(&["node", "interrupt", &first[0]]);
    assert_eq!(gone.status.code(), Some(1), "a node is taken away once");
    service.output("j", "attempt-1", "stdout.txt").await
}

#[tokio::test]
async fn a_job_is_told_that_its_node_goes_and_runs_again_elsewhere() {
    assert_eq!(interrupted("10").await, "attempt 1\nsaved\n");
}

#[tokio::test]
async fn a_job_whose_node_is_gone_at_once_runs_again_elsewhere() {
    assert_eq!(interrupted("0").await, "attempt 1\n", "there was no time to say a word");
}

/// Ignores SIGTERM, in sessions of its own, and without the environment that it was given.
const STUBBORN: &str = "
cd $AZ_BATCHAI_MOUNT_ROOT/nfs
note() { echo $1 >> pids; }
trap '' TERM
note $$
setsid sleep 611 & note $!
(setsid bash -c 'trap \"\" TERM; echo $$ >> pids; sleep 612' &)
env -i PATH=$PATH setsid bash -c 'trap \"\" TERM; echo $$ >> pids; (setsid sleep 613 & echo $! >> pids); sleep 614' &
note $!
echo all there >> pids
sleep 615
";

#[tokio::test]
async fn a_terminated_job_is_gone_with_all_that_it_started() {
    let service = Service::start();
    service.prepare(1).await;
    service.submit("j", STUBBORN, json!({})).await;
    let pids = until("everything runs", async || {
        let text = fs::read_to_string(service.file_server().join("pids")).ok()?;
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        (text.contains("all there") && pids.len() >= 6).then_some(pids)
    })
    .await;
    assert!(pids.iter().all(|pid| processes::is_alive(*pid)), "{pids:?}");
    let path = "/experiments/e/jobs/j/terminate";
    let answer = service.ask(Method::POST, path, None).await;
    assert_eq!(service.job("j").await["properties"]["executionState"], "terminating");
    service.finish(path, &answer).await;
    let left: Vec<u32> = pids.into_iter().filter(|pid| processes::is_alive(*pid)).collect();
    let left: Vec<String> = left.into_iter().map(processes::describe).collect();
    assert!(left.is_empty(), "when the operation is over, nothing runs: {left:#?}");
    let job = service.job_in("j", "failed").await;
    let info = &job["properties"]["executionInfo"];
    assert_eq!(info["errors"][0]["code"], "JobTerminated", "{job:#}");
    assert!(info.get("exitCode").is_none(), "{job:#}");
    // The node is good for another job.
    service.submit("k", "true", json!({})).await;
    service.job_in("k", "succeeded").await;
}
