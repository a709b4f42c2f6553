//! `batchai job files`: lists and downloads the output files of a job.

use crate::client::{Address, Download};
use crate::context::Context;
use crate::exit::Exit;
use crate::log_tail::{STDOUTERR, download_link, list_files};
use crate::name_argument::ResourceName;
use crate::transfer::check_name;
use anyhow::{Context as _, Result, bail};
use clap::Args;
use resources::File;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt as _;

pub const HELP: &str = "\
Examples:
  batchai job files first                              # stdout.txt, stderr.txt, execution.log
  batchai job files first -d MODEL                     # the output directory with the id MODEL
  batchai job files first -d MODEL --path epochs       # a directory in it
  batchai job files first -d MODEL --download results  # download all of it to ./results

With `-o json`, each file has a download URL. It needs no token and is valid for one hour, or
for a shorter time with --expiry.";

/// How much one request reads. The service answers it itself, whatever the size of the file is; a whole large file on
/// AWS would be a redirection.
const RANGE_BYTES: u64 = 8 << 20;

#[derive(Args)]
pub struct FilesArguments {
    #[command(flatten)]
    pub name: ResourceName,
    #[command(flatten)]
    pub options: FilesOptions,
}

#[derive(Args)]
pub struct FilesOptions {
    /// Id of the output directory
    #[arg(
        short,
        long,
        visible_alias = "output-directory-id",
        value_name = "ID",
        default_value = STDOUTERR
    )]
    directory_id: String,
    /// Path in the output directory
    #[arg(short, long, default_value = ".")]
    path: String,
    /// How long download URLs are valid; the service sets a limit, which is an hour
    #[arg(
        long,
        value_name = "MINUTES",
        default_value_t = 60,
        conflicts_with = "download",
        value_parser = clap::value_parser!(u32).range(5..=600)
    )]
    expiry: u32,
    /// Download all files to this directory, recursively
    #[arg(long, value_name = "DIR")]
    download: Option<PathBuf>,
}

pub async fn run(context: &Context, arguments: FilesArguments) -> Result<Exit> {
    list_or_download(context, &arguments.name, &arguments.options).await
}

/// Lists the files of the job `name`, or downloads them.
pub async fn list_or_download(
    context: &Context,
    name: &str,
    arguments: &FilesOptions,
) -> Result<Exit> {
    let address = context.scope.jobs()?.join(&[name]);
    match &arguments.download {
        None => {
            let id = arguments.directory_id.as_str();
            let minutes = arguments.expiry.to_string();
            let parameters = [
                ("outputdirectoryid", id),
                ("directory", arguments.path.as_str()),
                ("linkexpiryinminutes", minutes.as_str()),
            ];
            let listing = address.join(&["listOutputFiles"]);
            let files = context.client.list_by_post(&listing, &parameters).await?;
            if files.is_empty() {
                ensure_directory(context, &address, id, &arguments.path).await?;
            }
            context.output.sorted_list::<File>(files, "No files.")?;
        }
        Some(directory) => {
            let id = &arguments.directory_id;
            ensure_directory(context, &address, id, &arguments.path).await?;
            let count = download_all(context, &address, id, &arguments.path, directory).await?;
            let plural = if count == 1 { "" } else { "s" };
            let shown = directory.display();
            context.output.message(format_args!("Downloaded {count} file{plural} to {shown}."));
        }
    }
    Ok(Exit::SUCCESS)
}

/// The service lists a directory that does not exist as an empty one.
async fn ensure_directory(context: &Context, job: &Address, id: &str, path: &str) -> Result<()> {
    let mut parent = ".".to_owned();
    for name in path.split('/').filter(|name| !["", "."].contains(name)) {
        let entries = list_files(&context.client, job, id, &parent).await?;
        let names: Vec<_> = entries
            .iter()
            .filter(|entry| entry.is_directory())
            .map(|it| it.name.as_str())
            .collect();
        if !names.contains(&name) {
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let place = if parent == "." { "it" } else { &parent };
            bail!(
                "the output directory {id} has no directory {path}; directories in {place}: {found}"
            );
        }
        parent = if parent == "." { name.to_owned() } else { format!("{parent}/{name}") };
    }
    Ok(())
}

/// Downloads the tree below `path`; returns the number of files.
pub async fn download_all(
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
                context.output.message(target.display());
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Writes a temporary file and renames it when it is complete.
async fn download(context: &Context, file: &File, target: &Path) -> Result<()> {
    let cannot_write = || format!("cannot write {}", target.display());
    let link = download_link(file)?;
    let directory = target.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666)) // reduced by the umask
        .tempfile_in(directory)
        .with_context(cannot_write)?;
    let (handle, temporary) = temporary.into_parts();
    let mut handle = tokio::fs::File::from_std(handle);
    let (mut offset, length) = (0, file.properties.content_length.unwrap_or(u64::MAX));
    while offset < length {
        match context.client.range(&link, offset, RANGE_BYTES).await? {
            Download::Bytes(bytes) if bytes.is_empty() => break,
            Download::Bytes(bytes) => {
                handle.write_all(&bytes).await.with_context(cannot_write)?;
                offset += bytes.len() as u64;
            }
            Download::NotFound => {
                bail!("{} was moved or removed, or its link has expired; try again", file.name)
            }
        }
    }
    handle.flush().await.with_context(cannot_write)?;
    temporary.persist(target).with_context(cannot_write)
}

fn create_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}
