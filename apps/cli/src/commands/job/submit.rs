//! `batchai job submit`: creates a job from a JSON file.

use super::wait;
use crate::client::{Address, is_not_found};
use crate::commands::mounts::MountArguments;
use crate::commands::no_wait::NoWait;
use crate::commands::print_changed;
use crate::context::Context;
use crate::description::{CheckArguments, Description, Kind};
use crate::exit::Exit;
use crate::names::plain;
use anyhow::{Result, bail};
use clap::Args;
use resources::Job;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub const HELP: &str = r#"The file has the format of the recipes published with Azure Batch AI:

  {"properties": {
    "nodeCount": 1,
    "customToolkitSettings": {"commandLine": "python3 $AZ_BATCHAI_INPUT_SCRIPTS/train.py"},
    "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
    "inputDirectories":  [{"id": "SCRIPTS", "path": "$AZ_BATCHAI_MOUNT_ROOT/nfs/scripts"}],
    "outputDirectories": [{"id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs"}]
  }}

Examples:
  batchai job submit -f job.json -n first --cluster spot
  batchai job submit -f job.json --cluster spot --wait   # exits with the job's exit code

If a node of the job is lost, the job returns to its place in the queue and runs again. All
attempts share the directory $AZ_BATCHAI_OUTPUT_MODEL: write checkpoints there."#;

#[derive(Args)]
pub struct SubmitArguments {
    /// JSON file with the properties of the job
    #[arg(short = 'f', long, value_name = "FILE")]
    config_file: PathBuf,
    /// Name of the job [default: the name of the file and a random suffix]
    #[arg(short, long, value_parser = crate::names::resource_name)]
    name: Option<String>,
    #[command(flatten)]
    completion: Completion,
    /// Wait until the job has ended
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    #[command(flatten)]
    no_wait: NoWait,
}

/// What the command line adds to the file of a job.
#[derive(Args)]
pub struct Completion {
    /// Cluster: a name in this workspace, or a resource id
    #[arg(short, long)]
    cluster: Option<String>,
    #[command(flatten)]
    mounts: MountArguments,
    #[command(flatten)]
    pub check: CheckArguments,
}

pub async fn run(context: &Context, arguments: SubmitArguments) -> Result<Exit> {
    let description =
        Description::read(&arguments.config_file, Kind::Job, arguments.completion.check)?;
    let body = completed(context, &description, &arguments.completion)?;
    description.check(&body)?;
    let suffix: u32 = rand::random();
    let name = arguments.name.unwrap_or_else(|| generated_name(&arguments.config_file, suffix));
    let address = context.scope.jobs()?.join(&[&name]);
    ensure_new(context, &address, &name).await?;
    let answer = arguments.no_wait.put(&context.client, &address, &body).await?;
    if !arguments.wait {
        return print_changed::<Job>(context, answer);
    }
    context.output.message(format_args!("Submitted {name}."));
    wait::until_end(context, &[address], wait::Patience::default()).await
}

/// The job of a file with the cluster and the mounts of the command line, and one node by default.
pub fn completed(
    context: &Context,
    description: &Description,
    completion: &Completion,
) -> Result<Value> {
    let mut body = description.body.clone();
    if let Some(cluster) = &completion.cluster {
        let id = match cluster.starts_with('/') {
            true => cluster.clone(),
            false => context.scope.clusters()?.join(&[cluster]).to_string(),
        };
        body["properties"]["cluster"] = json!({ "id": id });
    }
    if body["properties"]["cluster"]["id"].is_null() {
        bail!("no cluster given: add --cluster NAME, or set properties.cluster.id in the file");
    }
    if body["properties"]["nodeCount"].is_null() {
        body["properties"]["nodeCount"] = Value::from(1);
    }
    let servers = context.scope.file_servers()?;
    completion.mounts.apply(&mut body["properties"], &servers, context)?;
    Ok(body)
}

/// Fails if the job exists. The service accepts a repeated PUT with the same body, for clients that
/// retry; a user who reuses a name has made a mistake.
pub async fn ensure_new(context: &Context, address: &Address, name: &str) -> Result<()> {
    match context.client.get(address).await {
        Ok(answer) => {
            let state = answer.read::<Job>()?.properties.execution_state;
            bail!(
                "a job named {name} exists already ({state}); choose another name with -n, or run: \
                 batchai job delete {name}"
            )
        }
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// "train-5f3a90c1" for train.json.
fn generated_name(file: &Path, suffix: u32) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    format!("{}-{suffix:08x}", plain(&stem, 50, "job"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_valid() {
        insta::assert_snapshot!(generated_name(Path::new("a/my job (2).json"), 0xab), @"my-job--2--000000ab");
        for file in ["", "job.json", &"x".repeat(90), "é.json"] {
            assert!(
                crate::names::resource_name(&generated_name(Path::new(file), u32::MAX)).is_ok()
            );
        }
    }
}
