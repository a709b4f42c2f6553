//! `batchai role …`: who may do what, in a subscription, a resource group or a workspace.

use crate::client::Address;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::Column;
use crate::output::View;
use crate::resources::{RoleAssignment, Token};
use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Give somebody a role
    #[command(after_help = ASSIGN_HELP)]
    Assign(AssignArguments),
    /// Who has which role, here and above
    #[command(visible_alias = "ls")]
    List(WhereArguments),
    /// Take a role away
    Delete(DeleteArguments),
}

const ASSIGN_HELP: &str = "\
  reader        sees everything
  contributor   also creates, changes and deletes, and reads what jobs wrote
  owner         also gives roles

A role holds where it is given and below: in the workspace of -w, in the resource group of -g with
--group-wide, or in the whole subscription with --subscription-wide.";

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Reader,
    Contributor,
    Owner,
}

#[derive(Args)]
pub struct WhereArguments {
    /// In the resource group, with all its workspaces
    #[arg(long, conflicts_with = "subscription_wide")]
    group_wide: bool,
    /// In the subscription, with all its resource groups
    #[arg(long)]
    subscription_wide: bool,
}

#[derive(Args)]
pub struct AssignArguments {
    /// Which one
    role: Role,
    /// Whom: the name of a token, or the id of a principal
    #[arg(long = "to", value_name = "WHO")]
    principal: String,
    #[command(flatten)]
    place: WhereArguments,
}

#[derive(Args)]
pub struct DeleteArguments {
    /// The id of the assignment, as `batchai role list` shows it
    id: String,
    #[command(flatten)]
    place: WhereArguments,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl WhereArguments {
    fn assignments(&self, context: &Context) -> Result<Address> {
        let scope = &context.scope;
        let place = if self.subscription_wide {
            scope.subscription()
        } else if self.group_wide {
            scope.resource_groups().join(&[&scope.resource_group])
        } else {
            match &scope.workspace {
                Some(workspace) => scope.workspaces().join(&[workspace]),
                None => bail!(
                    "where? Name a workspace with -w or in BATCHAI_WORKSPACE, or give --group-wide or --subscription-wide"
                ),
            }
        };
        Ok(place.join(&["providers", "Microsoft.Authorization", "roleAssignments"]))
    }
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    match command {
        Command::Assign(arguments) => assign(&context, arguments).await,
        Command::List(place) => list(&context, &place).await,
        Command::Delete(DeleteArguments { id, place, yes }) => {
            let address = place.assignments(&context)?.join(&[&id]);
            confirm::deletion(&format!("role assignment {id}"), yes)?;
            context.client.delete(&address).await?;
            context.output.say("Deleted.");
            Ok(Exit::SUCCESS)
        }
    }
}

async fn assign(context: &Context, arguments: AssignArguments) -> Result<Exit> {
    let assignments = arguments.place.assignments(context)?;
    let principal = principal(context, &arguments.principal).await?;
    let wanted = arguments.role.to_possible_value().map(|role| role.get_name().to_owned());
    let wanted = wanted.unwrap_or_default();
    let definitions = context.client.list(&context.scope.role_definitions()).await?;
    let mut definition = None;
    for answer in definitions {
        let found: RoleDefinition = answer.read()?;
        if found.properties.role_name.eq_ignore_ascii_case(&wanted) {
            definition = Some(found.id);
        }
    }
    let Some(definition) = definition else { bail!("the service does not know the role {wanted}") };
    let body =
        json!({ "properties": { "roleDefinitionId": definition, "principalId": principal } });
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let made = context.client.put(&assignments.join(&[&id]), &body).await?;
    let known = Known::of(context).await;
    show(context, vec![made], &known, "")
}

async fn list(context: &Context, place: &WhereArguments) -> Result<Exit> {
    let found = context.client.list(&place.assignments(context)?).await?;
    let known = Known::of(context).await;
    show(
        context,
        found,
        &known,
        "Nobody was given a role here; the service's own token may do everything.",
    )
}

#[derive(serde::Deserialize)]
struct RoleDefinition {
    id: String,
    properties: RoleDefinitionProperties,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleDefinitionProperties {
    role_name: String,
}

/// Names of principals, as far as this token may ask for them.
struct Known(Vec<Token>);

impl Known {
    async fn of(context: &Context) -> Self {
        let tokens = context.client.list(&context.scope.tokens()).await.unwrap_or_default();
        Self(tokens.iter().filter_map(|token| token.read().ok()).collect())
    }

    fn name(&self, principal: &str) -> Option<&str> {
        self.0.iter().find(|it| it.principal_id == principal).map(|it| it.name.as_str())
    }
}

fn show(context: &Context, found: Vec<Json>, known: &Known, none: &str) -> Result<Exit> {
    if context.output.format != crate::output::Format::Table || found.is_empty() {
        context.output.list::<RoleAssignment>(found, none)?;
        return Ok(Exit::SUCCESS);
    }
    let mut rows = Vec::new();
    for answer in &found {
        let assignment: RoleAssignment = answer.read()?;
        let mut columns = assignment.columns(context.output.now);
        let name = known.name(&assignment.properties.principal_id);
        columns.insert(0, Column::new("who", name.unwrap_or(&assignment.properties.principal_id)));
        rows.push(columns);
    }
    context.output.print(crate::output::rows(&rows, context.output.color))?;
    Ok(Exit::SUCCESS)
}

/// The id of the principal that is meant.
async fn principal(context: &Context, who: &str) -> Result<String> {
    if uuid::Uuid::try_parse(who).is_ok() {
        return Ok(who.to_owned());
    }
    for answer in context.client.list(&context.scope.tokens()).await? {
        let token: Token = answer.read()?;
        if token.name == who {
            return Ok(token.principal_id);
        }
    }
    bail!("there is no token named {who}; `batchai token list` shows them")
}
