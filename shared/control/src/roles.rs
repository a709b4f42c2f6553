//! Who may do what: role assignments, and the decision on a request.

use crate::context::replan;
use crate::{ApiError, ApiErrorKind, Context, Error};
use lifecycle::grants::{ScopeResource, grant};
use model::{Principal, Role, RoleAssignment, Scope, Uid};
use table::Writes;
use wire::RoleAssignmentRequest;

#[derive(Clone)]
pub struct Roles {
    context: Context,
}

impl Roles {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Whether the principal has at least this role in a scope that covers this one.
    pub async fn may(
        &self,
        principal: &Principal,
        role: Role,
        scope: &Scope,
    ) -> Result<bool, Error> {
        let Principal::Known(id) = principal else { return Ok(true) };
        let granted = self.context.table.roles_of(id, &scope.subscription).await?;
        Ok(granted.iter().any(|grant| grant.role >= role && grant.scope.covers(scope)))
    }

    /// Creates an assignment. The same one again is answered as it is.
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

    /// What the scope names, where it exists.
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

    pub async fn get(&self, scope: &Scope, id: &Uid) -> Result<RoleAssignment, Error> {
        let found = self.context.table.role_assignment(scope, id).await?;
        let missing = || {
            let message = format!("The role assignment {id} is not found in this scope");
            ApiError::new(ApiErrorKind::NotFound, "RoleAssignmentNotFound", message)
        };
        Ok(found.ok_or_else(missing)?)
    }

    /// All that touch the scope: on it, above it and below it.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<RoleAssignment>, Error> {
        let mut all = self.context.table.role_assignments(&scope.subscription).await?;
        all.retain(|it| it.scope.covers(scope) || scope.covers(&it.scope));
        Ok(all)
    }

    /// `None` when there was none.
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

    /// What is deleted leaves no grant behind, or a later resource of its name would inherit it.
    pub(crate) async fn revoke_all_at(&self, scope: &Scope) -> Result<(), Error> {
        for assignment in self.context.table.role_assignments_at(scope).await? {
            self.delete(scope, &assignment.id).await?;
        }
        Ok(())
    }

    /// A revoked principal keeps no grant.
    pub(crate) async fn revoke_all_of(&self, principal: &Uid) -> Result<(), Error> {
        for assignment in self.context.table.all_roles_of(principal).await? {
            self.delete(&assignment.scope, &assignment.id).await?;
        }
        Ok(())
    }
}
