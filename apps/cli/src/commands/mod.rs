//! One file per command, or per kind of resource where its commands are short.

mod account;
mod azure_storage;
pub mod cluster;
pub mod completion;
pub mod demo;
pub mod doctor;
mod exec;
pub mod experiment;
pub mod file_server;
pub mod group;
pub mod job;
pub mod local;
pub mod login;
pub mod logout;
pub mod man;
mod mounts;
mod no_wait;
pub mod node;
mod node_list;
pub mod portal;
pub mod profile;
mod queue;
pub mod role;
pub mod run;
pub mod status;
pub mod sweep;
pub mod token;
pub mod usage;
pub mod workspace;

use crate::client::Address;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::name_argument::ResourceName;
use crate::output::View;
use anyhow::Result;
use clap::Args;
use no_wait::NoWait;

#[derive(Args)]
pub struct Name {
    #[command(flatten)]
    pub name: ResourceName,
}

#[derive(Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    pub name: ResourceName,
    #[command(flatten)]
    pub how: Deletion,
}

/// How something is deleted.
#[derive(Args, Clone, Copy)]
pub struct Deletion {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    no_wait: NoWait,
}

async fn list<V: View>(context: &Context, address: &Address, none: &str) -> Result<Exit> {
    let answers = context.client.list(address).await?;
    context.output.sorted_list::<V>(answers, none)?;
    Ok(Exit::SUCCESS)
}

async fn show<V: View>(context: &Context, address: &Address) -> Result<Exit> {
    let answer = context.client.get(address).await?;
    context.output.details::<V>(&answer)?;
    Ok(Exit::SUCCESS)
}

/// `what` names what is deleted, for the question. The service accepts the deletion of what does not
/// exist, so that clients can retry; a user who names it has made a mistake.
async fn delete(context: &Context, address: &Address, what: &str, how: Deletion) -> Result<Exit> {
    context.client.get(address).await?;
    confirm::deletion(what, how.yes)?;
    let said = how.no_wait.delete(&context.client, address).await?;
    context.output.message(said);
    Ok(Exit::SUCCESS)
}

/// Prints a resource after a change.
fn print_changed<V: View>(context: &Context, answer: Json) -> Result<Exit> {
    context.output.row::<V>(answer)?;
    Ok(Exit::SUCCESS)
}
