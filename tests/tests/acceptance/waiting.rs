//! What a queued job says about its wait, alone and in lists.

use super::api::{WORKSPACE, cluster, job};
use super::service::{Service, until};
use serde_json::{Value, json};

/// Code and message of the reason, in the list of jobs.
async fn listed(service: &Service, name: &str) -> Option<(String, String)> {
    let jobs = service.get("/experiments/e/jobs").await["value"].clone();
    let job = jobs.as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone();
    assert_eq!(job["properties"]["executionState"], "queued", "{job:#}");
    let reason = &job["properties"]["extensions"]["waitingReason"];
    let text = |name: &str| reason[name].as_str().map(str::to_owned);
    Some((text("code")?, text("message")?))
}

#[tokio::test]
async fn a_failed_setup_task_is_named() {
    let service = Service::start();
    service.prepare(1).await;
    let scale = json!({ "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": 1 } });
    let mut broken = cluster(scale);
    broken["properties"]["nodeSetup"]["setupTask"] =
        json!({ "commandLine": "exit 3", "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" });
    service.create("/clusters/broken", &broken).await;
    let mut body = job("true", json!({}));
    body["properties"]["cluster"]["id"] = Value::from(format!("{WORKSPACE}/clusters/broken"));
    service.create("/experiments/e/jobs/a", &body).await;
    let message = until("the job names the set-up task", async || {
        let (code, message) = listed(&service, "a").await?;
        (code == "WaitsForUsableNodes").then_some(message)
    })
    .await;
    assert!(message.starts_with("A node of cluster broken cannot run jobs: "), "{message}");
    assert!(message.contains("SetupTaskFailed"), "{message}");
    assert!(message.ends_with("batchai cluster show broken"), "{message}");
    let alone = service.job("a").await["properties"]["extensions"]["waitingReason"].clone();
    assert_eq!(alone["message"], message);
}

#[tokio::test]
async fn jobs_before_it_and_the_maximum_are_named() {
    let service = Service::start();
    service.prepare(1).await;
    service.submit("first", "sleep 600", json!({})).await;
    service.job_in("first", "running").await;
    service.submit("second", "true", json!({})).await;
    service.submit("third", "true", json!({})).await;
    let second = listed(&service, "second").await.unwrap().1;
    let more = "For more nodes, run: batchai cluster auto-scale c --min 0 --max 2";
    let nodes = "Waits for 1 idle node of cluster c, which has 1 of at most 1 (1 running).";
    assert_eq!(second, format!("{nodes} {more}"));
    let third = listed(&service, "third").await.unwrap().1;
    assert_eq!(third, format!("{nodes} 1 job is before it in the queue. {more}"));
}
