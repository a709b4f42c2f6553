//! `batchai job files`: what a job wrote, listed or downloaded.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{STDOUTERR, download_link, list_files};
use crate::resources::File;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt as _;

pub const HELP: &str = "\
Examples:
  batchai job files first                                 stdout.txt, stderr.txt, execution.log, …
  batchai job files first -d MODEL                        The output directory with the id MODEL
  batchai job files first -d MODEL --path epochs          A directory in it
  batchai job files first -d MODEL --download results     All of it, into ./results

With `-o json`, each file has a link that works without a token for an hour.";

#[derive(Args)]
pub struct FilesArguments {
    /// Its name
    #[arg(value_parser = crate::cli::name)]
    name: String,
    /// Id of an output directory of the job
    #[arg(short, long, value_name = "ID", default_value = STDOUTERR)]
    directory_id: String,
    /// A directory in it
    #[arg(short, long, default_value = ".")]
    path: String,
    /// Download the files, with those in directories below, into this directory
    #[arg(long, value_name = "DIR")]
    download: Option<PathBuf>,
}

pub async fn run(context: &Context, arguments: FilesArguments) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[&arguments.name]);
    match &arguments.download {
        None => {
            let id = arguments.directory_id.as_str();
            let parameters = [("outputdirectoryid", id), ("directory", &arguments.path)];
            let place = address.join(&["listOutputFiles"]);
            let files = context.client.list_by_post(&place, &parameters).await?;
            context.output.list::<File>(files, "No files.")?;
        }
        Some(directory) => {
            let id = &arguments.directory_id;
            let count = download_all(context, &address, id, &arguments.path, directory).await?;
            let plural = if count == 1 { "" } else { "s" };
            context.output.say(format_args!("{count} file{plural} in {}", directory.display()));
        }
    }
    Ok(Exit::SUCCESS)
}

/// The tree below `path`; how many files it has.
async fn download_all(
    context: &Context,
    job: &Address,
    directory_id: &str,
    path: &str,
    into: &Path,
) -> Result<u64> {
    let mut count = 0;
    let mut open = vec![(path.to_owned(), into.to_owned())];
    while let Some((path, into)) = open.pop() {
        create_directory(&into)?;
        for entry in list_files(&context.client, job, directory_id, &path).await? {
            check_name(&entry.name)?;
            let target = into.join(&entry.name);
            if entry.is_directory() {
                open.push((format!("{path}/{}", entry.name), target));
            } else {
                download(context, &entry, &target).await?;
                context.output.say(target.display());
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Under its name only when it is complete.
async fn download(context: &Context, file: &File, target: &Path) -> Result<()> {
    let cannot_write = || format!("cannot write {}", target.display());
    let mut answer = context.client.download(&download_link(file)?).await?;
    let directory = target.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666)) // less what the umask takes
        .tempfile_in(directory)
        .with_context(cannot_write)?;
    let (handle, temporary) = temporary.into_parts();
    let mut handle = tokio::fs::File::from_std(handle);
    let broken = || format!("the download of {} broke off", file.name);
    while let Some(bytes) = answer.chunk().await.with_context(broken)? {
        handle.write_all(&bytes).await.with_context(cannot_write)?;
    }
    handle.flush().await.with_context(cannot_write)?;
    temporary.persist(target).with_context(cannot_write)
}

fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

/// The names come from elsewhere: none may lead out of the directory.
fn check_name(name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(()),
        _ => bail!("the service lists a file with a name that is not safe: {name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_service_cannot_leave_the_directory() {
        assert!(check_name("model.json").is_ok() && check_name("..data").is_ok());
        for name in ["..", ".", "", "/etc/passwd", "a/b", "../a", "a/"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
