//! Sets the stage: workspace, file server with data and script, cluster, experiment, jobs.

use super::screen::Screen;
use super::service::scope;
use super::sweep::{self, DATA_DIRECTORY, JobPlan};
use crate::client::{Address, Client};
use crate::commands::account::closed_account;
use crate::resources::FileServer;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const DIGITS: &[u8] = include_bytes!("../../../demo/digits.csv.gz");
const TRAIN: &[u8] = include_bytes!("../../../demo/train.py");
const DATA_NOTE: &[u8] = include_bytes!("../../../demo/DATA.md");

pub struct Stage {
    pub client: Client,
    pub cluster: Address,
    pub jobs: Address,
    pub plans: Vec<JobPlan>,
    /// The directory of the file server on this machine.
    pub files: PathBuf,
}

pub async fn prepare(client: Client, nodes: u32, screen: &Screen) -> Result<Stage> {
    let scope = scope();
    let workspace = scope.workspaces().join(&["demo"]);
    client.put(&workspace, &json!({ "location": "local" })).await.context("no workspace")?;
    screen.tell(format_args!("The service runs at {}", client.endpoint()));

    let server = scope.file_servers()?.join(&["nfs"]);
    let made = client.put(&server, &file_server()?).await.context("no file server")?;
    let made: FileServer = made.read()?;
    let files = made.properties.extensions.local_path.context("the file server has no files")?;
    let files = PathBuf::from(files);
    fill(&files.join(DATA_DIRECTORY)).context("cannot copy the data to the file server")?;
    screen.tell("File server nfs holds the images and the training script");

    let cluster = scope.clusters()?.join(&["spot"]);
    client.put(&cluster, &cluster_body(&server, nodes)?).await.context("no cluster")?;
    screen.tell(format_args!("Cluster spot has 0 nodes, and up to {nodes} when there is work"));

    let experiment = scope.experiments()?.join(&["digits"]);
    client.put(&experiment, &json!({})).await.context("no experiment")?;
    let (jobs, plans) = (scope.jobs()?, sweep::plans()?);
    for plan in &plans {
        let address = jobs.join(&[&plan.name]);
        let submitted = client.put(&address, &plan.body(&cluster)).await;
        submitted.with_context(|| format!("cannot submit {}", plan.name))?;
    }
    screen.tell(format_args!("{} jobs are submitted", plans.len()));
    Ok(Stage { client, cluster, jobs, plans, files })
}

fn fill(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("digits.csv.gz"), DIGITS)?;
    std::fs::write(directory.join("train.py"), TRAIN)?;
    std::fs::write(directory.join("DATA.md"), DATA_NOTE)
}

fn file_server() -> Result<Value> {
    Ok(json!({ "properties": {
        "vmSize": "STANDARD_DS1_V2",
        "sshConfiguration": { "userAccountSettings": closed_account()? },
        "dataDisks": { "diskSizeInGB": 32, "diskCount": 1, "storageAccountType": "Standard_LRS" },
    }}))
}

fn cluster_body(file_server: &Address, nodes: u32) -> Result<Value> {
    Ok(json!({ "properties": {
        "vmSize": "STANDARD_NC6",
        "vmPriority": "lowpriority",
        "userAccountSettings": closed_account()?,
        "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": nodes } },
        "nodeSetup": { "mountVolumes": { "fileServers": [{
            "fileServer": { "id": file_server.to_string() },
            "relativeMountPath": "nfs",
        }]}},
    }}))
}
