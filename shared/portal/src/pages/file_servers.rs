//! The file servers of a workspace.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::WorkspacePath;
use crate::pages::file_server_form::{CACHINGS, FileServerForm, STORAGES};
use crate::pages::forms;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use resources::FileServer;

#[derive(Template)]
#[template(path = "file_servers.html")]
struct FileServers {
    path: WorkspacePath,
    found: Items<FileServer>,
    may_write: bool,
    form: FileServerForm,
    /// Why the form was refused.
    problem: Option<Failure>,
}

/// A workspace has a few; more would not be read.
const LISTED: usize = 200;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    shown(&visit, path, None).await
}

/// The page, with a form that was refused.
pub(crate) async fn shown(
    visit: &Visit,
    path: WorkspacePath,
    refused: Option<(FileServerForm, Failure)>,
) -> Result<Response, Failure> {
    let may_write = visit.may_write(&path).await;
    let (form, problem) = match refused {
        Some((_, problem)) if !may_write => return Err(problem),
        Some((form, problem)) => (form, Some(problem)),
        None => (FileServerForm::default(), None),
    };
    let found = visit.api.list::<FileServer>(&path.api(&["fileServers"]), LISTED).await?;
    let shell = Shell::of("File servers", &path, Tab::FileServers)
        .command(format!("batchai file-server list {}", path.options()))
        .json(path.json(&["fileServers"]))
        .live(5);
    let status = problem.as_ref().map(|problem| problem.status);
    let content = FileServers { path, found, may_write, form, problem };
    Ok(forms::shown(&shell, visit, &content, status))
}

impl FileServers {
    fn create_command(&self) -> String {
        format!("batchai file-server create NAME {}", self.path.options())
    }

    /// Whether the files are on this machine, as those of the local service are.
    fn are_local(&self) -> bool {
        self.found.items.iter().any(|it| it.properties.extensions.local_path.is_some())
    }
}
