//! Who may do what: role assignments, and the decision on a request.

use crate::{ApiError, Control, Error, Kind, replan};
use dynamo::Transaction;
use model::{Principal, Role, RoleAssignment, Scope, Uid, limits};
use wire::RoleAssignmentRequest;

impl Control {
    /// Whether the principal has at least this role in a scope that covers this one.
    pub async fn may(
        &self,
        principal: &Principal,
        role: Role,
        scope: &Scope,
    ) -> Result<bool, Error> {
        let Principal::Known(id) = principal else { return Ok(true) };
        let granted = self.table.roles_of(id, &scope.subscription).await?;
        Ok(granted.iter().any(|grant| grant.role >= role && grant.scope.covers(scope)))
    }

    /// Creates an assignment. The same one again is answered as it is.
    pub async fn put_role_assignment(
        &self,
        scope: &Scope,
        id: &Uid,
        request: &RoleAssignmentRequest,
    ) -> Result<RoleAssignment, Error> {
        let now = self.now();
        replan(|| async {
            let all = self.table.role_assignments(&scope.subscription).await?;
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
            self.table.commit(Transaction::new().grant(&assignment)).await?;
            tracing::info!(principal = %assignment.principal, role = assignment.role.name(), ?scope, "granted");
            Ok(assignment)
        })
        .await
    }

    pub async fn role_assignment(&self, scope: &Scope, id: &Uid) -> Result<RoleAssignment, Error> {
        let found = self.table.role_assignment(scope, id).await?;
        let missing = || {
            let message = format!("The role assignment {id} is not found in this scope");
            ApiError::new(Kind::NotFound, "RoleAssignmentNotFound", message)
        };
        Ok(found.ok_or_else(missing)?)
    }

    /// All that touch the scope: on it, above it and below it.
    pub async fn role_assignments(&self, scope: &Scope) -> Result<Vec<RoleAssignment>, Error> {
        let mut all = self.table.role_assignments(&scope.subscription).await?;
        all.retain(|it| it.scope.covers(scope) || scope.covers(&it.scope));
        Ok(all)
    }

    /// `None` when there was none.
    pub async fn delete_role_assignment(
        &self,
        scope: &Scope,
        id: &Uid,
    ) -> Result<Option<RoleAssignment>, Error> {
        replan(|| async {
            let Some(found) = self.table.role_assignment(scope, id).await? else {
                return Ok(None);
            };
            self.table.commit(Transaction::new().revoke(&found)).await?;
            tracing::info!(principal = %found.principal, role = found.role.name(), ?scope, "revoked");
            Ok(Some(found))
        })
        .await
    }

    /// What is deleted leaves no grant behind, or a later resource of its name would inherit it.
    pub(crate) async fn revoke_all_at(&self, scope: &Scope) -> Result<(), Error> {
        for assignment in self.table.role_assignments_at(scope).await? {
            self.delete_role_assignment(scope, &assignment.id).await?;
        }
        Ok(())
    }

    /// A revoked principal keeps no grant.
    pub(crate) async fn revoke_all_of(&self, principal: &Uid) -> Result<(), Error> {
        for assignment in self.table.all_roles_of(principal).await? {
            self.delete_role_assignment(&assignment.scope, &assignment.id).await?;
        }
        Ok(())
    }
}
