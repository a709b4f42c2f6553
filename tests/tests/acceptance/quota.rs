//! Never more nodes than the service is allowed: what could never be is refused, what has to wait
//! says so.

use super::api::{cluster, job};
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

    // Together more than there may be.
    service.make("/clusters/one", &cluster(manual(2))).await;
    until("the first cluster has its nodes", async || {
        let cluster = service.get("/clusters/one").await;
        (cluster["properties"]["currentNodeCount"] == 2).then_some(())
    })
    .await;
    service.make("/clusters/two", &cluster(manual(2))).await;
    let refused = until("the second cluster says why it has none", async || {
        let cluster = service.get("/clusters/two").await["properties"].clone();
        (cluster.get("errors").is_some() && cluster["allocationState"] == "steady")
            .then_some(cluster)
    })
    .await;
    assert_eq!(refused["errors"][0]["code"], "AccountCoreQuotaReached", "{refused:#}");
    assert_eq!(refused["currentNodeCount"], 0, "{refused:#}");

    // A job on the cluster that cannot get nodes waits and says for what.
    service.submit("waits", "true", json!({})).await;
    let waiting = until("the job says why it waits", async || {
        let job = service.job("waits").await["properties"].clone();
        assert_eq!(job["executionState"], "queued", "{job:#}");
        let reason = job["extensions"]["waitingReason"]["message"].as_str()?.to_owned();
        reason.contains("AccountCoreQuotaReached").then_some(reason)
    })
    .await;
    assert!(waiting.starts_with("Waits for capacity"), "{waiting}");
    // Capacity comes free: waiting was not failing.
    let path = "/clusters/one";
    let answer = service.ask(reqwest::Method::DELETE, path, None).await;
    service.finish(path, &answer).await;
    let path = "/clusters/two";
    let answer = service.ask(reqwest::Method::DELETE, path, None).await;
    service.finish(path, &answer).await;
    service.job_in("waits", "succeeded").await;
}
