//! The files of a file server: one directory at a time.
//!
//! The page has no signed links: they change with every answer of the API, and everyone who has one can use it. The route
//! `download` asks for one when it is needed.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted, segment};
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{Redirect, Response};
use http::Method;
use percent_encoding::percent_decode_str;
use resources::{File, FileServer};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct FileServerPath {
    #[serde(flatten)]
    pub(crate) workspace: WorkspacePath,
    pub(crate) server: String,
}

/// A part of a directory.
#[derive(Deserialize)]
pub(crate) struct Browse {
    /// The directory, or for `download` the file.
    #[serde(default)]
    path: String,
    /// Where the entries continue, as the API said.
    #[serde(default)]
    after: String,
}

/// An answer of `listFiles`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    #[serde(default)]
    value: Vec<File>,
    #[serde(default)]
    next_link: Option<String>,
}

#[derive(Template)]
#[template(path = "file_server.html")]
struct Content {
    path: WorkspacePath,
    server: FileServer,
    directory: String,
    rows: Vec<Row>,
    /// The page of the directory's first entries, unless this is it.
    first: Option<String>,
    next: Option<String>,
    shown: Shown,
    may_write: bool,
}

/// Whether the page has the files.
#[derive(Clone, Copy)]
enum Shown {
    Files,
    /// The viewer's role does not allow to list them.
    Denied,
    /// There are none while the file server is created or deleted.
    NotReady,
}

struct Row {
    name: String,
    path: String,
    is_directory: bool,
    /// Of a directory the page, of a file the download.
    link: String,
    size: Option<String>,
    modified: Option<String>,
}

/// So many entries are on a page: it is read again every few seconds.
const LISTED: usize = 200;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<FileServerPath>,
    Query(query): Query<Browse>,
) -> Result<Response, Failure> {
    let FileServerPath { workspace: path, server: name } = path;
    let server: FileServer = visit.api.get(&path.api(&["fileServers", &name])).await?;
    let directory = normal(&query.path);
    let (listing, shown) = match list(&visit, (&path, &name), &directory, &query.after).await {
        Err(failure) if failure.is_denied() => (Listing::default(), Shown::Denied),
        Err(failure) if failure.code == "FileServerNotReady" => {
            (Listing::default(), Shown::NotReady)
        }
        listing => (listing?, Shown::Files),
    };
    let target = match directory.as_str() {
        "" => name.clone(),
        directory => format!("{name}:{directory}"),
    };
    let shell = shell(&path, &name, &directory)
        .command(format!("batchai file-server ls {} {}", quoted(&target), path.options()))
        .json(path.json(&["fileServers", &name]))
        .live(5);
    let next = listing.next_link.as_deref().and_then(skip_token);
    let next =
        next.map(|after| format!("{}&after={}", browse(&path, &name, &directory), segment(&after)));
    let first = (!query.after.is_empty()).then(|| browse(&path, &name, &directory));
    let rows = rows(listing.value, (&path, &name), &directory, &query.after);
    let may_write = visit.may_write(&path).await;
    let content = Content { path, server, directory, rows, first, next, shown, may_write };
    Ok(shell.respond(&visit, &content))
}

/// Goes to the signed link of a file. `after` is that of the page that shows it, so no other entries are read.
pub(crate) async fn download(
    visit: Visit,
    Path(path): Path<FileServerPath>,
    Query(query): Query<Browse>,
) -> Result<Redirect, Failure> {
    let FileServerPath { workspace: path, server } = path;
    let file = normal(&query.path);
    let (directory, name) = file.rsplit_once('/').unwrap_or(("", &file));
    let listing = list(&visit, (&path, &server), directory, &query.after).await?;
    let found = listing.value.into_iter().find(|it| it.name == name);
    match found.and_then(|it| it.download_url) {
        Some(link) => Ok(Redirect::to(&link)),
        None => Err(Failure::not_found(format!("{file} does not exist any more"))),
    }
}

#[derive(Deserialize)]
pub(crate) struct Deleted {
    path: String,
    #[serde(default)]
    recursive: bool,
}

pub(crate) async fn delete(
    visit: Visit,
    Path(path): Path<FileServerPath>,
    Query(Deleted { path: file, recursive }): Query<Deleted>,
) -> Result<Redirect, Failure> {
    let FileServerPath { workspace: path, server } = path;
    let target = path.api(&["fileServers", &server, "files"]);
    let target = format!("{target}?path={}&recursive={recursive}", segment(&file));
    visit.api.send(Method::DELETE, &target, None).await?;
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    Ok(Redirect::to(&browse(&path, &server, directory)))
}

async fn list(
    visit: &Visit,
    (path, server): (&WorkspacePath, &str),
    directory: &str,
    after: &str,
) -> Result<Listing, Failure> {
    let target = path.api(&["fileServers", server, "listFiles"]);
    let mut target = format!("{target}?directory={}&maxresults={LISTED}", segment(directory));
    if !after.is_empty() {
        target.push_str(&format!("&$skiptoken={}", segment(after)));
    }
    visit.api.post(&target, None).await
}

fn shell(path: &WorkspacePath, server: &str, directory: &str) -> Shell {
    let Some((above, name)) = split(directory) else {
        return Shell::of(server, path, Tab::FileServers)
            .below("File servers", path.page(&["fileServers"]));
    };
    let mut shell = Shell::of(name, path, Tab::FileServers)
        .below("File servers", path.page(&["fileServers"]))
        .below(server, browse(path, server, ""));
    let names = above.match_indices('/').map(|(end, _)| &above[..end]);
    for ancestor in names.chain((!above.is_empty()).then_some(above)) {
        shell = shell.below(crate::links::name_of(ancestor), browse(path, server, ancestor));
    }
    shell
}

