//! The GPUs of the machine are shared out to its nodes.

use super::api::{WORKSPACE, cluster};
use super::service::{Service, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

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

/// Answers the query of the agent for the GPU of the node.
const NVIDIA_SMI: &str = "#!/bin/sh\necho 'GPU-a, 0, 87, 12345, 81559'\n";

/// Longer than an agent waits before it measures GPUs for the first time.
const FIRST_MEASUREMENT: Duration = Duration::from_secs(150);

#[tokio::test]
async fn a_node_shows_what_was_measured_on_it() {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("bin/nvidia-smi");
    fs::create_dir(root.path().join("bin")).unwrap();
    fs::write(&program, NVIDIA_SMI).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    let data_dir = root.path().join("data");
    let service = Service::start_in(root, data_dir, &["--gpus", "GPU-a"]);
    service.prepare(0).await;
    let mut body = cluster(json!({"manual": {"targetNodeCount": 1}}));
    body["properties"]["vmSize"] = json!("STANDARD_NC6");
    service.create("/clusters/gpus", &body).await;
    let path = "/clusters/gpus/listRemoteLoginInformation";
    let measured = async || -> Option<Value> {
        let nodes = service.ask(Method::POST, path, None).await.body();
        nodes["value"].as_array()?.first()?.get("extensions").cloned()
    };
    let at_once = until("the node is measured", &measured).await;
    let memory = |name: &str| at_once[name].as_u64().unwrap();
    assert!(memory("memoryUsedMib") < memory("memoryTotalMib"), "{at_once}");
    assert!(at_once["load"].as_f64().is_some() && at_once["lastSeenTime"].is_string(), "{at_once}");
    let begin = Instant::now();
    let gpus = loop {
        let gpus = measured().await.map(|it| it["gpus"].clone());
        if let Some(gpus) = gpus.filter(|gpus| gpus != &json!([])) {
            break gpus;
        }
        assert!(begin.elapsed() < FIRST_MEASUREMENT, "the GPU is not measured");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let gpu = json!({"utilizationPercent": 87, "memoryUsedMib": 12345, "memoryTotalMib": 81559});
    assert_eq!(gpus, json!([gpu]));
    let shown = service.batchai(&["cluster", "nodes", "gpus", "-o", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown[0]["extensions"]["gpus"][0], gpu, "{shown}");
}
