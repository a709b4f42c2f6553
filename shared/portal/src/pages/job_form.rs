//! The form that submits a job: its name and its properties as JSON. They start as those of a job that is cloned, or as a small
//! job for a cluster.

use crate::failure::Failure;
use crate::pages::experiment::ExperimentPath;
use crate::pages::forms;
use crate::pages::job::JobPath;
use crate::pages::job_actions::numbered;
use crate::pages::job_definition::{hidden, request};
use crate::shell::{Shell, Tab, Visit};
use askama::Template;
use axum::Form;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Redirect, Response};
use resources::{Cluster, FileServer};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Template)]
#[template(path = "job_form.html")]
struct JobForm {
    /// Where the form is sent.
    action: String,
    /// The page before.
    back: String,
    name: String,
    body: String,
    problem: Option<Failure>,
    /// What the copy lacks.
    hidden: Vec<String>,
    /// The name of the cluster of a new job, and the others with the form for them.
    cluster: Option<(String, Vec<(String, String)>)>,
}

#[derive(Deserialize)]
pub(crate) struct Submission {
    name: String,
    body: String,
}

/// The cluster of a new job. Without a name it is the first one.
#[derive(Deserialize)]
pub(crate) struct ForCluster {
    #[serde(default)]
    cluster: String,
}

/// So many clusters can be chosen.
const CLUSTERS: usize = 50;

pub(crate) async fn clone(visit: Visit, Path(path): Path<JobPath>) -> Result<Response, Failure> {
    ensure_may_write(&visit, &path).await?;
    let body = request(&visit.api.get::<Value>(&path.api(&[])).await?);
    let (base, number) = numbered(&path.job);
    let form = JobForm {
        action: path.page(&["clone"]),
        back: path.page(&[]),
        name: format!("{base}-{}", number + 1),
        hidden: hidden(&body),
        body: pretty(&body),
        problem: None,
        cluster: None,
    };
    Ok(shown(&visit, &path, form))
}

pub(crate) async fn new(
    visit: Visit,
    Path(path): Path<ExperimentPath>,
    Query(chosen): Query<ForCluster>,
) -> Result<Response, Failure> {
    let path = new_job(path);
    ensure_may_write(&visit, &path).await?;
    let workspace = &path.workspace;
    let found = visit.api.list::<Cluster>(&workspace.api(&["clusters"]), CLUSTERS).await?.items;
    let names: Vec<String> = found.into_iter().map(|it| it.name).collect();
    let Some(name) = names.iter().find(|name| **name == chosen.cluster).or(names.first()) else {
        return Err(Failure::invalid("A job needs a cluster. Create one on the overview first"));
    };
    let cluster: Value = visit.api.get(&workspace.api(&["clusters", name])).await?;
    let servers = visit.api.list::<FileServer>(&workspace.api(&["fileServers"]), 1).await?.items;
    let action = new_job_page(&path);
    let others = names.iter().filter(|other| *other != name);
    let others = others
        .map(|it| (it.clone(), format!("{action}?cluster={}", crate::links::segment(it))))
        .collect();
    let form = JobForm {
        action,
        back: path.experiment_page(),
        name: String::new(),
        body: pretty(&starting(&cluster, servers.first().map(|server| server.id.as_str()))),
        problem: None,
        hidden: Vec::new(),
        cluster: Some((name.clone(), others)),
    };
    Ok(shown(&visit, &path, form))
}

impl JobForm {
    /// The height of the text, with some lines to add.
    fn lines(&self) -> usize {
        (self.body.lines().count() + 4).clamp(12, 32)
    }
}

/// Submits what was typed. A refusal is shown above it.
pub(crate) async fn submit_clone(
    visit: Visit,
    Path(path): Path<JobPath>,
    Form(form): Form<Submission>,
) -> Response {
    let (action, back) = (path.page(&["clone"]), path.page(&[]));
    submit(&visit, &path, form, (action, back)).await
}

pub(crate) async fn submit_new(
    visit: Visit,
    Path(path): Path<ExperimentPath>,
    Form(form): Form<Submission>,
) -> Response {
    let path = new_job(path);
    let (action, back) = (new_job_page(&path), path.experiment_page());
    submit(&visit, &path, form, (action, back)).await
}

async fn submit(
    visit: &Visit,
    path: &JobPath,
    Submission { name, body }: Submission,
    (action, back): (String, String),
) -> Response {
    match submitted(visit, path, name.trim(), &body).await {
        Ok(page) => Redirect::to(&page).into_response(),
        Err(problem) => {
            let (problem, hidden, cluster) = (Some(problem), Vec::new(), None);
            shown(visit, path, JobForm { action, back, name, body, problem, hidden, cluster })
        }
    }
}

