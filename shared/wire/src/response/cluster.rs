//! Clusters, with the state that is derived from their nodes (docs/contract.md, "Clusters").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::mounts::MountVolumesBody;
use super::parts::{self, BatchAiError, Resource, SetupTaskBody};
use crate::{ImageReference, ids};
use model::{
    Cluster, ClusterExtensions, ClusterSpec, KeyVaultSecretReference, Node, NodeState,
    PerformanceCounters, ResourceError, ResourceId, ScaleSettings, SecretValue, SetupTask,
    Timestamp, UserAccount, VmPriority,
};
use schemars::JsonSchema;
use serde::Serialize;

/// `ClusterProperties` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Cluster", inline)]
pub struct ClusterProperties {
    #[schemars(extend("enum" = ["creating", "succeeded", "failed", "deleting"]))]
    pub provisioning_state: &'static str,
    #[schemars(extend("enum" = ["steady", "resizing"]))]
    pub allocation_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub creation_time: Timestamp,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub allocation_state_transition_time: Timestamp,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub provisioning_state_transition_time: Timestamp,
    pub vm_size: String,
    pub current_node_count: u32,
    pub node_state_counts: NodeStateCounts,
    pub vm_priority: VmPriority,
    pub scale_settings: ScaleSettings,
    pub virtual_machine_configuration: VirtualMachineConfiguration,
    pub user_account_settings: UserAccount,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_setup: Option<NodeSetupBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<ResourceId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BatchAiError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<ClusterExtensions>,
}

/// `NodeStateCounts` of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStateCounts {
    pub running_node_count: u32,
    pub idle_node_count: u32,
    pub unusable_node_count: u32,
    pub preparing_node_count: u32,
    pub leaving_node_count: u32,
}

/// `VirtualMachineConfiguration` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMachineConfiguration {
    pub image_reference: ImageReference,
}

/// `NodeSetup` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NodeSetup")]
pub struct NodeSetupBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_task: Option<SetupTaskBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_volumes: Option<MountVolumesBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_counters_settings: Option<PerformanceCounters<InstrumentationKeyBody>>,
}

/// An instrumentation key: only a reference to it is returned, never the key itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstrumentationKeyBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrumentation_key_secret_reference: Option<KeyVaultSecretReference>,
}

/// What a cluster body contains of its nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    pub states: NodeStateCounts,
    /// The errors of unusable nodes.
    pub errors: Vec<ResourceError>,
}

impl NodeCounts {
    /// A node counts as soon as its machine exists: one that is still being launched does not
    /// count, nor does one that leaves before it got a machine.
    pub fn of(nodes: &[Node]) -> Self {
        let mut counts = Self::default();
        let states = &mut counts.states;
        for node in nodes {
            match &node.state {
                NodeState::Launching { .. } | NodeState::Leaving { instance: None, .. } => {}
                NodeState::Preparing { .. } => states.preparing_node_count += 1,
                NodeState::Idle { .. } => states.idle_node_count += 1,
                NodeState::Running { .. } => states.running_node_count += 1,
                NodeState::Leaving { instance: Some(_), .. } => states.leaving_node_count += 1,
                NodeState::Unusable { error, .. } => {
                    states.unusable_node_count += 1;
                    if !counts.errors.contains(error) {
                        counts.errors.push(error.clone());
                    }
                }
            }
        }
        counts
    }
}

impl NodeStateCounts {
    /// `currentNodeCount`.
    pub fn total(self) -> u32 {
        self.running_node_count
            + self.idle_node_count
            + self.unusable_node_count
            + self.preparing_node_count
            + self.leaving_node_count
    }
}

