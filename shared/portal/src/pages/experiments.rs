//! The experiments of a workspace.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::WorkspacePath;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use resources::Experiment;

#[derive(Template)]
#[template(path = "experiments.html")]
struct Experiments {
    path: WorkspacePath,
    experiments: Items<Experiment>,
}

/// So many are listed: a page that a browser shows at once.
const LISTED: usize = 500;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    let mut experiments = visit.api.list::<Experiment>(&path.api(&["experiments"]), LISTED).await?;
    experiments.items.sort_by(|a, b| resources::natural::compare(&a.name, &b.name));
    let shell = Shell::of("Experiments", &path, Tab::Experiments)
        .command(format!("batchai experiment list {}", path.options()))
        .json(path.json(&["experiments"]))
        .live(10);
    Ok(shell.respond(&visit, &Experiments { path, experiments }))
}

impl Experiments {
    fn create_command(&self) -> String {
        format!("batchai experiment create NAME {}", self.path.options())
    }
}
