//! Who the user is to the service, and which roles that gives.

use super::check::Check;
use crate::client::{Address, is_denied};
use crate::context::Context;
use anyhow::Result;
use resources::RoleAssignment;

const NAME: &str = "roles";

/// `principal` is what the service says about the caller.
pub async fn check(context: &Context, principal: Option<&str>) -> Check {
    let id = match principal {
        None => return Check::skipped(NAME, "the service does not tell who you are", ""),
        Some("owner") => return Check::ok(NAME, "owner of the service: may do everything"),
        Some(id) => id,
    };
    let mut scopes = vec![context.scope.subscription()];
    scopes.push(context.scope.resource_groups().join(&[&context.scope.resource_group]));
    let workspace = context.scope.workspace.as_deref();
    scopes.extend(workspace.map(|name| context.scope.workspaces().join(&[name])));
    // A role is needed to see roles: the widest scope that may be read has them all.
    for scope in &scopes {
        match assignments(context, scope, id).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => return Check::ok(NAME, format!("{id}: {}", found.join(", "))),
            Err(error) if is_denied(&error) => {}
            Err(error) => return Check::warning(NAME, format!("{id}: {error:#}"), ""),
        }
    }
    let place = workspace.map_or(String::new(), |name| format!(" or workspace {name}"));
    Check::warning(
        NAME,
        format!("{id} has no role in the subscription, the resource group{place}"),
        format!("An owner can assign one: batchai role assign contributor --to {id} -w WORKSPACE"),
    )
}

/// Roles and scopes, such as `reader at /subscriptions/s`.
async fn assignments(context: &Context, scope: &Address, id: &str) -> Result<Vec<String>> {
    let address = scope.join(&["providers", "Microsoft.Authorization", "roleAssignments"]);
    let filter = format!("assignedTo('{id}')");
    let found = context.client.list_filtered(&address, &filter).await?;
    let shown = |assignment: RoleAssignment| {
        let properties = assignment.properties;
        format!("{} at {}", resources::role::name(&properties.role_definition_id), properties.scope)
    };
    found.iter().map(|it| Ok(shown(it.read()?))).collect()
}
