//! The commands as scripts use them: JSON on stdout, messages on stderr, exit codes.

use super::service::Service;
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

impl Service {
    #[track_caller]
    fn stdout(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.batchai(arguments);
        let messages = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{arguments:?}: {messages}");
        String::from_utf8(stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.stdout(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{arguments:?} printed no JSON: {text}"))
    }

    /// The exit code and stderr of a command that may fail.
    fn attempt(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.batchai(arguments);
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

/// The names in a list, which is an array or the service's `{"value": […]}`.
fn names(list: &Value) -> Vec<&str> {
    let items = list.get("value").unwrap_or(list).as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_resource_can_be_created_listed_shown_and_deleted() {
    let service = Service::start();
    let missing = service.attempt(&["workspace", "show", "w"]);
    assert_eq!(missing.0, Some(1));
    assert!(missing.1.contains("The specified workspace w is not found"), "{}", missing.1);

    let created = service.json(&["workspace", "create", "w", "--tag", "team=vision"]);
    assert_eq!(created["name"], "w");
    assert_eq!(created["tags"], json!({ "team": "vision" }));
    let created = service.json(&["file-server", "create", "nfs"]);
    assert_eq!(created["properties"]["provisioningState"], "succeeded", "{created:#}");
    let cluster =
        ["cluster", "create", "c", "--max", "2", "--nfs", "nfs", "--vm-priority", "lowpriority"];
    let created = service.json(&cluster);
    assert_eq!(created["properties"]["vmPriority"], "lowpriority", "{created:#}");
    let created = service.json(&["experiment", "create", "e"]);
    assert_eq!(created["name"], "e");
    for (kind, name) in
        [("workspace", "w"), ("file-server", "nfs"), ("cluster", "c"), ("experiment", "e")]
    {
        assert_eq!(names(&service.json(&[kind, "list"])), [name], "{kind}");
        assert_eq!(service.json(&[kind, "show", name])["name"], name, "{kind}");
        assert!(service.stdout(&[kind, "list"]).contains(name), "the table of {kind}");
        assert_eq!(service.stdout(&[kind, "list", "-o", "quiet"]), format!("{name}\n"));
    }
    for (kind, name) in
        [("experiment", "e"), ("cluster", "c"), ("file-server", "nfs"), ("workspace", "w")]
    {
        let (code, message) = service.attempt(&[kind, "delete", name]);
        assert_eq!(code, Some(1), "deleted the {kind} without confirmation: {message}");
        service.stdout(&[kind, "delete", name, "--yes"]);
        assert_eq!(service.attempt(&[kind, "show", name]).0, Some(1), "the {kind} was deleted");
    }
}

#[tokio::test]
async fn jobs_can_be_submitted_awaited_and_read() {
    let service = Service::start();
    service.prepare(1).await;
    let file = service.root().join("job.json");
    let write = |command: &str| {
        let job = json!({ "properties": {
            "nodeCount": 1,
            "customToolkitSettings": { "commandLine": command },
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "outputDirectories": [{ "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }],
        }});
        fs::write(&file, job.to_string()).unwrap();
    };
    let file_name = file.to_str().unwrap();
    let submit = |name| ["job", "submit", "-f", file_name, "-n", name, "-c", "c"];

    write(
        "echo häl; echo bad >&2; mkdir $AZ_BATCHAI_OUTPUT_OUT/deep; echo 1 > $AZ_BATCHAI_OUTPUT_OUT/deep/model",
    );
    let job = service.json(&submit("good"));
    assert_eq!((&job["name"], &job["properties"]["nodeCount"]), (&json!("good"), &json!(1)));
    let job = service.json(&["job", "wait", "good"]);
    assert_eq!(job["properties"]["executionState"], "succeeded", "{job:#}");
    assert_eq!(job["properties"]["executionInfo"]["exitCode"], 0);
    assert_eq!(service.stdout(&["job", "logs", "good"]), "häl\n");
    assert_eq!(service.stdout(&["job", "logs", "good", "--file", "stderr.txt"]), "bad\n");
    assert_eq!(service.stdout(&["job", "logs", "good", "--follow"]), "häl\n");
    let files = service.json(&["job", "files", "good"]);
    assert_eq!(names(&files), ["execution.log", "stderr.txt", "stdout.txt"]);
    let expires = |more: &[&str]| {
        let arguments = [&["job", "file", "list", "-j", "good"], more].concat();
        let url = service.json(&arguments)[0]["downloadUrl"].as_str().unwrap().to_owned();
        url.split("se=").nth(1).unwrap().split('&').next().unwrap().parse::<i64>().unwrap()
    };
    // The clock goes on between the requests: by minutes on a machine under load.
    assert!(expires(&["--expiry", "5"]) + 30 * 60 < expires(&[]), "links expire earlier");
    let files = service.json(&["job", "files", "good", "-d", "OUT", "-p", "deep"]);
    assert_eq!(names(&files), ["model"]);
    let into = service.root().join("downloads");
    service.stdout(&["job", "files", "good", "-d", "OUT", "--download", into.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(into.join("deep/model")).unwrap(), "1\n");

    write("exit 42");
    service.stdout(&submit("bad"));
    let (code, message) = service.attempt(&["job", "wait", "bad"]);
    assert_eq!(code, Some(42), "{message}");
    assert!(
        message.contains("bad failed with exit code 42") && message.contains("JobFailed"),
        "{message}"
    );

    write("sleep 60");
    service.stdout(&submit("long"));
    assert_eq!(service.attempt(&["job", "wait", "long", "--timeout", "1"]).0, Some(124));
    service.stdout(&["job", "terminate", "long"]);
    let (code, message) = service.attempt(&["job", "wait", "long"]);
    assert_eq!(code, Some(1), "the job has no exit code: {message}");
    assert!(message.contains("JobTerminated"), "{message}");

    let (code, message) = service.attempt(&submit("good"));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("a job named good exists already"), "{message}");
    assert_eq!(names(&service.json(&["job", "list"])), ["bad", "good", "long"]);
    service.stdout(&["job", "delete", "good", "--yes"]);
    assert_eq!(service.attempt(&["job", "show", "good"]).0, Some(1));
    assert_eq!(service.attempt(&["job", "submit", "-f", "/nothing", "-c", "c"]).0, Some(1));
    assert_eq!(service.attempt(&["job", "fly"]).0, Some(2), "an unknown command");
}

#[tokio::test]
async fn requests_are_accepted_without_waiting() {
    let service = Service::start();
    service.stdout(&["workspace", "create", "w", "--no-wait"]);
    let created = service.json(&["cluster", "create", "c", "--max", "1", "--no-wait"]);
    assert_eq!(created["name"], "c");
    let (code, message) = service.attempt(&["cluster", "delete", "c", "--yes", "--no-wait"]);
    assert_eq!((code, message.as_str()), (Some(0), "The deletion is accepted.\n"));
    super::service::until("the deletion", async || {
        (service.attempt(&["cluster", "show", "c"]).0 == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sizes_are_listed_and_checked() {
    let service = Service::start();
    let sizes = service.stdout(&["cluster", "create", "--vm-size", "?", "-o", "name"]);
    assert!(sizes.contains("STANDARD_NC6\n") && sizes.lines().count() > 50, "{sizes}");
    let sizes = service.json(&["run", "-s", "?"]);
    assert!(sizes.as_array().unwrap().iter().any(|size| size["gpus"] == 4), "{sizes}");
    let (code, message) = service.attempt(&["cluster", "create", "c", "-s", "STANDARD_NC7"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("did you mean STANDARD_NC6?"), "{message}");
    // In files, with the place; and by the service.
    service.stdout(&["workspace", "create", "w"]);
    let file = service.root().join("cluster.json");
    let text = "{ \"properties\": { \"vmSize\": \"g5.xlarge\",\n\"extensions\": {\n\"alternateVmSizes\": [\"nonsense\"] } } }";
    fs::write(&file, text).unwrap();
    let create = ["cluster", "create", "c", "-f", file.to_str().unwrap()];
    let (code, message) = service.attempt(&create);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("cluster.json:3:") && message.contains("nonsense"), "{message}");
    let (code, message) = service.attempt(&[&create[..], &["--no-check"]].concat());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("must be a VM size of Azure or an instance type"), "{message}");
}
