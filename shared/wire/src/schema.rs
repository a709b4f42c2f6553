//! JSON Schemas (draft 2020-12, as OpenAPI 3.1 uses it) of all bodies, by the names of the
//! contract's definitions.
//!
//! Schemas of requests are produced by the parsers (see `read`), schemas of responses by the types that
//! are serialized, so neither can differ from the service. Rules that JSON Schema cannot express (a sum,
//! a comparison of two fields) are in no schema: a body that matches its schema can still be refused.

use crate::read;
use crate::request;
use crate::response::{
    ClusterNode, ClusterProperties, ContainerProperties, EndedNodesBody, FileEntry,
    FileServerProperties, FileUpload, JobProperties, ListBody, LogTailBody, NewTokenBody,
    OperationBody, OperationEntry, Permission, PortalLinkBody, ProviderBody, RemoteLogin, Resource,
    ResourceGroupBody, RoleAssignmentBody, RoleDefinitionBody, SubscriptionBody, TenantBody,
    TokenBody, UsageBody, WorkspaceBody,
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The path of components in references.
const COMPONENTS: &str = "/components/schemas";

/// The bodies of requests, each without references to others.
pub fn requests() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("WorkspaceCreateParameters", read::schema(request::workspace)),
        ("WorkspaceUpdateParameters", read::schema(request::workspace_update)),
        ("ClusterCreateParameters", read::schema(request::cluster)),
        ("ClusterUpdateParameters", read::schema(request::cluster_update)),
        ("FileServerCreateParameters", read::schema(request::file_server)),
        ("FileUploadParameters", read::schema(request::file_uploads)),
        ("JobCreateParameters", read::schema(request::job)),
        ("ResourceGroupParameters", read::schema(request::resource_group)),
        ("ResourceGroupPatchable", read::schema(request::resource_group_update)),
        ("RoleAssignmentCreateParameters", read::schema(request::role_assignment)),
        ("TokenCreateParameters", read::schema(request::token)),
    ])
}

/// The bodies of responses and their parts, which refer to each other.
pub fn responses() -> BTreeMap<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator =
        settings.with(|settings| settings.definitions_path = COMPONENTS.into()).into_generator();
    generator.subschema_for::<ListBody<WorkspaceBody>>();
    generator.subschema_for::<ListBody<Resource<ContainerProperties>>>();
    generator.subschema_for::<ListBody<Resource<ClusterProperties>>>();
    generator.subschema_for::<ListBody<Resource<FileServerProperties>>>();
    generator.subschema_for::<ListBody<Resource<JobProperties>>>();
    generator.subschema_for::<ListBody<RemoteLogin>>();
    generator.subschema_for::<ListBody<ClusterNode>>();
    generator.subschema_for::<ListBody<EndedNodesBody>>();
    generator.subschema_for::<ListBody<FileEntry>>();
    generator.subschema_for::<ListBody<FileUpload>>();
    generator.subschema_for::<ListBody<LogTailBody>>();
    generator.subschema_for::<OperationBody>();
    generator.subschema_for::<ListBody<OperationEntry>>();
    generator.subschema_for::<ListBody<UsageBody>>();
    generator.subschema_for::<ListBody<SubscriptionBody>>();
    generator.subschema_for::<ListBody<TenantBody>>();
    generator.subschema_for::<ListBody<ProviderBody>>();
    generator.subschema_for::<ListBody<ResourceGroupBody>>();
    generator.subschema_for::<ListBody<RoleAssignmentBody>>();
    generator.subschema_for::<ListBody<RoleDefinitionBody>>();
    generator.subschema_for::<ListBody<Permission>>();
    generator.subschema_for::<ListBody<TokenBody>>();
    generator.subschema_for::<NewTokenBody>();
    generator.subschema_for::<PortalLinkBody>();
    generator.subschema_for::<crate::ErrorBody>();
    let definitions = generator.take_definitions(true);
    definitions
        .into_iter()
        .map(|(name, mut schema)| {
            simplify(&mut schema);
            (name, schema)
        })
        .collect()
}

