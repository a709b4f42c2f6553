//! File servers: recorded with an operation, created by the provisioner, mountable once they are ready.

use crate::change::Function;
use crate::creation::{self, Existing, NewIds, require_not_deleting};
use crate::draft::Draft;
use crate::refusal::Refusal;
use crate::resources::Resource;
use model::{
    Backoff, FileServer, FileServerSpec, FileServerState, FileShare, Name, Operation,
    ResourceError, Uid, Workspace, limits,
};

/// A requested file server.
#[derive(Clone, Debug)]
pub struct NewFileServer {
    /// Its name.
    pub name: Name,
    /// Its specification, with its subnet.
    pub spec: FileServerSpec,
}

/// The result of a PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutResult {
    /// Id of the operation that completes when the directory exists.
    Provisioning(Uid),
    /// The existing file server.
    Unchanged(Box<FileServer>),
}

/// Creates a file server; the provisioner creates its directory. A file server whose creation failed is
/// tried again.
///
/// # Errors
/// When a different file server has the name, or the workspace is being deleted.
pub fn put(
    draft: &mut Draft,
    workspace: &Workspace,
    (found, is_same): (Option<FileServer>, bool),
    new: NewFileServer,
    ids: NewIds,
    operation: Uid,
) -> Result<PutResult, Refusal> {
    require_not_deleting(workspace)?;
    let creating = FileServerState::Creating { operation: operation.clone(), since: draft.now };
    match creation::check_name(found, &ids.uid, |_| is_same)? {
        Existing::FromRetry(found) => match found.state {
            FileServerState::Creating { operation, .. } => {
                return Ok(PutResult::Provisioning(operation));
            }
            FileServerState::Ready { .. }
            | FileServerState::Failed { .. }
            | FileServerState::Deleting { .. } => return Ok(PutResult::Unchanged(Box::new(found))),
        },
        Existing::Identical(found) => {
            let FileServerState::Failed { .. } = found.state else {
                return Ok(PutResult::Unchanged(Box::new(found)));
            };
            let again = FileServer { state: creating, ..found.clone() };
            draft.writes().replace(&found, &again);
            provision(draft, &again, operation.clone());
        }
        Existing::None => {
            let server = FileServer {
                workspace: workspace.uid.clone(),
                names: workspace.names.clone(),
                name: new.name,
                uid: ids.uid,
                version: draft.first_version(),
                spec: new.spec,
                created_at: draft.now,
                etag: ids.etag,
                modified_at: draft.now,
                state: creating,
                share: FileShare::Directory,
                removal: Backoff::CLEAR,
                error: None,
            };
            draft.writes().require_workspace(workspace);
            draft.writes().create(&server);
            provision(draft, &server, operation.clone());
        }
    }
    Ok(PutResult::Provisioning(operation))
}

/// Starts the operation and the creation of the directory.
fn provision(draft: &mut Draft, server: &FileServer, operation: Uid) {
    let started = Operation::started(operation, server.operation_key(), draft.now);
    draft.put_operation(&started);
    draft.writes().schedule(&server.target());
    draft.hint(Function::Provisioner, server.target());
}

/// What nodes mount of a file server in creation exists now (`made`), or could not be created.
/// Returns `false` if the provisioner has to try again: only after the deadline the creation has failed,
/// and its operation then reports the error.
pub fn provisioned(draft: &mut Draft, server: &FileServer, made: Option<FileShare>) -> bool {
    let FileServerState::Creating { operation, since } = &server.state else { return true };
    let now = draft.now;
    if made.is_none() && now.seconds_since(*since) < limits::FILE_SERVER_DEADLINE_SECONDS {
        return false;
    }
    let started = Operation::started(operation.clone(), server.operation_key(), *since);
    let (state, share, ended) = match made {
        Some(share) => (FileServerState::Ready { since: now }, share, started.succeeded(now)),
        None => {
            // Code and message of the Batch AI service (docs/contract.md, "Errors").
            let (code, message) =
                ("FileServerProvisioningFailed", "File Server provisioning has failed");
            let error = ResourceError::new(code, message);
            let state = FileServerState::Failed { since: now };
            (state, server.share.clone(), started.failed(error, now))
        }
    };
    draft.writes().replace(server, &FileServer { state, share, ..server.clone() });
    draft.put_operation(&ended);
    draft.writes().unschedule(&server.uid);
    true
}

/// The provisioner has nothing to do for the file server, so the schedule drops it, unless it changed
/// meanwhile: a deletion has to be reconciled.
pub fn settled(draft: &mut Draft, server: &FileServer) {
    draft.writes().require_unchanged(server);
    draft.writes().unschedule(&server.uid);
}

/// The directory tree could not be removed. It is tried again later, and the error is shown.
pub fn removal_failed(draft: &mut Draft, server: &FileServer, error: ResourceError) {
    let mut after = server.clone();
    after.removal = server.removal.failed(draft.now);
    after.error = Some(error.within(limits::MAX_ERROR_BYTES));
    draft.writes().replace(server, &after);
}

/// Checks that the file server can be mounted.
///
/// # Errors
/// When it is not ready.
pub fn require_ready(server: &FileServer) -> Result<(), Refusal> {
    let name = || server.name.clone();
    match server.state {
        FileServerState::Ready { .. } => Ok(()),
        FileServerState::Creating { .. } => Err(Refusal::FileServerInCreation { name: name() }),
        FileServerState::Failed { .. } => Err(Refusal::FileServerFailed { name: name() }),
        FileServerState::Deleting { .. } => require_not_deleting(server),
    }
}

#[cfg(test)]
mod tests;
