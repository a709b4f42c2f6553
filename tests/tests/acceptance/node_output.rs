//! Jobs whose output is on no file server: it is on their nodes, and its end is shown all the same.

use super::api::cluster;
use super::service::Service;
use serde_json::json;
use std::fs;
use std::process::Output;

fn run(service: &Service, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = service.batchai(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A cluster that mounts nothing, and the file of a job for it.
async fn prepare(service: &Service, command: &str) -> String {
    service.create("", &json!({ "location": "local" })).await;
    service.create("/experiments/e", &json!({})).await;
    let mut bare = cluster(json!({ "manual": { "targetNodeCount": 1 } }));
    bare["properties"].as_object_mut().unwrap().remove("nodeSetup");
    service.create("/clusters/c", &bare).await;
    let file = service.root().join("job.json");
    let job = json!({ "properties": {
        "nodeCount": 1,
        "customToolkitSettings": { "commandLine": command },
        "stdOutErrPathPrefix": service.root().join("output"),
        "secrets": [{ "name": "TOKEN", "value": "hunter2-of-the-job" }],
    }});
    fs::write(&file, job.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_failed_job_without_a_file_server_shows_the_end_of_its_output() {
    let service = Service::start();
    let command = "seq 9000; seq 101 130 >&2; echo wrong $TOKEN >&2; exit 42";
    let file = prepare(&service, command).await;
    let submit = ["job", "submit", "-f", &file, "-n", "bad", "-c", "c"];
    assert_eq!(run(&service, &submit).0, Some(0));
    for more in [&["--follow"][..], &[]] {
        let (code, stdout, stderr) = run(&service, &[&["job", "logs", "bad"], more].concat());
        assert_eq!(code, Some(42), "{stderr}");
        assert!(stdout.ends_with("\n8999\n9000\n") && stdout.len() > 8000, "{}", stdout.len());
        assert!(stderr.contains("-- the end of stdout.txt of node "), "{stderr}");
        assert!(stderr.contains(" of 43893 bytes:\n"), "{stderr}");
        assert!(stderr.contains(":\n112\n113\n") && !stderr.contains("111\n"), "{stderr}");
        assert!(stderr.contains("130\nwrong ***\n"), "{stderr}");
        assert!(stderr.contains("-- bad failed with exit code 42"), "{stderr}");
    }
    let logs = |more: &[&str]| run(&service, &[&["job", "logs", "bad"], more].concat());
    assert_eq!(logs(&["--tail", "2"]).1, "8999\n9000\n");
    let (_, stderr_of_job, _) = logs(&["--file", "stderr.txt"]);
    assert!(stderr_of_job.starts_with("101\n"), "{stderr_of_job}");
    let (code, _, stderr) = run(&service, &["job", "delete", "bad", "--yes"]);
    assert_eq!(code, Some(0), "{stderr}");
    let left = service.ask(http::Method::GET, "/experiments/e/jobs/bad/logTails", None).await;
    assert_eq!(left.status, 404, "{}", left.text);
}

#[tokio::test]
async fn a_running_job_without_a_file_server_says_where_its_output_is() {
    let service = Service::start();
    let go = service.root().join("go");
    let command =
        format!("echo begun; until [ -e {} ]; do sleep 0.1; done; echo done", go.display());
    let file = prepare(&service, &command).await;
    let submit = ["job", "submit", "-f", &file, "-n", "good", "-c", "c"];
    assert_eq!(run(&service, &submit).0, Some(0));
    let job = service.job_in("good", "running").await;
    let (code, stdout, stderr) = run(&service, &["job", "logs", "good"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    let segment = job["properties"]["jobOutputDirectoryPathSegment"].as_str().unwrap();
    let path = service.root().join("output").join(segment).join("stdouterr/stdout.txt");
    let live = format!("batchai job exec good -- tail -f {}", path.display());
    assert!(stderr.contains(&live), "{stderr}");
    let node = job["properties"]["extensions"]["attempts"][0]["nodes"][0].as_str().unwrap();
    assert!(stderr.contains(&format!("is on {node}")), "{stderr}");
    fs::write(go, "").unwrap();
    let (code, stdout, stderr) = run(&service, &["job", "logs", "good", "--follow"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "begun\ndone\n"), "{stderr}");
}
