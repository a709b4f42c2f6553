//! The file servers of a workspace.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::WorkspacePath;
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
}

/// A workspace has a few; more would not be read.
const LISTED: usize = 200;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    let found = visit.api.list::<FileServer>(&path.api(&["fileServers"]), LISTED).await?;
    let shell = Shell::of("File servers", &path, Tab::FileServers)
        .command(format!("batchai file-server list {}", path.options()))
        .json(path.json(&["fileServers"]))
        .live(5);
    Ok(shell.respond(&visit, &FileServers { path, found }))
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
