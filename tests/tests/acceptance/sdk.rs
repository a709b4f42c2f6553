//! The official SDK against the service: the scenarios stand in `tests/python/sdk_flow.py`.

use super::service::Service;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// As people installed it. It needs `setuptools` where Python has no `pkg_resources` of its own.
const REQUIREMENTS: &str = "
azure-mgmt-batchai==2.0.0
msrestazure==0.6.4.post1
msrest==0.7.1
requests==2.32.5
setuptools<81
";

const PATIENCE: Duration = Duration::from_secs(80);

/// Runs a group of scenarios against a service of its own.
async fn run(group: &str) {
    let python = tokio::task::spawn_blocking(|| tests::python::environment(REQUIREMENTS));
    let python = python.await.expect("the environment can be made");
    let service = Service::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sdk_flow.py");
    let child = tokio::process::Command::new(python)
        .args(["-B".as_ref(), script.as_os_str(), group.as_ref()])
        .env("BATCHAI_TEST_ENDPOINT", &service.endpoint)
        .env("BATCHAI_TEST_TOKEN", &service.token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{group} takes too long")).unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    assert!(output.status.success(), "{group} failed:\n{said}");
}

#[tokio::test]
async fn the_sdk_manages_resources() {
    run("resources").await;
}

#[tokio::test]
async fn the_sdk_runs_jobs() {
    run("jobs").await;
}

#[tokio::test]
async fn the_sdk_reads_files() {
    run("files").await;
}

#[tokio::test]
async fn the_sdk_ends_jobs() {
    run("ends").await;
}

#[tokio::test]
async fn the_sdk_scales_clusters() {
    run("clusters").await;
}
