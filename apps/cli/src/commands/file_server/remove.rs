//! `batchai file-server rm`: removes files and directories.

use crate::client::{Address, ServiceError};
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::transfer::relative;
use anyhow::{Context as _, Result, bail};
use clap::Args;

pub const HELP: &str = "\
Examples:
  batchai file-server rm nfs old.csv
  batchai file-server rm nfs -r -y data       # a directory with all its files, without a question";

#[derive(Args)]
pub struct Arguments {
    /// Name of the file server
    #[arg(value_parser = crate::names::resource_name)]
    name: String,
    /// Files and directories on the file server
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Remove directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(context: &Context, servers: &Address, arguments: Arguments) -> Result<Exit> {
    let Arguments { name, paths, recursive, yes } = arguments;
    let files = servers.join(&[&name, "files"]);
    let paths: Vec<String> = paths.iter().map(|path| relative(path)).collect();
    if paths.iter().any(String::is_empty) {
        bail!(
            "the root of a file server cannot be removed; to delete it with all its files, run: \
             batchai file-server delete {name}"
        );
    }
    let depth = if recursive { ", with all files below" } else { "" };
    confirm::deletion(&format!("{} from {name}{depth}", paths.join(", ")), yes)?;
    for path in paths {
        let recursive = if recursive { "true" } else { "false" };
        let parameters = [("path", path.as_str()), ("recursive", recursive)];
        let removed = context.client.delete_with(&files, &parameters).await;
        if removed.as_ref().is_err_and(is_directory) {
            bail!("{path} is a directory; to remove it with all its files, add -r");
        }
        removed.with_context(|| format!("cannot remove {path}"))?;
        context.output.message(format_args!("Removed {path}."));
    }
    Ok(Exit::SUCCESS)
}

fn is_directory(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ServiceError>().is_some_and(|error| error.code == "PathIsDirectory")
}
