//! Role assignments, and the authorization of requests.

use crate::context::replan;
use crate::{ApiError, ApiErrorKind, Context, Error};
use lifecycle::grants::{ScopeResource, grant};
use model::{Principal, Role, RoleAssignment, Scope, Uid};
use table::{Table, Writes};
use wire::RoleAssignmentRequest;

/// The role assignments of the service.
#[derive(Clone)]
pub struct Roles {
    context: Context,
}

/// As [`Roles::may`], for a function that only reads.
///
/// # Errors
/// What the table reports.
pub async fn may(
    table: &Table,
    principal: &Principal,
    role: Role,
    scope: &Scope,
) -> Result<bool, Error> {
    Ok(highest(table, principal, scope).await?.is_some_and(|held| held >= role))
}

/// The highest role of the principal in a scope that covers this one.
async fn highest(
    table: &Table,
    principal: &Principal,
    scope: &Scope,
) -> Result<Option<Role>, Error> {
    let Principal::Known(id) = principal else { return Ok(Some(Role::Owner)) };
    let granted = table.roles_of(id, &scope.subscription).await?;
    let covering = granted.iter().filter(|grant| grant.scope.covers(scope));
    Ok(covering.map(|grant| grant.role).max())
}

impl Roles {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Whether the principal has at least this role in a scope that covers this one. The service itself
    /// has every role.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn may(
        &self,
        principal: &Principal,
        role: Role,
        scope: &Scope,
    ) -> Result<bool, Error> {
        may(&self.context.table, principal, role, scope).await
    }

    /// The highest role that the principal has in a scope that covers this one; `None` without a role. The service
    /// itself is an owner.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn highest(
        &self,
        principal: &Principal,
        scope: &Scope,
    ) -> Result<Option<Role>, Error> {
        highest(&self.context.table, principal, scope).await
    }

    /// Creates an assignment. An identical one is returned as it is.
    ///
    /// # Errors
    /// 409 when the id or the role is already assigned differently, or there are too many assignments.
    pub async fn put(
        &self,
        scope: &Scope,
        id: &Uid,
        request: &RoleAssignmentRequest,
    ) -> Result<RoleAssignment, Error> {
        let now = self.context.now();
        replan(|| async {
            let all = self.context.table.role_assignments(&scope.subscription).await?;
            let place = self.place(scope).await?;
            let new = RoleAssignment {
                id: id.clone(),
                scope: scope.clone(),
                principal: request.principal.clone(),
                role: request.role,
                created_at: now,
            };
            let mut draft = self.context.draft();
            let assignment = grant(&mut draft, &all, place.as_ref(), new)?;
            self.context.commit(draft).await?;
            if !all.contains(&assignment) {
                tracing::info!(principal = %assignment.principal, role = assignment.role.name(), ?scope, "granted");
            }
            Ok(assignment)
        })
        .await
    }

    /// The resource group or workspace of the scope, if it exists.
    async fn place(&self, scope: &Scope) -> Result<Option<ScopeResource>, Error> {
        let (table, subscription) = (&self.context.table, &scope.subscription);
        Ok(match (&scope.resource_group, &scope.workspace) {
            (Some(group), Some(name)) => {
                table.workspace(subscription, group, name).await?.map(ScopeResource::Workspace)
            }
            (Some(group), None) => {
                table.resource_group(subscription, group).await?.map(ScopeResource::ResourceGroup)
            }
            (None, _) => None,
        })
    }

    /// One assignment.
    ///
    /// # Errors
    /// 404 when the scope has no assignment of this id.
    pub async fn get(&self, scope: &Scope, id: &Uid) -> Result<RoleAssignment, Error> {
        let found = self.context.table.role_assignment(scope, id).await?;
        let missing = || {
            let message = format!("The role assignment {id} is not found in this scope");
            ApiError::new(ApiErrorKind::NotFound, "RoleAssignmentNotFound", message)
        };
        Ok(found.ok_or_else(missing)?)
    }

    /// All assignments that affect the scope: on it, above it and below it.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<RoleAssignment>, Error> {
        let mut all = self.context.table.role_assignments(&scope.subscription).await?;
        all.retain(|it| it.scope.covers(scope) || scope.covers(&it.scope));
        Ok(all)
    }

    /// Deletes an assignment and returns it; `None` when there is none.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn delete(&self, scope: &Scope, id: &Uid) -> Result<Option<RoleAssignment>, Error> {
        replan(|| async {
            let Some(found) = self.context.table.role_assignment(scope, id).await? else {
                return Ok(None);
            };
            let mut writes = Writes::default();
            writes.revoke(&found);
            self.context.table.commit(writes).await?;
            tracing::info!(principal = %found.principal, role = found.role.name(), ?scope, "revoked");
            Ok(Some(found))
        })
        .await
    }

    /// Deletes all assignments of a deleted resource; a later resource of its name must not inherit them.
    pub(crate) async fn revoke_all_at(&self, scope: &Scope) -> Result<(), Error> {
        for assignment in self.context.table.role_assignments_at(scope).await? {
            self.delete(scope, &assignment.id).await?;
        }
        Ok(())
    }

    /// Deletes all assignments of a principal whose token is revoked.
    pub(crate) async fn revoke_all_of(&self, principal: &Uid) -> Result<(), Error> {
        for assignment in self.context.table.all_roles_of(principal).await? {
            self.delete(&assignment.scope, &assignment.id).await?;
        }
        Ok(())
    }
}
