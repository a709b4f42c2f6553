//! Changes of a job: terminate, delete, run again, clone.

use crate::failure::Failure;
use crate::pages::job::JobPath;
use crate::pages::job_definition::{hidden, request};
use crate::shell::{Shell, Tab, Visit};
use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// The form of a clone.
#[derive(Template)]
#[template(path = "job_clone.html")]
struct JobClone {
    job: JobPath,
    name: String,
    body: String,
    problem: Option<Failure>,
    /// What the copy lacks.
    hidden: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Submission {
    name: String,
    body: String,
}

/// So many names are tried for a job that runs again.
const NAMES: u32 = 20;

/// The longest name of a resource.
const NAME_CHARACTERS: usize = 64;

pub(crate) async fn terminate(
    visit: Visit,
    Path(path): Path<JobPath>,
) -> Result<Redirect, Failure> {
    visit.api.send(Method::POST, &path.api(&["terminate"]), None).await?;
    Ok(Redirect::to(&path.page(&[])))
}

pub(crate) async fn delete(visit: Visit, Path(path): Path<JobPath>) -> Result<Redirect, Failure> {
    visit.api.send(Method::DELETE, &path.api(&[]), None).await?;
    Ok(Redirect::to(&path.experiment_page()))
}

/// The same job under another name.
pub(crate) async fn again(visit: Visit, Path(path): Path<JobPath>) -> Result<Redirect, Failure> {
    let body = request(&visit.api.get::<Value>(&path.api(&[])).await?);
    let hidden = hidden(&body);
    if !hidden.is_empty() {
        return Err(Failure::invalid(format!(
            "The job cannot run again as it is: the API does not return {}. Clone it, then add the missing values",
            hidden.join(", ")
        )));
    }
    let next = path.named(free_name(&visit, &path).await?);
    visit.api.send(Method::PUT, &next.api(&[]), Some(body)).await?;
    Ok(Redirect::to(&next.page(&[])))
}

/// `train-2` for `train`, `train-3` for `train-2`, the first that no job has.
async fn free_name(visit: &Visit, path: &JobPath) -> Result<String, Failure> {
    let (base, number) = numbered(&path.job);
    for number in (number + 1..).take(NAMES as usize) {
        let suffix = format!("-{number}");
        let base: String = base.chars().take(NAME_CHARACTERS - suffix.len()).collect();
        let name = format!("{base}{suffix}");
        match visit.api.get::<Value>(&path.named(name.clone()).api(&[])).await {
            Err(failure) if failure.status == StatusCode::NOT_FOUND => return Ok(name),
            found => found?,
        };
    }
    Err(Failure::invalid("Too many jobs have similar names; clone the job and choose a name"))
}

/// The name without the number of a copy, and that number; 1 is the original.
fn numbered(name: &str) -> (&str, u32) {
    let split = name.rsplit_once('-').and_then(|(base, number)| Some((base, number.parse().ok()?)));
    match split {
        Some((base, number @ 2..100)) if !base.is_empty() => (base, number),
        _ => (name, 1),
    }
}

pub(crate) async fn form(visit: Visit, Path(path): Path<JobPath>) -> Result<Response, Failure> {
    let body = request(&visit.api.get::<Value>(&path.api(&[])).await?);
    let hidden = hidden(&body);
    let body = serde_json::to_string_pretty(&body).unwrap_or_default();
    let (base, number) = numbered(&path.job);
    let name = format!("{base}-{}", number + 1);
    Ok(shown(&visit, JobClone { job: path, name, body, problem: None, hidden }))
}

fn shown(visit: &Visit, content: JobClone) -> Response {
    let path = &content.job;
    let shell = Shell::of(format!("Clone {}", path.job), &path.workspace, Tab::Experiments)
        .below("Experiments", path.workspace.page(&["experiments"]))
        .below(path.experiment.clone(), path.experiment_page())
        .below(path.job.clone(), path.page(&[]))
        .command(format!("batchai job submit -f job.json -n NAME {}", path.options()))
        .json(path.json());
    let status = content.problem.as_ref().map_or(StatusCode::OK, |failure| failure.status);
    let mut response = shell.respond(visit, &content);
    *response.status_mut() = status;
    response
}

/// Submits what was typed. A refusal is shown above it.
pub(crate) async fn clone(
    visit: Visit,
    Path(path): Path<JobPath>,
    Form(Submission { name, body }): Form<Submission>,
) -> Response {
    match submitted(&visit, &path, name.trim(), &body).await {
        Ok(page) => Redirect::to(&page).into_response(),
        Err(problem) => {
            let (problem, hidden) = (Some(problem), Vec::new());
            shown(&visit, JobClone { job: path, name, body, problem, hidden })
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
    if name.is_empty() {
        return Err(Failure::invalid("Give the job a name"));
    }
    let next = path.named(name.to_owned());
    // The service answers a repeated request for the same job as if it were new.
    match visit.api.get::<Value>(&next.api(&[])).await {
        Err(failure) if failure.status == StatusCode::NOT_FOUND => {}
        Err(failure) => return Err(failure),
        Ok(_) => {
            let message = format!("A job named {name} exists already; choose another name");
            return Err(Failure::invalid(message));
        }
    }
    visit.api.send(Method::PUT, &next.api(&[]), Some(body)).await?;
    Ok(next.page(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_numbered() {
        assert_eq!(numbered("train"), ("train", 1));
        assert_eq!(numbered("train-2"), ("train", 2));
        assert_eq!(numbered("train-1"), ("train-1", 1));
        assert_eq!(numbered("run-2018"), ("run-2018", 1));
        assert_eq!(numbered("-2"), ("-2", 1));
    }
}
