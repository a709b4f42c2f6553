//! Directories of a file server.

use crate::client::{Address, Client, is_not_found};
use anyhow::{Context as _, Result, bail};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Url;
use resources::File;
use std::path::{Component, Path};

/// An entry of a directory of a file server.
#[derive(Debug)]
pub struct Entry {
    /// Its path on the file server.
    pub path: String,
    pub file: File,
}

impl Entry {
    /// The link to download the file.
    pub fn link(&self) -> Result<Url> {
        crate::log_tail::download_link(&self.file)
    }

    /// Bytes; none for a directory.
    pub fn length(&self) -> u64 {
        self.file.properties.content_length.unwrap_or(0)
    }
}

/// A path of a file server as the API takes it. A slash at the start means its root, as for a user.
pub fn relative(path: &str) -> String {
    let names = path.split('/').filter(|name| !["", "."].contains(name));
    names.collect::<Vec<_>>().join("/")
}

/// The path of a name in a directory; the root is empty.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The entries of a directory; `None` if there is no such directory.
pub async fn list(
    client: &Client,
    server: &Address,
    directory: &str,
) -> Result<Option<Vec<Entry>>> {
    let parameters = [("directory", directory)];
    let listed = client.list_by_post(&server.join(&["listFiles"]), &parameters).await;
    let listed = match listed {
        Err(error) if is_not_found(&error) && is_missing_directory(&error) => return Ok(None),
        listed => listed?,
    };
    let entry = |json: crate::json::Json| {
        let file: File = json.read()?;
        check_name(&file.name)?;
        Ok(Entry { path: join(directory, &file.name), file })
    };
    listed.into_iter().map(entry).collect::<Result<Vec<_>>>().map(Some)
}

fn is_missing_directory(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<crate::client::ServiceError>();
    error.is_some_and(|error| error.code == "DirectoryNotFound")
}

/// All entries below a directory, with those of directories in it; `None` if there is no such directory.
pub async fn list_tree(
    client: &Client,
    server: &Address,
    directory: &str,
) -> Result<Option<Vec<Entry>>> {
    let Some(first) = list(client, server, directory).await? else { return Ok(None) };
    let mut all = Vec::new();
    let mut level = first;
    while !level.is_empty() {
        let below = stream::iter(level.iter().filter(|it| it.file.is_directory()))
            .map(|it| list(client, server, &it.path))
            .buffer_unordered(super::PARALLEL)
            .try_collect::<Vec<_>>()
            .await?;
        all.append(&mut level);
        level = below.into_iter().flatten().flatten().collect();
    }
    Ok(Some(all))
}

/// A name from the service must not lead out of a directory of this machine.
pub fn check_name(name: &str) -> Result<()> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(()),
        _ => bail!("the service lists a file with the unsafe name {name:?}"),
    }
}

/// The entry of a path: by the listing of the directory above it.
pub async fn find(client: &Client, server: &Address, path: &str) -> Result<Option<Entry>> {
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    let listed = list(client, server, above).await.context("cannot list the directory")?;
    Ok(listed.into_iter().flatten().find(|entry| entry.path == path))
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

    #[test]
    fn paths_begin_at_the_root() {
        assert_eq!(relative("/a//./b/"), "a/b");
        assert_eq!(relative("/"), "");
        assert_eq!(relative("../a"), "../a", "the service refuses it");
    }
}
