//! The rules of requests, case by case: the violations of each body.

mod cluster;
mod cluster_extensions;
mod file_server;
mod job;
mod sweep;

use crate::{Violation, Violations, codes};

/// All violations of a body, one line each, with the code unless it is the usual one; `ok` if
/// nothing is wrong.
fn violations_of<T>(result: Result<T, Violations>) -> String {
    let line = |violation: &Violation| match violation.code {
        codes::INVALID_PARAMETER => violation.message.clone(),
        code => format!("{code}: {}", violation.message),
    };
    match result {
        Ok(_) => "ok".to_owned(),
        Err(violations) => violations.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}
