//! The output directories of a job as a browser, with a preview of a file.

use crate::failure::Failure;
use crate::links::{quoted, segment};
use crate::pages::job::JobPath;
use crate::pages::job_definition::Definition;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use resources::File;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Place {
    #[serde(default)]
    directory: String,
    /// Below the directory.
    #[serde(default)]
    path: String,
    /// A file in it to show.
    #[serde(default)]
    file: String,
}

#[derive(Template)]
#[template(path = "job_files.html")]
struct JobFiles {
    job: JobPath,
    place: Place,
    /// The ids of all output directories.
    directories: Vec<String>,
    files: Vec<File>,
    more: bool,
    preview: Option<Preview>,
}

struct Preview {
    name: String,
    /// How the script shows it.
    kind: &'static str,
    url: String,
    size: u64,
}

/// The id of the directory of the standard output.
pub(crate) const STANDARD_OUTPUT: &str = "stdouterr";

/// So many entries of a directory are listed: what the service answers at once, and more than anybody reads.
const ENTRIES: usize = 1000;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<JobPath>,
    Query(mut place): Query<Place>,
) -> Result<Response, Failure> {
    let job: Value = visit.api.get(&path.api(&[])).await?;
    let definition = Definition::of(&job);
    let mut directories: Vec<String> = definition.outputs.into_iter().map(|it| it.0).collect();
    directories.push(STANDARD_OUTPUT.to_owned());
    if place.directory.is_empty() {
        place.directory.clone_from(&directories[0]);
    }
    let query = format!(
        "?outputdirectoryid={}&directory={}",
        segment(&place.directory),
        segment(if place.path.is_empty() { "." } else { &place.path }),
    );
    let listing = path.api(&["listOutputFiles"]);
    let found = visit.api.list_by_post::<File>(&format!("{listing}{query}"), ENTRIES).await?;
    let (mut files, more) = (found.items, found.more);
    files.sort_by(|a, b| (!a.is_directory(), &a.name).cmp(&(!b.is_directory(), &b.name)));
    let preview = files.iter().find(|file| file.name == place.file).and_then(Preview::of);
    let shell = Shell::of("Files", &path.workspace, Tab::Experiments)
        .below("Experiments", path.workspace.page(&["experiments"]))
        .below(path.experiment.clone(), path.experiment_page())
        .below(path.job.clone(), path.page(&[]))
        .command(command(&path, &place));
    Ok(shell.respond(&visit, &JobFiles { job: path, place, directories, files, more, preview }))
}

fn command(path: &JobPath, place: &Place) -> String {
    let below = match place.path.as_str() {
        "" => String::new(),
        below => format!(" --path {}", quoted(below)),
    };
    path.command("files", &format!(" -d {}{below}", quoted(&place.directory)))
}

impl Preview {
    fn of(file: &File) -> Option<Self> {
        Some(Self {
            name: file.name.clone(),
            kind: kind(&file.name),
            url: file.download_url.clone()?,
            size: file.properties.content_length.unwrap_or(0),
        })
    }
}

/// By the end of the name. What is not known is shown as text, if it is.
fn kind(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        // Not SVG: it is text as well, and an image of it could have links.
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "bmp" | "avif" => "image",
        "csv" => "csv",
        "tsv" => "tsv",
        _ => "text",
    }
}

impl JobFiles {
    fn link(&self, path: &str, file: &str) -> String {
        link(&self.job, &self.place.directory, path, file)
    }

    fn link_of(&self, entry: &File) -> String {
        match entry.is_directory() {
            true => self.link(&joined(&self.place.path, &entry.name), ""),
            false => self.link(&self.place.path, &entry.name),
        }
    }

    fn directory_link(&self, directory: &str) -> String {
        link(&self.job, directory, "", "")
    }

    /// The directories above this one, each with its link.
    fn trail(&self) -> Vec<(String, String)> {
        let mut path = String::new();
        let step = |name: &str| {
            path = joined(&path, name);
            (name.to_owned(), self.link(&path, ""))
        };
        self.place.path.split('/').filter(|name| !name.is_empty()).map(step).collect()
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn link(job: &JobPath, directory: &str, path: &str, file: &str) -> String {
    let mut link = format!("{}?directory={}", job.page(&["files"]), segment(directory));
    for (name, value) in [("path", path), ("file", file)] {
        if !value.is_empty() {
            link.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    link
}

/// The page of an output directory.
pub(crate) fn directory_page(job: &JobPath, directory: &str) -> String {
    link(job, directory, "", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::WorkspacePath;

    #[test]
    fn links_keep_names_in_their_parameters() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w";
        let workspace = WorkspacePath::of_id(id).unwrap();
        let job = JobPath { workspace, experiment: "e".to_owned(), job: "j".to_owned() };
        insta::assert_snapshot!(link(&job, "MODEL", "a&b/c", "x?.csv"), @"/portal/workspaces/s/g/w/experiments/e/jobs/j/files?directory=MODEL&path=a%26b%2Fc&file=x%3F.csv");
        let place = Place { directory: "MODEL".into(), path: "a b".into(), file: String::new() };
        insta::assert_snapshot!(command(&job, &place), @"batchai job files j -d MODEL --path 'a b' -e e -g g -w w");
    }

    #[test]
    fn previews_are_chosen_by_name() {
        let kinds = ["a.PNG", "b.csv", "c.tsv", "page.html", "image.svg", "Makefile"].map(kind);
        assert_eq!(kinds, ["image", "csv", "tsv", "text", "text", "text"]);
    }
}
