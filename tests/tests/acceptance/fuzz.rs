//! A fuzzing client that knows nothing but the OpenAPI document: it finds no failure of the service
//! and no answer that the document does not have.

use super::api::WORKSPACE;
use super::clients::succeeds;
use super::service::Service;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

const REQUIREMENTS: &str = "
schemathesis==4.32.5
";

/// Two of all checks are replaced by those of `fuzz_hooks.py`, which has the exceptions and their
/// reasons.
const REPLACED_CHECKS: &str = "positive_data_acceptance,negative_data_rejection";

const PATIENCE: Duration = Duration::from_secs(240);

/// Requests made up per operation, beside those that the document's limits suggest.
const EXAMPLES: &str = "2";

/// The same requests in every run; another seed is for those who look for more.
const SEED: &str = "1";

#[tokio::test]
async fn a_fuzzing_client_finds_nothing_that_the_document_does_not_have() {
    let python = tokio::task::spawn_blocking(|| tests::python::environment(REQUIREMENTS)).await;
    let python = python.expect("the environment can be made");
    let service = Service::start_with(&["--max-nodes", "2", "--max-clusters", "10"]);
    service.prepare(1).await;
    service.submit("j", "true", json!({})).await;
    service.job_in("j", "succeeded").await;
    let url = format!("{}/openapi.json", service.endpoint);
    let document = service.send(service.http.get(url).bearer_auth(&service.token)).await;
    assert_eq!(document.status, 200, "{}", document.text);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("openapi.json");
    std::fs::write(&file, &document.text).unwrap();
    let mut client = Command::new(python.with_file_name("schemathesis"));
    client
        .arg("run")
        .arg(&file)
        .args(["--url", &service.endpoint])
        .args(["--checks", "all", "--exclude-checks", REPLACED_CHECKS])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED])
        .args(["--warnings", "off", "--no-color"])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", service.token))
        .env("SCHEMATHESIS_HOOKS", "fuzz_hooks")
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python"))
        .env("BATCHAI_TEST_KNOWN", known().to_string())
        .current_dir(place.path());
    succeeds(client, "the fuzzing client", PATIENCE).await;
    // It was not turned away all the time: it changed what exists, and deleted none of it.
    let cluster = service.get("/clusters/c").await;
    assert!(cluster["properties"].get("extensions").is_some(), "{cluster:#}");
    assert_eq!(service.job("j").await["properties"]["executionState"], "succeeded");
}

/// What exists, by the names of parameters in paths, and ids for references in bodies.
fn known() -> serde_json::Value {
    let segments: Vec<&str> = WORKSPACE.split('/').collect();
    json!({
        "subscriptionId": segments[2],
        "resourceGroupName": segments[4],
        "workspaceName": segments[8],
        "experimentName": "e",
        "jobName": "j",
        "clusterName": "c",
        "fileServerName": "nfs",
        "location": "local",
        "providerNamespace": "Microsoft.BatchAI",
        "outputdirectoryid": "stdouterr",
        "cluster": format!("{WORKSPACE}/clusters/c"),
        "fileServer": format!("{WORKSPACE}/fileServers/nfs"),
    })
}
