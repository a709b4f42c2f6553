//! `batchai job …`

mod explain;
mod failure_report;
mod files;
pub mod list;
mod logs;
mod node_output;
mod outage;
mod submit;
mod wait;

#[cfg(test)]
pub use explain::screen as explain_screen;
pub use files::{FilesArguments, FilesOptions, download_all};
pub use list::ListArguments;
pub use logs::LogsArguments;
pub use outage::OutageTolerance;
pub use submit::{Completion, SubmitArguments, completed, ensure_new};
pub use wait::{WaitArguments, describe};

use super::exec::{self, AzureExecArguments, ExecArguments};
use super::no_wait::NoWait;
use super::{DeleteArguments, Name, node_list};
use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::STDOUTERR;
use crate::name_argument::ResourceName;
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use resources::Job;

#[derive(Subcommand)]
pub enum Command {
    /// Submit a job to a cluster
    #[command(visible_alias = "create", after_help = submit::HELP)]
    Submit(SubmitArguments),
    /// List the jobs of the experiment
    #[command(visible_alias = "ls", after_help = list::HELP)]
    List(ListArguments),
    /// Show a job, its attempts, and why it waits or failed
    Show(Name),
    /// Delete a job and keep its output; a running job is terminated
    Delete(DeleteArguments),
    /// Explain why a job does not run yet, and which jobs run before it
    #[command(after_help = explain::HELP)]
    Explain(Name),
    /// Wait until jobs have ended
    #[command(after_help = wait::HELP)]
    Wait(WaitArguments),
    /// Print the output of a job
    #[command(after_help = logs::HELP)]
    Logs(LogsArguments),
    /// List and download the output files of a job
    #[command(after_help = files::HELP)]
    Files(FilesArguments),
    /// Output files of a job, as in the Azure CLI
    #[command(subcommand)]
    File(FileCommand),
    /// Nodes of a job, as in the Azure CLI
    #[command(subcommand)]
    Node(NodeCommand),
    /// Terminate a job; its state becomes failed
    Terminate(TerminateArguments),
    /// Log in to a node of a job, run a command there, or forward ports to it
    #[command(after_help = EXEC_HELP)]
    Exec(ExecArguments),
}

#[derive(Args)]
pub struct TerminateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Accepted as in the Azure CLI; nothing is asked
    #[arg(short, long, hide = true)]
    yes: bool,
    #[command(flatten)]
    no_wait: NoWait,
}

#[derive(Subcommand)]
pub enum FileCommand {
    /// List the output files of a job; the same as `batchai job files`
    List {
        /// Name of the job
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        job: String,
        #[command(flatten)]
        options: FilesOptions,
    },
    /// Print an output file of a job until the job has ended; as `batchai job logs --follow`
    Stream {
        /// Name of the job
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        job: String,
        /// Name of the file
        #[arg(short, long, value_name = "FILE")]
        file_name: String,
        /// Id of the output directory
        #[arg(short = 'd', long, value_name = "ID", default_value = STDOUTERR)]
        output_directory_id: String,
        /// Path in the output directory
        #[arg(short, long, default_value = ".")]
        path: String,
    },
}

#[derive(Subcommand)]
pub enum NodeCommand {
    /// List the nodes that a job runs on, with addresses and SSH ports
    List {
        /// Name of the job
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        job: String,
    },
    /// Run a command on a node of a job, or forward ports to it; the same as `batchai job exec`
    Exec {
        /// Name of the job
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        job: String,
        #[command(flatten)]
        exec: AzureExecArguments,
    },
}

const EXEC_HELP: &str = "\
The administrator of the job's cluster logs in. Needs the OpenSSH client, and a way to the address
of the node. A container of the job is not entered.

Examples:
  batchai job exec train                                    # a shell on the master
  batchai job exec train -N -L 6006:localhost:6006          # TensorBoard at localhost:6006";

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let jobs = context.scope.jobs()?;
    match command {
        Command::Submit(arguments) => submit::run(&context, arguments).await,
        Command::List(arguments) => list::run(&context, arguments).await,
        Command::Show(Name { name }) => super::show::<Job>(&context, &jobs.join(&[&name])).await,
        Command::Delete(DeleteArguments { name, how }) => {
            let what = format!("job {name} (a running job is terminated)");
            super::delete(&context, &jobs.join(&[&name]), &what, how).await
        }
        Command::Explain(Name { name }) => explain::run(&context, &name).await,
        Command::Wait(arguments) => wait::run(&context, arguments).await,
        Command::Logs(arguments) => logs::run(&context, arguments).await,
        Command::Files(arguments) => files::run(&context, arguments).await,
        Command::Exec(arguments) => log_in(&context, arguments).await,
        Command::File(FileCommand::List { job, options }) => {
            files::list_or_download(&context, &job, &options).await
        }
        Command::File(FileCommand::Stream { job, file_name, output_directory_id, path }) => {
            let options = logs::LogsOptions {
                follow: true,
                file: if path == "." { file_name } else { format!("{path}/{file_name}") },
                directory_id: output_directory_id,
                tail: None,
                attempt: None,
            };
            logs::print(&context, &job, &options).await
        }
        Command::Node(NodeCommand::List { job }) => {
            node_list::list(&context, &jobs.join(&[&job])).await
        }
        Command::Node(NodeCommand::Exec { job, exec }) => log_in(&context, exec.of(job)).await,
        Command::Terminate(TerminateArguments { name, yes: _, no_wait }) => {
            let address = jobs.join(&[&name]);
            no_wait.post(&context.client, &address.join(&["terminate"])).await?;
            super::print_changed::<Job>(&context, context.client.get(&address).await?)
        }
    }
}

/// The administrator of the job's cluster logs in to a node of the job.
async fn log_in(context: &Context, arguments: ExecArguments) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[&arguments.name]);
    let job: Job = context.client.get(&address).await?.read()?;
    let cluster = job.properties.cluster.context("the job has no cluster")?;
    exec::run(context, &address, &Address::of_id(&cluster.id), &arguments).await
}
