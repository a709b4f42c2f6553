//! Requests to Azure Resource Manager itself: resource groups and role assignments.

use super::workspace;
use crate::error::quoted;
use crate::read::{self, Fields, Place};
use crate::{Violations, patterns, rules};
use model::{Role, Uid};
use serde_json::json;
use std::collections::BTreeMap;

/// A resource group, as `azure-mgmt-resource` sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceGroupRequest {
    /// Where the group is.
    pub location: String,
    /// Replaces the present tags.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Parses `ResourceGroupParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_resource_group(body: &[u8]) -> Result<ResourceGroupRequest, Violations> {
    read::body(body, resource_group)
}

pub(crate) fn resource_group(fields: &Fields<'_>) -> Option<ResourceGroupRequest> {
    let location = fields.required("location").and_then(|place| workspace::location(&place));
    let tags = workspace::tags(fields);
    Some(ResourceGroupRequest { location: location?, tags })
}

/// Parses the tags that replace the present ones; `None` if the body has no tags.
///
/// # Errors
/// All violations of the body.
pub fn parse_resource_group_update(
    body: &[u8],
) -> Result<Option<BTreeMap<String, String>>, Violations> {
    read::body(body, resource_group_update)
}

pub(crate) fn resource_group_update(
    fields: &Fields<'_>,
) -> Option<Option<BTreeMap<String, String>>> {
    Some(workspace::tags(fields))
}

/// A role assignment, as `azure-mgmt-authorization` sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignmentRequest {
    /// The role to assign.
    pub role: Role,
    /// The principal that gets it; it need not exist yet.
    pub principal: Uid,
}

/// Parses `RoleAssignmentCreateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_role_assignment(body: &[u8]) -> Result<RoleAssignmentRequest, Violations> {
    read::body(body, role_assignment)
}

pub(crate) fn role_assignment(fields: &Fields<'_>) -> Option<RoleAssignmentRequest> {
    let properties = fields.required("properties")?.object()?;
    let role = properties.required("roleDefinitionId").and_then(|place| role(&place));
    let principal = properties.required("principalId").and_then(|place| uid(&place));
    Some(RoleAssignmentRequest { role: role?, principal: principal? })
}

/// A role by the id of its definition. Only the GUID at its end counts: roles are the same in every
/// subscription.
fn role(place: &Place<'_>) -> Option<Role> {
    let text = place.text()?;
    let definition = text.rsplit('/').next().unwrap_or_default();
    let found =
        Role::ALL.into_iter().find(|role| role.definition().eq_ignore_ascii_case(definition));
    if found.is_none() {
        let known: Vec<String> = Role::ALL
            .iter()
            .map(|role| format!("{} ({})", role.definition(), role.name()))
            .collect();
        place.invalid(&format!(
            "must end with the id of a role, {}, but is {}",
            known.join(" or "),
            quoted(text)
        ));
    }
    found
}

fn uid(place: &Place<'_>) -> Option<Uid> {
    place.describe(|| json!({ "format": "uuid" }));
    let text = place.text()?;
    let uid = Uid::parse(text);
    if uid.is_none() {
        place.invalid(&format!("must be a UUID, but is {}", quoted(text)));
    }
    uid
}

/// A request to issue a token, of the local service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Identifies the token in lists.
    pub name: String,
    /// Without one the token does not expire.
    pub lifetime_seconds: Option<u64>,
}

/// Parses `TokenCreateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_token(body: &[u8]) -> Result<TokenRequest, Violations> {
    read::body(body, token)
}

pub(crate) fn token(fields: &Fields<'_>) -> Option<TokenRequest> {
    let name = fields.required("name").and_then(|place| {
        rules::matching(&place, &[&patterns::TOKEN_NAME, &patterns::NOT_ONLY_DOTS])
    });
    let lifetime = fields
        .optional("lifetimeSeconds")
        .map(|place| place.whole_number(1..=model::limits::MAX_TOKEN_SECONDS));
    let lifetime_seconds = match lifetime {
        Some(seconds) => Some(u64::from(seconds?)),
        None => None,
    };
    Some(TokenRequest { name: name?, lifetime_seconds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::refused;

    #[test]
    fn a_role_is_known_by_the_end_of_its_id() {
        let body = r#"{"properties":{
            "roleDefinitionId":"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/ACDD72A7-3385-48ef-bd42-f606fba81ae7",
            "principalId":"02020202-0202-4202-8202-020202020202"}}"#;
        let request = parse_role_assignment(body.as_bytes()).expect("a valid assignment");
        assert_eq!(request.role, Role::Reader);
    }

    #[test]
    fn refused_assignments() {
        let body = r#"{"properties":{"roleDefinitionId":"x/y","principalId":"alice"}}"#;
        assert_eq!(
            refused(parse_role_assignment(body.as_bytes())),
            [
                "properties.roleDefinitionId must end with the id of a role, acdd72a7-3385-48ef-bd42-f606fba81ae7 (Reader) or b24988ac-6180-42a0-ab88-20f7382dd24c (Contributor) or 8e3af657-a8ff-443c-a75c-2fe8c4bcb635 (Owner), but is \"x/y\"",
                "properties.principalId must be a UUID, but is \"alice\"",
            ]
        );
    }

    #[test]
    fn a_token_needs_a_name() {
        assert_eq!(refused(parse_token(b"{}")), ["name is required"]);
        let request = parse_token(br#"{"name":"alice","lifetimeSeconds":60}"#);
        assert_eq!(request.expect("a valid token").lifetime_seconds, Some(60));
    }
}
