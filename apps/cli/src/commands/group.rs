//! `batchai group …`: resource groups, which hold workspaces.

use crate::context::Context;
use crate::exit::Exit;
use crate::resources::ResourceGroup;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Make a resource group; `workspace create` makes its own if there is none
    Create(CreateArguments),
    /// Those of the subscription
    #[command(visible_alias = "ls")]
    List,
    /// One resource group
    Show(Name),
    /// Delete a resource group and every workspace in it
    Delete(DeleteArguments),
}

#[derive(Args)]
pub struct Name {
    /// Its name
    #[arg(value_parser = crate::cli::group_name)]
    name: String,
}

#[derive(Args)]
pub struct CreateArguments {
    /// Its name
    #[arg(value_parser = crate::cli::group_name)]
    name: String,
    /// Region
    #[arg(short, long, default_value = "local")]
    location: String,
}

#[derive(Args)]
pub struct DeleteArguments {
    /// Its name
    #[arg(value_parser = crate::cli::group_name)]
    name: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let groups = context.scope.resource_groups();
    match command {
        Command::Create(CreateArguments { name, location }) => {
            let body = json!({ "location": location });
            let made = context.client.put(&groups.join(&[&name]), &body).await?;
            super::changed::<ResourceGroup>(&context, made)
        }
        Command::List => {
            let none = "No resource groups. `batchai workspace create NAME` makes one with it.";
            super::list::<ResourceGroup>(&context, &groups, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<ResourceGroup>(&context, &groups.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("resource group {name} with all its workspaces");
            super::delete(&context, &groups.join(&[&name]), &what, yes).await
        }
    }
}
