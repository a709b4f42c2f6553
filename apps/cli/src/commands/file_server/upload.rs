//! `batchai file-server upload`: uploads files and directories.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::transfer::{Progress, human_bytes, join, relative, upload};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};

pub const HELP: &str = "\
Examples:
  batchai file-server upload nfs train.py              # to train.py
  batchai file-server upload nfs train.py --to scripts # to scripts/train.py
  batchai file-server upload nfs data model.json       # the directory data, and a file
  batchai file-server upload nfs . --to code           # what is in this directory, to code

Files that the file server has already, by size and SHA-256, are not sent again. Each file appears
under its name when it is whole. After an interruption run the command again: it continues. Empty
directories, and symbolic links to directories, are left out.";

#[derive(Args)]
pub struct Arguments {
    /// Name of the file server
    #[arg(value_parser = crate::names::resource_name)]
    name: String,
    /// Files and directories of this machine
    #[arg(required = true, value_name = "LOCAL")]
    local: Vec<PathBuf>,
    /// Directory on the file server; made if it does not exist
    #[arg(long, value_name = "PATH", default_value = "/")]
    to: String,
}

pub async fn run(context: &Context, servers: &Address, arguments: Arguments) -> Result<Exit> {
    let Arguments { name, local, to } = arguments;
    let to = relative(&to);
    let progress = Progress::new(!context.output.is_quiet());
    let server = servers.join(&[&name]);
    let mut report = upload::Report::default();
    for path in &local {
        let target = target(path, &to);
        let place = (path.as_path(), target.as_str());
        let sent = upload::tree(&context.client, &server, place, &|_, _| true, &progress).await;
        report = report.plus(sent.inspect_err(|_| progress.end())?);
    }
    progress.end();
    let upload::Report { uploaded, bytes, unchanged, skipped } = report;
    for path in skipped {
        context.output.message(format_args!("Left out {}: not a file.", path.display()));
    }
    let plural = if uploaded == 1 { "" } else { "s" };
    let size = human_bytes(bytes);
    let others = match unchanged {
        0 => String::new(),
        count => format!("; {count} unchanged"),
    };
    context.output.message(format_args!(
        "Uploaded {uploaded} file{plural} ({size}) to {name}:/{to}{others}."
    ));
    Ok(Exit::SUCCESS)
}

/// Where a file or directory goes: below `to`, under its own name. What has no name, such as `.`, goes to `to` itself.
fn target(path: &Path, to: &str) -> String {
    match path.file_name() {
        Some(name) => join(to, &name.to_string_lossy()),
        None => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_below_the_target() {
        for (path, to, expected) in [
            ("train.py", "", "train.py"),
            ("/a/b/data/", "x/y", "x/y/data"),
            (".", "x", "x"),
            ("..", "", ""),
        ] {
            assert_eq!(target(Path::new(path), to), expected, "{path}");
        }
    }
}
