//! Reports an error to the user: what went wrong, and which command to run next. Programs get it as the
//! JSON of the service's own errors.

use crate::client::{ServiceError, Unreachable};
use crate::exit::Exit;
use crate::output::Format;
use crate::stderr;
use serde_json::json;
use std::io;

/// The code of an error that is not the service's.
const COMMAND_FAILED: &str = "CommandFailed";

/// Prints the error and its hint on stderr; returns the exit status.
pub fn report(error: &anyhow::Error, format: Format) -> Exit {
    if is_closed_pipe(error) {
        // The reader closed the pipe early, as in `batchai job list | head -1`.
        return Exit::SUCCESS;
    }
    if format.is_for_programs() {
        let message = match error.downcast_ref::<ServiceError>() {
            Some(error) => error.message.clone(),
            None => format!("{error:#}"),
        };
        stderr::message(body(code(error), &message, hint(error).as_deref()));
        return Exit::FAILURE;
    }
    stderr::message(format_args!("error: {error:#}"));
    if let Some(hint) = hint(error) {
        stderr::message(format_args!("\n{hint}"));
    }
    Exit::FAILURE
}

/// Reports a command line that cannot be parsed, for programs.
pub fn report_usage(error: &clap::Error) -> Exit {
    let text = error.to_string();
    let reason = text.split("\n\nUsage:").next().unwrap_or(&text);
    let words: Vec<_> = reason.trim_start_matches("error:").split_whitespace().collect();
    stderr::message(body("InvalidCommandLine", &words.join(" "), None));
    Exit::USAGE
}

/// An error on one line, with the fields of the service's errors.
fn body(code: &str, message: &str, hint: Option<&str>) -> serde_json::Value {
    let mut error = json!({ "code": code, "message": message });
    if let Some(hint) = hint {
        error["hint"] = json!(hint);
    }
    json!({ "error": error })
}

fn code(error: &anyhow::Error) -> &str {
    if error.is::<Unreachable>() {
        return "Unreachable";
    }
    error.downcast_ref::<ServiceError>().map_or(COMMAND_FAILED, |error| &error.code)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(closed)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(Unreachable { endpoint, .. }) = error.downcast_ref() {
        return Some(if oidc::is_loopback(endpoint) {
            "If the service is not running, start it in another terminal:\n\
             \n  batchai local\n\n\
             If its data directory is not the default one, add --data-dir DIR to this command."
                .to_owned()
        } else {
            "Check the URL of the service in --endpoint, BATCHAI_ENDPOINT or the profile. For more:\n\
             \n  batchai doctor"
                .to_owned()
        });
    }
    let error: &ServiceError = error.downcast_ref()?;
    let text = match (error.code.as_str(), error.status) {
        (_, 401) => {
            "The service does not accept the token. Sign in with `batchai login`, or set BATCHAI_TOKEN.\n\
             For `batchai local` set --data-dir to its data directory, which has the token."
        }
        (_, 403) => {
            "The token is valid, but its roles do not allow this. An owner can assign a role:\n\
             \n  batchai role assign ROLE --to NAME -w WORKSPACE"
        }
        ("WorkspaceNotFound", _) => {
            "List the workspaces of the resource group (-g), or create one:\n\
             \n  batchai workspace list\n  batchai workspace create NAME"
        }
        ("ExperimentNotFound", _) => {
            "List the experiments of the workspace, or create one:\n\
             \n  batchai experiment list\n  batchai experiment create NAME"
        }
        ("ClusterNotFound", _) => "List the clusters of the workspace:\n\n  batchai cluster list",
        ("FileServerNotFound", _) => {
            "List the file servers of the workspace:\n\n  batchai file-server list"
        }
        ("JobNotFound", _) => "List the jobs of the experiment:\n\n  batchai job list",
        ("OutputDirectoryNotFound", _) => {
            "Only files on a mounted file server can be listed. Check the ids and paths of the\n\
             output directories, and that the cluster mounts the file server:\n\
             \n  batchai job show NAME -o json\n  batchai cluster show NAME -o json"
        }
        (_, 500..=599) => "The request is valid; the service failed. See the log of the service.",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_hint_is_found_below_context() {
        let refused = ServiceError { status: 401, code: "Denied".into(), message: "No".into() };
        let error = anyhow::Error::new(refused).context("cannot list the jobs");
        assert!(hint(&error).unwrap().contains("BATCHAI_TOKEN"));
        assert_eq!(format!("{error:#}"), "cannot list the jobs: No (Denied)");
    }

    #[test]
    fn an_unreachable_service_has_a_hint_how_to_start_it() {
        let endpoint = "http://127.0.0.1:8470".parse().unwrap();
        let cause = "Connection refused (os error 111)".to_owned();
        let error = anyhow::Error::new(Unreachable { endpoint, cause });
        insta::assert_snapshot!(format!("error: {error:#}\n\n{}", hint(&error).unwrap()), @"
        error: cannot connect to http://127.0.0.1:8470: Connection refused (os error 111)

        If the service is not running, start it in another terminal:

          batchai local

        If its data directory is not the default one, add --data-dir DIR to this command.
        ");
    }

    #[test]
    fn programs_get_the_fields_of_the_service() {
        let missing = ServiceError {
            status: 404,
            code: "JobNotFound".into(),
            message: "The specified job a is not found".into(),
        };
        let error = anyhow::Error::new(missing).context("cannot read the job");
        insta::assert_snapshot!(body(code(&error), "No job", hint(&error).as_deref()), @r#"{"error":{"code":"JobNotFound","hint":"List the jobs of the experiment:\n\n  batchai job list","message":"No job"}}"#);
        assert_eq!(code(&anyhow!("something else")), COMMAND_FAILED);
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(report(&error, Format::Table), Exit::SUCCESS);
        assert!(hint(&anyhow!("something else")).is_none());
    }
}