/// The body of a cluster with these nodes.
pub fn cluster(cluster: &Cluster, nodes: &NodeCounts) -> Resource<ClusterProperties> {
    let (provisioning_state, since) = parts::provisioning(&cluster.state, cluster.created_at);
    let spec = &cluster.spec;
    let of_nodes = nodes.errors.iter().filter(|error| !cluster.errors.contains(error));
    let properties = ClusterProperties {
        provisioning_state,
        allocation_state: if cluster.allocation.resizing { "resizing" } else { "steady" },
        creation_time: cluster.created_at,
        allocation_state_transition_time: cluster.allocation.since,
        provisioning_state_transition_time: since,
        vm_size: spec.vm_size.clone(),
        current_node_count: nodes.states.total(),
        node_state_counts: nodes.states,
        vm_priority: spec.vm_priority,
        scale_settings: cluster.scale,
        virtual_machine_configuration: VirtualMachineConfiguration {
            image_reference: ImageReference::from_stored(&spec.image),
        },
        user_account_settings: spec.user_account.clone(),
        node_setup: node_setup(spec),
        subnet: spec.subnet_id.clone().map(|id| ResourceId { id }),
        errors: (cluster.errors.iter().chain(of_nodes).map(BatchAiError::from))
            .chain(spec.performance_counters.as_ref().map(|_| counters_not_collected()))
            .collect(),
        extensions: (!spec.extensions.is_empty()).then(|| spec.extensions.clone()),
    };
    Resource::child(ids::id_of_cluster(cluster), &cluster.name, ids::CLUSTER_TYPE, properties)
}

/// The cluster works; what it asked for in vain is not passed over in silence.
fn counters_not_collected() -> BatchAiError {
    BatchAiError {
        code: "PerformanceCountersNotCollected".to_owned(),
        message: "This service does not send performance counters to Application Insights; performanceCountersSettings has no effect. The nodes of the cluster show their load and that of their GPUs instead.".to_owned(),
        details: Vec::new(),
    }
}

fn node_setup(spec: &ClusterSpec) -> Option<NodeSetupBody> {
    let setup_task = spec.setup_task.as_ref().map(setup_task);
    let mount_volumes = spec.mounts.as_ref().map(MountVolumesBody::from);
    let performance_counters_settings = spec.performance_counters.clone().map(|counters| {
        counters.map_key(|key: SecretValue| InstrumentationKeyBody {
            instrumentation_key_secret_reference: key.reference().cloned(),
        })
    });
    let anything =
        setup_task.is_some() || mount_volumes.is_some() || performance_counters_settings.is_some();
    anything.then_some(NodeSetupBody { setup_task, mount_volumes, performance_counters_settings })
}

