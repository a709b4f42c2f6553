//! `batchai job submit`

use super::wait;
use crate::client::{Address, is_not_found};
use crate::commands::{changed, read_description};
use crate::context::Context;
use crate::exit::Exit;
use crate::resources::Job;
use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

pub const HELP: &str = r#"The file describes the job, as in the recipes published with Batch AI:

  {"properties": {
    "nodeCount": 1,
    "customToolkitSettings": {"commandLine": "python3 $AZ_BATCHAI_INPUT_SCRIPTS/train.py"},
    "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
    "inputDirectories":  [{"id": "SCRIPTS", "path": "$AZ_BATCHAI_MOUNT_ROOT/nfs/scripts"}],
    "outputDirectories": [{"id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs"}]
  }}

  batchai job submit -f job.json -n first --cluster spot
  batchai job submit -f job.json --cluster spot --wait      The exit status is the job's

A job whose node is lost goes back to its place in the queue and runs again. The directory
$AZ_BATCHAI_OUTPUT_MODEL is the same for every attempt: a checkpoint there is found again."#;

#[derive(Args)]
pub struct SubmitArguments {
    /// The description, a JSON file
    #[arg(short = 'f', long, value_name = "FILE")]
    config_file: PathBuf,
    /// Name of the job [default: made from the name of the file]
    #[arg(short, long, value_parser = crate::cli::name)]
    name: Option<String>,
    /// Where it runs: a cluster of this workspace, or a resource id
    #[arg(short, long)]
    cluster: Option<String>,
    /// Wait for its end
    #[arg(long)]
    wait: bool,
}

pub async fn run(context: &Context, arguments: SubmitArguments) -> Result<Exit> {
    let mut body = read_description(&arguments.config_file)?;
    if let Some(cluster) = &arguments.cluster {
        let id = if cluster.starts_with('/') {
            cluster.clone()
        } else {
            context.scope.clusters()?.join(&[cluster]).to_string()
        };
        body["properties"]["cluster"] = json!({ "id": id });
    }
    if body["properties"]["cluster"]["id"].is_null() {
        bail!("which cluster? Name it with --cluster or in properties.cluster.id of the file");
    }
    if body["properties"]["nodeCount"].is_null() {
        body["properties"]["nodeCount"] = Value::from(1);
    }
    let unique = RandomState::new().hash_one(&arguments.config_file);
    let name = arguments.name.unwrap_or_else(|| made_name(&arguments.config_file, unique));
    let address = context.scope.jobs()?.join(&[&name]);
    refuse_known(context, &address, &name).await?;
    let answer = context.client.put(&address, &body).await?;
    if !arguments.wait {
        return changed::<Job>(context, answer);
    }
    context.output.say(format_args!("Submitted {name}."));
    wait::until_end(context, &address, None).await
}

/// The service would answer a repeated submission with the job that is there: good for programs
/// that try again, but a person who reuses a name wants to know.
async fn refuse_known(context: &Context, address: &Address, name: &str) -> Result<()> {
    match context.client.get(address).await {
        Ok(answer) => {
            let state = answer.read::<Job>()?.properties.execution_state;
            bail!(
                "there is a job {name} already ({state}); choose another name, or delete it first"
            )
        }
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// "train-5f3a90c1" for train.json: every submission is a job of its own.
fn made_name(file: &Path, unique: u64) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let stem: String = stem.chars().map(plain).take(50).collect();
    let stem = if stem.is_empty() { "job" } else { &stem };
    format!("{stem}-{:08x}", unique & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_names_are_valid() {
        insta::assert_snapshot!(made_name(Path::new("a/my job (2).json"), 0xab), @"my-job--2--000000ab");
        for file in ["", "job.json", &"x".repeat(90), "é.json"] {
            assert!(crate::cli::name(&made_name(Path::new(file), u64::MAX)).is_ok());
        }
    }
}
