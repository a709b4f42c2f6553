//! A fuzzing client that knows nothing but the OpenAPI document: it finds no failure of the service
//! and no answer that the document does not have.

use super::api::WORKSPACE;
use super::service::Service;
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const REQUIREMENTS: &str = "
schemathesis==4.32.5
";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

const PATIENCE: Duration = Duration::from_secs(240);

/// Requests made up per operation, beside those that the document's limits suggest.
const EXAMPLES: &str = "4";

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
    let child = Command::new(python.with_file_name("schemathesis"))
        .arg("run")
        .arg(&file)
        .args([
            "--url",
            &service.endpoint,
            "--checks",
            CHECKS,
            "--phases",
            "examples,coverage,fuzzing",
        ])
        .args(["--max-examples", EXAMPLES, "--warnings", "off", "--no-color"])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", service.token))
        .env("SCHEMATHESIS_HOOKS", "fuzz_hooks")
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("BATCHAI_TEST_KNOWN", known().to_string())
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("the client comes to an end").unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    assert!(output.status.success(), "{said}");
    // It was not turned away all the time: what exists is still there, and it made more.
    let clusters = service.get("/clusters").await;
    assert!(clusters["value"].as_array().unwrap().len() > 1, "{clusters:#}");
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
