//! `batchai workspace …`

use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use crate::resources::Workspace;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Make a workspace; one that is there already stays as it is
    Create(CreateArguments),
    /// Those in the resource group
    #[command(visible_alias = "ls")]
    List(ListArguments),
    /// One workspace
    Show(Name),
    /// Delete a workspace and everything in it
    Delete(DeleteArguments),
}

#[derive(Args)]
pub struct CreateArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    name: String,
    /// Region
    #[arg(short, long, default_value = "local")]
    location: String,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
}

#[derive(Args)]
pub struct ListArguments {
    /// Those of every resource group
    #[arg(long)]
    all: bool,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let workspaces = context.scope.workspaces();
    match command {
        Command::Create(arguments) => create(&context, arguments).await,
        Command::List(arguments) => {
            let place = if arguments.all { context.scope.all_workspaces() } else { workspaces };
            let none = "No workspaces. Make one with `batchai workspace create NAME`.";
            super::list::<Workspace>(&context, &place, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<Workspace>(&context, &workspaces.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("workspace {name} with all its clusters, file servers and jobs");
            super::delete(&context, &workspaces.join(&[&name]), &what, yes).await
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
    super::changed::<Workspace>(context, context.client.put(&address, &body).await?)
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag looks like KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
