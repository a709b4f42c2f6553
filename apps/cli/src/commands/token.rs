//! `batchai token …`: access tokens of the local service for users and programs with limited rights.

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use resources::Token;
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Create a token; it has no rights until `batchai role assign` gives it a role
    #[command(after_help = CREATE_HELP)]
    Create(CreateArguments),
    /// List all tokens, without their secrets
    #[command(visible_alias = "ls")]
    List,
    /// Revoke a token and delete its role assignments
    Revoke(RevokeArguments),
}

const CREATE_HELP: &str = "\
The token is printed once; the service stores only its hash.

Example:
  TOKEN=$(batchai token create alice -o name)
  batchai role assign reader --to alice -w lab
  BATCHAI_TOKEN=$TOKEN batchai cluster list -w lab";

#[derive(Args)]
pub struct CreateArguments {
    /// Name of the token, such as its user
    name: String,
    /// Days until the token expires [default: never]
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

#[derive(Args)]
pub struct RevokeArguments {
    /// Name of the token
    name: String,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

const SECONDS_PER_DAY: u32 = 24 * 3600;

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let tokens = context.scope.tokens();
    match command {
        Command::Create(arguments) => create(&context, arguments).await,
        Command::List => {
            let none =
                "No tokens except the service's own. To create one, run: batchai token create NAME";
            super::list::<Token>(&context, &tokens, none).await
        }
        Command::Revoke(RevokeArguments { name, yes }) => {
            if !exists(&context, &name).await? {
                bail!("no token named {name}; list the tokens: batchai token list");
            }
            confirm::deletion(&format!("token {name} and its role assignments"), yes)?;
            context.client.delete(&tokens.join(&[&name])).await?;
            context.output.message("Revoked.");
            Ok(Exit::SUCCESS)
        }
    }
}

/// Revoking a token that does not exist is not an error of the API.
async fn exists(context: &Context, name: &str) -> Result<bool> {
    for answer in context.client.list(&context.scope.tokens()).await? {
        if answer.read::<Token>()?.name == name {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn create(context: &Context, arguments: CreateArguments) -> Result<Exit> {
    let mut body = json!({ "name": arguments.name });
    if let Some(days) = arguments.days {
        body["lifetimeSeconds"] = json!(days.saturating_mul(SECONDS_PER_DAY));
    }
    let created = context.client.post_json(&context.scope.tokens(), &body).await?;
    let token: Token = created.read()?;
    match context.output.format {
        Format::Json | Format::Yaml => context.output.value(&created)?,
        Format::Name => context.output.print(token.token.unwrap_or_default())?,
        Format::Table | Format::Wide => {
            context.output.print(token.token.unwrap_or_default())?;
            context.output.message(format_args!(
                "This token is not shown again. To give it a role, run: batchai role assign reader --to {} -w WORKSPACE",
                token.name
            ));
        }
    }
    Ok(Exit::SUCCESS)
}
