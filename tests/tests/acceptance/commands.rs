//! The commands as scripts use them: JSON on stdout, talk on stderr, exit codes that can be tested.

use super::service::Service;
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

impl Service {
    #[track_caller]
    fn said(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.batchai(arguments);
        let talk = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{arguments:?}: {talk}");
        String::from_utf8(stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.said(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?} said no JSON: {text}"))
    }

    /// Exit code and stderr.
    fn tried(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.batchai(arguments);
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

/// Names of a list, which comes as an array or as the service's own `{"value": […]}`.
fn names(list: &Value) -> Vec<&str> {
    let items = list.get("value").unwrap_or(list).as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_resource_is_made_listed_shown_and_deleted() {
    let service = Service::start();
    let missing = service.tried(&["workspace", "show", "w"]);
    assert_eq!(missing.0, Some(1));
    assert!(missing.1.contains("The specified workspace w is not found"), "{}", missing.1);

    let made = service.json(&["workspace", "create", "w", "--tag", "team=vision"]);
    assert_eq!(made["name"], "w");
    assert_eq!(made["tags"], json!({ "team": "vision" }));
    let made = service.json(&["file-server", "create", "nfs"]);
    assert_eq!(made["properties"]["provisioningState"], "succeeded", "{made:#}");
    let cluster =
        ["cluster", "create", "c", "--max", "2", "--nfs", "nfs", "--vm-priority", "lowpriority"];
    let made = service.json(&cluster);
    assert_eq!(made["properties"]["vmPriority"], "lowpriority", "{made:#}");
    let made = service.json(&["experiment", "create", "e"]);
    assert_eq!(made["name"], "e");
    for (kind, name) in
        [("workspace", "w"), ("file-server", "nfs"), ("cluster", "c"), ("experiment", "e")]
    {
        assert_eq!(names(&service.json(&[kind, "list"])), [name], "{kind}");
        assert_eq!(service.json(&[kind, "show", name])["name"], name, "{kind}");
        assert!(service.said(&[kind, "list"]).contains(name), "the table of {kind}");
        assert_eq!(service.said(&[kind, "list", "-o", "quiet"]), format!("{name}\n"));
    }
    for (kind, name) in
        [("experiment", "e"), ("cluster", "c"), ("file-server", "nfs"), ("workspace", "w")]
    {
        let (code, said) = service.tried(&[kind, "delete", name]);
        assert_eq!(code, Some(1), "nobody agreed to delete the {kind}: {said}");
        service.said(&[kind, "delete", name, "--yes"]);
        assert_eq!(service.tried(&[kind, "show", name]).0, Some(1), "the {kind} is gone");
    }
}

#[tokio::test]
async fn jobs_are_submitted_awaited_and_read() {
    let service = Service::start();
    service.prepare(1).await;
    let file = service.place().join("job.json");
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
    assert_eq!(service.said(&["job", "logs", "good"]), "häl\n");
    assert_eq!(service.said(&["job", "logs", "good", "--file", "stderr.txt"]), "bad\n");
    assert_eq!(service.said(&["job", "logs", "good", "--follow"]), "häl\n");
    let files = service.json(&["job", "files", "good"]);
    assert_eq!(names(&files), ["execution.log", "stderr.txt", "stdout.txt"]);
    let files = service.json(&["job", "files", "good", "-d", "OUT", "-p", "deep"]);
    assert_eq!(names(&files), ["model"]);
    let into = service.place().join("downloads");
    service.said(&["job", "files", "good", "-d", "OUT", "--download", into.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(into.join("deep/model")).unwrap(), "1\n");

    write("exit 42");
    service.said(&submit("bad"));
    let (code, said) = service.tried(&["job", "wait", "bad"]);
    assert_eq!(code, Some(42), "{said}");
    assert!(said.contains("bad failed with exit code 42") && said.contains("JobFailed"), "{said}");

    write("sleep 60");
    service.said(&submit("long"));
    assert_eq!(service.tried(&["job", "wait", "long", "--timeout", "1"]).0, Some(124));
    service.said(&["job", "terminate", "long"]);
    let (code, said) = service.tried(&["job", "wait", "long"]);
    assert_eq!(code, Some(1), "no exit code of its own: {said}");
    assert!(said.contains("JobTerminated"), "{said}");

    let (code, said) = service.tried(&submit("good"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("a job named good exists already"), "{said}");
    assert_eq!(names(&service.json(&["job", "list"])), ["bad", "good", "long"]);
    service.said(&["job", "delete", "good", "--yes"]);
    assert_eq!(service.tried(&["job", "show", "good"]).0, Some(1));
    assert_eq!(service.tried(&["job", "submit", "-f", "/nothing", "-c", "c"]).0, Some(1));
    assert_eq!(service.tried(&["job", "fly"]).0, Some(2), "a command that makes no sense");
}
