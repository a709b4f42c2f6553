//! The official SDK drives every operation: the scenarios stand in `tests/python`, in themes.

use super::clients::succeeds;
use super::service::Service;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// As people installed it, with the clients of Azure Resource Manager of that time. They need
/// `setuptools` where Python has no `pkg_resources` of its own.
const REQUIREMENTS: &str = "
azure-mgmt-batchai==2.0.0
azure-mgmt-resource==10.2.0
azure-mgmt-authorization==0.61.0
msrestazure==0.6.4.post1
msrest==0.7.1
requests==2.32.5
setuptools<81
";

const PATIENCE: Duration = Duration::from_secs(80);

async fn python() -> PathBuf {
    let python = tokio::task::spawn_blocking(|| tests::python::environment(REQUIREMENTS));
    python.await.expect("the environment can be made")
}

/// Plays a theme against a service of its own.
async fn play(theme: &str) {
    let python = python().await;
    let service = Service::start();
    let mut command = Command::new(python);
    command
        .env("BATCHAI_TEST_ENDPOINT", &service.endpoint)
        .env("BATCHAI_TEST_TOKEN", &service.token);
    run(command, theme).await;
}

async fn run(mut command: Command, argument: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sdk_flow.py");
    command.arg(script).arg(argument);
    succeeds(command, argument, PATIENCE).await;
}

/// Each theme holds its scenarios to the operations that they name; together they name all.
#[tokio::test]
async fn the_sdk_calls_every_operation() {
    run(Command::new(python().await), "--check").await;
}

#[tokio::test]
async fn the_sdk_manages_workspaces() {
    play("workspaces").await;
}

#[tokio::test]
async fn the_sdk_manages_file_servers() {
    play("file_servers").await;
}

#[tokio::test]
async fn the_sdk_scales_clusters() {
    play("clusters").await;
}

#[tokio::test]
async fn the_sdk_runs_jobs() {
    play("jobs").await;
}

#[tokio::test]
async fn the_sdk_reads_files() {
    play("files").await;
}

#[tokio::test]
async fn the_sdk_ends_jobs() {
    play("ends").await;
}

#[tokio::test]
async fn the_sdk_manages_the_account() {
    play("account").await;
}

#[tokio::test]
async fn the_sdk_assigns_roles() {
    play("roles").await;
}

#[tokio::test]
async fn the_sdk_follows_a_notebook() {
    play("notebook").await;
}

#[tokio::test]
async fn the_sdk_relies_on_the_contract() {
    play("contract").await;
}
