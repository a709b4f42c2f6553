//! `batchai experiment …`

use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use anyhow::Result;
use clap::Subcommand;
use resources::Experiment;

#[derive(Subcommand)]
pub enum Command {
    /// Create an experiment; an existing one is left unchanged
    Create(Name),
    /// List the experiments of the workspace
    #[command(visible_alias = "ls")]
    List,
    /// Show an experiment
    Show(Name),
    /// Delete an experiment and its jobs, and keep their output
    Delete(DeleteArguments),
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let experiments = context.scope.experiments()?;
    match command {
        Command::Create(Name { name }) => {
            let address = experiments.join(&[&name]);
            let answer = context.client.put(&address, &serde_json::json!({})).await?;
            super::print_changed::<Experiment>(&context, answer)
        }
        Command::List => {
            let none = "No experiments. To create one, run: batchai experiment create NAME";
            super::list::<Experiment>(&context, &experiments, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<Experiment>(&context, &experiments.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, how }) => {
            let what = format!("experiment {name} and all its jobs");
            super::delete(&context, &experiments.join(&[&name]), &what, how).await
        }
    }
}
