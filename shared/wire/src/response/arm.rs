//! Bodies of Azure Resource Manager: subscriptions, tenants, providers, resource groups and roles. The
//! SDKs `azure-mgmt-resource` and `azure-mgmt-authorization` define their fields.

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts;
use crate::ids;
use model::{Lifecycle, Locations, Name, ResourceGroup, Role, RoleAssignment, Timestamp, Uid};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Azure has one tenant per directory of users; this service has one.
pub const TENANT: &str = "72f98800-0000-4000-8000-000000000000";

/// A subscription.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Subscription")]
pub struct SubscriptionBody {
    pub id: String,
    pub subscription_id: String,
    pub tenant_id: &'static str,
    pub display_name: String,
    pub state: &'static str,
}

/// The body of a subscription.
pub fn subscription(id: &Name) -> SubscriptionBody {
    SubscriptionBody {
        id: format!("/subscriptions/{id}"),
        subscription_id: id.to_string(),
        tenant_id: TENANT,
        display_name: id.to_string(),
        state: "Enabled",
    }
}

/// A tenant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TenantIdDescription")]
pub struct TenantBody {
    pub id: String,
    pub tenant_id: &'static str,
}

/// The only tenant.
pub fn tenant() -> TenantBody {
    TenantBody { id: format!("/tenants/{TENANT}"), tenant_id: TENANT }
}

/// A resource provider.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Provider")]
pub struct ProviderBody {
    pub id: String,
    pub namespace: &'static str,
    pub registration_state: &'static str,
    pub resource_types: Vec<ResourceTypeBody>,
}

/// A resource type of a provider.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ProviderResourceType")]
pub struct ResourceTypeBody {
    pub resource_type: &'static str,
    pub locations: Vec<String>,
    pub api_versions: Vec<&'static str>,
}

const BATCH_AI: &str = "Microsoft.BatchAI";
const RESOURCES: &str = "Microsoft.Resources";
const AUTHORIZATION: &str = "Microsoft.Authorization";

/// The providers that are served here, with the versions of their APIs and the locations of this
/// service.
pub fn providers(subscription: &Name, locations: &Locations) -> Vec<ProviderBody> {
    let batch_ai = [
        "workspaces",
        "workspaces/clusters",
        "workspaces/fileservers",
        "workspaces/experiments",
        "workspaces/experiments/jobs",
        "operations",
        "locations",
        "locations/usages",
        "locations/operationresults",
        "locations/operationstatuses",
    ];
    let resources = ["subscriptions", "resourceGroups", "tenants", "providers"];
    let authorization = ["permissions", "roleAssignments", "roleDefinitions"];
    vec![
        provider(subscription, BATCH_AI, &batch_ai, &[crate::API_VERSION], locations),
        provider(subscription, RESOURCES, &resources, &["2022-09-01", "2018-05-01"], locations),
        provider(
            subscription,
            AUTHORIZATION,
            &authorization,
            &["2022-04-01", "2015-07-01"],
            locations,
        ),
    ]
}

fn provider(
    subscription: &Name,
    namespace: &'static str,
    types: &[&'static str],
    versions: &[&'static str],
    locations: &Locations,
) -> ProviderBody {
    let resource_type = |resource_type: &&'static str| ResourceTypeBody {
        resource_type,
        locations: locations.iter().map(Name::to_string).collect(),
        api_versions: versions.to_vec(),
    };
    ProviderBody {
        id: format!("/subscriptions/{subscription}/providers/{namespace}"),
        namespace,
        registration_state: "Registered",
        resource_types: types.iter().map(resource_type).collect(),
    }
}

/// A resource group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ResourceGroup")]
pub struct ResourceGroupBody {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    pub location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    pub properties: ResourceGroupProperties,
}

/// The state of a resource group.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceGroupProperties {
    pub provisioning_state: &'static str,
}

/// The body of a resource group.
pub fn resource_group(group: &ResourceGroup) -> ResourceGroupBody {
    let provisioning_state = match group.lifecycle {
        Lifecycle::Active => "Succeeded",
        Lifecycle::Deleting { .. } => "Deleting",
    };
    ResourceGroupBody {
        id: ids::resource_group_id(&group.subscription, &group.name),
        name: group.name.to_string(),
        resource_type: ids::RESOURCE_GROUP_TYPE,
        location: group.location.clone(),
        tags: group.tags.clone(),
        properties: ResourceGroupProperties { provisioning_state },
    }
}

/// A role assignment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "RoleAssignment")]
pub struct RoleAssignmentBody {
    pub id: String,
    pub name: Uid,
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    pub properties: RoleAssignmentProperties,
}

