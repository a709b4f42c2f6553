//! `batchai job …`

mod files;
mod logs;
mod outage;
mod submit;
mod wait;

pub use files::{FilesArguments, download_all};
pub use logs::LogsArguments;
pub use outage::OutageTolerance;
pub use submit::SubmitArguments;
pub use wait::{WaitArguments, describe};

use super::exec::{self, ExecArguments};
use super::{DeleteArguments, Name};
use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::resources::Job;
use anyhow::{Context as _, Result};
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Submit a job to a cluster
    #[command(visible_alias = "create", after_help = submit::HELP)]
    Submit(SubmitArguments),
    /// List the jobs of the experiment
    #[command(visible_alias = "ls")]
    List,
    /// Show a job, its attempts, and why it waits or failed
    Show(Name),
    /// Delete a job and keep its output; a running job is terminated
    Delete(DeleteArguments),
    /// Wait until a job has ended
    #[command(after_help = wait::HELP)]
    Wait(WaitArguments),
    /// Print the output of a job
    #[command(after_help = logs::HELP)]
    Logs(LogsArguments),
    /// List and download the output files of a job
    #[command(after_help = files::HELP)]
    Files(FilesArguments),
    /// Terminate a job; its state becomes failed
    Terminate(Name),
    /// Log in to a node of a job, run a command there, or forward ports to it
    #[command(after_help = EXEC_HELP)]
    Exec(ExecArguments),
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
        Command::List => {
            let none = "No jobs. To submit one, run: batchai job submit -f job.json --cluster NAME";
            super::list::<Job>(&context, &jobs, none).await
        }
        Command::Show(Name { name }) => super::show::<Job>(&context, &jobs.join(&[&name])).await,
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("job {name} (a running job is terminated)");
            super::delete(&context, &jobs.join(&[&name]), &what, yes).await
        }
        Command::Wait(arguments) => wait::run(&context, arguments).await,
        Command::Logs(arguments) => logs::run(&context, arguments).await,
        Command::Files(arguments) => files::run(&context, arguments).await,
        Command::Exec(arguments) => {
            let address = jobs.join(&[&arguments.name]);
            let job: Job = context.client.get(&address).await?.read()?;
            let cluster = job.properties.cluster.context("the job has no cluster")?;
            exec::run(&context, &address, &Address::of_id(&cluster.id), &arguments).await
        }
        Command::Terminate(Name { name }) => {
            let address = jobs.join(&[&name]);
            context.client.post(&address.join(&["terminate"])).await?;
            super::print_changed::<Job>(&context, context.client.get(&address).await?)
        }
    }
}
