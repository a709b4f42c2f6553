//! Volumes that nodes mount, as on AWS: what an assignment contains, and what the service can read of them.

use control::nodes::AgentIdentity;
use control::uptime::Uptime;
use control::{Context, Control, Parts, Settings};
use model::{Name, Node};
use protocol::{Desired, MountSource, NodePhase, SecretText, SyncRequest};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::harness::{Harness, cluster_id, manual, names, path};

const KEY: &str = "bmV2ZXIgc2hvd24=";

fn share(url: &str, path: &str) -> Value {
    json!({ "accountName": "Lab", "azureFileUrl": format!("https://lab.file.core.windows.net/{url}"),
        "credentials": { "accountKey": KEY }, "relativeMountPath": path, "fileMode": "0640" })
}

fn container(path: &str) -> Value {
    json!({ "accountName": "lab", "containerName": "data", "credentials": { "accountKey": KEY },
        "relativeMountPath": path, "mountOptions": "-o ro" })
}

/// A cluster of one node that mounts this.
async fn cluster(mounts: Value) -> (Harness, Node) {
    let harness = Harness::new(1).await;
    harness.put_cluster_with("c", &manual(1, "requeue"), &json!({ "mountVolumes": mounts })).await;
    harness.environment.deliver_all().await;
    let clusters = &harness.environment.control.clusters;
    let (found, _) = clusters.get(&names(), &Name::new("c")).await.unwrap();
    let node = clusters.nodes(&found).await.unwrap().remove(0);
    (harness, node)
}

async fn report(harness: &Harness, node: &Node, phase: NodePhase) -> Desired {
    let request = SyncRequest {
        instance: format!("i-{}", node.id),
        address: "10.0.0.4".to_owned(),
        phase,
        attempt: None,
        interruption_notice_seconds: None,
        login_port: None,
        metrics: None,
        job_metrics: Vec::new(),
    };
    let nodes = &harness.environment.control.nodes;
    let answer = nodes.sync(&node.cluster, &node.id, &AgentIdentity::Node, &request).await;
    answer.unwrap().desired
}

fn job(mounts: Value, prefix: &str) -> Value {
    json!({ "properties": {
        "cluster": { "id": cluster_id("c") },
        "nodeCount": 1,
        "mountVolumes": mounts,
        "stdOutErrPathPrefix": prefix,
        "customToolkitSettings": { "commandLine": "true" },
    } })
}

#[tokio::test]
async fn a_node_gets_keys_and_nobody_else_does() {
    let (harness, node) =
        cluster(json!({ "azureFileShares": [share("Logs/a%20b", "logs")] })).await;
    let Desired::Prepare { setup } = report(&harness, &node, NodePhase::Preparing).await else {
        panic!("the node is to be set up");
    };
    let expected = MountSource::AzureFileShare {
        host: "lab.file.core.windows.net".to_owned(),
        share: "logs".to_owned(),
        sub_directory: "a b".to_owned(),
        account: "Lab".to_owned(),
        key: SecretText(KEY.to_owned()),
        file_mode: "0640".to_owned(),
        directory_mode: "0777".to_owned(),
    };
    assert_eq!(setup.mounts[0].source, expected);
    report(&harness, &node, NodePhase::Ready).await;
    let mounts = json!({
        "azureBlobFileSystems": [container("data")],
        "extensions": { "s3Buckets": [{ "bucket": "lab", "prefix": "a", "relativeMountPath": "s3" }] },
    });
    harness.put_job("j", &job(mounts, "$AZ_BATCHAI_MOUNT_ROOT/logs")).await.unwrap();
    let Desired::Run { assignment: Some(assignment), .. } =
        report(&harness, &node, NodePhase::Ready).await
    else {
        panic!("the job is to run");
    };
    let expected = MountSource::AzureBlobContainer {
        account: "lab".to_owned(),
        container: "data".to_owned(),
        key: SecretText(KEY.to_owned()),
        options: Some("-o ro".to_owned()),
    };
    assert_eq!(assignment.mounts[0].source, expected);
    assert_eq!(assignment.mounts.len(), 2);
    let stored = serde_json::to_string(&harness.job("j").await).unwrap();
    assert!(!stored.contains(KEY), "{stored}");
    let clusters = &harness.environment.control.clusters;
    let (stored, _) = clusters.get(&names(), &Name::new("c")).await.unwrap();
    assert!(!serde_json::to_string(&stored).unwrap().contains(KEY));
}

#[tokio::test]
async fn an_account_key_that_cannot_be_read_is_named() {
    let mut share = share("logs", "logs");
    share["credentials"] = json!({ "accountKeySecretReference": {
        "sourceVault": { "id": "/vault" }, "secretUrl": "https://vault/secrets/key" } });
    let (harness, node) = cluster(json!({ "azureFileShares": [share] })).await;
    report(&harness, &node, NodePhase::Preparing).await;
    let clusters = &harness.environment.control.clusters;
    let (found, _) = clusters.get(&names(), &Name::new("c")).await.unwrap();
    let error = found.errors.first().unwrap();
    assert_eq!(error.code, "SecretReferenceNotProvided");
    assert!(format!("{error:?}").contains("Lab"), "{error:?}");
}

#[tokio::test]
async fn output_on_a_volume_is_not_listed_by_a_service_elsewhere() {
    let (harness, _) = cluster(json!({ "azureFileShares": [share("logs", "logs")] })).await;
    let prefixes = ["$AZ_BATCHAI_MOUNT_ROOT/logs", "$AZ_BATCHAI_JOB_MOUNT_ROOT/data"];
    for (name, prefix) in ["a", "b"].into_iter().zip(prefixes) {
        let mounts = json!({ "azureBlobFileSystems": [container("data")] });
        harness.put_job(name, &job(mounts, prefix)).await.unwrap();
    }
    let parts = &harness.environment.control.context;
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
        settings: Settings { file_server_root: None, ..parts.settings.clone() },
        uptime: Arc::new(Uptime::always()),
    }));
    let pairs = [("outputdirectoryid".to_owned(), "stdouterr".to_owned())];
    let query = wire::parse_output_files_query(&pairs).unwrap();
    for (name, what) in [("a", "an Azure file share"), ("b", "an Azure blob container")] {
        let job = control.jobs.get(&path(), &Name::new(name)).await.unwrap();
        let listed = control.files.list(&job, &query, (None, 10), |_| String::new()).await;
        let error = listed.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("cannot read"), "{error}");
    }
}
