//! `batchai file-server download`: downloads files and directories.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::transfer::{Entry, Progress, download, find, human_bytes, list_tree, relative};
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};

pub const HELP: &str = "\
Examples:
  batchai file-server download nfs model.json           # to ./model.json
  batchai file-server download nfs data --to /tmp       # the directory data, to /tmp/data
  batchai file-server download nfs / --to backup        # all files, to backup

Files that this machine has already, by size and SHA-256, are not fetched again. Each file appears
under its name when it is whole and its checksum is right. After an interruption run the command
again: it continues.";

#[derive(Args)]
pub struct Arguments {
    /// Name of the file server
    #[arg(value_parser = crate::names::resource_name)]
    name: String,
    /// Files and directories on the file server
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Directory of this machine; made if it does not exist
    #[arg(long, value_name = "DIR", default_value = ".")]
    to: PathBuf,
}

pub async fn run(context: &Context, servers: &Address, arguments: Arguments) -> Result<Exit> {
    let Arguments { name, paths, to } = arguments;
    let server = servers.join(&[&name]);
    let mut files = Vec::new();
    for path in &paths {
        let path = relative(path);
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let found = match list_tree(&context.client, &server, &path).await? {
            Some(entries) => entries,
            None => match find(&context.client, &server, &path).await? {
                Some(file) => vec![file],
                None => bail!("there is no file or directory {path} on the file server {name}"),
            },
        };
        let wanted = found.into_iter().filter(|entry| !entry.file.is_directory());
        files.extend(wanted.map(|entry| {
            let target = target(&entry, above, &to);
            (entry, target)
        }));
    }
    let progress = Progress::new(!context.output.is_quiet());
    let report = download::files(&context.client, &server, files, &progress).await;
    progress.end();
    let download::Report { downloaded, bytes, unchanged, grown } = report?;
    for path in grown {
        context.output.message(format_args!("{path} grew meanwhile; this is what it began with."));
    }
    let plural = if downloaded == 1 { "" } else { "s" };
    let others = match unchanged {
        0 => String::new(),
        count => format!("; {count} unchanged"),
    };
    let (size, to) = (human_bytes(bytes), to.display());
    context
        .output
        .message(format_args!("Downloaded {downloaded} file{plural} ({size}) to {to}{others}."));
    Ok(Exit::SUCCESS)
}

/// Below `to`, with the part of its path that is below `above`. Each name was checked by the listing.
fn target(entry: &Entry, above: &str, to: &Path) -> PathBuf {
    let below = entry.path.strip_prefix(above).unwrap_or(&entry.path);
    to.join(below.trim_start_matches('/'))
}
