//! Who may do what: role assignments, and the decision on a request.

use crate::context::replan;
use crate::workspaces::being_deleted;
use crate::{ApiError, Context, Error, Kind};
use model::{Principal, Role, RoleAssignment, Scope, Uid, limits};
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
            let is_same = |it: &RoleAssignment| {
                it.principal == request.principal && it.role == request.role
            };
            if let Some(found) = all.iter().find(|it| it.id == *id && it.scope == *scope) {
                return match is_same(found) {
                    true => Ok(found.clone()),
                    false => Err(Error::conflict(
                        "RoleAssignmentUpdateNotPermitted",
                        "A role assignment cannot be changed; delete it and create another one",
                    )),
                };
            }
            if let Some(found) = all.iter().find(|it| is_same(it) && it.scope == *scope) {
                let message = format!(
                    "The principal has this role in this scope already, by the assignment {}",
                    found.id
                );
                return Err(Error::conflict("RoleAssignmentExists", message));
            }
            if all.len() >= limits::MAX_ROLE_ASSIGNMENTS {
                let message = format!(
                    "The subscription has {} role assignments, which is the most there can be; delete some first",
                    all.len()
                );
                return Err(Error::conflict("RoleAssignmentLimitExceeded", message));
            }
            let assignment = RoleAssignment {
                id: id.clone(),
                scope: scope.clone(),
                principal: request.principal.clone(),
                role: request.role,
                created_at: now,
            };
            let mut writes = Writes::default();
            self.require_open(&mut writes, scope).await?;
            writes.grant(&assignment);
            self.context.table.commit(writes).await?;
            tracing::info!(principal = %assignment.principal, role = assignment.role.name(), ?scope, "granted");
            Ok(assignment)
        })
        .await
    }

    /// Nothing is granted on what is being deleted: its grants go with it, and a later one would
    /// stay for whatever gets that name.
    async fn require_open(&self, writes: &mut Writes, scope: &Scope) -> Result<(), Error> {
        let (table, subscription) = (&self.context.table, &scope.subscription);
        let Some(group) = &scope.resource_group else { return Ok(()) };
        if let Some(name) = &scope.workspace {
            if let Some(workspace) = table.workspace(subscription, group, name).await? {
                if workspace.lifecycle.is_deleting() {
                    return Err(being_deleted("workspace", name));
                }
                writes.require_workspace(&workspace);
            }
        } else if let Some(found) = table.resource_group(subscription, group).await? {
            if found.lifecycle.is_deleting() {
                return Err(being_deleted("resource group", group));
            }
            writes.require_resource_group(&found);
        }
        Ok(())
    }

    pub async fn get(&self, scope: &Scope, id: &Uid) -> Result<RoleAssignment, Error> {
        let found = self.context.table.role_assignment(scope, id).await?;
        let missing = || {
            let message = format!("The role assignment {id} is not found in this scope");
            ApiError::new(Kind::NotFound, "RoleAssignmentNotFound", message)
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