async fn submitted(
    visit: &Visit,
    path: &JobPath,
    name: &str,
    body: &str,
) -> Result<String, Failure> {
    let body: Value = serde_json::from_str(body)
        .map_err(|error| Failure::invalid(format!("The text is not JSON: {error}")))?;
    let next = path.named(name.to_owned());
    forms::create(visit, &next.api(&[]), ("job", name), body).await?;
    Ok(next.page(&[]))
}

fn shown(visit: &Visit, path: &JobPath, form: JobForm) -> Response {
    let title = match path.job.as_str() {
        "" => "New job".to_owned(),
        job => format!("Clone {job}"),
    };
    let mut shell = Shell::of(title, &path.workspace, Tab::Experiments)
        .below("Experiments", path.workspace.page(&["experiments"]))
        .below(path.experiment.clone(), path.experiment_page())
        .command(format!("batchai job submit -f job.json -n NAME {}", path.options()));
    if !path.job.is_empty() {
        shell = shell.below(path.job.clone(), path.page(&[])).json(path.json());
    }
    forms::shown(&shell, visit, &form, form.problem.as_ref().map(|failure| failure.status))
}

async fn ensure_may_write(visit: &Visit, path: &JobPath) -> Result<(), Failure> {
    match visit.may_write(&path.workspace).await {
        true => Ok(()),
        false => Err(Failure::denied("To submit jobs, the role Contributor is needed")),
    }
}

/// A job of an experiment that has no name yet.
fn new_job(path: ExperimentPath) -> JobPath {
    let ExperimentPath { workspace, experiment } = path;
    JobPath { workspace, experiment, job: String::new() }
}

fn new_job_page(path: &JobPath) -> String {
    path.workspace.page(&["experiments", &path.experiment, "new-job"])
}

fn pretty(body: &Value) -> String {
    serde_json::to_string_pretty(body).unwrap_or_default()
}

/// A small job for a cluster. It writes its output to the file server that the cluster mounts; else it mounts `server`; else
/// the output stays on the node.
fn starting(cluster: &Value, server: Option<&str>) -> Value {
    let mut properties = json!({
        "cluster": { "id": cluster["id"] },
        "nodeCount": 1,
        "customToolkitSettings": { "commandLine": "echo Hello from $(hostname)" },
    });
    let mounted = &cluster["properties"]["nodeSetup"]["mountVolumes"]["fileServers"][0];
    let prefix = match (mounted["relativeMountPath"].as_str(), server) {
        (Some(path), _) => format!("$AZ_BATCHAI_MOUNT_ROOT/{path}"),
        (None, Some(id)) => {
            let mount = json!({ "fileServer": { "id": id }, "relativeMountPath": "nfs" });
            properties["mountVolumes"] = json!({ "fileServers": [mount] });
            "$AZ_BATCHAI_JOB_MOUNT_ROOT/nfs".to_owned()
        }
        (None, None) => "$AZ_BATCHAI_JOB_TEMP".to_owned(),
    };
    properties["stdOutErrPathPrefix"] = json!(prefix);
    json!({ "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_job_writes_its_output_to_a_file_server_if_there_is_one() {
        let mounts = json!({ "fileServers": [{ "relativeMountPath": "data" }] });
        let cluster =
            json!({ "id": "/c", "properties": { "nodeSetup": { "mountVolumes": mounts } } });
        insta::assert_snapshot!(starting(&cluster, Some("/s")), @r#"{"properties":{"cluster":{"id":"/c"},"customToolkitSettings":{"commandLine":"echo Hello from $(hostname)"},"nodeCount":1,"stdOutErrPathPrefix":"$AZ_BATCHAI_MOUNT_ROOT/data"}}"#);
        let without = json!({ "id": "/c", "properties": {} });
        let job = starting(&without, Some("/s"));
        assert_eq!(job["properties"]["stdOutErrPathPrefix"], "$AZ_BATCHAI_JOB_MOUNT_ROOT/nfs");
        insta::assert_snapshot!(job["properties"]["mountVolumes"], @r#"{"fileServers":[{"fileServer":{"id":"/s"},"relativeMountPath":"nfs"}]}"#);
        let job = starting(&without, None);
        assert_eq!(job["properties"]["stdOutErrPathPrefix"], "$AZ_BATCHAI_JOB_TEMP");
    }
}
