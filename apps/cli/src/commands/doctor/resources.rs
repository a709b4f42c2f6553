//! Clusters and file servers of all workspaces that the user may read.

use super::check::Check;
use crate::client::{Address, is_denied, is_not_found};
use crate::context::Context;
use anyhow::Result;
use resources::{Cluster, FileServer, Node, Workspace};
use std::collections::BTreeSet;

/// What the service knows that runs, to compare it with what runs on AWS.
#[derive(Debug, Default)]
pub struct Inventory {
    /// The addresses of all nodes.
    pub addresses: BTreeSet<String>,
    /// Whether all workspaces were read: otherwise an unknown instance may belong to another one.
    pub is_complete: bool,
}

/// Adds the checks of this file.
pub async fn check(context: &Context, checks: &mut Vec<Check>) -> Option<Inventory> {
    let (workspaces, is_complete) = match workspaces(context).await {
        Ok(found) => found,
        Err(error) => {
            let advice = match is_denied(&error) {
                true => "Set -w WORKSPACE to one in which you have a role",
                false => "",
            };
            checks.push(Check::skipped("resources", format!("{error:#}"), advice));
            return None;
        }
    };
    let mut found =
        Found { inventory: Inventory { is_complete, ..Inventory::default() }, ..Found::default() };
    for workspace in &workspaces {
        let read = async {
            clusters(context, workspace, &mut found).await?;
            file_servers(context, workspace, &mut found).await
        };
        if let Err(error) = read.await {
            found.inventory.is_complete = false;
            // It may just have been deleted.
            if !is_not_found(&error) {
                let name = format!("workspace {}", workspace.name);
                found.troubles.push(Check::warning(&name, format!("{error:#}"), ""));
            }
        }
    }
    let Found { inventory, troubles, clusters, nodes, file_servers } = found;
    if troubles.is_empty() {
        let workspaces = workspaces.len();
        checks.push(Check::ok(
            "resources",
            format!(
                "without errors: {workspaces} workspaces, {clusters} clusters with {nodes} nodes, \
                 {file_servers} file servers"
            ),
        ));
    }
    checks.extend(troubles);
    Some(inventory)
}

#[derive(Default)]
struct Found {
    inventory: Inventory,
    troubles: Vec<Check>,
    clusters: usize,
    nodes: u32,
    file_servers: usize,
}

struct Place {
    name: String,
    resource_group: String,
    address: Address,
}

impl Place {
    /// The options that select the workspace.
    fn options(&self) -> String {
        format!("-g {} -w {}", self.resource_group, self.name)
    }
}

/// All workspaces of the subscription, or the selected one for those who may not read the others.
async fn workspaces(context: &Context) -> Result<(Vec<Place>, bool)> {
    let scope = &context.scope;
    match context.client.list(&scope.all_workspaces()).await {
        Ok(answers) => {
            let places: Result<Vec<_>> = answers
                .iter()
                .map(|answer| {
                    let workspace: Workspace = answer.read()?;
                    let group = group_of(&workspace.id).unwrap_or(&scope.resource_group);
                    Ok(place(context, group, &workspace.name))
                })
                .collect();
            Ok((places?, true))
        }
        Err(error) => match &scope.workspace {
            Some(name) if is_denied(&error) => {
                Ok((vec![place(context, &scope.resource_group, name)], false))
            }
            Some(_) | None => Err(error),
        },
    }
}

fn place(context: &Context, group: &str, name: &str) -> Place {
    let groups = context.scope.resource_groups();
    let address = groups.join(&[group, "providers", "Microsoft.BatchAI", "workspaces", name]);
    Place { name: name.to_owned(), resource_group: group.to_owned(), address }
}

/// The resource group in a resource id.
fn group_of(id: &str) -> Option<&str> {
    let mut segments = id.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case("resourceGroups"))?;
    segments.next()
}

async fn clusters(context: &Context, workspace: &Place, found: &mut Found) -> Result<()> {
    let address = workspace.address.join(&["clusters"]);
    for answer in context.client.list(&address).await? {
        let cluster: Cluster = answer.read()?;
        let name = format!("cluster {}/{}", workspace.name, cluster.name);
        let show = format!("batchai cluster show {} {}", cluster.name, workspace.options());
        let properties = &cluster.properties;
        found.clusters += 1;
        found.nodes += properties.current_node_count;
        if let Some(error) = properties.errors.first() {
            let advice = match error.code.as_str() {
                "NodesSilent" => "Check the log of the service and the network of the nodes; \
                                  their jobs are kept for now"
                    .to_owned(),
                _ => format!("Run: {show}"),
            };
            found.troubles.push(Check::problem(&name, error.to_string(), advice));
        }
        let unusable = properties.node_state_counts.unusable_node_count;
        if unusable > 0 {
            let detail = format!("{unusable} nodes could not be prepared");
            let advice = format!("See the log of the set-up task; run: {show}");
            found.troubles.push(Check::warning(&name, detail, advice));
        }
        if properties.current_node_count > 0 {
            let nodes = address.join(&[&cluster.name, "listRemoteLoginInformation"]);
            for answer in context.client.list_by_post(&nodes, &[]).await? {
                found.inventory.addresses.insert(answer.read::<Node>()?.ip_address);
            }
        }
    }
    Ok(())
}

async fn file_servers(context: &Context, workspace: &Place, found: &mut Found) -> Result<()> {
    for answer in context.client.list(&workspace.address.join(&["fileServers"])).await? {
        let server: FileServer = answer.read()?;
        found.file_servers += 1;
        if server.properties.provisioning_state.eq_ignore_ascii_case("failed") {
            let name = format!("file server {}/{}", workspace.name, server.name);
            let options = workspace.options();
            let advice = format!(
                "Delete it and create it again: batchai file-server delete {} {options}",
                server.name
            );
            found.troubles.push(Check::problem(&name, "it could not be created", advice));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_group_is_in_the_id() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w";
        assert_eq!(group_of(id), Some("g"));
        assert_eq!(group_of("/subscriptions/s"), None);
    }
}