fn setup_task(task: &SetupTask) -> SetupTaskBody {
    SetupTaskBody {
        command_line: task.command_line.clone(),
        environment_variables: task.environment.clone(),
        secrets: parts::secret_names(&task.secrets),
        std_out_err_path_prefix: task.std_out_err_path_prefix.clone(),
        std_out_err_path_suffix: task.std_out_err_path_suffix.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, at, instance, node, pretty, uid};
    use model::{
        AppInsights, AzureBlobFileSystem, AzureFileShare, EnvironmentVariable, LeaveReason,
        Lifecycle, MountVolumes, SecretVariable, UnmanagedMount,
    };

    #[test]
    fn a_new_cluster() {
        insta::assert_snapshot!(pretty(&cluster(&fixtures::cluster(), &NodeCounts::of(&[]))), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/clusters/gpus",
          "name": "gpus",
          "type": "Microsoft.BatchAI/workspaces/clusters",
          "properties": {
            "provisioningState": "succeeded",
            "allocationState": "resizing",
            "creationTime": "2018-06-06T20:46:53.03Z",
            "allocationStateTransitionTime": "2018-06-06T20:46:54.03Z",
            "provisioningStateTransitionTime": "2018-06-06T20:46:53.03Z",
            "vmSize": "STANDARD_NC6",
            "currentNodeCount": 0,
            "nodeStateCounts": {
              "runningNodeCount": 0,
              "idleNodeCount": 0,
              "unusableNodeCount": 0,
              "preparingNodeCount": 0,
              "leavingNodeCount": 0
            },
            "vmPriority": "dedicated",
            "scaleSettings": {
              "manual": {
                "targetNodeCount": 1,
                "nodeDeallocationOption": "requeue"
              }
            },
            "virtualMachineConfiguration": {
              "imageReference": {
                "publisher": "Canonical",
                "offer": "UbuntuServer",
                "sku": "16.04-LTS",
                "version": "latest"
              }
            },
            "userAccountSettings": {
              "adminUserName": "demo"
            }
          }
        }
        "#);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one snapshot of a whole document")]
    fn a_cluster_that_has_everything() {
        let mut full = fixtures::cluster();
        full.spec.vm_priority = VmPriority::LowPriority;
        full.spec.subnet_id = Some("/subscriptions/0/subnets/a".to_owned());
        full.spec.setup_task = Some(SetupTask {
            command_line: "apt install -y numactl".to_owned(),
            environment: vec![EnvironmentVariable { name: "A".to_owned(), value: "1".to_owned() }],
            secrets: vec![SecretVariable {
                name: "B".to_owned(),
                value: SecretValue::Sealed("c2VhbGVk".to_owned()),
            }],
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".to_owned(),
            std_out_err_path_suffix: ids::setup_output_path_suffix(
                &full.names,
                &full.name,
                &full.uid,
            ),
        });
        full.spec.mounts = Some(MountVolumes {
            s3_buckets: Vec::new(),
            lustre_file_systems: Vec::new(),
            file_servers: vec![fixtures::file_server_mount()],
            unmanaged_file_systems: vec![UnmanagedMount {
                mount_command: "mount -t tmpfs none".to_owned(),
                relative_mount_path: "memory".to_owned(),
            }],
            azure_file_shares: vec![AzureFileShare {
                account_name: "storage".to_owned(),
                azure_file_url: "https://storage.file.core.windows.net/share".to_owned(),
                credentials: SecretValue::Sealed("c2VhbGVk".to_owned()),
                relative_mount_path: "share".to_owned(),
                file_mode: "0777".to_owned(),
                directory_mode: "0777".to_owned(),
            }],
            azure_blob_file_systems: vec![AzureBlobFileSystem {
                account_name: "storage".to_owned(),
                container_name: "data".to_owned(),
                credentials: SecretValue::Reference(fixtures::reference()),
                relative_mount_path: "data".to_owned(),
                mount_options: None,
            }],
        });
        full.spec.performance_counters = Some(PerformanceCounters {
            app_insights_reference: AppInsights {
                component: ResourceId { id: "/subscriptions/0/components/c".to_owned() },
                instrumentation_key: SecretValue::Sealed("c2VhbGVk".to_owned()),
            },
        });
        full.spec.extensions.idle_seconds_before_scale_down = Some(60);
        full.scale = ScaleSettings::AutoScale {
            minimum_node_count: 0,
            maximum_node_count: 4,
            initial_node_count: 0,
        };
        full.state = Lifecycle::Deleting { operation: uid(3), since: at(90) };
        full.errors = vec![ResourceError::new(
            "AccountCoreQuotaReached",
            "The specified account has reached core quota",
        )];
        let error = ResourceError::new("SetupTaskFailed", "The setup task failed")
            .with_detail("exitCode", "1");
        let unusable = NodeState::Unusable { instance: instance(), since: at(3), error };
        let nodes = [node(1, unusable.clone()), node(2, unusable)];
        insta::assert_snapshot!(pretty(&cluster(&full, &NodeCounts::of(&nodes))), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/clusters/gpus",
          "name": "gpus",
          "type": "Microsoft.BatchAI/workspaces/clusters",
          "properties": {
            "provisioningState": "deleting",
            "allocationState": "resizing",
            "creationTime": "2018-06-06T20:46:53.03Z",
            "allocationStateTransitionTime": "2018-06-06T20:46:54.03Z",
            "provisioningStateTransitionTime": "2018-06-06T20:48:23.03Z",
            "vmSize": "STANDARD_NC6",
            "currentNodeCount": 2,
            "nodeStateCounts": {
              "runningNodeCount": 0,
              "idleNodeCount": 0,
              "unusableNodeCount": 2,
              "preparingNodeCount": 0,
              "leavingNodeCount": 0
            },
            "vmPriority": "lowpriority",
            "scaleSettings": {
              "autoScale": {
                "minimumNodeCount": 0,
                "maximumNodeCount": 4,
                "initialNodeCount": 0
              }
            },
            "virtualMachineConfiguration": {
              "imageReference": {
                "publisher": "Canonical",
                "offer": "UbuntuServer",
                "sku": "16.04-LTS",
                "version": "latest"
              }
            },
            "userAccountSettings": {
              "adminUserName": "demo"
            },
            "nodeSetup": {
              "setupTask": {
                "commandLine": "apt install -y numactl",
                "environmentVariables": [
                  {
                    "name": "A",
                    "value": "1"
                  }
                ],
                "secrets": [
                  {
                    "name": "B"
                  }
                ],
                "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
                "stdOutErrPathSuffix": "00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/clusters/gpus/02020202-0202-4202-8202-020202020202"
              },
              "mountVolumes": {
                "azureFileShares": [
                  {
                    "accountName": "storage",
                    "azureFileUrl": "https://storage.file.core.windows.net/share",
                    "credentials": {},
                    "relativeMountPath": "share",
                    "fileMode": "0777",
                    "directoryMode": "0777"
                  }
                ],
                "azureBlobFileSystems": [
                  {
                    "accountName": "storage",
                    "containerName": "data",
                    "credentials": {},
                    "relativeMountPath": "data"
                  }
                ],
                "fileServers": [
                  {
                    "fileServer": {
                      "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs"
                    },
                    "relativeMountPath": "nfs",
                    "mountOptions": "rw"
                  }
                ],
                "unmanagedFileSystems": [
                  {
                    "mountCommand": "mount -t tmpfs none",
                    "relativeMountPath": "memory"
                  }
                ]
              },
              "performanceCountersSettings": {
                "appInsightsReference": {
                  "component": {
                    "id": "/subscriptions/0/components/c"
                  }
                }
              }
            },
            "subnet": {
              "id": "/subscriptions/0/subnets/a"
            },
            "errors": [
              {
                "code": "AccountCoreQuotaReached",
                "message": "The specified account has reached core quota"
              },
              {
                "code": "SetupTaskFailed",
                "message": "The setup task failed",
                "details": [
                  {
                    "name": "exitCode",
                    "value": "1"
                  }
                ]
              },
              {
                "code": "PerformanceCountersNotCollected",
                "message": "This service does not send performance counters to Application Insights; performanceCountersSettings has no effect. The nodes of the cluster show their load and that of their GPUs instead."
              }
            ],
            "extensions": {
              "idleSecondsBeforeScaleDown": 60
            }
          }
        }
        "#);
    }

    #[test]
    fn nodes_count_from_the_moment_they_have_a_machine() {
        let leaving = |instance| NodeState::Leaving {
            instance,
            attempt: None,
            reason: LeaveReason::Shrink,
            deadline: at(9),
        };
        let nodes = [
            node(1, NodeState::Launching { deadline: at(9) }),
            node(2, NodeState::Preparing { instance: instance(), deadline: at(9) }),
            node(3, NodeState::Idle { instance: instance(), since: at(1) }),
            node(4, NodeState::Idle { instance: instance(), since: at(1) }),
            node(5, leaving(None)),
            node(6, leaving(Some(instance()))),
        ];
        let counts = NodeCounts::of(&nodes).states;
        let expected = NodeStateCounts {
            running_node_count: 0,
            idle_node_count: 2,
            unusable_node_count: 0,
            preparing_node_count: 1,
            leaving_node_count: 1,
        };
        assert_eq!(counts, expected);
        assert_eq!(counts.total(), 4);
    }
}
