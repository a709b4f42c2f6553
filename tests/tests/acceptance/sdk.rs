//! The official SDK calls every operation. The scenarios are in `tests/python`, grouped by theme.

use super::clients::succeeds;
use super::service::Service;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// The SDK with the clients of Azure Resource Manager of its time. They need `setuptools` for
/// `pkg_resources`.
const REQUIREMENTS: &str = "
azure-mgmt-batchai==2.0.0
azure-mgmt-resource==10.2.0
azure-mgmt-authorization==0.61.0
msrestazure==0.6.4.post1
msrest==0.7.1
requests==2.32.5
setuptools<81
";

const TIMEOUT: Duration = Duration::from_secs(80);

pub async fn python() -> PathBuf {
    let python = tokio::task::spawn_blocking(|| tests::python::environment(REQUIREMENTS));
    python.await.expect("the environment can be created")
}

/// Runs a theme against a new service.
async fn run_theme(theme: &str) {
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
    succeeds(command, argument, TIMEOUT).await;
}

/// Each scenario declares the operations that it calls, which is checked; together they call all.
#[tokio::test]
async fn the_sdk_calls_every_operation() {
    run(Command::new(python().await), "--check").await;
}

#[tokio::test]
async fn the_sdk_manages_workspaces() {
    run_theme("workspaces").await;
}

#[tokio::test]
async fn the_sdk_manages_file_servers() {
    run_theme("file_servers").await;
}

#[tokio::test]
async fn the_sdk_scales_clusters() {
    run_theme("clusters").await;
}

#[tokio::test]
async fn the_sdk_runs_jobs() {
    run_theme("jobs").await;
}

#[tokio::test]
async fn the_sdk_reads_files() {
    run_theme("files").await;
}

#[tokio::test]
async fn the_sdk_ends_jobs() {
    run_theme("ends").await;
}

#[tokio::test]
async fn the_sdk_manages_the_account() {
    run_theme("account").await;
}

#[tokio::test]
async fn the_sdk_assigns_roles() {
    run_theme("roles").await;
}

#[tokio::test]
async fn the_sdk_follows_a_notebook() {
    run_theme("notebook").await;
}

#[tokio::test]
async fn the_sdk_relies_on_the_contract() {
    run_theme("contract").await;
}
