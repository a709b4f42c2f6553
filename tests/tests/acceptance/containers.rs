//! Jobs in containers, from the request to the end of the container. Real containers where Podman is installed.

use super::processes;
use super::service::{Service, until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

const ENGINE: &str = "podman --runtime runc";
const OPTIONS: &str = "--ulimit nofile=20000:20000 --ulimit nproc=30000:30000";
const IMAGE: &str = "localhost/batchai-acceptance-test:latest";

fn in_container(image: &str) -> Value {
    json!({ "containerSettings": { "imageSourceRegistry": { "image": image }, "shmSize": "70m" } })
}

/// False, and says so, where Podman cannot run the image of the tests.
fn has_podman() -> bool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("container-image");
    let made = Command::new(script).args([IMAGE, ENGINE]).args(OPTIONS.split(' ')).output();
    let made = made.unwrap();
    if !made.status.success() {
        eprintln!("skipped: Podman cannot be used: {}", String::from_utf8_lossy(&made.stderr));
    }
    made.status.success()
}

fn podman(arguments: &[&str]) -> Output {
    let mut words = ENGINE.split(' ');
    Command::new(words.next().unwrap()).args(words).args(arguments).output().unwrap()
}

/// The containers of a service's nodes.
fn containers(service: &Service) -> Vec<String> {
    let format = r#"{{.Names}} {{index .Labels "batchai.root"}}"#;
    let listed = podman(&["ps", "--all", "--filter", "label=batchai.root", "--format", format]);
    let root = service.root().display().to_string();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().filter(|line| line.contains(&root)).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_job_runs_in_a_container_which_goes_with_it() {
    if !has_podman() {
        return;
    }
    let mut service =
        Service::start_with(&["--container-engine", ENGINE, "--container-options", OPTIONS]);
    service.prepare(1).await;
    let mut more = in_container(IMAGE);
    more["jobPreparation"] = json!({ "commandLine": "echo made > /made" });
    more["secrets"] = json!([{ "name": "SECRET", "value": "s3cret" }]);
    service
        .submit("a", "cat /made; echo $FROM_IMAGE $SECRET $AZ_BATCHAI_ATTEMPT; exit 4", more)
        .await;
    let job = service.job_in("a", "failed").await;
    assert_eq!(super::api::exit_code(&job), Some(4), "{job:#}");
    assert_eq!(service.output("a", ".", "stdout.txt").await, "made\nyes s3cret 1\n");
    assert_eq!(containers(&service), Vec::<String>::new());

    // Everything is killed at once, as when the machine is reset but for its containers.
    service.submit("b", "echo up; sleep 1000", in_container(IMAGE)).await;
    service.job_in("b", "running").await;
    let first = until("a container", async || containers(&service).pop()).await;
    until("output", async || {
        let files = service.files("b", "stdouterr", ".").await;
        let stdout = files.iter().find(|file| file["name"] == "stdout.txt")?;
        (stdout["properties"]["contentLength"].as_u64()? > 0).then_some(())
    })
    .await;
    for pid in service.processes() {
        processes::signal(pid, "KILL");
    }
    service.kill();
    service.restart();
    until("another container instead of the first", async || {
        let now = containers(&service);
        (now.len() == 1 && now[0] != first).then_some(())
    })
    .await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(service.processes(), [0; 0], "no process is left");
    assert_eq!(containers(&service), Vec::<String>::new());
}

#[tokio::test]
async fn a_job_fails_with_the_reason_where_no_node_has_an_engine() {
    let service = Service::start_with(&["--container-engine", "/nowhere/docker"]);
    service.prepare(1).await;
    let begun = Instant::now();
    service.submit("a", "true", in_container("ubuntu")).await;
    let job = service.job_in("a", "failed").await;
    eprintln!("failed after {:?}", begun.elapsed());
    let error = &job["properties"]["executionInfo"]["errors"][0];
    assert_eq!(error["code"], "ContainerRuntimeMissing", "{job:#}");
    assert!(error["message"].as_str().unwrap().contains("install Docker or Podman"), "{error:#}");
    let reason = json!({ "name": "/nowhere/docker", "value": "it is not installed" });
    assert!(error["details"].as_array().unwrap().contains(&reason), "{error:#}");
    assert_eq!(super::api::attempts(&job), 3, "one on each of three nodes");
}
