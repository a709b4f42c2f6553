//! `batchai cluster create`: builds the body from a file and options.

use super::image::{self, Image};
use crate::commands::account::AccountArguments;
use crate::commands::mounts::MountArguments;
use crate::commands::no_wait::NoWait;
use crate::commands::print_changed;
use crate::context::Context;
use crate::description::{CheckArguments, Description, Kind};
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use crate::vm_size;
use anyhow::Result;
use clap::{Args, ValueEnum};
use resources::Cluster;
use serde_json::{Value, json};
use std::path::PathBuf;

pub const HELP: &str = "\
Without --target, --min and --max, the cluster scales between 0 and 4 nodes. `batchai local` runs
every node on this machine; --vm-size counts against the core quota.

Examples:
  batchai cluster create spot --vm-priority lowpriority --min 0 --max 4 --nfs nfs
  batchai cluster create fixed --target 2 --nfs nfs --nfs-mount-path data
  batchai cluster create other -f cluster.json --target 1
  batchai cluster create gpus --vm-size g5.xlarge --alternate-vm-sizes g6.xlarge,g4dn.xlarge
  batchai cluster create --vm-size '?'

Jobs find the file server in $AZ_BATCHAI_MOUNT_ROOT/nfs, or in the path of --nfs-mount-path.";

#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// JSON file {"properties": {…}}; other options override it
    #[arg(short = 'f', long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    check: CheckArguments,
    /// Machine size; '?' lists the sizes [default: STANDARD_NC6]
    #[arg(short = 's', long, value_name = "SIZE", value_parser = vm_size::parse_or_ask)]
    vm_size: Option<String>,
    /// Sizes to use where the first one is not available, separated by commas
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = vm_size::parse)]
    alternate_vm_sizes: Vec<String>,
    /// Dedicated or spot instances; jobs run again after an interruption [default: dedicated]
    #[arg(long, value_name = "PRIORITY")]
    vm_priority: Option<Priority>,
    /// Fixed number of nodes; with --min or --max, the number to start with
    #[arg(short, long, value_name = "N")]
    target: Option<u32>,
    /// Minimum number of nodes [default: 0]
    #[arg(long, value_name = "N")]
    min: Option<u32>,
    /// Maximum number of nodes [default: 4]
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// Set-up task: a command that every node runs before its first job
    #[arg(long, value_name = "COMMAND", requires = "setup_task_output")]
    setup_task: Option<String>,
    /// Directory for the output of the set-up task, such as '$AZ_BATCHAI_MOUNT_ROOT/nfs'
    #[arg(long, value_name = "PATH", requires = "setup_task")]
    setup_task_output: Option<String>,
    /// Image of the nodes: UbuntuLTS, UbuntuDSVM or publisher:offer:sku:version
    #[arg(short, long, value_parser = image::parse)]
    image: Option<Image>,
    /// Resource id of a machine image
    #[arg(long, value_name = "ID", requires = "image")]
    custom_image: Option<String>,
    #[command(flatten)]
    mounts: MountArguments,
    #[command(flatten)]
    account: AccountArguments,
    /// Resource id of a subnet; on AWS, the id of a subnet in the VPC of the stack
    #[arg(long, value_name = "ID")]
    subnet: Option<String>,
    /// Security group of EC2 for the nodes, besides the one of the stack; may be repeated
    #[arg(long, value_name = "ID")]
    security_group: Vec<String>,
    /// Capacity reservation of EC2, or the ARN of a resource group of reservations, that nodes use
    #[arg(long, value_name = "ID")]
    capacity_reservation: Option<String>,
    /// Replace a spot node when EC2 recommends it, before it is interrupted
    #[arg(long)]
    replace_on_rebalance: bool,
    #[command(flatten)]
    no_wait: NoWait,
}

#[derive(Clone, Copy, ValueEnum)]
enum Priority {
    Dedicated,
    #[value(name = "lowpriority", alias = "low-priority")]
    LowPriority,
}

pub async fn run(context: &Context, arguments: CreateArguments) -> Result<Exit> {
    let address = context.scope.clusters()?.join(&[&arguments.name]);
    let description = arguments.config_file.as_deref();
    let description = description
        .map(|file| Description::read(file, Kind::Cluster, arguments.check))
        .transpose()?;
    let described = match &description {
        Some(description) => description.body.clone(),
        None => json!({ "properties": {} }),
    };
    let mut body = body(described, &arguments)?;
    let mut setup = body["properties"]["nodeSetup"].take();
    arguments.mounts.apply(&mut setup, &context.scope.file_servers()?, context)?;
    match setup {
        Value::Null => body["properties"].as_object_mut().map(|it| it.remove("nodeSetup")),
        setup => body["properties"].as_object_mut().map(|it| it.insert("nodeSetup".into(), setup)),
    };
    if let Some(description) = &description {
        description.check(&body)?;
    }
    let created = arguments.no_wait.put(&context.client, &address, &body).await?;
    print_changed::<Cluster>(context, created)
}

