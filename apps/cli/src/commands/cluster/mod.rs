//! `batchai cluster …`

mod create;
mod scale;

pub use create::CreateArguments;
pub use scale::{AutoScaleArguments, ResizeArguments};

use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use crate::resources::{Cluster, Node};
use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, and it is read once")]
pub enum Command {
    /// Make a cluster
    #[command(after_help = create::HELP)]
    Create(CreateArguments),
    /// Those in the workspace
    #[command(visible_alias = "ls")]
    List,
    /// One cluster, its nodes and what is wrong with it
    Show(Name),
    /// Delete a cluster; its running jobs fail
    Delete(DeleteArguments),
    /// Give it a fixed number of nodes
    Resize(ResizeArguments),
    /// Let it have as many nodes as there is work for
    AutoScale(AutoScaleArguments),
    /// Its nodes
    Nodes(Name),
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let clusters = context.scope.clusters()?;
    match command {
        Command::Create(arguments) => create::run(&context, arguments).await,
        Command::List => {
            let none = "No clusters. Make one with `batchai cluster create NAME`.";
            super::list::<Cluster>(&context, &clusters, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<Cluster>(&context, &clusters.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("cluster {name} (jobs that run on it fail)");
            super::delete(&context, &clusters.join(&[&name]), &what, yes).await
        }
        Command::Resize(arguments) => scale::resize(&context, arguments).await,
        Command::AutoScale(arguments) => scale::auto_scale(&context, arguments).await,
        Command::Nodes(Name { name }) => {
            let address = clusters.join(&[&name, "listRemoteLoginInformation"]);
            let nodes = context.client.list_by_post(&address, &[]).await?;
            context.output.list::<Node>(nodes, "No nodes at the moment.")?;
            Ok(Exit::SUCCESS)
        }
    }
}
