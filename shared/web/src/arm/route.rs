//! Routing: finds the operation of a method and a path, and the names in the path. Literal segments
//! match in any case (docs/contract.md, "Names and ids").

use super::operation::{OPERATIONS, OperationRow};
use crate::Failure;
use control::jobs::ExperimentPath;
use control::{ApiError, ApiErrorKind, Error};
use http::Method;
use model::{Name, Scope, Uid, WorkspaceNames};
use wire::names::{resource_group_name, resource_name, subscription_id};

/// The operation of a request, and its path.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub row: &'static OperationRow,
    path: &'a str,
}

impl<'a> Route<'a> {
    /// # Errors
    /// 404 for an unknown path, 405 for a method that the path does not support.
    pub(crate) fn find(method: &Method, path: &'a str) -> Result<Self, Failure> {
        let rows: Vec<_> = OPERATIONS.iter().filter(|row| is_at(path, row.path)).collect();
        let taking = |method: &Method| rows.iter().find(|row| row.method == *method);
        // HEAD is GET without a body (RFC 9110, section 9.3.2), unless it is an operation of its own.
        let head = || taking(&Method::GET).filter(|_| method == Method::HEAD);
        if let Some(row) = taking(method).or_else(head) {
            return Ok(Self { row, path });
        }
        if rows.is_empty() {
            return Err(not_found(path).into());
        }
        let mut allowed: Vec<_> = rows.iter().map(|row| row.method.as_str()).collect();
        if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
            allowed.push("HEAD");
        }
        Err(Failure::MethodNotAllowed { method: method.clone(), allowed })
    }

    /// The segment at the place of `{name}` in the template, as the client spelled it.
    fn segment(&self, name: &str) -> Option<&'a str> {
        let found = segments(self.row.path).zip(segments(self.path));
        let is_named = |template: &str| {
            template.strip_prefix('{').and_then(|it| it.strip_suffix('}')) == Some(name)
        };
        found.filter(|(template, _)| is_named(template)).map(|(_, segment)| segment).next()
    }

    fn required(&self, name: &str) -> Result<&'a str, Error> {
        self.segment(name).ok_or_else(|| not_found(self.path))
    }

    pub(crate) fn subscription(&self) -> Result<Name, Error> {
        violations(subscription_id(self.required("subscriptionId")?))
    }

    pub(crate) fn resource_group(&self) -> Result<Name, Error> {
        violations(resource_group_name(self.required("resourceGroupName")?))
    }

    pub(crate) fn workspace(&self) -> Result<WorkspaceNames, Error> {
        Ok(WorkspaceNames {
            subscription: self.subscription()?,
            resource_group: self.resource_group()?,
            workspace: self.name("workspaceName")?,
        })
    }

    pub(crate) fn experiment(&self) -> Result<ExperimentPath, Error> {
        Ok(ExperimentPath {
            workspace: self.workspace()?,
            experiment: self.name("experimentName")?,
        })
    }

    /// The name of a resource in the path.
    pub(crate) fn name(&self, parameter: &str) -> Result<Name, Error> {
        violations(resource_name(parameter, self.required(parameter)?))
    }

    /// A name in the path that may have dots: of a region, a provider or a token.
    pub(crate) fn dotted_name(&self, parameter: &str) -> Result<Name, Error> {
        violations(wire::names::dotted_name(parameter, self.required(parameter)?))
    }

    pub(crate) fn operation_id(&self) -> Result<Uid, Error> {
        Uid::parse(self.required("operationId")?).ok_or_else(|| not_found(self.path))
    }

    pub(crate) fn role_assignment_id(&self) -> Result<Uid, Error> {
        Uid::parse(self.required("roleAssignmentName")?).ok_or_else(|| {
            Error::invalid(
                "InvalidRoleAssignmentId",
                "The name of a role assignment must be a UUID that its creator chose",
            )
        })
    }

    /// The scope of the path: its workspace, resource group or subscription.
    pub(crate) fn scope(&self) -> Result<Scope, Error> {
        if self.segment("workspaceName").is_some() {
            return Ok(Scope::from(&self.workspace()?));
        }
        let subscription = self.subscription()?;
        Ok(match self.segment("resourceGroupName") {
            Some(_) => Scope::resource_group(subscription, self.resource_group()?),
            None => Scope::subscription(subscription),
        })
    }
}

fn is_at(path: &str, template: &str) -> bool {
    let mut wanted = segments(template);
    let fits = |given: &str| {
        wanted.next().is_some_and(|wanted| {
            (wanted.starts_with('{') && !given.is_empty()) || wanted.eq_ignore_ascii_case(given)
        })
    };
    segments(path).all(fits) && wanted.next().is_none()
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.trim_matches('/').split('/')
}

pub(crate) fn not_found(path: &str) -> Error {
    let message = format!("The API has no path '{}'", path.escape_debug());
    ApiError::new(ApiErrorKind::NotFound, "ResourceNotFound", message).into()
}

fn violations<T>(outcome: Result<T, wire::Violation>) -> Result<T, Error> {
    outcome.map_err(|violation| wire::Violations::from(violation).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, expected: &str) {
        let found = match Route::find(&method, path) {
            Ok(route) => route.row.id.to_owned(),
            Err(Failure::Control(Error::Api(error))) => error.code().to_owned(),
            Err(Failure::MethodNotAllowed { allowed, .. }) => allowed.join(", "),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, expected, "{method} {path}");
    }

    #[test]
    fn every_operation_is_found_at_its_own_path_in_any_case() {
        for row in OPERATIONS {
            let path = row.path.replace(['{', '}'], "");
            for spelled in [path.clone(), path.to_ascii_uppercase(), format!("{path}/")] {
                check(row.method.clone(), &spelled, row.id);
            }
        }
    }

    #[test]
    fn unknown_paths_and_methods() {
        check(Method::GET, "/", "ResourceNotFound");
        check(Method::GET, "/subscriptions//resourceGroups/g", "ResourceNotFound");
        check(Method::GET, "/subscriptions/s/resourceGroups/g/else", "ResourceNotFound");
        let group = "/subscriptions/s/resourceGroups/g";
        check(Method::POST, group, "HEAD, PUT, PATCH, DELETE, GET");
        check(Method::HEAD, "/subscriptions/s", "Subscriptions_Get");
    }

    #[test]
    fn names_keep_their_spelling_and_their_rules() {
        let path = "/subscriptions/S/resourcegroups/My.Group/providers/microsoft.batchai/Workspaces/W/clusters/C%20D";
        let route = Route::find(&Method::GET, path).unwrap();
        let names = route.workspace().unwrap();
        assert_eq!(names.resource_group.as_str(), "My.Group");
        assert_eq!(route.scope().unwrap(), Scope::from(&names));
        let refused = route.name("clusterName").unwrap_err();
        let Error::Api(error) = refused else { panic!("{refused}") };
        assert_eq!(error.code(), "InvalidResourceName");
    }
}
