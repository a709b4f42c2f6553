//! `batchai cluster create`: builds the body from a file and options.

use crate::client::Address;
use crate::commands::account::AccountArguments;
use crate::commands::azure_storage::AzureStorage;
use crate::commands::{print_changed, read_description};
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use crate::resources::Cluster;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;

pub const HELP: &str = "\
Without --target, --min and --max, the cluster scales between 0 and 4 nodes. `batchai local` runs
every node on this machine; --vm-size counts against the core quota.

Examples:
  batchai cluster create spot --vm-priority lowpriority --min 0 --max 4 --nfs nfs
  batchai cluster create fixed --target 2 --nfs nfs --nfs-mount-path data
  batchai cluster create other -f cluster.json --target 1

Jobs find the file server in $AZ_BATCHAI_MOUNT_ROOT/nfs, or in the path of --nfs-mount-path.";

#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// JSON file {"properties": {…}}; other options override it
    #[arg(short = 'f', long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Machine size [default: STANDARD_NC6]
    #[arg(short = 's', long, value_name = "SIZE")]
    vm_size: Option<String>,
    /// Dedicated or spot instances; jobs run again after an interruption [default: dedicated]
    #[arg(long, value_name = "PRIORITY")]
    vm_priority: Option<Priority>,
    /// Fixed number of nodes
    #[arg(short, long, value_name = "N", conflicts_with_all = ["min", "max"])]
    target: Option<u32>,
    /// Minimum number of nodes [default: 0]
    #[arg(long, value_name = "N")]
    min: Option<u32>,
    /// Maximum number of nodes [default: 4]
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// File server to mount: a name in this workspace, or a resource id
    #[arg(long, value_name = "FILE SERVER")]
    nfs: Option<String>,
    /// Mount path, relative to $AZ_BATCHAI_MOUNT_ROOT
    #[arg(long, value_name = "PATH", default_value = "nfs", requires = "nfs")]
    nfs_mount_path: String,
    /// Azure storage account of a configuration file that does not name it; its key is in
    /// AZURE_BATCHAI_STORAGE_KEY
    #[arg(long, value_name = "NAME", env = "AZURE_BATCHAI_STORAGE_ACCOUNT")]
    storage_account_name: Option<String>,
    /// Set-up task: a command that every node runs before its first job
    #[arg(long, value_name = "COMMAND", requires = "setup_task_output")]
    setup_task: Option<String>,
    /// Directory for the output of the set-up task, such as '$AZ_BATCHAI_MOUNT_ROOT/nfs'
    #[arg(long, value_name = "PATH", requires = "setup_task")]
    setup_task_output: Option<String>,
    #[command(flatten)]
    account: AccountArguments,
    /// Resource id of a subnet
    #[arg(long, value_name = "ID")]
    subnet: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Priority {
    Dedicated,
    #[value(name = "lowpriority", alias = "low-priority")]
    LowPriority,
}

pub async fn run(context: &Context, arguments: CreateArguments) -> Result<Exit> {
    let address = context.scope.clusters()?.join(&[&arguments.name]);
    let description = match &arguments.config_file {
        Some(file) => read_description(file)?,
        None => json!({ "properties": {} }),
    };
    let mut body = body(description, &arguments, &context.scope.file_servers()?)?;
    if let Some(setup) = body["properties"].get_mut("nodeSetup") {
        AzureStorage::of(context, arguments.storage_account_name.as_deref()).fill(setup)?;
    }
    print_changed::<Cluster>(context, context.client.put(&address, &body).await?)
}

