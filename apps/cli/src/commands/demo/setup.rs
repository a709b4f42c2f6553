//! Creates the resources: workspace, file server with data and script, cluster, experiment, jobs.

use super::deployment::Deployment;
use super::screen::Screen;
use super::service::scope;
use super::sweep::{self, DATA_DIRECTORY};
use crate::client::{Address, Client};
use crate::commands::account::locked_account;
use anyhow::{Context as _, Result};
use resources::FileServer;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const DIGITS: &[u8] = include_bytes!("../../../demo/digits.csv.gz");
const TRAIN: &[u8] = include_bytes!("../../../demo/train.py");
const DATA_NOTE: &[u8] = include_bytes!("../../../demo/DATA.md");

pub async fn create(client: Client, nodes: u32, screen: &Screen) -> Result<Deployment> {
    let scope = scope();
    let workspace = scope.workspaces().join(&["demo"]);
    client
        .put(&workspace, &json!({ "location": "local" }))
        .await
        .context("cannot create the workspace")?;
    screen.event(format_args!("The service is running at {}", client.endpoint()));

    let server = scope.file_servers()?.join(&["nfs"]);
    let created =
        client.put(&server, &file_server()?).await.context("cannot create the file server")?;
    let created: FileServer = created.read()?;
    let files =
        created.properties.extensions.local_path.context("the file server has no local path")?;
    let files = PathBuf::from(files);
    write_files(&files.join(DATA_DIRECTORY)).context("cannot copy the data to the file server")?;
    screen.event("Created file server nfs with the images and the training script");

    let cluster = scope.clusters()?.join(&["spot"]);
    client
        .put(&cluster, &cluster_body(&server, nodes)?)
        .await
        .context("cannot create the cluster")?;
    screen.event(format_args!("Created cluster spot, which scales from 0 to {nodes} nodes"));

    let experiment = scope.experiments()?.join(&["digits"]);
    client.put(&experiment, &json!({})).await.context("cannot create the experiment")?;
    let (jobs, plans) = (scope.jobs()?, sweep::plans()?);
    for plan in &plans {
        let address = jobs.join(&[&plan.name]);
        let submitted = client.put(&address, &plan.body(&cluster)).await;
        submitted.with_context(|| format!("cannot submit {}", plan.name))?;
    }
    screen.event(format_args!("Submitted {} jobs", plans.len()));
    Ok(Deployment { client, cluster, jobs, plans, files })
}

fn write_files(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("digits.csv.gz"), DIGITS)?;
    std::fs::write(directory.join("train.py"), TRAIN)?;
    std::fs::write(directory.join("DATA.md"), DATA_NOTE)
}

fn file_server() -> Result<Value> {
    Ok(json!({ "properties": {
        "vmSize": "STANDARD_DS1_V2",
        "sshConfiguration": { "userAccountSettings": locked_account()? },
        "dataDisks": { "diskSizeInGB": 32, "diskCount": 1, "storageAccountType": "Standard_LRS" },
    }}))
}

fn cluster_body(file_server: &Address, nodes: u32) -> Result<Value> {
    Ok(json!({ "properties": {
        "vmSize": "STANDARD_NC6",
        "vmPriority": "lowpriority",
        "userAccountSettings": locked_account()?,
        "scaleSettings": { "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": nodes } },
        "nodeSetup": { "mountVolumes": { "fileServers": [{
            "fileServer": { "id": file_server.to_string() },
            "relativeMountPath": "nfs",
        }]}},
    }}))
}