/// The role, principal and scope of an assignment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentProperties {
    pub role_definition_id: String,
    pub principal_id: Uid,
    pub scope: String,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub created_on: Timestamp,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub updated_on: Timestamp,
}

/// The body of a role assignment.
pub fn role_assignment(assignment: &RoleAssignment) -> RoleAssignmentBody {
    let scope = ids::scope_id(&assignment.scope);
    RoleAssignmentBody {
        id: format!("{scope}/providers/{AUTHORIZATION}/roleAssignments/{}", assignment.id),
        name: assignment.id.clone(),
        resource_type: "Microsoft.Authorization/roleAssignments",
        properties: RoleAssignmentProperties {
            role_definition_id: ids::role_definition_id(
                &assignment.scope.subscription,
                assignment.role,
            ),
            principal_id: assignment.principal.clone(),
            scope,
            created_on: assignment.created_at,
            updated_on: assignment.created_at,
        },
    }
}

/// A role.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "RoleDefinition")]
pub struct RoleDefinitionBody {
    pub id: String,
    pub name: &'static str,
    #[serde(rename = "type")]
    pub resource_type: &'static str,
    pub properties: RoleDefinitionProperties,
}

/// What a role allows.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleDefinitionProperties {
    pub role_name: &'static str,
    #[serde(rename = "type")]
    pub role_type: &'static str,
    pub description: &'static str,
    pub assignable_scopes: Vec<&'static str>,
    pub permissions: Vec<Permission>,
}

/// Allowed and excluded actions, as patterns.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    pub actions: Vec<&'static str>,
    pub not_actions: Vec<&'static str>,
}

/// What a role allows: `actions` without `notActions`.
pub fn permission(role: Role) -> Permission {
    let (actions, not_actions) = match role {
        Role::Reader => (vec!["*/read"], vec![]),
        Role::Contributor => {
            (vec!["*"], vec!["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"])
        }
        Role::Owner => (vec!["*"], vec![]),
    };
    Permission { actions, not_actions }
}

/// The body of a role in a subscription.
pub fn role_definition(subscription: &Name, role: Role) -> RoleDefinitionBody {
    let description = match role {
        Role::Reader => "Reads everything.",
        Role::Contributor => "Does everything but grant roles.",
        Role::Owner => "Does everything, and grants roles.",
    };
    RoleDefinitionBody {
        id: ids::role_definition_id(subscription, role),
        name: role.definition(),
        resource_type: "Microsoft.Authorization/roleDefinitions",
        properties: RoleDefinitionProperties {
            role_name: role.name(),
            role_type: "BuiltInRole",
            description,
            assignable_scopes: vec!["/"],
            permissions: vec![permission(role)],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, names, pretty, uid};
    use model::Scope;

    #[test]
    fn a_resource_group() {
        let group = ResourceGroup {
            subscription: Name::new("s"),
            name: Name::new("demo.Group"),
            uid: uid(1),
            version: 1,
            location: "eastus".to_owned(),
            tags: None,
            created_at: at(0),
            lifecycle: Lifecycle::Active,
        };
        insta::assert_snapshot!(pretty(&resource_group(&group)), @r#"
        {
          "id": "/subscriptions/s/resourceGroups/demo.Group",
          "name": "demo.Group",
          "type": "Microsoft.Resources/resourceGroups",
          "location": "eastus",
          "properties": {
            "provisioningState": "Succeeded"
          }
        }
        "#);
    }

    #[test]
    fn a_role_assignment() {
        let assignment = RoleAssignment {
            id: uid(1),
            scope: Scope::from(&names()),
            principal: uid(2),
            role: Role::Reader,
            created_at: at(0),
        };
        insta::assert_snapshot!(pretty(&role_assignment(&assignment)), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/providers/Microsoft.Authorization/roleAssignments/01010101-0101-4101-8101-010101010101",
          "name": "01010101-0101-4101-8101-010101010101",
          "type": "Microsoft.Authorization/roleAssignments",
          "properties": {
            "roleDefinitionId": "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
            "principalId": "02020202-0202-4202-8202-020202020202",
            "scope": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo",
            "createdOn": "2018-06-06T20:46:53.03Z",
            "updatedOn": "2018-06-06T20:46:53.03Z"
          }
        }
        "#);
    }

    #[test]
    fn what_each_role_allows() {
        let allowed = Role::ALL.map(permission);
        let expected = serde_json::json!([
            { "actions": ["*/read"], "notActions": [] },
            {
                "actions": ["*"],
                "notActions": [
                    "Microsoft.Authorization/*/Delete",
                    "Microsoft.Authorization/*/Write",
                ],
            },
            { "actions": ["*"], "notActions": [] },
        ]);
        assert_eq!(serde_json::to_value(allowed).unwrap(), expected);
    }
}
