//! The output files of a job, with links, as the script of its page reads them: those of each attempt.

use crate::failure::Failure;
use crate::pages::job::JobPath;
use crate::shell::Visit;
use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use resources::{File, Job, time};
use serde::Serialize;
use serde_json::json;

/// So many attempts are listed, the last ones: each is a directory of its own.
const ATTEMPTS: u32 = 10;

/// So many files of an attempt: a TensorFlow job has two for each process.
const FILES: usize = 500;

/// A file of an attempt.
#[derive(Debug, PartialEq, Serialize)]
struct LogFile {
    /// `stdout.txt`, the same in all attempts.
    name: String,
    attempt: u32,
    url: String,
    size: u64,
}

/// Answers a failure in JSON, too: the script shows its message.
pub(crate) async fn list(visit: Visit, Path(path): Path<JobPath>) -> Response {
    match found(&visit, &path).await {
        Ok(response) => response,
        Err(failure) => {
            (failure.status, Json(json!({ "message": failure.message }))).into_response()
        }
    }
}

async fn found(visit: &Visit, path: &JobPath) -> Result<Response, Failure> {
    let job: Job = visit.api.get(&path.api(&[])).await?;
    let attempt = job.attempt_number();
    let current = directory(visit, path, ".").await?;
    let earlier = earlier_attempts(&current, attempt);
    let (old, new) = split(current, &job);
    let mut files = of_attempt(new, attempt);
    files.extend(of_attempt(old, attempt.saturating_sub(1)));
    for number in earlier {
        let listed = directory(visit, path, &format!("attempt-{number}")).await?;
        files.extend(of_attempt(listed, number));
    }
    let running = job.properties.execution_state.has_nodes();
    let ended = job.has_ended();
    let body = json!({ "ended": ended, "running": running, "attempt": attempt, "files": files });
    Ok(Json(body).into_response())
}

/// The files of earlier attempts that the node has not moved yet, and those of the current attempt. An attempt has nodes before
/// one of them has moved what was written before.
fn split(files: Vec<File>, job: &Job) -> (Vec<File>, Vec<File>) {
    let start = match job.attempts() {
        [_, .., last] => last.start_time.as_deref().and_then(time::parse),
        _ => None,
    };
    let Some(start) = start else { return (Vec::new(), files) };
    // The times of files may be without fractions of a second.
    let is_old = |file: &File| {
        let modified = file.properties.last_modified.as_deref().and_then(time::parse);
        modified.is_some_and(|modified| modified.as_second() < start.as_second())
    };
    files.into_iter().partition(is_old)
}

async fn directory(visit: &Visit, path: &JobPath, name: &str) -> Result<Vec<File>, Failure> {
    let query = format!("?outputdirectoryid=stdouterr&directory={name}");
    let listing = path.api(&["listOutputFiles"]);
    Ok(visit.api.list_by_post(&format!("{listing}{query}"), FILES).await?.items)
}

/// The attempts whose files have been moved to directories of their own, the last one first.
fn earlier_attempts(current: &[File], attempt: u32) -> Vec<u32> {
    let has = |number: &u32| {
        let name = format!("attempt-{number}");
        current.iter().any(|entry| entry.is_directory() && entry.name == name)
    };
    (1..attempt).rev().take(ATTEMPTS as usize).filter(has).collect()
}

/// The standard output first, then that of other processes, then what the node itself wrote.
fn of_attempt(files: Vec<File>, attempt: u32) -> Vec<LogFile> {
    let entry = |file: File| {
        let url = file.download_url?;
        let size = file.properties.content_length.unwrap_or(0);
        Some(LogFile { name: file.name, attempt, url, size })
    };
    let mut files: Vec<LogFile> = files.into_iter().filter_map(entry).collect();
    let rank = |name: &str| match name {
        "stdout.txt" => 0,
        "stderr.txt" => 1,
        name if name.starts_with("stdout") => 2,
        name if name.starts_with("stderr") => 3,
        _ => 4,
    };
    files.sort_by(|a, b| rank(&a.name).cmp(&rank(&b.name)).then_with(|| a.name.cmp(&b.name)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, file_type: &str) -> File {
        let url = (file_type == "file").then_some("http://x/y");
        serde_json::from_value(json!({ "name": name, "fileType": file_type, "downloadUrl": url }))
            .unwrap()
    }

    #[test]
    fn standard_output_is_the_first_file() {
        let names =
            ["execution.log", "stderr.txt", "stdout-wk-1.txt", "stdout.txt", "stdout-wk-0.txt"];
        let files = of_attempt(names.map(|name| entry(name, "file")).into(), 2);
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        insta::assert_snapshot!(names.join(" "), @"stdout.txt stderr.txt stdout-wk-0.txt stdout-wk-1.txt execution.log");
    }

    #[test]
    fn files_that_are_not_moved_yet_are_those_of_the_attempt_before() {
        let job = |attempts: serde_json::Value| -> Job {
            let properties = json!({ "extensions": { "attempts": attempts } });
            serde_json::from_value(json!({ "name": "train", "properties": properties })).unwrap()
        };
        let file = |name: &str, modified: &str| -> File {
            let properties = json!({ "lastModified": modified });
            let file = json!({ "name": name, "fileType": "file", "properties": properties });
            serde_json::from_value(file).unwrap()
        };
        let files = || {
            vec![
                file("old", "2026-01-01T00:00:09Z"),
                file("new", "2026-01-01T00:00:10Z"),
                file("unknown", ""),
            ]
        };
        let first = json!({ "number": 1, "startTime": "2026-01-01T00:00:00Z" });
        let second = json!({ "number": 2, "startTime": "2026-01-01T00:00:10.5Z" });
        let names = |files: Vec<File>| {
            files.into_iter().map(|file| file.name).collect::<Vec<_>>().join(" ")
        };
        let (old, new) = split(files(), &job(json!([first, second])));
        assert_eq!((names(old), names(new)), ("old".to_owned(), "new unknown".to_owned()));
        assert!(split(files(), &job(json!([first]))).0.is_empty());
    }

    #[test]
    fn earlier_attempts_are_those_with_a_directory() {
        let current =
            ["attempt-1", "attempt-3", "attempt-9", "other"].map(|it| entry(it, "directory"));
        assert_eq!(earlier_attempts(&current, 4), [3, 1]);
        assert!(earlier_attempts(&current, 0).is_empty());
    }
}
