//! `batchai file-server …`

use super::account::AccountArguments;
use super::{DeleteArguments, Name};
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use crate::resources::FileServer;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Command {
    /// Create a file server
    #[command(after_help = CREATE_HELP)]
    Create(CreateArguments),
    /// List the file servers of the workspace
    #[command(visible_alias = "ls")]
    List,
    /// Show a file server and the path of its files
    Show(Name),
    /// Delete a file server, and all its files unless it was created with --keep-data
    Delete(DeleteArguments),
}

const CREATE_HELP: &str = "\
With `batchai local`, a file server is a directory; the command prints its path. Copy data and
scripts there. Jobs find them in $AZ_BATCHAI_MOUNT_ROOT/nfs on clusters created with `--nfs NAME`.
The size of the machine and its disks is ignored by `batchai local`.";

#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// JSON file {"properties": {…}} that replaces the other options
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["vm_size", "disk_count",
        "disk_size", "storage_sku", "caching_type", "user_name", "ssh_key", "subnet", "keep_data"])]
    config_file: Option<PathBuf>,
    /// Machine size
    #[arg(short = 's', long, default_value = "STANDARD_DS1_V2")]
    vm_size: String,
    /// Number of data disks
    #[arg(long, value_name = "N", default_value_t = 1)]
    disk_count: u32,
    /// Size of each data disk, in GB
    #[arg(long, value_name = "GB", default_value_t = 32)]
    disk_size: u32,
    /// Disk type: Standard_LRS or Premium_LRS
    #[arg(long, value_name = "SKU", default_value = "Standard_LRS")]
    storage_sku: String,
    /// Disk cache: none, readonly or readwrite
    #[arg(long, value_name = "TYPE", default_value = "none")]
    caching_type: String,
    #[command(flatten)]
    account: AccountArguments,
    /// Resource id of a subnet
    #[arg(long, value_name = "ID")]
    subnet: Option<String>,
    /// Keep the files when the file server is deleted
    #[arg(long)]
    keep_data: bool,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let servers = context.scope.file_servers()?;
    match command {
        Command::Create(arguments) => {
            let address = servers.join(&[&arguments.name]);
            let answer = context.client.put(&address, &body(arguments)?).await?;
            super::print_changed::<FileServer>(&context, answer)
        }
        Command::List => {
            let none = "No file servers. To create one, run: batchai file-server create NAME";
            super::list::<FileServer>(&context, &servers, none).await
        }
        Command::Show(Name { name }) => {
            super::show::<FileServer>(&context, &servers.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, yes }) => {
            let what = format!("file server {name}, and all its files unless it keeps them");
            super::delete(&context, &servers.join(&[&name]), &what, yes).await
        }
    }
}

fn body(arguments: CreateArguments) -> Result<Value> {
    if let Some(file) = &arguments.config_file {
        return super::read_description(file);
    }
    let mut account = json!({});
    arguments.account.fill(&mut account)?;
    let mut body = json!({ "properties": {
        "vmSize": arguments.vm_size,
        "sshConfiguration": { "userAccountSettings": account },
        "dataDisks": {
            "diskSizeInGB": arguments.disk_size,
            "cachingType": arguments.caching_type,
            "diskCount": arguments.disk_count,
            "storageAccountType": arguments.storage_sku,
        },
    }});
    if let Some(subnet) = arguments.subnet {
        body["properties"]["subnet"] = json!({ "id": subnet });
    }
    if arguments.keep_data {
        body["properties"]["extensions"] = json!({ "dataRetention": "keep" });
    }
    Ok(body)
}
