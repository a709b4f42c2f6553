//! `batchai file-server …`

mod download;
mod list_files;
mod remove;
mod upload;

use super::account::AccountArguments;
use super::no_wait::NoWait;
use super::{DeleteArguments, Name};
use crate::client::Address;
use crate::context::Context;
use crate::description::{CheckArguments, Description, Kind};
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use anyhow::Result;
use clap::{Args, Subcommand};
use resources::FileServer;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Command {
    /// Create a file server
    #[command(after_help = CREATE_HELP)]
    Create(Box<CreateArguments>),
    /// List the file servers of the workspace
    List,
    /// Show a file server and the path of its files
    Show(Name),
    /// Delete a file server, and all its files unless it was created with --keep-data
    Delete(DeleteArguments),
    /// List files on a file server; without a name, the file servers
    #[command(after_help = list_files::HELP)]
    Ls(list_files::Arguments),
    /// Upload files and directories to a file server
    #[command(after_help = upload::HELP)]
    Upload(upload::Arguments),
    /// Download files and directories from a file server
    #[command(after_help = download::HELP)]
    Download(download::Arguments),
    /// Remove files and directories from a file server
    #[command(after_help = remove::HELP)]
    Rm(remove::Arguments),
}

const CREATE_HELP: &str = "\
Copy data and scripts there with `batchai file-server upload`. Jobs find them in
$AZ_BATCHAI_MOUNT_ROOT/nfs on clusters created with `--nfs NAME`.
The size of the machine and its disks is ignored by `batchai local`.";

#[derive(Args)]
pub struct CreateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// JSON file {"properties": {…}} that replaces the other options
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["vm_size", "disk_count",
        "disk_size", "storage_sku", "caching_type", "user_name", "ssh_key", "subnet", "keep_data"])]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    check: CheckArguments,
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
    #[command(flatten)]
    no_wait: NoWait,
}

pub async fn run(context: Context, command: Command) -> Result<Exit> {
    let servers = context.scope.file_servers()?;
    match command {
        Command::Create(arguments) => {
            let address = servers.join(&[&arguments.name]);
            let no_wait = arguments.no_wait;
            let answer = no_wait.put(&context.client, &address, &body(*arguments)?).await?;
            super::print_changed::<FileServer>(&context, answer)
        }
        Command::List => list(&context, &servers).await,
        Command::Show(Name { name }) => {
            super::show::<FileServer>(&context, &servers.join(&[&name])).await
        }
        Command::Delete(DeleteArguments { name, how }) => {
            let what = format!("file server {name}, and all its files unless it keeps them");
            super::delete(&context, &servers.join(&[&name]), &what, how).await
        }
        Command::Ls(arguments) => match arguments.place {
            None => list(&context, &servers).await,
            Some(place) => list_files::run(&context, &servers, &place, arguments.recursive).await,
        },
        Command::Upload(arguments) => upload::run(&context, &servers, arguments).await,
        Command::Download(arguments) => download::run(&context, &servers, arguments).await,
        Command::Rm(arguments) => remove::run(&context, &servers, arguments).await,
    }
}

async fn list(context: &Context, servers: &Address) -> Result<Exit> {
    let none = "No file servers. To create one, run: batchai file-server create NAME";
    super::list::<FileServer>(context, servers, none).await
}

fn body(arguments: CreateArguments) -> Result<Value> {
    if let Some(file) = &arguments.config_file {
        let description = Description::read(file, Kind::FileServer, arguments.check)?;
        description.check(&description.body)?;
        return Ok(description.body);
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

/// A name in a place such as `nfs:data`.
fn server_name(text: &str) -> Result<String> {
    crate::names::resource_name(text)
        .map_err(|rule| anyhow::anyhow!("{text:?} is not the name of a file server: {rule}"))
}
