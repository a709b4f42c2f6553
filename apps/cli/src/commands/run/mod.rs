//! `batchai run`: from a directory to a result with one command.

mod description;
mod follow;
mod messages;
mod resources;
mod snapshot;

use crate::client::Scope;
use crate::commands::job::ensure_new;
use crate::context::Context;
use crate::exit::Exit;
use crate::names::{plain, resource_name};
use crate::transfer::human_bytes;
use crate::vm_size;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use description::Description;
use resources::Resources;
use snapshot::Snapshot;
use std::path::{Path, PathBuf};

pub const HELP: &str = "\
The directory is uploaded as it is now, without what .gitignore excludes; files that an earlier run has
uploaded are not sent again. The command starts in a copy of it on the node. What it writes to ./outputs
(also $AZ_BATCHAI_OUTPUT_OUT) is kept and downloaded at the end; an interrupted job that runs again
finds it there, so write checkpoints there too.

Workspace, experiment, file server and cluster are made if they are missing. The cluster scales to zero
when nothing runs.

Ctrl-C leaves the job running. The command exits with the exit code of the job.

Examples:
  batchai run -- python3 train.py --epochs 5
  batchai run --gpu --env WANDB_MODE=offline -- python3 train.py
  batchai run --nodes 2 --mpi -- python3 train.py      # one process on each node, by mpirun
  batchai run -- 'make data && python3 train.py'       # one argument is a command line for bash
  batchai run --dry-run -- python3 train.py            # says what it would do";

#[derive(Args)]
pub struct Arguments {
    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// Start the command with mpirun, as one process on each node
    #[arg(long)]
    mpi: bool,
    /// Processes that mpirun starts [default: one on each node]
    #[arg(long, value_name = "N", requires = "mpi")]
    processes: Option<u32>,
    /// Use nodes with a GPU
    #[arg(long)]
    gpu: bool,
    /// Size of the nodes of a new cluster; '?' lists the sizes [default: STANDARD_D2_V2, with --gpu
    /// STANDARD_NC6]
    #[arg(short = 's', long, value_name = "SIZE", value_parser = vm_size::parse_or_ask)]
    vm_size: Option<String>,
    /// Spot or dedicated nodes
    #[arg(long, value_name = "PRIORITY", default_value = "lowpriority")]
    vm_priority: Priority,
    /// Maximum number of nodes of a new cluster [default: 4, or --nodes if that is more]
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// Cluster [default: cpu or gpu, with -dedicated for dedicated nodes]
    #[arg(short, long, value_name = "NAME", value_parser = resource_name)]
    cluster: Option<String>,
    /// File server for code and outputs
    #[arg(long, value_name = "NAME", default_value = "files", value_parser = resource_name)]
    file_server: String,
    /// Region of a new workspace
    #[arg(short, long, default_value = "local")]
    location: String,
    /// Container image to run in
    #[arg(long)]
    image: Option<String>,
    /// Environment variable; without a value that of this terminal; may be repeated
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Directory to run in
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where to put the outputs [default: outputs/NAME in the directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the job [default: that of the directory and a random suffix]
    #[arg(short, long, value_parser = resource_name)]
    name: Option<String>,
    /// Submit the job and return
    #[arg(short, long)]
    detach: bool,
    /// Say what would be made, uploaded and run, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the job.json that would be submitted, and do nothing
    #[arg(long, conflicts_with = "dry_run")]
    print_json: bool,
    /// Command and its arguments; one argument alone is a command line for bash
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Priority {
    #[value(name = "lowpriority", alias = "low-priority", alias = "spot")]
    LowPriority,
    Dedicated,
}

pub async fn run(mut context: Context, arguments: Arguments) -> Result<Exit> {
    let directory = std::fs::canonicalize(&arguments.dir)
        .with_context(|| format!("cannot use the directory {}", arguments.dir.display()))?;
    let project = project(&directory);
    context.scope.workspace.get_or_insert_with(|| "main".to_owned());
    context.scope.experiment.get_or_insert_with(|| project.clone());
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => format!("{project}-{:06x}", rand::random::<u32>() >> 8),
    };
    let snapshot = Snapshot::of(&directory).await?;
    let resources = Resources::of(&arguments);
    let description = Description::of(&arguments, &snapshot);
    let body = description.body(&context.scope, &resources)?;
    if arguments.print_json {
        context.output.print(serde_json::to_string_pretty(&body)?)?;
        return Ok(Exit::SUCCESS);
    }
    if arguments.dry_run {
        plan(&context, &resources, &snapshot, &description).await?;
        return Ok(Exit::SUCCESS);
    }
    let address = context.scope.jobs()?.join(&[&name]);
    resources.ensure(&context).await?;
    ensure_new(&context, &address, &name).await?;
    let server = context.scope.file_servers()?.join(&[&resources.file_server]);
    let report = snapshot.upload(&context, &server).await?;
    if report.uploaded > 0 {
        context.output.message(messages::uploaded(report.uploaded as usize, report.bytes));
    }
    context.client.put(&address, &body).await?;
    context.output.message(messages::submitted(&name, &resources.cluster));
    if arguments.detach {
        if context.output.is_quiet() {
            context.output.print(&name)?;
        }
        context.output.message(messages::later(&context.scope, &name));
        return Ok(Exit::SUCCESS);
    }
    let out = arguments.out.unwrap_or_else(|| directory.join(snapshot::OUTPUTS).join(&name));
    follow::until_end(&context, &address, &name, &out).await
}

/// What `--dry-run` says.
async fn plan(
    context: &Context,
    resources: &Resources,
    snapshot: &Snapshot,
    description: &Description<'_>,
) -> Result<()> {
    let Scope { workspace, experiment, .. } = &context.scope;
    let (workspace, experiment) = (workspace.as_deref(), experiment.as_deref());
    let say = |line: String| context.output.print(line);
    say(format!("workspace    {}", workspace.unwrap_or_default()))?;
    say(format!("experiment   {}", experiment.unwrap_or_default()))?;
    say(format!("file server  {}", resources.file_server))?;
    say(format!("cluster      {}", resources.cluster))?;
    let missing = resources.missing(context).await?;
    if !missing.is_empty() {
        say(format!("would make   {}", missing.join(", ")))?;
    }
    let (files, size) = (counted(snapshot.files(), "file"), human_bytes(snapshot.bytes()));
    say(format!("code         {files} ({size}), sent unless the file server has them"))?;
    say(format!("command      {}", description.command))?;
    Ok(())
}

/// The name of the directory as one of an experiment.
fn project(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    plain(&name, 40, "run")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `NAME=VALUE`, or `NAME` for the value of this terminal.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match crate::environment::variable(text) {
            Some(value) => Ok((text.to_owned(), value)),
            None => Err(format!("{text} is not set in this terminal; give NAME=VALUE")),
        },
    }
}

