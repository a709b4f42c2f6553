//! Access control: principals, their roles, and the scopes of the roles.

use crate::{Name, Timestamp, Uid, WorkspaceNames};
use serde::{Deserialize, Serialize};

/// The three general roles of Azure. Each one includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// May read.
    Reader,
    /// May read, write and call actions.
    Contributor,
    /// May also grant roles.
    Owner,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Contributor, Self::Owner];

    /// The name of the role in Azure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "Reader",
            Self::Contributor => "Contributor",
            Self::Owner => "Owner",
        }
    }

    /// The id under which Azure defines the role, the same in every subscription (Azure, "Azure
    /// built-in roles").
    pub fn definition(self) -> &'static str {
        match self {
            Self::Reader => "acdd72a7-3385-48ef-bd42-f606fba81ae7",
            Self::Contributor => "b24988ac-6180-42a0-ab88-20f7382dd24c",
            Self::Owner => "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        }
    }
}

/// The scope of a role: a subscription, a resource group or a workspace, each with everything below
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// The subscription.
    pub subscription: Name,
    /// The resource group; `None` for the whole subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<Name>,
    /// The workspace; `None` for the whole group. Only with a resource group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Name>,
}

impl Scope {
    /// The scope of a whole subscription.
    pub fn subscription(subscription: Name) -> Self {
        Self { subscription, resource_group: None, workspace: None }
    }

    /// The scope of a whole resource group.
    pub fn resource_group(subscription: Name, group: Name) -> Self {
        Self { subscription, resource_group: Some(group), workspace: None }
    }

    /// Whether a role in this scope applies to `other`: the same scope, or one below it.
    pub fn covers(&self, other: &Self) -> bool {
        let holds = |mine: &Option<Name>, theirs: &Option<Name>| {
            mine.as_ref().is_none_or(|mine| theirs.as_ref() == Some(mine))
        };
        self.subscription == other.subscription
            && holds(&self.resource_group, &other.resource_group)
            && holds(&self.workspace, &other.workspace)
    }

    /// The part of table keys that identifies the scope within its subscription:
    /// `{group}/{workspace}` in lower case.
    pub fn key(&self) -> String {
        let part = |name: &Option<Name>| name.as_ref().map(Name::key).unwrap_or_default();
        format!("{}/{}", part(&self.resource_group), part(&self.workspace))
    }
}

impl From<&WorkspaceNames> for Scope {
    fn from(names: &WorkspaceNames) -> Self {
        Self {
            subscription: names.subscription.clone(),
            resource_group: Some(names.resource_group.clone()),
            workspace: Some(names.workspace.clone()),
        }
    }
}

/// The grant of a role to a principal in a scope (`Microsoft.Authorization/roleAssignments`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignment {
    /// The name that its creator chose.
    pub id: Uid,
    /// Where the role applies.
    pub scope: Scope,
    /// Id of the principal.
    pub principal: Uid,
    /// The granted role.
    pub role: Role,
    /// When it was granted.
    pub created_at: Timestamp,
}

/// A bearer token that the service issued. Only its digest is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// SHA-256 of the token, in hexadecimal digits.
    pub digest: String,
    /// Id of the principal that the token identifies.
    pub principal: Uid,
    /// Name of the principal, for people.
    pub name: String,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it expires; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The holder of the service's own token, who may do everything.
    Service,
    /// The principal with this id.
    Known(Uid),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(subscription: &str, group: Option<&str>, workspace: Option<&str>) -> Scope {
        Scope {
            subscription: Name::new(subscription),
            resource_group: group.map(Name::new),
            workspace: workspace.map(Name::new),
        }
    }

    #[test]
    fn a_scope_covers_itself_and_everything_below() {
        let all = scope("S", None, None);
        let group = scope("s", Some("g"), None);
        let workspace = scope("s", Some("G"), Some("w"));
        for (outer, inner, covers) in [
            (&all, &workspace, true),
            (&group, &workspace, true),
            (&workspace, &workspace, true),
            (&workspace, &group, false),
            (&group, &all, false),
            (&scope("t", None, None), &group, false),
            (&scope("s", Some("h"), None), &workspace, false),
            (&scope("s", Some("g"), Some("v")), &workspace, false),
        ] {
            assert_eq!(outer.covers(inner), covers, "{outer:?} {inner:?}");
        }
    }

    #[test]
    fn scopes_have_keys_below_their_subscription() {
        let names = WorkspaceNames {
            subscription: Name::new("S"),
            resource_group: Name::new("G"),
            workspace: Name::new("W"),
        };
        let group = Scope::resource_group(names.subscription.clone(), names.resource_group.clone());
        let keys = [Scope::subscription(names.subscription.clone()), group, Scope::from(&names)];
        assert_eq!(keys.map(|scope| scope.key()), ["/", "g/", "g/w"]);
    }

    /// Azure, "Azure built-in roles".
    #[test]
    fn roles_have_the_definitions_of_azure() {
        let shown = Role::ALL.map(|role| (role.name(), &role.definition()[..8]));
        let expected = [("Reader", "acdd72a7"), ("Contributor", "b24988ac"), ("Owner", "8e3af657")];
        assert_eq!(shown, expected);
    }

    #[test]
    fn roles_include_each_other() {
        assert!(Role::Owner > Role::Contributor && Role::Contributor > Role::Reader);
    }
}
