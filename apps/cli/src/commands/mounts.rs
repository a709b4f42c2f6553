//! The options that mount a file server, an Azure file share or an Azure storage container, as in the
//! Azure CLI: on the nodes of a cluster, or for one job.

use super::azure_storage::{AzureStorage, PLACEHOLDER};
use crate::client::Address;
use crate::context::Context;
use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

#[derive(Args)]
#[command(next_help_heading = "Mounts")]
pub struct MountArguments {
    /// File server to mount: a name in this workspace, or a resource id
    #[arg(long, value_name = "FILE SERVER")]
    nfs: Option<String>,
    /// Mount path of --nfs, relative to the mount root
    #[arg(long, value_name = "PATH", default_value = "nfs", requires = "nfs")]
    nfs_mount_path: String,
    /// Azure file share to mount
    #[arg(long, value_name = "SHARE")]
    afs_name: Option<String>,
    /// Mount path of --afs-name, relative to the mount root
    #[arg(long, value_name = "PATH", default_value = "afs", requires = "afs_name")]
    afs_mount_path: String,
    /// Azure storage container to mount
    #[arg(long, value_name = "CONTAINER")]
    bfs_name: Option<String>,
    /// Mount path of --bfs-name, relative to the mount root
    #[arg(long, value_name = "PATH", default_value = "bfs", requires = "bfs_name")]
    bfs_mount_path: String,
    /// Azure storage account of --afs-name, of --bfs-name, and of a file that does not name it, as the
    /// published recipes
    ///
    /// A service on this machine needs neither account nor key.
    #[arg(
        long,
        value_name = "NAME",
        env = "AZURE_BATCHAI_STORAGE_ACCOUNT",
        hide_env_values = true
    )]
    storage_account_name: Option<String>,
    /// Key of the storage account [default: AZURE_BATCHAI_STORAGE_KEY, which a process list does not show]
    #[arg(long, value_name = "KEY")]
    storage_account_key: Option<String>,
}

impl MountArguments {
    /// Adds the mounts to `owner`, the properties of a job or the `nodeSetup` of a cluster, and fills in
    /// the storage account that the file leaves out. Without mounts, `owner` stays as it is.
    ///
    /// # Errors
    /// When a storage account or its key is needed and unknown.
    pub fn apply(
        &self,
        owner: &mut Value,
        file_servers: &Address,
        context: &Context,
    ) -> Result<()> {
        let storage = AzureStorage {
            account: self.storage_account_name.as_deref(),
            key: self.storage_account_key.as_deref().or(context.storage_key.as_deref()),
            is_local: context.client.is_local(),
        };
        self.add(owner, file_servers);
        storage.fill(owner)
    }

    fn add(&self, owner: &mut Value, file_servers: &Address) {
        if let Some(server) = &self.nfs {
            let id = match server.starts_with('/') {
                true => server.clone(),
                false => file_servers.join(&[server]).to_string(),
            };
            append(
                owner,
                "fileServers",
                json!({
                    "fileServer": { "id": id },
                    "relativeMountPath": self.nfs_mount_path,
                    "mountOptions": "rw",
                }),
            );
        }
        if let Some(share) = &self.afs_name {
            append(
                owner,
                "azureFileShares",
                json!({
                    "azureFileUrl": format!("https://{PLACEHOLDER}.file.core.windows.net/{share}"),
                    "relativeMountPath": self.afs_mount_path,
                }),
            );
        }
        if let Some(container) = &self.bfs_name {
            append(
                owner,
                "azureBlobFileSystems",
                json!({
                    "accountName": PLACEHOLDER,
                    "containerName": container,
                    "relativeMountPath": self.bfs_mount_path,
                }),
            );
        }
    }
}

/// The mounts of a file stay.
fn append(owner: &mut Value, list: &str, mount: Value) {
    if owner.is_null() {
        *owner = json!({});
    }
    let mounts = &mut owner["mountVolumes"][list];
    match mounts.as_array_mut() {
        Some(mounts) => mounts.push(mount),
        None => *mounts = json!([mount]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        mounts: MountArguments,
    }

    #[test]
    fn options_add_mounts_to_those_of_the_file() {
        let line = "x --nfs data --nfs-mount-path d --afs-name logs --bfs-name images";
        let Line { mounts } = Line::try_parse_from(line.split(' ')).unwrap();
        let mut owner =
            json!({ "mountVolumes": { "fileServers": [{ "relativeMountPath": "a" }] } });
        mounts.add(&mut owner, &Address::of_id("/w/fileServers"));
        let storage = AzureStorage { account: Some("lab"), key: Some("a2V5"), is_local: false };
        storage.fill(&mut owner).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&owner["mountVolumes"]).unwrap(), @r#"
        {
          "azureBlobFileSystems": [
            {
              "accountName": "lab",
              "containerName": "images",
              "credentials": {
                "accountKey": "a2V5"
              },
              "relativeMountPath": "bfs"
            }
          ],
          "azureFileShares": [
            {
              "accountName": "lab",
              "azureFileUrl": "https://lab.file.core.windows.net/logs",
              "credentials": {
                "accountKey": "a2V5"
              },
              "relativeMountPath": "afs"
            }
          ],
          "fileServers": [
            {
              "relativeMountPath": "a"
            },
            {
              "fileServer": {
                "id": "/w/fileServers/data"
              },
              "mountOptions": "rw",
              "relativeMountPath": "d"
            }
          ]
        }
        "#);
    }

    #[test]
    fn without_options_nothing_changes() {
        let Line { mounts } = Line::try_parse_from(["x"]).unwrap();
        let mut owner = Value::Null;
        mounts.add(&mut owner, &Address::of_id("/w/fileServers"));
        assert_eq!(owner, Value::Null);
        assert!(Line::try_parse_from(["x", "--afs-mount-path", "p"]).is_err());
    }
}
