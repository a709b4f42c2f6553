//! One file per command, or per kind of resource where its commands are one-liners.

mod account;
pub mod cluster;
pub mod demo;
pub mod experiment;
pub mod file_server;
pub mod group;
pub mod job;
pub mod local;
pub mod node;
pub mod role;
pub mod token;
pub mod usage;
pub mod workspace;

use crate::client::Address;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::View;
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::Path;

#[derive(Args)]
pub struct Name {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    pub name: String,
}

#[derive(Args)]
pub struct DeleteArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    pub name: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

async fn list<V: View>(context: &Context, address: &Address, none: &str) -> Result<Exit> {
    let answers = context.client.list(address).await?;
    context.output.list::<V>(answers, none)?;
    Ok(Exit::SUCCESS)
}

async fn show<V: View>(context: &Context, address: &Address) -> Result<Exit> {
    let answer = context.client.get(address).await?;
    context.output.details::<V>(&answer)?;
    Ok(Exit::SUCCESS)
}

/// `what` says what would be lost.
async fn delete(context: &Context, address: &Address, what: &str, yes: bool) -> Result<Exit> {
    confirm::deletion(what, yes)?;
    context.client.delete(address).await?;
    context.output.say("Deleted.");
    Ok(Exit::SUCCESS)
}

/// A file that describes a resource: `{"properties": {…}}`, as published with the recipes.
fn read_description(file: &Path) -> Result<serde_json::Value> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut value: serde_json::Value =
        serde_json::from_str(text).with_context(|| format!("{shown} is not JSON"))?;
    let properties = value.get_mut("properties").map(serde_json::Value::take);
    anyhow::ensure!(
        properties.as_ref().is_some_and(serde_json::Value::is_object),
        "{shown} has to look like {{\"properties\": {{…}}}}"
    );
    // What else is in it (`$schema`, `name`) is not for the service.
    Ok(serde_json::json!({ "properties": properties }))
}

/// After a change: what it looks like now.
fn changed<V: View>(context: &Context, answer: Json) -> Result<Exit> {
    context.output.row::<V>(answer)?;
    Ok(Exit::SUCCESS)
}
