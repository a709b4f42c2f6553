//! `batchai job …`

mod files;
mod logs;
mod patience;
mod submit;
mod wait;

pub use files::FilesArguments;
pub use logs::LogsArguments;
pub use submit::SubmitArguments;
pub use wait::WaitArguments;

use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use crate::resources::Job;
use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Put a job into the queue of its cluster
    #[command(visible_alias = "create", after_help = submit::HELP)]
    Submit(SubmitArguments),
    /// Those in the experiment
    #[command(visible_alias = "ls")]
    List,
    /// One job, its attempts, and why it waits or failed
    Show(Name),
    /// Delete a job; a running one is stopped; what it wrote stays
    Delete(DeleteArguments),
    /// Wait for the end of a job
    #[command(after_help = wait::HELP)]
    Wait(WaitArguments),
    /// What a job printed
    #[command(after_help = logs::HELP)]
    Logs(LogsArguments),
    /// List and download what a job wrote
    #[command(after_help = files::HELP)]
    Files(FilesArguments),
    /// Stop a job; it counts as failed
    Terminate(Name),
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let jobs = context.scope.jobs()?;
    match command {
        Command::Submit(arguments) => submit::run(&context, arguments).await,
        Command::List => {
            let none = "No jobs. Submit one with `batchai job submit -f job.json`.";
            super::list::<Job>(&context, &jobs, none).await
        }
        Command::Show(Name { name }) => super::show::<Job>(&context, &jobs.join(&[&name])).await,
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("job {name} (if it runs, it is stopped)");
            super::delete(&context, &jobs.join(&[&name]), &what, yes).await
        }
        Command::Wait(arguments) => wait::run(&context, arguments).await,
        Command::Logs(arguments) => logs::run(&context, arguments).await,
        Command::Files(arguments) => files::run(&context, arguments).await,
        Command::Terminate(Name { name }) => {
            let address = jobs.join(&[&name]);
            context.client.post(&address.join(&["terminate"])).await?;
            super::changed::<Job>(&context, context.client.get(&address).await?)
        }
    }
}
