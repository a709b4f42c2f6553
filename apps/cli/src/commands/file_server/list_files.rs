//! `batchai file-server ls`: lists files.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Column, View};
use crate::transfer::{Entry, find, human_bytes, list, list_tree, relative};
use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use resources::FileProperties;
use resources::natural;
use resources::time;
use serde::Deserialize;
use serde_json::json;

pub const HELP: &str = "\
Examples:
  batchai file-server ls nfs                # the files at the root of the file server nfs
  batchai file-server ls nfs:data -r        # all files below its directory data
  batchai file-server ls nfs -o json        # with links to download, which are valid for one hour";

#[derive(Args)]
pub struct Arguments {
    /// The file server, and a directory or file on it
    #[arg(value_name = "NAME[:PATH]")]
    pub place: Option<String>,
    /// List directories with all that is in them
    #[arg(short, long)]
    pub recursive: bool,
}

/// A file or directory with its whole path.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedFile {
    path: String,
    file_type: String,
    #[serde(default)]
    properties: FileProperties,
}

impl View for ListedFile {
    fn name(&self) -> &str {
        &self.path
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let slash = if self.file_type == "directory" { "/" } else { "" };
        let size = self.properties.content_length.map(human_bytes);
        let bytes = self.properties.content_length.map(|bytes| bytes.to_string());
        let modified = self.properties.last_modified.as_deref();
        vec![
            Column::new("path", format!("{}{slash}", self.path)).key(),
            Column::new("size", size.unwrap_or_default()).exact(bytes.unwrap_or_default()),
            Column::new("modified", time::ago(modified, now)).exact(modified.unwrap_or_default()),
        ]
    }
}

pub async fn run(
    context: &Context,
    servers: &Address,
    place: &str,
    recursive: bool,
) -> Result<Exit> {
    let (name, path) = place.split_once(':').unwrap_or((place, ""));
    let name = super::server_name(name)?;
    let server = servers.join(&[&name]);
    let path = relative(path);
    let listed = match recursive {
        true => list_tree(&context.client, &server, &path).await?,
        false => list(&context.client, &server, &path).await?,
    };
    let mut entries = match listed {
        Some(entries) => entries,
        None => match find(&context.client, &server, &path).await? {
            Some(file) => vec![file],
            None => bail!("there is no file or directory {path} on the file server {name}"),
        },
    };
    entries.sort_by(|one, other| natural::compare(&one.path, &other.path));
    let entries = entries.iter().map(shown).collect::<Result<Vec<_>>>()?;
    context.output.list::<ListedFile>(entries, "No files.")?;
    Ok(Exit::SUCCESS)
}

/// The entry as the service shows it, with its path.
fn shown(entry: &Entry) -> Result<Json> {
    let file = &entry.file;
    let mut value = json!({ "path": entry.path, "name": file.name, "fileType": file.file_type });
    if let Some(link) = &file.download_url {
        value["downloadUrl"] = json!(link);
        value["properties"] = json!({
            "lastModified": file.properties.last_modified,
            "contentLength": file.properties.content_length,
        });
    }
    Json::parse(&value.to_string())
}
