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

#[tokio::test]
async fn the_logs_of_a_failed_job_say_why() {
    let service = Service::start();
    service.prepare(1).await;
    let file = job_file(&service, "seq 3; seq 101 130 >&2; echo $MISSING >&2; exit 42");
    let submit = ["job", "submit", "-f", &file, "-n", "bad", "-c", "c"];
    assert_eq!(run(&service, &submit).0, Some(0));
    for more in [&["--follow"][..], &[]] {
        let (code, stdout, stderr) = run(&service, &[&["job", "logs", "bad"], more].concat());
        assert_eq!((code, stdout.as_str()), (Some(42), "1\n2\n3\n"), "{stderr}");
        assert!(stderr.contains("-- the end of stderr.txt:\n112\n113\n"), "{stderr}");
        assert!(!stderr.contains("111\n"), "{stderr}");
        assert!(stderr.contains("-- bad failed with exit code 42"), "{stderr}");
    }
    let logs = |more: &[&str]| run(&service, &[&["job", "logs", "-n", "bad"], more].concat()).1;
    assert_eq!(logs(&["--tail", "1"]), "3\n");
    assert_eq!(logs(&["--tail", "9", "--attempt", "1"]), "1\n2\n3\n");
    let (code, _, stderr) = run(&service, &["job", "logs", "bad", "--attempt", "2"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("bad has no attempt 2; it has had 1"), "{stderr}");
    let stream = ["job", "file", "stream", "-j", "bad", "-f", "stdout.txt", "-d", "stdouterr"];
    assert_eq!(run(&service, &stream).1, "1\n2\n3\n");
}

#[tokio::test]
async fn a_queued_job_says_why_it_waits() {
    let service = Service::start();
    service.prepare(1).await;
    let file = job_file(&service, "sleep 300");
    let submit = |name| ["job", "submit", "-f", &file, "-n", name, "-c", "c"];
    for name in ["sw-1", "sw-2", "sw-10"] {
        assert_eq!(run(&service, &submit(name)).0, Some(0), "{name}");
    }
    service.job_in("sw-1", "running").await;
    let (code, list, stderr) = run(&service, &["job", "list", "--state", "queued"]);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].starts_with("sw-2 ") && lines[2].starts_with("sw-10 "), "{list}");
    for line in &lines[1..] {
        // The reason of the API, in the row of the job.
        let name = line.split_whitespace().next().unwrap();
        let job = service.job(name).await;
        let reason = job["properties"]["extensions"]["waitingReason"]["message"].as_str().unwrap();
        assert!(line.ends_with(reason), "{line}: {reason}");
    }
    let (_, _, said) = run(&service, &["job", "logs", "sw-10"]);
    assert!(said.starts_with("-- sw-10 is queued. "), "{said}");
    let (code, explained, stderr) = run(&service, &["job", "explain", "sw-10"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(explained.contains("2 of 2") && explained.contains("e/sw-2"), "{explained}");
    let (code, status, stderr) = run(&service, &["status"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(status.contains("Jobs: 1 running, 2 queued"), "{status}");
    let (_, counts, _) = run(&service, &["status", "--query", "counts.queued", "-o", "name"]);
    assert_eq!(counts, "2\n");
    for name in ["sw-1", "sw-2", "sw-10"] {
        assert_eq!(run(&service, &["job", "terminate", name, "-y"]).0, Some(0), "{name}");
    }
    let wait = ["job", "wait", "sw-1", "sw-2", "-n", "sw-10", "--interval", "1", "-o", "name"];
    assert_eq!(run(&service, &wait).0, Some(1));
}

#[tokio::test]
async fn a_file_is_checked_before_it_is_sent() {
    let service = Service::start();
    service.prepare(1).await;
    let file = service.root().join("job.json");
    let text = r#"{"properties": {
  "nodeCont": 1,
  "customToolkitSettings": {"commandLine": "true"},
  "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs"
}}"#;
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let submit = ["job", "submit", "-f", name, "-n", "j", "-c", "c"];
    let (code, _, stderr) = run(&service, &submit);
    assert_eq!(code, Some(1), "{stderr}");
    let expected =
        format!("{name}:2:3: unknown field properties.nodeCont; did you mean nodeCount?");
    assert!(stderr.contains(&expected), "{stderr}");
    assert_eq!(run(&service, &["job", "show", "j"]).0, Some(1), "nothing was sent");
    // The service itself is as lenient as the contract.
    let (code, _, stderr) = run(&service, &[&submit[..], &["--no-check"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
}

#[tokio::test]
async fn the_options_of_the_azure_cli_are_accepted() {
    let service = Service::start();
    service.prepare(1).await;
    let create = ["cluster", "create", "-n", "az", "-g", "g", "-w", "w", "-i", "UbuntuLTS"];
    let nodes = ["-s", "STANDARD_D1", "--min", "0", "--max", "2", "-t", "1", "-u", "alice"];
    let mounts = ["--nfs", "nfs", "--afs-name", "logs", "--bfs-name", "data", "-p", "secret"];
    let create = [&create[..], &nodes, &mounts, &["-o", "json"]].concat();
    let (code, stdout, stderr) = run(&service, &create);
    assert_eq!(code, Some(0), "{stderr}");
    let created: Value = serde_json::from_str(&stdout).unwrap();
    let properties = &created["properties"];
    let scale = &properties["scaleSettings"]["autoScale"];
    let expected = json!({ "minimumNodeCount": 0, "maximumNodeCount": 2, "initialNodeCount": 1 });
    assert_eq!(*scale, expected, "{created:#}");
    let volumes = &properties["nodeSetup"]["mountVolumes"];
    for (list, path) in
        [("fileServers", "nfs"), ("azureFileShares", "afs"), ("azureBlobFileSystems", "bfs")]
    {
        assert_eq!(volumes[list][0]["relativeMountPath"], path, "{created:#}");
    }
    let image = &properties["virtualMachineConfiguration"]["imageReference"];
    assert_eq!(image["offer"], "UbuntuServer", "{created:#}");
    let (code, nodes, stderr) =
        run(&service, &["cluster", "node", "list", "-c", "az", "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(serde_json::from_str::<Value>(&nodes).unwrap().is_array(), "{nodes}");
    let (code, usage, stderr) = run(&service, &["list-usages", "-l", "local", "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(usage.contains("localizedValue"), "{usage}");
}

#[tokio::test]
async fn the_logs_of_a_set_up_task_are_listed() {
    let service = Service::start();
    service.prepare(1).await;
    let task =
        ["--setup-task", "echo ready", "--setup-task-output", "$AZ_BATCHAI_MOUNT_ROOT/nfs/s"];
    let create = ["cluster", "create", "s", "--nfs", "nfs", "--target", "1"];
    let (code, _, stderr) = run(&service, &[&create[..], &task].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let list = ["cluster", "file", "list", "-c", "s", "-o", "name"];
    let names = super::service::until("the set-up task has written", async || {
        let (code, names, _) = run(&service, &list);
        (code == Some(0) && names.contains("stderr-")).then_some(names)
    })
    .await;
    let is_log =
        |name: &str| ["execution-", "stderr-", "stdout-"].iter().any(|it| name.starts_with(it));
    assert!(names.lines().all(is_log), "{names}");
    let (code, _, stderr) = run(&service, &["cluster", "file", "list", "-c", "c"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("c has no set-up task"), "{stderr}");
    assert_eq!(run(&service, &["cluster", "delete", "s", "-y"]).0, Some(0));
}

#[test]
fn shells_get_a_completion_script() {
    let root = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = program(root.path()).args(["completion", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("auto-scale"), "{shell}: {script}");
    }
}