/// What a run prints until it is interrupted by Ctrl-C, and the end of one that is not.
#[cfg(test)]
pub fn screen(scope: &Scope) -> String {
    use serde_json::json;
    let line = |state: &str, more: serde_json::Value| {
        let mut properties = json!({ "executionState": state, "extensions": more });
        if state == "succeeded" {
            properties["executionInfo"] = json!({ "startTime": "2026-01-01T00:01:00Z",
                "endTime": "2026-01-01T00:05:12Z", "exitCode": 0 });
        }
        let job = json!({ "name": "digits-3f9c21", "properties": properties });
        crate::commands::job::describe(&serde_json::from_value(job).expect("it is a job"))
    };
    let reason = "Waits for 1 idle node of cluster gpu, which has 0 of at most 4.";
    let out = Path::new("outputs/digits-3f9c21");
    [
        messages::made("workspace", "main"),
        messages::made("experiment", "digits"),
        messages::made("file server", "files"),
        messages::made("cluster", "gpu"),
        messages::uploaded(12, 48_230),
        messages::submitted("digits-3f9c21", "gpu"),
        line("queued", json!({ "waitingReason": { "message": reason } })),
        line("running", json!({ "attempts": [{ "number": 1, "nodes": ["tvm-1"] }] })),
        "epoch 1  loss 0.412".to_owned(),
        "epoch 2  loss 0.187".to_owned(),
        messages::downloaded(3, out),
        line("succeeded", json!({})),
        String::new(),
        "After Ctrl-C:".to_owned(),
        messages::detached(scope, "digits-3f9c21"),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_names_its_experiment() {
        for (directory, expected) in [
            ("/a/digits", "digits"),
            ("/a/my model (2)", "my-model--2-"),
            ("/", "run"),
            ("/é", "-"),
        ] {
            let project = project(Path::new(directory));
            assert_eq!(project, expected);
            assert!(resource_name(&format!("{project}-0a1b2c")).is_ok(), "{directory}");
        }
        assert_eq!(project(Path::new(&format!("/{}", "x".repeat(99)))).len(), 40);
    }
}
