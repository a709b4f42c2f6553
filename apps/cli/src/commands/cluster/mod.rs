//! `batchai cluster …`

mod create;
mod image;
mod scale;
mod setup_files;

pub use create::CreateArguments;
pub use scale::{AutoScaleArguments, ResizeArguments};

use super::exec::{self, AzureExecArguments, ExecArguments};
use super::node_list::{self, NodesArguments, Which};
use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use anyhow::Result;
use clap::Subcommand;
use resources::Cluster;

#[derive(Subcommand)]
pub enum Command {
    /// Create a cluster
    #[command(after_help = create::HELP)]
    Create(Box<CreateArguments>),
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
    /// List the nodes of a cluster, with addresses and SSH ports, or those that were removed
    #[command(after_help = NODES_HELP)]
    Nodes(NodesArguments),
    /// Logs of the set-up task, as in the Azure CLI
    #[command(subcommand)]
    File(FileCommand),
    /// Nodes of a cluster, as in the Azure CLI
    #[command(subcommand)]
    Node(NodeCommand),
    /// Log in to a node, run a command there, or forward ports to it
    #[command(after_help = EXEC_HELP)]
    Exec(ExecArguments),
}

#[derive(Subcommand)]
pub enum FileCommand {
    /// List the logs of the set-up task
    List {
        /// Name of the cluster
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        cluster: String,
        /// Path in the output directory of the set-up task
        #[arg(short, long, default_value = ".")]
        path: String,
        /// How long download URLs are valid; the service sets a limit, which is an hour
        #[arg(
            long,
            value_name = "MINUTES",
            default_value_t = 60,
            value_parser = clap::value_parser!(u32).range(5..=600)
        )]
        expiry: u32,
    },
}

#[derive(Subcommand)]
pub enum NodeCommand {
    /// List the nodes of a cluster; the same as `batchai cluster nodes`
    List {
        /// Name of the cluster
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        cluster: String,
        #[command(flatten)]
        which: Which,
    },
    /// Run a command on a node, or forward ports to it; the same as `batchai cluster exec`
    Exec {
        /// Name of the cluster
        #[arg(short, long, value_name = "NAME", value_parser = crate::names::resource_name)]
        cluster: String,
        #[command(flatten)]
        exec: AzureExecArguments,
    },
}

const NODES_HELP: &str = "\
Examples:
  batchai cluster nodes spot            # to log in: batchai cluster exec spot
  batchai cluster nodes spot --ended    # removed nodes, and why they left";

const EXEC_HELP: &str = "\
The administrator of the cluster logs in, with the key that `batchai cluster create --ssh-key` was
given, or the password in its JSON file. Needs the OpenSSH client, and a way to the address of the
node.

Examples:
  batchai cluster create spot --max 4 --ssh-key ~/.ssh/id_ed25519.pub
  batchai cluster exec spot                            # a shell on the first node
  batchai cluster exec spot --node ID -- nvidia-smi    # a command on a certain node";

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let clusters = context.scope.clusters()?;
    match command {
        Command::Create(arguments) => create::run(&context, *arguments).await,
        Command::List => {
            let none = "No clusters. To create one, run: batchai cluster create NAME";
            super::list::<Cluster>(&context, &clusters, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<Cluster>(&context, &clusters.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, how }) => {
            let what = format!("cluster {name} (its running jobs fail)");
            super::delete(&context, &clusters.join(&[&name]), &what, how).await
        }
        Command::Resize(arguments) => scale::resize(&context, arguments).await,
        Command::AutoScale(arguments) => scale::auto_scale(&context, arguments).await,
        Command::Exec(arguments) => {
            let cluster = clusters.join(&[&arguments.name]);
            exec::run(&context, &cluster, &cluster, &arguments).await
        }
        Command::Nodes(NodesArguments { name, which }) => {
            node_list::list_of_cluster(&context, &clusters.join(&[&name]), which).await
        }
        Command::File(FileCommand::List { cluster, path, expiry }) => {
            setup_files::list(&context, &clusters.join(&[&cluster]), &path, expiry).await
        }
        Command::Node(NodeCommand::List { cluster, which }) => {
            node_list::list_of_cluster(&context, &clusters.join(&[&cluster]), which).await
        }
        Command::Node(NodeCommand::Exec { cluster: name, exec }) => {
            let cluster = clusters.join(&[&name]);
            exec::run(&context, &cluster, &cluster, &exec.of(name)).await
        }
    }
}
