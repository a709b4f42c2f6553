//! Quotas: requests that can never fit are refused; jobs and clusters that have to wait state it.

use super::api::{WORKSPACE, cluster, job};
use super::service::{Service, until};
use serde_json::{Value, json};

fn manual(nodes: u32) -> Value {
    json!({ "manual": { "targetNodeCount": nodes } })
}

#[tokio::test]
async fn beyond_the_quota_nothing_is_launched() {
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(2).await;
    let too_wide = job("true", json!({ "nodeCount": 3 }));
    let (code, message) = service.put("/experiments/e/jobs/wide", &too_wide).await.error(400);
    assert_eq!(code, "QuotaExceeded", "{message}");
    assert!(message.contains("at most 2") && message.contains("--max-nodes"), "{message}");
    let (code, _) = service.put("/clusters/wide", &cluster(manual(3))).await.error(400);
    assert_eq!(code, "QuotaExceeded");

    // Together, the clusters exceed the quota.
    service.create("/clusters/one", &cluster(manual(2))).await;
    until("the first cluster has its nodes", async || {
        let cluster = service.get("/clusters/one").await;
        (cluster["properties"]["currentNodeCount"] == 2).then_some(())
    })
    .await;
    service.create("/clusters/two", &cluster(manual(2))).await;
    let refused = until("the second cluster shows why it has no nodes", async || {
        let cluster = service.get("/clusters/two").await["properties"].clone();
        (cluster.get("errors").is_some() && cluster["allocationState"] == "steady")
            .then_some(cluster)
    })
    .await;
    assert_eq!(refused["errors"][0]["code"], "AccountCoreQuotaReached", "{refused:#}");
    assert_eq!(refused["currentNodeCount"], 0, "{refused:#}");

    // A job on the cluster without nodes waits and states the reason.
    service.submit("queued", "true", json!({})).await;
    let waiting = until("the job states why it waits", async || {
        let job = service.job("queued").await["properties"].clone();
        assert_eq!(job["executionState"], "queued", "{job:#}");
        let reason = job["extensions"]["waitingReason"]["message"].as_str()?.to_owned();
        reason.contains("AccountCoreQuotaReached").then_some(reason)
    })
    .await;
    assert!(waiting.starts_with("Waits for capacity"), "{waiting}");
    // When capacity is free, the job runs.
    let path = "/clusters/one";
    let answer = service.ask(reqwest::Method::DELETE, path, None).await;
    service.finish(path, &answer).await;
    let path = "/clusters/two";
    let answer = service.ask(reqwest::Method::DELETE, path, None).await;
    service.finish(path, &answer).await;
    service.job_in("queued", "succeeded").await;
}

#[tokio::test]
async fn cores_and_clusters_are_counted_against_their_quotas() {
    let service = Service::start_with(&["--max-cores", "12", "--max-clusters", "2"]);
    service.prepare(1).await;
    let mut gpus = cluster(manual(3));
    gpus["properties"]["vmSize"] = json!("STANDARD_NC6");
    service.create("/clusters/gpus", &gpus).await;
    let found = until("the cluster has as many nodes as the quota allows", async || {
        let cluster = service.get("/clusters/gpus").await["properties"].clone();
        let steady = cluster["allocationState"] == "steady";
        (steady && cluster["currentNodeCount"] == 2).then_some(cluster)
    })
    .await;
    assert_eq!(found["errors"][0]["code"], "AccountCoreQuotaReached", "{found:#}");
    let (code, message) = service.put("/clusters/third", &gpus).await.error(409);
    assert_eq!(code, "QuotaExceeded");
    assert!(message.contains("--max-clusters"), "{message}");
    let mut wide = job("true", json!({ "nodeCount": 3 }));
    let id = format!("{WORKSPACE}/clusters/gpus");
    wide["properties"]["cluster"]["id"] = json!(id);
    let (code, message) = service.put("/experiments/e/jobs/wide", &wide).await.error(400);
    assert_eq!(code, "QuotaExceeded");
    assert!(message.contains("--max-cores"), "{message}");

    // Released quota can be used again.
    let answer = service.ask(reqwest::Method::DELETE, "/clusters/gpus", None).await;
    service.finish("/clusters/gpus", &answer).await;
    service.create("/clusters/third", &gpus).await;
}
