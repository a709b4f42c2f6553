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
#[expect(clippy::large_enum_variant, reason = "a process has one value of this type")]
pub enum Command {
    /// Create a cluster
    #[command(after_help = create::HELP)]
    Create(CreateArguments),
    /// List the clusters of the workspace
    #[command(visible_alias = "ls")]
    List,
    /// Show a cluster, its nodes and its errors
    Show(Name),
    /// Delete a cluster; its running jobs fail
    Delete(DeleteArguments),
    /// Set a fixed number of nodes
    Resize(ResizeArguments),
    /// Scale between a minimum and a maximum, by the queue
    AutoScale(AutoScaleArguments),
    /// List the nodes of a cluster, with addresses and SSH ports
    Nodes(Name),
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let clusters = context.scope.clusters()?;
    match command {
        Command::Create(arguments) => create::run(&context, arguments).await,
        Command::List => {
            let none = "No clusters. To create one, run: batchai cluster create NAME";
            super::list::<Cluster>(&context, &clusters, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<Cluster>(&context, &clusters.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("cluster {name} (its running jobs fail)");
            super::delete(&context, &clusters.join(&[&name]), &what, yes).await
        }
        Command::Resize(arguments) => scale::resize(&context, arguments).await,
        Command::AutoScale(arguments) => scale::auto_scale(&context, arguments).await,
        Command::Nodes(Name { name }) => {
            let address = clusters.join(&[&name, "listRemoteLoginInformation"]);
            let nodes = context.client.list_by_post(&address, &[]).await?;
            context.output.list::<Node>(nodes, "No nodes.")?;
            Ok(Exit::SUCCESS)
        }
    }
}