/// The directory above, and the last name; nothing of the root.
fn split(directory: &str) -> Option<(&str, &str)> {
    match directory {
        "" => None,
        directory => Some(directory.rsplit_once('/').unwrap_or(("", directory))),
    }
}

/// The page of a directory.
fn browse(path: &WorkspacePath, server: &str, directory: &str) -> String {
    format!("{}?path={}", path.page(&["fileServers", server]), segment(directory))
}

/// Without empty names and `.`; the API refuses `..`.
fn normal(directory: &str) -> String {
    let names = directory.split('/').filter(|name| !["", "."].contains(name));
    names.collect::<Vec<_>>().join("/")
}

/// The path of a name in a directory.
fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Where a list continues, from its `nextLink`.
fn skip_token(link: &str) -> Option<String> {
    let (_, query) = link.split_once('?')?;
    let token = query.split('&').find_map(|pair| pair.strip_prefix("$skiptoken="))?;
    Some(percent_decode_str(token).decode_utf8().ok()?.into_owned())
}

fn rows(
    files: Vec<File>,
    (path, server): (&WorkspacePath, &str),
    directory: &str,
    after: &str,
) -> Vec<Row> {
    let row = |file: File| {
        let (is_directory, at) = (file.is_directory(), join(directory, &file.name));
        let download = path.page(&["fileServers", server, "download"]);
        let link = match is_directory {
            true => browse(path, server, &at),
            false => format!("{download}?path={}&after={}", segment(&at), segment(after)),
        };
        let size = file.properties.content_length.filter(|_| !is_directory).map(crate::text::bytes);
        let modified = file.properties.last_modified;
        Row { name: file.name, path: at, is_directory, link, size, modified }
    };
    let mut rows: Vec<Row> = files.into_iter().map(row).collect();
    // The API sorts by name; this order is kept among directories and among files.
    rows.sort_by_key(|row| !row.is_directory);
    rows
}

/// A path as an argument: not as an option if it starts with a dash.
fn argument(path: &str) -> String {
    match path.starts_with('-') {
        true => quoted(&format!("./{path}")),
        false => quoted(path),
    }
}

impl Content {
    fn remove_page(&self) -> String {
        self.path.page(&["fileServers", &self.server.name, "remove"])
    }

    fn remove_command(&self) -> String {
        let name = quoted(&self.server.name);
        format!("batchai file-server delete {name} {}", self.path.options())
    }

    fn uploads_page(&self) -> String {
        self.path.page(&["fileServers", &self.server.name, "uploads"])
    }

    fn upload_command(&self) -> String {
        let (server, options) = (quoted(&self.server.name), self.path.options());
        match self.directory.as_str() {
            "" => format!("batchai file-server upload {server} FILE {options}"),
            directory => {
                let directory = argument(directory);
                format!("batchai file-server upload {server} FILE --to {directory} {options}")
            }
        }
    }

    fn delete_page(&self, row: &Row) -> String {
        let page = self.path.page(&["fileServers", &self.server.name, "delete"]);
        format!("{page}?path={}&recursive={}", segment(&row.path), row.is_directory)
    }

    fn delete_command(&self, row: &Row) -> String {
        let recursive = if row.is_directory { " -r" } else { "" };
        let (server, file) = (quoted(&self.server.name), argument(&row.path));
        format!("batchai file-server rm{recursive} {server} {file} {}", self.path.options())
    }

    fn delete_explained(&self, row: &Row) -> String {
        match row.is_directory {
            true => format!("Delete {} and everything in it? This cannot be undone.", row.name),
            false => format!("Delete {}? This cannot be undone.", row.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_where_lists_continue() {
        assert_eq!(normal("/a//./b/"), "a/b");
        assert_eq!(normal("/"), "");
        assert_eq!(
            (split(""), split("a"), split("a/b/c")),
            (None, Some(("", "a")), Some(("a/b", "c")))
        );
        let link = "http://h/x?maxresults=200&$skiptoken=YQ%2E.c-d_&x=1";
        assert_eq!(skip_token(link).as_deref(), Some("YQ..c-d_"));
        assert_eq!(skip_token("http://h/x"), None);
        assert_eq!(argument("-r"), "./-r");
        assert_eq!(argument("a b"), "'a b'");
    }

    #[test]
    fn directories_come_first_and_names_stay_in_their_query() {
        let path =
            WorkspacePath { subscription: "s".into(), group: "g".into(), workspace: "w".into() };
        let file = |name: &str, kind: &str| {
            serde_json::from_str(&format!(
                r#"{{"name":"{name}","fileType":"{kind}","properties":{{"contentLength":7}}}}"#
            ))
            .unwrap()
        };
        let files = vec![file("a&b#.txt", "file"), file("z", "directory")];
        let shown: Vec<String> = rows(files, (&path, "nfs"), "d", "t.s")
            .iter()
            .map(|row| format!("{} {:?} {}", row.path, row.size, row.link))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        d/z None /portal/workspaces/s/g/w/fileServers/nfs?path=d%2Fz
        d/a&b#.txt Some("7 B") /portal/workspaces/s/g/w/fileServers/nfs/download?path=d%2Fa%26b%23.txt&after=t.s
        "#);
    }
}
