//! File servers (docs/contract.md, "File servers").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts::{self, Resource};
use crate::ids;
use model::{DataRetention, FileServer, FileServerState, ResourceId, Timestamp, UserAccount};
use schemars::JsonSchema;
use serde::Serialize;

/// The addresses of a file server, which are not in its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileServerView {
    /// The exported directory of the server; `/data` in the Batch AI service.
    pub mount_point: String,
    pub public_ip: String,
    pub internal_ip: String,
    /// Its directory, when the service runs on the user's own machine.
    pub local_path: Option<String>,
}

/// `FileServerProperties` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FileServer", inline)]
pub struct FileServerProperties {
    #[schemars(extend("enum" = ["creating", "updating", "deleting", "succeeded", "failed"]))]
    pub provisioning_state: &'static str,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub creation_time: Timestamp,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub provisioning_state_transition_time: Timestamp,
    pub vm_size: String,
    pub ssh_configuration: SshConfiguration,
    pub data_disks: DataDisks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<ResourceId>,
    /// Present as soon as the server can be mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_settings: Option<MountSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<FileServerExtensions>,
}

/// `SshConfiguration` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SshConfiguration {
    #[serde(rename = "publicIPsToAllow", skip_serializing_if = "Option::is_none")]
    pub public_ips_to_allow: Option<Vec<String>>,
    pub user_account_settings: UserAccount,
}

/// `DataDisks` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataDisks {
    #[serde(rename = "diskSizeInGB")]
    pub disk_size_in_gb: u32,
    #[schemars(extend("enum" = ["none", "readonly", "readwrite"]))]
    pub caching_type: String,
    pub disk_count: u32,
    #[schemars(extend("enum" = ["Standard_LRS", "Premium_LRS"]))]
    pub storage_account_type: String,
}

/// `MountSettings` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MountSettings {
    pub mount_point: String,
    #[serde(rename = "fileServerPublicIP")]
    pub file_server_public_ip: String,
    #[serde(rename = "fileServerInternalIP")]
    pub file_server_internal_ip: String,
}

/// Fields beyond the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileServerExtensions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    /// What becomes of its files when it is deleted, unless they are deleted too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_retention: Option<DataRetention>,
    /// The directory of the kept files after the deletion, in the root of the file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_directory: Option<String>,
    /// Why its files could not be removed at the last try. The deletion is retried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_error: Option<DeletionError>,
}

/// Why the files of a file server could not be removed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionError {
    pub code: String,
    pub message: String,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub next_try: Timestamp,
}

/// The body of a file server.
pub fn file_server(server: &FileServer, view: &FileServerView) -> Resource<FileServerProperties> {
    let (provisioning_state, since, usable) = match server.state {
        FileServerState::Creating { since, .. } => ("creating", since, false),
        FileServerState::Ready { since } => ("succeeded", since, true),
        FileServerState::Failed { since } => ("failed", since, false),
        FileServerState::Deleting { since, .. } => ("deleting", since, true),
    };
    let spec = &server.spec;
    let mount_settings = || MountSettings {
        mount_point: view.mount_point.clone(),
        file_server_public_ip: view.public_ip.clone(),
        file_server_internal_ip: view.internal_ip.clone(),
    };
    let properties = FileServerProperties {
        provisioning_state,
        creation_time: server.created_at,
        provisioning_state_transition_time: since,
        vm_size: spec.vm_size.clone(),
        ssh_configuration: SshConfiguration {
            public_ips_to_allow: spec.public_ips_to_allow.clone(),
            user_account_settings: spec.user_account.clone(),
        },
        data_disks: DataDisks {
            disk_size_in_gb: spec.disk_size_in_gb,
            caching_type: spec.caching_type.clone(),
            disk_count: spec.disk_count,
            storage_account_type: spec.storage_account_type.clone(),
        },
        subnet: spec.subnet_id.clone().map(|id| ResourceId { id }),
        mount_settings: usable.then(mount_settings),
        extensions: extensions(server, view),
    };
    let id = ids::file_server_id(&server.names, &server.name);
    Resource::child(id, &server.name, ids::FILE_SERVER_TYPE, properties)
}

fn extensions(server: &FileServer, view: &FileServerView) -> Option<FileServerExtensions> {
    let deletion_error = server.error.clone().map(|error| DeletionError {
        code: error.code,
        message: error.message,
        next_try: server.removal.not_before,
    });
    let local_path = view.local_path.clone();
    let keeps = server.spec.data_retention == DataRetention::Keep;
    let there = local_path.is_some() || deletion_error.is_some() || keeps;
    there.then(|| FileServerExtensions {
        local_path,
        data_retention: keeps.then_some(DataRetention::Keep),
        kept_directory: keeps.then(|| server.kept_directory()),
        deletion_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, at, pretty};

    fn view(local_path: Option<&str>) -> FileServerView {
        FileServerView {
            mount_point: "/data".to_owned(),
            public_ip: "127.0.0.1".to_owned(),
            internal_ip: "10.0.0.4".to_owned(),
            local_path: local_path.map(str::to_owned),
        }
    }

    #[test]
    fn a_file_server_that_is_being_created_has_no_mount_settings() {
        insta::assert_snapshot!(pretty(&file_server(&fixtures::file_server(), &view(None))), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs",
          "name": "nfs",
          "type": "Microsoft.BatchAI/workspaces/fileservers",
          "properties": {
            "provisioningState": "creating",
            "creationTime": "2018-06-06T20:46:53.03Z",
            "provisioningStateTransitionTime": "2018-06-06T20:46:53.03Z",
            "vmSize": "STANDARD_D1",
            "sshConfiguration": {
              "userAccountSettings": {
                "adminUserName": "demo"
              }
            },
            "dataDisks": {
              "diskSizeInGB": 10,
              "cachingType": "none",
              "diskCount": 2,
              "storageAccountType": "Standard_LRS"
            }
          }
        }
        "#);
    }

    #[test]
    fn a_file_server_that_can_be_used() {
        let mut server = fixtures::file_server();
        server.state = FileServerState::Ready { since: at(5) };
        server.spec.subnet_id = Some("/subscriptions/0/subnets/Subnet-1".to_owned());
        server.spec.user_account.admin_user_ssh_public_key = Some("ssh-rsa AAAA".to_owned());
        insta::assert_snapshot!(pretty(&file_server(&server, &view(Some("/srv/nfs")))), @r#"
        {
          "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/fileservers/nfs",
          "name": "nfs",
          "type": "Microsoft.BatchAI/workspaces/fileservers",
          "properties": {
            "provisioningState": "succeeded",
            "creationTime": "2018-06-06T20:46:53.03Z",
            "provisioningStateTransitionTime": "2018-06-06T20:46:58.03Z",
            "vmSize": "STANDARD_D1",
            "sshConfiguration": {
              "userAccountSettings": {
                "adminUserName": "demo",
                "adminUserSshPublicKey": "ssh-rsa AAAA"
              }
            },
            "dataDisks": {
              "diskSizeInGB": 10,
              "cachingType": "none",
              "diskCount": 2,
              "storageAccountType": "Standard_LRS"
            },
            "subnet": {
              "id": "/subscriptions/0/subnets/Subnet-1"
            },
            "mountSettings": {
              "mountPoint": "/data",
              "fileServerPublicIP": "127.0.0.1",
              "fileServerInternalIP": "10.0.0.4"
            },
            "extensions": {
              "localPath": "/srv/nfs"
            }
          }
        }
        "#);
    }
}
