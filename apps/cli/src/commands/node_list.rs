//! The nodes of a cluster or a job, with addresses and SSH ports.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use anyhow::Result;
use resources::Node;

/// Lists the nodes of `resource`, which has the operation `listRemoteLoginInformation`.
pub async fn list(context: &Context, resource: &Address) -> Result<Exit> {
    let address = resource.join(&["listRemoteLoginInformation"]);
    let nodes = context.client.list_by_post(&address, &[]).await?;
    context.output.sorted_list::<Node>(nodes, "No nodes.")?;
    Ok(Exit::SUCCESS)
}
