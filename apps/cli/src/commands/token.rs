//! `batchai token …`: tokens of the service on this machine, for people and programs that must not
//! do everything.

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::Format;
use crate::resources::Token;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Make a token; it may do nothing until `batchai role assign` gives it a role
    #[command(after_help = CREATE_HELP)]
    Create(CreateArguments),
    /// All tokens, without the tokens themselves
    #[command(visible_alias = "ls")]
    List,
    /// End a token, and every role it was given
    Revoke(RevokeArguments),
}

const CREATE_HELP: &str = "\
The token is shown this once; the service keeps only its digest.

  TOKEN=$(batchai token create alice -o quiet)
  batchai role assign reader --to alice -w lab
  BATCHAI_TOKEN=$TOKEN batchai cluster list -w lab";

#[derive(Args)]
pub struct CreateArguments {
    /// What to call its holder
    name: String,
    /// How long it is valid [default: until it is revoked]
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

#[derive(Args)]
pub struct RevokeArguments {
    /// The name of its holder
    name: String,
    /// Do not ask
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
                "No tokens besides the service's own. Make one with `batchai token create NAME`.";
            super::list::<Token>(&context, &tokens, none).await
        }
        Command::Revoke(RevokeArguments { name, yes }) => {
            confirm::deletion(&format!("the token of {name} and its roles"), yes)?;
            context.client.delete(&tokens.join(&[&name])).await?;
            context.output.say("Revoked.");
            Ok(Exit::SUCCESS)
        }
    }
}

async fn create(context: &Context, arguments: CreateArguments) -> Result<Exit> {
    let mut body = json!({ "name": arguments.name });
    if let Some(days) = arguments.days {
        body["lifetimeSeconds"] = json!(days.saturating_mul(SECONDS_PER_DAY));
    }
    let made = context.client.post_json(&context.scope.tokens(), &body).await?;
    let token: Token = made.read()?;
    match context.output.format {
        Format::Json => context.output.print(made.pretty())?,
        Format::Quiet => context.output.print(token.token.unwrap_or_default())?,
        Format::Table => {
            context.output.print(token.token.unwrap_or_default())?;
            context.output.say(format_args!(
                "This is shown once. It may do nothing yet: `batchai role assign reader --to {}`.",
                token.name
            ));
        }
    }
    Ok(Exit::SUCCESS)
}