/// The content of the file, overridden by the options, with defaults for the rest.
fn body(mut body: Value, arguments: &CreateArguments) -> Result<Value> {
    let properties = &mut body["properties"];
    set(&mut properties["vmSize"], arguments.vm_size.as_deref().map(Value::from), "STANDARD_NC6");
    let priority = arguments.vm_priority.map(|priority| match priority {
        Priority::Dedicated => Value::from("dedicated"),
        Priority::LowPriority => Value::from("lowpriority"),
    });
    set(&mut properties["vmPriority"], priority, "dedicated");
    arguments.account.fill(&mut properties["userAccountSettings"])?;
    let scale = match (arguments.target, arguments.min, arguments.max) {
        (Some(target), None, None) => Some(json!({ "manual": { "targetNodeCount": target } })),
        (None, None, None) => None,
        (initial, min, max) => {
            let mut scale = auto_scale(min.unwrap_or(0), max.unwrap_or(4));
            if let Some(initial) = initial {
                scale["autoScale"]["initialNodeCount"] = json!(initial);
            }
            Some(scale)
        }
    };
    set(&mut properties["scaleSettings"], scale, auto_scale(0, 4));
    if let Some(image) = &arguments.image {
        let mut reference = image.body();
        if let Some(id) = &arguments.custom_image {
            reference["virtualMachineImageId"] = json!(id);
        }
        properties["virtualMachineConfiguration"] = json!({ "imageReference": reference });
    }
    if let (Some(command), Some(output)) = (&arguments.setup_task, &arguments.setup_task_output) {
        properties["nodeSetup"]["setupTask"] =
            json!({ "commandLine": command, "stdOutErrPathPrefix": output });
    }
    if let Some(subnet) = &arguments.subnet {
        properties["subnet"] = json!({ "id": subnet });
    }
    arguments.extend(&mut properties["extensions"]);
    if properties["extensions"].is_null() {
        properties.as_object_mut().map(|it| it.remove("extensions"));
    }
    Ok(body)
}

impl CreateArguments {
    /// Sets the extensions that were given as options.
    fn extend(&self, extensions: &mut Value) {
        if !self.alternate_vm_sizes.is_empty() {
            extensions["alternateVmSizes"] = json!(self.alternate_vm_sizes);
        }
        if !self.security_group.is_empty() {
            extensions["securityGroups"] = json!(self.security_group);
        }
        if let Some(reservation) = &self.capacity_reservation {
            extensions["capacityReservation"] = json!(reservation);
        }
        if self.replace_on_rebalance {
            extensions["replaceOnRebalance"] = json!(true);
        }
    }
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
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: CreateArguments,
    }

    fn properties_from(description: Value, line: &str) -> String {
        let words = ["create"].into_iter().chain(line.split_whitespace());
        let Line { arguments } = Line::try_parse_from(words).unwrap();
        let mut body = body(description, &arguments).unwrap();
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
        let line = "c --max 8 -t 2 --vm-priority lowpriority -i UbuntuLTS --custom-image /i";
        insta::assert_snapshot!(properties_from(file, line), @r#"
        {
          "scaleSettings": {
            "autoScale": {
              "initialNodeCount": 2,
              "maximumNodeCount": 8,
              "minimumNodeCount": 0
            }
          },
          "userAccountSettings": {
            "adminUserName": "alice",
            "adminUserPassword": "(random)"
          },
          "virtualMachineConfiguration": {
            "imageReference": {
              "offer": "UbuntuServer",
              "publisher": "Canonical",
              "sku": "16.04-LTS",
              "virtualMachineImageId": "/i"
            }
          },
          "vmPriority": "lowpriority",
          "vmSize": "STANDARD_D2"
        }
        "#);
    }

    #[test]
    fn extensions_are_options_too() {
        let file = json!({ "properties": { "extensions": {
            "idleSecondsBeforeScaleDown": 60, "securityGroups": ["sg-00000009"],
        }}});
        let line = "c --security-group sg-00000001 --security-group sg-00000002 \
                    --capacity-reservation cr-0123456789abcdef0 --replace-on-rebalance \
                    --vm-size g5.xlarge --alternate-vm-sizes g6.xlarge,STANDARD_NC6";
        let properties: Value = serde_json::from_str(&properties_from(file, line)).unwrap();
        assert_eq!(properties["vmSize"], "g5.xlarge");
        assert_eq!(
            properties["extensions"],
            json!({
                "idleSecondsBeforeScaleDown": 60,
                "securityGroups": ["sg-00000001", "sg-00000002"],
                "capacityReservation": "cr-0123456789abcdef0",
                "replaceOnRebalance": true,
                "alternateVmSizes": ["g6.xlarge", "STANDARD_NC6"],
            })
        );
    }

    #[test]
    fn unknown_sizes_are_refused() {
        for line in ["create c -s nonsense", "create c --alternate-vm-sizes g5.xlarge,NC7"] {
            let parsed = Line::try_parse_from(line.split(' '));
            let error = parsed.err().map(|error| error.kind());
            assert_eq!(error, Some(clap::error::ErrorKind::ValueValidation), "{line}");
        }
    }
}
