//! `batchai group …`: resource groups, which contain workspaces.

use super::Deletion;
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::GroupName;
use anyhow::Result;
use clap::{Args, Subcommand};
use resources::ResourceGroup;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Create a resource group; `batchai workspace create` creates a missing one itself
    Create(CreateArguments),
    /// List the resource groups of the subscription
    #[command(visible_alias = "ls")]
    List,
    /// Show a resource group
    Show(Name),
    /// Delete a resource group and all its workspaces
    Delete(DeleteArguments),
}

#[derive(Args)]
pub struct Name {
    #[command(flatten)]
    name: GroupName,
}

#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    name: GroupName,
    /// Region
    #[arg(short, long, default_value = "local")]
    location: String,
}

#[derive(Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    name: GroupName,
    #[command(flatten)]
    how: Deletion,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let groups = context.scope.resource_groups();
    match command {
        Command::Create(CreateArguments { name, location }) => {
            let body = json!({ "location": location });
            let created = context.client.put(&groups.join(&[&name]), &body).await?;
            super::print_changed::<ResourceGroup>(&context, created)
        }
        Command::List => {
            let none = "No resource groups. To create one, run: batchai group create NAME";
            super::list::<ResourceGroup>(&context, &groups, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<ResourceGroup>(&context, &groups.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, how }) => {
            let what = format!("resource group {name} and all its workspaces");
            super::delete(&context, &groups.join(&[&name]), &what, how).await
        }
    }
}
