//! A fuzzing client that generates requests from the OpenAPI document: the service must not fail, and
//! every answer must match the document.

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

const TIMEOUT: Duration = Duration::from_secs(240);

/// Random requests per operation, in addition to those at the limits of the document.
const EXAMPLES: &str = "2";

/// Fixed, so that every run sends the same requests.
const SEED: &str = "1";

/// Of the 69 operations of the document. With random names in all places it is about half.
const MOSTLY_CARRIED_OUT: usize = 50;

#[tokio::test]
async fn every_answer_to_a_fuzzing_client_matches_the_document() {
    let python = tokio::task::spawn_blocking(|| tests::python::environment(REQUIREMENTS)).await;
    let python = python.expect("the environment can be created");
    let service = Service::start_with(&["--max-nodes", "2", "--max-clusters", "10"]);
    service.prepare(1).await;
    service.submit("j", "true", json!({})).await;
    service.job_in("j", "succeeded").await;
    let url = format!("{}/openapi.json", service.endpoint);
    let document = service.send(service.http.get(url).bearer_auth(&service.token)).await;
    assert_eq!(document.status, 200, "{}", document.text);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openapi.json");
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
        .current_dir(directory.path());
    succeeds(client, "the fuzzing client", TIMEOUT).await;
    // Its requests were effective: most operations were carried out, and existing resources not deleted.
    let accepted = std::fs::read_to_string(directory.path().join("accepted.json")).unwrap();
    let accepted: Vec<String> = serde_json::from_str(&accepted).unwrap();
    assert!(accepted.len() > MOSTLY_CARRIED_OUT, "{accepted:#?}");
    assert_eq!(service.get("/clusters/c").await["name"], "c");
    assert_eq!(service.job("j").await["properties"]["executionState"], "succeeded");
}

/// Existing resources: names for path parameters, and ids for references in bodies.
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
