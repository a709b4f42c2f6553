//! Changes of a job: terminate, delete, run again.

use crate::failure::Failure;
use crate::pages::job::JobPath;
use crate::pages::job_definition::{hidden, request};
use crate::shell::Visit;
use axum::extract::Path;
use axum::response::Redirect;
use http::{Method, StatusCode};
use serde_json::Value;

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
pub(crate) fn numbered(name: &str) -> (&str, u32) {
    let split = name.rsplit_once('-').and_then(|(base, number)| Some((base, number.parse().ok()?)));
    match split {
        Some((base, number @ 2..100)) if !base.is_empty() => (base, number),
        _ => (name, 1),
    }
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
