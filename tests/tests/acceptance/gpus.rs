//! The GPUs of the machine are shared out to its nodes.

use super::api::{WORKSPACE, cluster};
use super::service::{Service, until};
use serde_json::json;

#[tokio::test]
async fn no_gpu_is_given_to_two_nodes() {
    let service = Service::start_with(&["--gpus", "GPU-a,GPU-b"]);
    service.prepare(0).await;
    let mut body = cluster(json!({"manual": {"targetNodeCount": 3}}));
    body["properties"]["vmSize"] = json!("STANDARD_NC6");
    service.create("/clusters/gpus", &body).await;
    let more = json!({
        "cluster": {"id": format!("{WORKSPACE}/clusters/gpus")},
        "nodeCount": 2,
        "jobPreparation": {"commandLine": "echo $CUDA_VISIBLE_DEVICES $AZ_BATCHAI_NUM_GPUS"},
    });
    service.submit("train", "true", more).await;
    service.job_in("train", "succeeded").await;
    let mut seen = Vec::new();
    for node in service.nodes_of("train").await {
        let file = format!("stdout-job_prep-{node}.txt");
        seen.push(service.output("train", ".", &file).await);
    }
    seen.sort();
    assert_eq!(seen, ["GPU-a 1\n", "GPU-b 1\n"]);

    let reason = until("the third node is refused", async || {
        let cluster = service.get("/clusters/gpus").await;
        let error = cluster["properties"]["errors"].as_array()?.first()?.clone();
        (error["code"] == "NotEnoughGpus").then(|| error["message"].as_str().unwrap().to_owned())
    })
    .await;
    assert!(reason.ends_with("of the 2 of this machine 0 are free"), "{reason}");

    // A node without GPUs does not see those of the others.
    let mut body = cluster(json!({"manual": {"targetNodeCount": 1}}));
    body["properties"]["vmSize"] = json!("STANDARD_D1");
    service.create("/clusters/cpus", &body).await;
    let more = json!({"cluster": {"id": format!("{WORKSPACE}/clusters/cpus")}});
    service
        .submit("cpu", "echo \"[${CUDA_VISIBLE_DEVICES-unset}]\" $AZ_BATCHAI_NUM_GPUS", more)
        .await;
    service.job_in("cpu", "succeeded").await;
    assert_eq!(service.output("cpu", ".", "stdout.txt").await, "[] 0\n");
}
