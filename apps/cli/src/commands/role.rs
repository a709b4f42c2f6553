//! `batchai role …`: role assignments in a subscription, a resource group or a workspace.

use super::Deletion;
use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{self, Column, Format, View};
use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use resources::{RoleAssignment, Token};
use serde_json::json;

#[derive(Subcommand)]
pub enum Command {
    /// Assign a role to a token or principal
    #[command(after_help = ASSIGN_HELP)]
    Assign(AssignArguments),
    /// List the role assignments of the scope and of its parents
    #[command(visible_alias = "ls")]
    List(ScopeArguments),
    /// Delete a role assignment
    Delete(DeleteArguments),
}

const ASSIGN_HELP: &str = "\
Roles:
  reader        read all resources, but not the output of jobs
  contributor   also create, change and delete resources, and read the output of jobs
  owner         also assign roles

A role applies to its scope and everything in it: the workspace of -w, the resource group of -g with
--group-wide, or the subscription with --subscription-wide.

Example:
  batchai role assign contributor --to alice -w lab";

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Reader,
    Contributor,
    Owner,
}

#[derive(Args)]
pub struct ScopeArguments {
    /// Use the resource group as scope instead of a workspace
    #[arg(long, conflicts_with = "subscription_wide")]
    group_wide: bool,
    /// Use the subscription as scope instead of a workspace
    #[arg(long)]
    subscription_wide: bool,
}

#[derive(Args)]
pub struct AssignArguments {
    /// Role to assign
    role: Role,
    /// Name of a token, or id of a principal
    #[arg(long = "to", value_name = "PRINCIPAL")]
    principal: String,
    #[command(flatten)]
    scope: ScopeArguments,
}

#[derive(Args)]
pub struct DeleteArguments {
    /// Id of the role assignment, from `batchai role list`
    id: String,
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    how: Deletion,
}

impl ScopeArguments {
    fn assignments(&self, context: &Context) -> Result<Address> {
        let scope = &context.scope;
        let parent = if self.subscription_wide {
            scope.subscription()
        } else if self.group_wide {
            scope.resource_groups().join(&[&scope.resource_group])
        } else {
            match &scope.workspace {
                Some(workspace) => scope.workspaces().join(&[workspace]),
                None => bail!(
                    "no scope given: set -w WORKSPACE or BATCHAI_WORKSPACE, or add --group-wide or --subscription-wide"
                ),
            }
        };
        Ok(parent.join(&["providers", "Microsoft.Authorization", "roleAssignments"]))
    }
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    match command {
        Command::Assign(arguments) => assign(&context, arguments).await,
        Command::List(scope) => list(&context, &scope).await,
        Command::Delete(DeleteArguments { id, scope, how }) => {
            let address = scope.assignments(&context)?.join(&[&id]);
            super::delete(&context, &address, &format!("role assignment {id}"), how).await
        }
    }
}

async fn assign(context: &Context, arguments: AssignArguments) -> Result<Exit> {
    let assignments = arguments.scope.assignments(context)?;
    let principal = principal_id(context, &arguments.principal).await?;
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
    let Some(definition) = definition else { bail!("the service has no role named {wanted}") };
    let body =
        json!({ "properties": { "roleDefinitionId": definition, "principalId": principal } });
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let created = context.client.put(&assignments.join(&[&id]), &body).await?;
    let principals = PrincipalNames::read(context).await;
    show(context, vec![created], &principals, "")
}

async fn list(context: &Context, scope: &ScopeArguments) -> Result<Exit> {
    let found = context.client.list(&scope.assignments(context)?).await?;
    let principals = PrincipalNames::read(context).await;
    show(
        context,
        found,
        &principals,
        "No role assignments in this scope. The service's own token has all rights.",
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

/// The names of principals. Empty if the caller is not allowed to list the tokens.
struct PrincipalNames(Vec<Token>);

impl PrincipalNames {
    async fn read(context: &Context) -> Self {
        let tokens = context.client.list(&context.scope.tokens()).await.unwrap_or_default();
        Self(tokens.iter().filter_map(|token| token.read().ok()).collect())
    }

    fn name(&self, principal: &str) -> Option<&str> {
        self.0.iter().find(|it| it.principal_id == principal).map(|it| it.name.as_str())
    }
}

fn show(
    context: &Context,
    found: Vec<Json>,
    principals: &PrincipalNames,
    none: &str,
) -> Result<Exit> {
    let is_table = matches!(context.output.format, Format::Table | Format::Wide);
    if !is_table || context.output.query.is_some() || found.is_empty() {
        context.output.list::<RoleAssignment>(found, none)?;
        return Ok(Exit::SUCCESS);
    }
    let mut rows = Vec::new();
    for answer in &found {
        let assignment: RoleAssignment = answer.read()?;
        let mut columns = assignment.columns(context.output.now);
        let name = principals.name(&assignment.properties.principal_id);
        columns.insert(
            0,
            Column::new("principal", name.unwrap_or(&assignment.properties.principal_id)).key(),
        );
        rows.push(columns);
    }
    context.output.print(output::rows(&rows, &context.output.layout()))?;
    Ok(Exit::SUCCESS)
}

/// The id of a principal, given its id or the name of its token.
async fn principal_id(context: &Context, name: &str) -> Result<String> {
    if uuid::Uuid::try_parse(name).is_ok() {
        return Ok(name.to_owned());
    }
    for answer in context.client.list(&context.scope.tokens()).await? {
        let token: Token = answer.read()?;
        if token.name == name {
            return Ok(token.principal_id);
        }
    }
    bail!(
        "no token named {name}. List the tokens: batchai token list. People who sign in with an \
         issuer have an id, which `batchai login` and `batchai doctor` show them"
    )
}

#[cfg(test)]
mod tests {
    /// `resources` does not depend on the model, so that clients need not.
    #[test]
    fn clients_know_the_roles_of_the_service() {
        let served = model::Role::ALL.map(|role| (role.name().to_lowercase(), role.definition()));
        let known = resources::role::ROLES.map(|(name, id)| (name.to_owned(), id));
        assert_eq!(known, served);
    }
}
