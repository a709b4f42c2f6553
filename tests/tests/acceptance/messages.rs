//! What commands say when something is wrong, and in which form.

use super::service::{Service, program};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

/// The exit code, stdout and stderr of a command.
fn run(service: &Service, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = service.batchai(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Writes a job that runs this command line; returns the path of the file.
fn job_file(service: &Service, command: &str) -> String {
    let file = service.root().join("job.json");
    let job = json!({ "properties": {
        "nodeCount": 1,
        "customToolkitSettings": { "commandLine": command },
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "outputDirectories": [{ "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }],
    }});
    fs::write(&file, job.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_does_not_exist_is_not_deleted() {
    let service = Service::start();
    service.prepare(1).await;
    let kinds = ["workspace", "cluster", "file-server", "experiment", "job", "group"];
    for kind in kinds {
        let (code, stdout, stderr) = run(&service, &[kind, "delete", "nosuch", "--yes"]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{kind}: {stderr}");
        assert!(stderr.contains("nosuch"), "{kind}: {stderr}");
        assert!(!stderr.contains("Deleted"), "{kind}: {stderr}");
    }
    let (code, _, stderr) = run(&service, &["token", "revoke", "nosuch", "--yes"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("no token named nosuch"), "{stderr}");
    let id = "0b5f5d2e-0000-4000-8000-000000000000";
    let (code, _, stderr) = run(&service, &["role", "delete", id, "--yes"]);
    assert_eq!(code, Some(1), "{stderr}");
}

#[tokio::test]
async fn programs_get_errors_as_json() {
    let service = Service::start();
    service.prepare(1).await;
    let error = |arguments: &[&str], expected: i32| {
        let (code, stdout, stderr) = run(&service, arguments);
        assert_eq!((code, stdout.as_str()), (Some(expected), ""), "{arguments:?}: {stderr}");
        serde_json::from_str::<Value>(&stderr).unwrap_or_else(|_| panic!("{stderr}"))
    };
    let found = error(&["job", "show", "nosuch", "-o", "json"], 1);
    assert_eq!(found["error"]["code"], "JobNotFound", "{found}");
    let message = found["error"]["message"].as_str().unwrap();
    assert!(message.contains("nosuch"), "{found}");
    let found = error(&["job", "show", "-o", "json"], 2);
    assert_eq!(found["error"]["code"], "InvalidCommandLine", "{found}");
    let found = error(&["job", "submit", "-f", "/nothing", "-c", "c", "-o", "json"], 1);
    assert_eq!(found["error"]["code"], "CommandFailed", "{found}");
}

#[test]
fn a_wrong_data_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    let wrong = root.path().join("wrong");
    let output = program(&wrong).args(["workspace", "list"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let expected = format!("no service has run in the data directory {}", wrong.display());
    assert!(message.contains(&expected), "{message}");
}

#[tokio::test]
async fn a_directory_that_does_not_exist_is_named() {
    let service = Service::start();
    service.prepare(1).await;
    let file = job_file(&service, "mkdir -p $AZ_BATCHAI_OUTPUT_OUT/deep/empty");
    let (code, _, stderr) =
        run(&service, &["job", "submit", "-f", &file, "-n", "j", "-c", "c", "--wait"]);
    assert_eq!(code, Some(0), "{stderr}");
    let files = |path| run(&service, &["job", "files", "j", "-d", "OUT", "-p", path]);
    let (code, _, stderr) = files("deep/nosuch");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("has no directory deep/nosuch"), "{stderr}");
    assert!(stderr.contains("directories in deep: empty"), "{stderr}");
    let (code, _, stderr) = files("deep/empty");
    assert_eq!((code, stderr.as_str()), (Some(0), "No files.\n"));
}

#[tokio::test]
async fn lists_are_in_natural_order_and_in_every_format() {
    let service = Service::start();
    service.prepare(1).await;
    for name in ["sw-10", "sw-2", "sw-1"] {
        let (code, _, stderr) = run(&service, &["experiment", "create", "-n", name]);
        assert_eq!(code, Some(0), "{stderr}");
    }
    let list = |format| {
        let (code, stdout, stderr) = run(&service, &["experiment", "list", "-o", format]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{format}");
        stdout
    };
    assert_eq!(list("name"), "e\nsw-1\nsw-2\nsw-10\n");
    assert_eq!(list("quiet"), list("name"));
    assert!(list("table").contains(" ago") || list("table").contains("just now"));
    let json: Value = serde_json::from_str(&list("json")).unwrap();
    let created = json[0]["properties"]["creationTime"].as_str().unwrap();
    assert!(list("wide").contains(created), "{}", list("wide"));
    assert!(list("yaml").contains(&format!("creationTime: \"{created}\"")), "{}", list("yaml"));
    let query = ["experiment", "list", "--query", "[?name!='e'].name", "-o", "name"];
    assert_eq!(run(&service, &query).1, "sw-1\nsw-2\nsw-10\n");
    let (code, _, stderr) = run(&service, &["experiment", "list", "--query", "[?"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("JMESPath"), "{stderr}");
}
