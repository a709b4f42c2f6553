//! Errors as the person sees them: what went wrong, and what to do about it.

use crate::client::{ServiceError, Unreachable, is_loopback};
use crate::exit::Exit;
use crate::talk;
use std::io;

/// Says it on stderr and gives the exit status.
pub fn report(error: &anyhow::Error) -> Exit {
    if is_closed_pipe(error) {
        // Whoever read our output has had enough (`batchai job list | head -1`).
        return Exit::SUCCESS;
    }
    talk::say(format_args!("error: {error:#}"));
    if let Some(hint) = hint(error) {
        talk::say(format_args!("\n{hint}"));
    }
    Exit::FAILURE
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(closed)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(Unreachable { endpoint }) = error.downcast_ref() {
        return Some(if is_loopback(endpoint) {
            "Is the service running? Start it with `batchai local` in another terminal; name its\n\
             data directory with --data-dir if it has its own."
                .to_owned()
        } else {
            "Is that the address of the service? It comes from --endpoint or BATCHAI_ENDPOINT."
                .to_owned()
        });
    }
    let error: &ServiceError = error.downcast_ref()?;
    let text = match (error.code.as_str(), error.status) {
        (_, 401) => {
            "The service does not accept the token. It is read from BATCHAI_TOKEN or, for\n\
             `batchai local`, from the file `token` in its data directory (--data-dir)."
        }
        (_, 403) => "The token is good, but its role does not allow this.",
        ("WorkspaceNotFound", _) => {
            "`batchai workspace list` shows those in the resource group (-g); `batchai workspace\n\
             create NAME` makes one."
        }
        ("ExperimentNotFound", _) => {
            "`batchai experiment list` shows those in the workspace; `batchai experiment create\n\
             NAME` makes one."
        }
        ("ClusterNotFound", _) => "`batchai cluster list` shows those in the workspace.",
        ("FileServerNotFound", _) => "`batchai file-server list` shows those in the workspace.",
        ("JobNotFound", _) => "`batchai job list` shows those in the experiment.",
        ("OutputDirectoryNotFound", _) => {
            "Only what is on a mounted file server can be read from here: look at the ids and\n\
             paths in the job's description, and whether its cluster mounts the file server (--nfs)."
        }
        (_, 500..=599) => "The service failed, not you. Its log says more.",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_refusal_is_explained_even_under_context() {
        let refused = ServiceError { status: 401, code: "Denied".into(), message: "No".into() };
        let error = anyhow::Error::new(refused).context("cannot list the jobs");
        assert!(hint(&error).unwrap().contains("BATCHAI_TOKEN"));
        assert_eq!(format!("{error:#}"), "cannot list the jobs: No (Denied)");
    }

    #[test]
    fn a_silent_service_leads_to_the_command_that_starts_it() {
        let endpoint = "http://127.0.0.1:8470".parse().unwrap();
        let error = anyhow::Error::new(Unreachable { endpoint });
        insta::assert_snapshot!(format!("error: {error:#}\n\n{}", hint(&error).unwrap()), @"
        error: nothing answers at http://127.0.0.1:8470

        Is the service running? Start it with `batchai local` in another terminal; name its
        data directory with --data-dir if it has its own.
        ");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(report(&error), Exit::SUCCESS);
        assert!(hint(&anyhow!("something else")).is_none());
    }
}
