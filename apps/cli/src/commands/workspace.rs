//! `batchai workspace …`

use super::no_wait::NoWait;
use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use anyhow::Result;
use clap::{Args, Subcommand};
use resources::Workspace;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Create a workspace; an existing one is left unchanged
    Create(CreateArguments),
    /// List the workspaces of the resource group
    #[command(visible_alias = "ls")]
    List(ListArguments),
    /// Show a workspace
    Show(Name),
    /// Delete a workspace and everything in it
    Delete(DeleteArguments),
}

#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Region
    #[arg(short, long, default_value = "local")]
    location: String,
    /// Tag; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    no_wait: NoWait,
}

#[derive(Args)]
pub struct ListArguments {
    /// List the workspaces of all resource groups
    #[arg(long)]
    all: bool,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let workspaces = context.scope.workspaces();
    match command {
        Command::Create(arguments) => create(&context, arguments).await,
        Command::List(arguments) => {
            let address = if arguments.all { context.scope.all_workspaces() } else { workspaces };
            let none = "No workspaces. To create one, run: batchai workspace create NAME";
            super::list::<Workspace>(&context, &address, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<Workspace>(&context, &workspaces.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, how }) => {
            let what = format!("workspace {name} and all its clusters, file servers and jobs");
            super::delete(&context, &workspaces.join(&[&name]), &what, how).await
        }
    }
}

async fn create(context: &Context, arguments: CreateArguments) -> Result<Exit> {
    let mut body = json!({ "location": arguments.location });
    if !arguments.tags.is_empty() {
        let tags = arguments.tags.into_iter().map(|(key, value)| (key, value.into()));
        body["tags"] = serde_json::Value::Object(tags.collect());
    }
    let address = context.scope.workspaces().join(&[&arguments.name]);
    let created = arguments.no_wait.put(&context.client, &address, &body).await?;
    super::print_changed::<Workspace>(context, created)
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag has the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
