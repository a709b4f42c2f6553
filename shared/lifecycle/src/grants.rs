//! Access: role assignments, and the tokens that the service issues.

use crate::creation::require_not_deleting;
use crate::draft::Draft;
use crate::refusal::Refusal;
use model::{AccessToken, ResourceGroup, RoleAssignment, Workspace, limits};

/// The resource of a scope below a subscription, if it exists.
#[derive(Clone, Debug)]
pub enum ScopeResource {
    /// A resource group.
    ResourceGroup(ResourceGroup),
    /// A workspace.
    Workspace(Workspace),
}

/// Grants a role. `known` are all assignments of the subscription. A repetition of an existing
/// assignment returns that one.
///
/// Nothing is granted on a resource that is being deleted: its grants are deleted with it, and a
/// later grant would apply to the next resource of that name.
///
/// # Errors
/// When another assignment has the id, the role is granted already, there are too many assignments,
/// or the resource is being deleted.
pub fn grant(
    draft: &mut Draft,
    known: &[RoleAssignment],
    place: Option<&ScopeResource>,
    new: RoleAssignment,
) -> Result<RoleAssignment, Refusal> {
    let is_same = |it: &&RoleAssignment| it.principal == new.principal && it.role == new.role;
    let mut here = known.iter().filter(|it| it.scope == new.scope);
    if let Some(found) = here.clone().find(|it| it.id == new.id) {
        return match is_same(&found) {
            true => Ok(found.clone()),
            false => Err(Refusal::RoleAssignmentDiffers),
        };
    }
    if let Some(found) = here.find(is_same) {
        return Err(Refusal::RoleAssignmentExists { by: found.id.clone() });
    }
    if known.len() >= limits::MAX_ROLE_ASSIGNMENTS {
        return Err(Refusal::TooManyRoleAssignments { most: known.len() });
    }
    match place {
        Some(ScopeResource::Workspace(workspace)) => {
            require_not_deleting(workspace)?;
            draft.writes().require_workspace(workspace);
        }
        Some(ScopeResource::ResourceGroup(group)) => {
            require_not_deleting(group)?;
            draft.writes().require_resource_group(group);
        }
        None => {}
    }
    draft.writes().grant(&new);
    Ok(new)
}

/// Records a token. `known` are all tokens.
///
/// # Errors
/// When the name is taken, or there are too many tokens.
pub fn issue_token(
    draft: &mut Draft,
    known: &[AccessToken],
    token: &AccessToken,
) -> Result<(), Refusal> {
    if known.len() >= limits::MAX_TOKENS {
        return Err(Refusal::TooManyTokens { most: known.len() });
    }
    if known.iter().any(|it| it.name == token.name) {
        return Err(Refusal::TokenExists { name: token.name.clone() });
    }
    draft.writes().create(token);
    Ok(())
}

#[cfg(test)]
mod tests;
