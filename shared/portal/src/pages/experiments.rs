//! The experiments of a workspace, with the form that creates one, and the deletion of an experiment.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::WorkspacePath;
use crate::pages::experiment::ExperimentPath;
use crate::pages::forms;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use resources::Experiment;
use serde::Deserialize;
use serde_json::json;

#[derive(Template)]
#[template(path = "experiments.html")]
struct Experiments {
    path: WorkspacePath,
    experiments: Items<Experiment>,
    may_write: bool,
    form: ExperimentForm,
    /// Why the form was refused.
    problem: Option<Failure>,
}

#[derive(Default, Deserialize)]
pub(crate) struct ExperimentForm {
    #[serde(default)]
    name: String,
}

/// So many are listed: a page that a browser shows at once.
const LISTED: usize = 500;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    shown(&visit, path, None).await
}

async fn shown(
    visit: &Visit,
    path: WorkspacePath,
    refused: Option<(ExperimentForm, Failure)>,
) -> Result<Response, Failure> {
    let may_write = visit.may_write(&path).await;
    let (form, problem) = match refused {
        Some((_, problem)) if !may_write => return Err(problem),
        Some((form, problem)) => (form, Some(problem)),
        None => (ExperimentForm::default(), None),
    };
    let mut experiments = visit.api.list::<Experiment>(&path.api(&["experiments"]), LISTED).await?;
    experiments.items.sort_by(|a, b| resources::natural::compare(&a.name, &b.name));
    let shell = Shell::of("Experiments", &path, Tab::Experiments)
        .command(format!("batchai experiment list {}", path.options()))
        .json(path.json(&["experiments"]))
        .live(10);
    let status = problem.as_ref().map(|problem| problem.status);
    let content = Experiments { path, experiments, may_write, form, problem };
    Ok(forms::shown(&shell, visit, &content, status))
}

pub(crate) async fn create(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
    Form(form): Form<ExperimentForm>,
) -> Result<Response, Failure> {
    let name = form.name.trim();
    let target = path.api(&["experiments", name]);
    match forms::create(&visit, &target, ("experiment", name), json!({})).await {
        Ok(()) => Ok(Redirect::to(&path.page(&["experiments", name])).into_response()),
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => Err(problem),
        Err(problem) => shown(&visit, path, Some((form, problem))).await,
    }
}

pub(crate) async fn delete(
    visit: Visit,
    Path(ExperimentPath { workspace: path, experiment }): Path<ExperimentPath>,
) -> Result<Redirect, Failure> {
    visit.api.send(Method::DELETE, &path.api(&["experiments", &experiment]), None).await?;
    Ok(Redirect::to(&path.page(&["experiments"])))
}

impl Experiments {
    fn create_command(&self) -> String {
        let name = forms::name_or_placeholder(&self.form.name);
        format!("batchai experiment create {name} {}", self.path.options())
    }
}
