//! Role assignments and role definitions, as `Microsoft.Authorization` serves them.

use super::Call;
use axum::response::Response;
use control::Error;
use model::{Role, RoleAssignment, Uid};

impl Call<'_> {
    /// All roles, or the one of a name (`$filter=roleName eq 'Reader'`).
    pub(crate) fn role_definitions(&self) -> Result<Response, Error> {
        let subscription = self.route.subscription()?;
        let wanted = self.filter().and_then(|filter| quoted_after(filter, "roleName eq "));
        let fits =
            |role: &Role| wanted.is_none_or(|wanted| role.name().eq_ignore_ascii_case(wanted));
        let roles = Role::ALL.into_iter().filter(fits);
        let bodies = roles.map(|role| wire::role_definition(&subscription, role)).collect();
        self.ok(&wire::list(bodies, None))
    }

    /// The assignments on the scope, above it and below it. `$filter` selects those that apply to the
    /// scope, or those of a principal.
    pub(crate) async fn role_assignments(&self) -> Result<Response, Error> {
        let scope = self.route.scope()?;
        let mut found = self.web.control.roles.list(&scope).await?;
        if let Some(filter) = self.filter() {
            let principal = quoted_after(filter, "principalId eq ")
                .or_else(|| quoted_after(filter, "assignedTo("))
                .map(Uid::parse);
            match principal {
                Some(principal) => found.retain(|it| Some(&it.principal) == principal.as_ref()),
                None if filter.contains("atScope()") => {
                    found.retain(|it: &RoleAssignment| it.scope.covers(&scope));
                }
                None => {
                    return Err(Error::invalid(
                        "UnsupportedFilter",
                        "The $filter must be atScope(), principalId eq '{id}' or assignedTo('{id}')",
                    ));
                }
            }
        }
        self.ok(&wire::list(found.iter().map(wire::role_assignment).collect(), None))
    }

    pub(crate) async fn role_assignment(&self) -> Result<Response, Error> {
        let (scope, id) = (self.route.scope()?, self.route.role_assignment_id()?);
        let found = self.web.control.roles.get(&scope, &id).await?;
        self.ok(&wire::role_assignment(&found))
    }

    pub(crate) async fn create_role_assignment(&self) -> Result<Response, Error> {
        let (scope, id) = (self.route.scope()?, self.route.role_assignment_id()?);
        let request = wire::parse_role_assignment(&self.body)?;
        self.require_subscription().await?;
        let assignment = self.web.control.roles.put(&scope, &id, &request).await?;
        // 201 for an existing one too: older clients accept no other status.
        self.created(&wire::role_assignment(&assignment))
    }

    pub(crate) async fn delete_role_assignment(&self) -> Result<Response, Error> {
        let (scope, id) = (self.route.scope()?, self.route.role_assignment_id()?);
        match self.web.control.roles.delete(&scope, &id).await? {
            Some(deleted) => self.ok(&wire::role_assignment(&deleted)),
            None => self.no_content(),
        }
    }

    /// What the highest role of the caller allows in the workspace; empty without a role. Does not tell whether the
    /// workspace exists.
    pub(crate) async fn permissions(&self) -> Result<Response, Error> {
        let scope = self.route.scope()?;
        let role = self.web.control.roles.highest(&self.principal, &scope).await?;
        self.ok(&wire::list(role.map(wire::permission).into_iter().collect(), None))
    }

    fn filter(&self) -> Option<&str> {
        let found = self.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("$filter"));
        found.map(|(_, filter)| filter.as_str())
    }
}

/// The text in single quotes after `words`.
fn quoted_after<'a>(filter: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = filter.split_once(words)?;
    rest.strip_prefix('\'')?.split_once('\'').map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_the_clients() {
        assert_eq!(quoted_after("roleName eq 'Reader'", "roleName eq "), Some("Reader"));
        let both = "atScope() and assignedTo('x')";
        assert_eq!(quoted_after(both, "assignedTo("), Some("x"));
        assert_eq!(quoted_after("atScope()", "assignedTo("), None);
    }
}