/// Corrects what the generator cannot know: a field without a value is absent, never `null`
/// (docs/contract.md, "REST conventions"); clients ignore unknown fields; integers have the formats of
/// the contract; comments in the code are not descriptions for users.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            keywords.retain(|keyword, value| match keyword.as_str() {
                "additionalProperties" | "unevaluatedProperties" => *value != Value::Bool(false),
                "description" => !value.is_string(),
                _ => true,
            });
            without_null(keywords);
            let format = keywords.get("format").and_then(Value::as_str);
            match format.map(str::to_owned).as_deref() {
                Some("uint16" | "uint32") => keywords.insert("format".to_owned(), "int32".into()),
                Some("uint64") => keywords.insert("format".to_owned(), "int64".into()),
                _ => None,
            };
            keywords.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

fn without_null(keywords: &mut Map<String, Value>) {
    if let Some(Value::Array(words)) = keywords.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(types)) = keywords.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            keywords.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = keywords.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            keywords.remove("anyOf");
            keywords.extend(only);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All references in a schema.
    fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
        match schema {
            Value::Object(keywords) => {
                found.extend(keywords.get("$ref").and_then(Value::as_str));
                keywords.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_has_a_component() {
        let responses = responses();
        let mut found = Vec::new();
        responses.values().for_each(|schema| references(schema, &mut found));
        assert!(!found.is_empty());
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").expect(reference);
            assert!(responses.contains_key(name), "{name}");
        }
        let requests = requests();
        let mut found = Vec::new();
        requests.values().for_each(|schema| references(schema, &mut found));
        assert!(found.is_empty(), "{found:?}");
        assert!(requests.keys().all(|name| !responses.contains_key(*name)));
    }

    #[test]
    fn no_response_has_a_null_or_is_closed() {
        let text = serde_json::to_string(&responses()).unwrap();
        assert!(!text.contains("null"), "{text}");
        assert!(!text.contains("\"additionalProperties\":false"), "{text}");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one snapshot of a whole document")]
    fn the_components_of_responses() {
        let names: Vec<String> = responses().into_keys().collect();
        insta::assert_snapshot!(names.join("\n"), @"
        AppInsightsReference
        AttemptView
        AzureBlobFileSystemReference
        AzureFileShareReference
        AzureStorageCredentialsInfo
        BatchAIError
        CNTKsettings
        Caffe2Settings
        CaffeSettings
        ChainerSettings
        CloudError
        CloudErrorBody
        Cluster
        ClusterExtensions
        ClusterListResult
        ClusterNode
        ClusterNodeListResult
        Constraints
        ContainerSettings
        CustomMpiSettings
        CustomToolkitSettings
        DataDisks
        DeletionError
        EarlyStopping
        EndedNodes
        EndedNodesListResult
        EnvironmentVariable
        EnvironmentVariableWithSecretValue
        ExecutionInfo
        Experiment
        ExperimentListResult
        File
        FileListResult
        FileProperties
        FileServer
        FileServerExtensions
        FileServerListResult
        FileServerReference
        FileUpload
        FileUploadListResult
        GpuMetrics
        HorovodSettings
        ImageReference
        ImageSourceRegistry
        InputDirectory
        Job
        JobExtensions
        JobListResult
        JobPreparation
        KeyVaultSecretReference
        LogTail
        LogTailListResult
        LustreFileSystemReference
        Metric
        MetricPoint
        MountExtensions
        MountSettings
        MountVolumes
        NameValuePair
        NewToken
        NodeExtensions
        NodeId
        NodeSetup
        NodeStateCounts
        Objective
        Operation
        OperationDisplay
        OperationError
        OperationListResult
        OperationProperties
        OperationResult
        OutputDirectory
        PerformanceCountersSettings
        Permission
        PermissionListResult
        PortalLink
        PrivateRegistryCredentials
        Provider
        ProviderListResult
        ProviderResourceType
        PyTorchSettings
        RemoteLoginInformation
        RemoteLoginInformationListResult
        ResourceGroup
        ResourceGroupListResult
        ResourceGroupProperties
        ResourceId
        RoleAssignment
        RoleAssignmentListResult
        RoleAssignmentProperties
        RoleDefinition
        RoleDefinitionListResult
        RoleDefinitionProperties
        S3BucketReference
        ScaleSettings
        SetupTask
        SshConfiguration
        Subscription
        SubscriptionListResult
        Sweep
        SweepParameter
        TenantIdDescription
        TenantIdDescriptionListResult
        TensorFlowSettings
        Token
        TokenListResult
        UnmanagedFileSystemReference
        Usage
        UsageListResult
        UsageName
        UserAccountSettings
        VirtualMachineConfiguration
        WaitingReason
        Workspace
        WorkspaceListResult
        ");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one snapshot of a whole document")]
    fn a_request() {
        let schema = &requests()["ClusterUpdateParameters"];
        insta::assert_snapshot!(serde_json::to_string_pretty(schema).unwrap(), @r#"
        {
          "properties": {
            "properties": {
              "anyOf": [
                {
                  "required": [
                    "scaleSettings"
                  ]
                },
                {
                  "required": [
                    "extensions"
                  ]
                }
              ],
              "properties": {
                "extensions": {
                  "properties": {
                    "alternateVmSizes": {
                      "items": {
                        "pattern": "^([Ss][Tt][Aa][Nn][Dd][Aa][Rr][Dd]_[A-Za-z]{1,3}[0-9]{1,3}[A-Za-z0-9-]{0,16}(_[A-Za-z0-9_]{1,16})?|[A-Za-z][A-Za-z-]{0,15}[0-9][A-Za-z0-9-]{0,15}\\.([Nn][Aa][Nn][Oo]|[Mm][Ii][Cc][Rr][Oo]|[Ss][Mm][Aa][Ll][Ll]|[Mm][Ee][Dd][Ii][Uu][Mm]|([0-9]{0,3}[Xx])?[Ll][Aa][Rr][Gg][Ee]|[Mm][Ee][Tt][Aa][Ll](-[0-9]{1,3}[Xx][Ll])?))$",
                        "type": "string"
                      },
                      "maxItems": 10,
                      "type": "array",
                      "uniqueItems": true
                    },
                    "capacityReservation": {
                      "pattern": "^(cr-[0-9a-f]{8,17}|arn:aws[a-z-]{0,12}:resource-groups:[a-z0-9-]{1,24}:[0-9]{12}:group/[A-Za-z0-9_.-]{1,128})$",
                      "type": "string"
                    },
                    "idleSecondsBeforeScaleDown": {
                      "maximum": 86400,
                      "minimum": 0,
                      "type": "integer"
                    },
                    "replaceOnRebalance": {
                      "type": "boolean"
                    },
                    "securityGroups": {
                      "items": {
                        "pattern": "^sg-[0-9a-f]{8,17}$",
                        "type": "string"
                      },
                      "maxItems": 4,
                      "type": "array",
                      "uniqueItems": true
                    }
                  },
                  "type": "object"
                },
                "scaleSettings": {
                  "oneOf": [
                    {
                      "required": [
                        "manual"
                      ]
                    },
                    {
                      "required": [
                        "autoScale"
                      ]
                    }
                  ],
                  "properties": {
                    "autoScale": {
                      "properties": {
                        "initialNodeCount": {
                          "maximum": 100,
                          "minimum": 0,
                          "type": "integer"
                        },
                        "maximumNodeCount": {
                          "maximum": 100,
                          "minimum": 0,
                          "type": "integer"
                        },
                        "minimumNodeCount": {
                          "maximum": 100,
                          "minimum": 0,
                          "type": "integer"
                        }
                      },
                      "required": [
                        "minimumNodeCount",
                        "maximumNodeCount"
                      ],
                      "type": "object"
                    },
                    "manual": {
                      "properties": {
                        "nodeDeallocationOption": {
                          "enum": [
                            "requeue",
                            "terminate",
                            "waitforjobcompletion"
                          ],
                          "type": "string"
                        },
                        "targetNodeCount": {
                          "maximum": 100,
                          "minimum": 0,
                          "type": "integer"
                        }
                      },
                      "required": [
                        "targetNodeCount"
                      ],
                      "type": "object"
                    }
                  },
                  "type": "object"
                }
              },
              "type": "object"
            }
          },
          "required": [
            "properties"
          ],
          "type": "object"
        }
        "#);
    }

    #[test]
    fn a_response() {
        let schema = &responses()["FileListResult"];
        insta::assert_snapshot!(serde_json::to_string_pretty(schema).unwrap(), @r##"
        {
          "properties": {
            "nextLink": {
              "type": "string"
            },
            "value": {
              "items": {
                "$ref": "#/components/schemas/File"
              },
              "type": "array"
            }
          },
          "required": [
            "value"
          ],
          "type": "object"
        }
        "##);
    }
}