/// The content of the file, overridden by the options, with defaults for the rest.
fn body(mut body: Value, arguments: &CreateArguments, file_servers: &Address) -> Result<Value> {
    let properties = &mut body["properties"];
    set(&mut properties["vmSize"], arguments.vm_size.as_deref().map(Value::from), "STANDARD_NC6");
    let priority = arguments.vm_priority.map(|priority| match priority {
        Priority::Dedicated => Value::from("dedicated"),
        Priority::LowPriority => Value::from("lowpriority"),
    });
    set(&mut properties["vmPriority"], priority, "dedicated");
    arguments.account.fill(&mut properties["userAccountSettings"])?;
    let scale = match (arguments.target, arguments.min, arguments.max) {
        (Some(target), _, _) => Some(json!({ "manual": { "targetNodeCount": target } })),
        (None, None, None) => None,
        (None, min, max) => Some(auto_scale(min.unwrap_or(0), max.unwrap_or(4))),
    };
    set(&mut properties["scaleSettings"], scale, auto_scale(0, 4));
    if let Some(server) = &arguments.nfs {
        let id = if server.starts_with('/') {
            server.clone()
        } else {
            file_servers.join(&[server]).to_string()
        };
        properties["nodeSetup"]["mountVolumes"]["fileServers"] = json!([{
            "fileServer": { "id": id },
            "relativeMountPath": arguments.nfs_mount_path,
            "mountOptions": "rw",
        }]);
    }
    if let (Some(command), Some(output)) = (&arguments.setup_task, &arguments.setup_task_output) {
        properties["nodeSetup"]["setupTask"] =
            json!({ "commandLine": command, "stdOutErrPathPrefix": output });
    }
    if let Some(subnet) = &arguments.subnet {
        properties["subnet"] = json!({ "id": subnet });
    }
    Ok(body)
}

/// Sets a field to the value of an option; without an option, a missing field to its default.
fn set(field: &mut Value, option: Option<Value>, default: impl Into<Value>) {
    if let Some(value) = option {
        *field = value;
    } else if field.is_null() {
        *field = default.into();
    }
}

fn auto_scale(min: u32, max: u32) -> Value {
    json!({ "autoScale": { "minimumNodeCount": min, "maximumNodeCount": max } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Scope;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: CreateArguments,
    }

    fn properties_from(description: Value, line: &str) -> String {
        let words = ["create"].into_iter().chain(line.split_whitespace());
        let Line { arguments } = Line::try_parse_from(words).unwrap();
        let scope = Scope {
            subscription: "s".to_owned(),
            resource_group: "g".to_owned(),
            workspace: Some("w".to_owned()),
            experiment: None,
        };
        let mut body = body(description, &arguments, &scope.file_servers().unwrap()).unwrap();
        if let Some(password) =
            body["properties"]["userAccountSettings"].get_mut("adminUserPassword")
        {
            *password = json!("(random)");
        }
        serde_json::to_string_pretty(&body["properties"]).unwrap()
    }

    #[test]
    fn every_field_has_a_default() {
        insta::assert_snapshot!(properties_from(json!({ "properties": {} }), "c"), @r#"
        {
          "scaleSettings": {
            "autoScale": {
              "maximumNodeCount": 4,
              "minimumNodeCount": 0
            }
          },
          "userAccountSettings": {
            "adminUserName": "batchai",
            "adminUserPassword": "(random)"
          },
          "vmPriority": "dedicated",
          "vmSize": "STANDARD_NC6"
        }
        "#);
    }

    #[test]
    fn options_override_the_file() {
        let file = json!({ "properties": {
            "vmSize": "STANDARD_D2",
            "scaleSettings": { "manual": { "targetNodeCount": 1 } },
            "userAccountSettings": { "adminUserName": "alice" },
        }});
        let line = "c --max 8 --vm-priority lowpriority --nfs data --nfs-mount-path d";
        insta::assert_snapshot!(properties_from(file, line), @r#"
        {
          "nodeSetup": {
            "mountVolumes": {
              "fileServers": [
                {
                  "fileServer": {
                    "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/fileServers/data"
                  },
                  "mountOptions": "rw",
                  "relativeMountPath": "d"
                }
              ]
            }
          },
          "scaleSettings": {
            "autoScale": {
              "maximumNodeCount": 8,
              "minimumNodeCount": 0
            }
          },
          "userAccountSettings": {
            "adminUserName": "alice",
            "adminUserPassword": "(random)"
          },
          "vmPriority": "lowpriority",
          "vmSize": "STANDARD_D2"
        }
        "#);
    }
}
