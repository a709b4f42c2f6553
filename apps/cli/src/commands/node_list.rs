//! The nodes of a cluster or a job, with addresses and SSH ports, and the former nodes of a cluster.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use anyhow::Result;
use clap::Args;
use resources::{EndedNodes, Node};

#[derive(Args)]
pub struct NodesArguments {
    #[command(flatten)]
    pub name: ResourceName,
    #[command(flatten)]
    pub which: Which,
}

/// Which nodes are listed.
#[derive(Args, Clone, Copy)]
pub struct Which {
    /// List the nodes of the last 7 days that were removed, the newest first, and why they left
    #[arg(long)]
    ended: bool,
}

/// Lists the nodes of `resource`, which has the operation `listRemoteLoginInformation`.
pub async fn list(context: &Context, resource: &Address) -> Result<Exit> {
    let address = resource.join(&["listRemoteLoginInformation"]);
    let nodes = context.client.list_by_post(&address, &[]).await?;
    context.output.sorted_list::<Node>(nodes, "No nodes.")?;
    Ok(Exit::SUCCESS)
}

/// Lists nodes of a cluster.
pub async fn list_of_cluster(context: &Context, cluster: &Address, which: Which) -> Result<Exit> {
    if !which.ended {
        return list(context, cluster).await;
    }
    let nodes = context.client.list(&cluster.join(&["endedNodes"])).await?;
    context.output.list::<EndedNodes>(nodes, "No node was removed in the last 7 days.")?;
    Ok(Exit::SUCCESS)
}
