//! File servers: a directory tree each, named by uid, that clusters and jobs mount.

use crate::context::replan;
use crate::operations::{Put, Started, stored};
use crate::ports::PortError;
use crate::workspaces::{self, being_deleted};
use crate::{Context, Error, Function};
use lifecycle::Draft;
use lifecycle::resources::{self, Resource};
use model::{
    Backoff, FileServer, FileServerSpec, FileServerState, Name, Operation, ResourceError,
    Timestamp, Uid, Workspace, WorkspaceNames, limits,
};
use std::path::PathBuf;
use table::Page;
use wire::{FileServerId, FileServerView, ResourceKind};

#[derive(Clone)]
pub struct FileServers {
    context: Context,
}

/// Where the tree of a file server is.
pub(crate) fn directory(context: &Context, uid: &Uid) -> PathBuf {
    context.settings.file_server_root.join(uid.as_str())
}

/// # Errors
/// 404 when there is no such workspace or file server.
async fn existing(
    context: &Context,
    names: &WorkspaceNames,
    name: &Name,
) -> Result<FileServer, Error> {
    let workspace = workspaces::existing(context, names).await?;
    let found = context.table.file_server(&workspace.uid, name.as_str()).await?;
    found.ok_or_else(|| Error::not_found(ResourceKind::FileServer, name.as_str()))
}

/// The file servers that a request names, each once.
///
/// # Errors
/// When one does not exist, cannot be mounted, or there are more than a transaction takes.
pub(crate) async fn mountable(
    context: &Context,
    ids: impl Iterator<Item = &FileServerId>,
) -> Result<Vec<FileServer>, Error> {
    let mut servers: Vec<FileServer> = Vec::new();
    for id in ids {
        let server = existing(context, &id.names, &id.name).await?;
        refuse_unready(&server)?;
        if !servers.iter().any(|known| known.uid == server.uid) {
            servers.push(server);
        }
        if servers.len() > limits::MAX_FILE_SERVER_MOUNTS {
            let message = format!(
                "At most {} different file servers can be mounted; use fewer, or directories of one",
                limits::MAX_FILE_SERVER_MOUNTS
            );
            return Err(Error::bad_request("InvalidParameter", message));
        }
    }
    Ok(servers)
}

fn refuse_unready(server: &FileServer) -> Result<(), Error> {
    let name = &server.name;
    match server.state {
        FileServerState::Ready { .. } => Ok(()),
        FileServerState::Creating { .. } => Err(Error::conflict(
            "FileServerNotReady",
            format!("The specified file server {name} is still being created"),
        )),
        FileServerState::Failed { .. } => Err(Error::conflict(
            "FileServerNotReady",
            format!(
                "The specified file server {name} could not be provisioned; create it again, or delete it"
            ),
        )),
        FileServerState::Deleting { .. } => Err(being_deleted("file server", name)),
    }
}

impl FileServers {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// # Errors
    /// 404 when there is no such workspace or file server.
    pub async fn get(&self, names: &WorkspaceNames, name: &Name) -> Result<FileServer, Error> {
        existing(&self.context, names, name).await
    }

    /// What a response says beyond the record. Nodes reach the tree through the service, so the
    /// addresses are those of this machine or of the stack's file system.
    pub fn view(&self, server: &FileServer) -> FileServerView {
        let path = directory(&self.context, &server.uid).to_string_lossy().into_owned();
        FileServerView {
            mount_point: "/data".to_owned(),
            public_ip: "127.0.0.1".to_owned(),
            internal_ip: "127.0.0.1".to_owned(),
            local_path: self.context.settings.shows_local_paths.then_some(path),
        }
    }

    /// Creates a file server; its directory follows. One that could not be provisioned is tried
    /// again.
    ///
    /// # Errors
    /// 409 when the name is taken by another one.
    pub async fn put(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        spec: &FileServerSpec,
    ) -> Result<Put<FileServer>, Error> {
        let (uid, operation) = (self.context.new_uid(), self.context.new_uid());
        replan(|| async {
            let workspace = workspaces::open(&self.context, names).await?;
            let found = self.context.table.file_server(&workspace.uid, name.as_str()).await?;
            let accepted = |operation| Ok(Put::Accepted(stored(operation, &workspace.location)));
            let mut draft = self.context.draft();
            match found {
                Some(found) if found.uid == uid => {
                    if let FileServerState::Creating { operation, .. } = found.state {
                        return accepted(operation);
                    }
                    return Ok(Put::Unchanged(Box::new(found)));
                }
                Some(found) if matches!(found.state, FileServerState::Deleting { .. }) => {
                    return Err(being_deleted("file server", name));
                }
                Some(found) if wire::is_same_file_server(spec, &found) => {
                    let FileServerState::Failed { .. } = found.state else {
                        return Ok(Put::Unchanged(Box::new(found)));
                    };
                    provision_again(&mut draft, &found, operation.clone());
                }
                Some(_) => return Err(exists("FileServerExists", "file server", name)),
                None => {
                    let server = self.new_server(&workspace, name, spec, &uid, &operation);
                    draft.writes().require_workspace(&workspace);
                    draft.writes().create(&server);
                    provision(&mut draft, &server, operation.clone());
                }
            }
            self.context.commit(draft).await?;
            accepted(operation.clone())
        })
        .await
    }

    fn new_server(
        &self,
        workspace: &Workspace,
        name: &Name,
        spec: &FileServerSpec,
        uid: &Uid,
        operation: &Uid,
    ) -> FileServer {
        let now = self.context.now();
        let own = || wire::ids::own_subnet_id(&workspace.names.subscription, uid);
        let subnet_id = spec.subnet_id.clone().or_else(|| Some(own()));
        FileServer {
            workspace: workspace.uid.clone(),
            names: workspace.names.clone(),
            name: name.clone(),
            uid: uid.clone(),
            version: self.context.first_version(),
            spec: FileServerSpec { subnet_id, ..spec.clone() },
            created_at: now,
            etag: self.context.new_uid(),
            modified_at: now,
            state: FileServerState::Creating { operation: operation.clone(), since: now },
            removal: Backoff::CLEAR,
            error: None,
        }
    }

    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn list(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<FileServer>, Error> {
        let workspace = workspaces::existing(&self.context, names).await?;
        Ok(self.context.table.file_servers(&workspace.uid, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 409 while a cluster mounts it, of whatever workspace.
    pub async fn delete(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            let found = self.context.table.file_server(&workspace.uid, name.as_str()).await?;
            let Some(server) = found else { return Ok(None) };
            self.refuse_if_mounted(&server).await?;
            let mut draft = self.context.draft();
            let operation = self.context.new_uid();
            let operation = resources::begin_deletion(&mut draft, &server, operation);
            self.context.commit(draft).await?;
            Ok(Some(stored(operation, &workspace.location)))
        })
        .await
    }

    async fn refuse_if_mounted(&self, server: &FileServer) -> Result<(), Error> {
        match self.context.table.file_server_user(&server.uid).await? {
            None => Ok(()),
            Some(user) => Err(Error::conflict(
                "FileServerInUse",
                format!(
                    "The specified file server {} is mounted by the cluster {}; delete the cluster first",
                    server.name,
                    wire::cluster_id(&user.names, &user.name)
                ),
            )),
        }
    }
}

/// Its operation begins, and recovery makes the directory.
fn provision(draft: &mut Draft, server: &FileServer, operation: Uid) {
    let started = Operation::started(operation, server.operation_key(), draft.now);
    draft.put_operation(&started);
    draft.writes().schedule(&server.target());
    draft.hint(Function::Recovery, server.target());
}

fn provision_again(draft: &mut Draft, failed: &FileServer, operation: Uid) {
    let mut server = failed.clone();
    server.state = FileServerState::Creating { operation: operation.clone(), since: draft.now };
    draft.writes().replace(failed, &server);
    provision(draft, &server, operation);
}

/// The next step of a file server that is being created or deleted: its directory, then its record.
///
/// # Errors
/// When the directory cannot be made; tried again until the deadline of a creation.
pub(crate) async fn settle(
    context: &Context,
    workspace: &Uid,
    name: &str,
    uid: &Uid,
) -> Result<(), Error> {
    replan(|| async {
        let found = context.table.file_server(workspace, name).await?;
        let mut draft = context.draft();
        match found.filter(|server| server.uid == *uid) {
            Some(server) => settle_found(context, &mut draft, &server).await?,
            None => draft.writes().unschedule(uid),
        }
        context.commit(draft).await?;
        Ok(())
    })
    .await
}

async fn settle_found(
    context: &Context,
    draft: &mut Draft,
    server: &FileServer,
) -> Result<(), Error> {
    let now = draft.now;
    match &server.state {
        FileServerState::Creating { operation, since } => {
            let outcome = context.directories.create(&server.uid).await;
            let late = now.seconds_since(*since) >= limits::FILE_SERVER_DEADLINE_SECONDS;
            match outcome {
                Err(error) if !late => return Err(error.into()),
                outcome => provisioned(draft, server, operation, *since, outcome),
            }
        }
        FileServerState::Ready { .. } | FileServerState::Failed { .. } => {
            // Only as it is: a deletion that begins meanwhile is to be visited.
            draft.writes().require_unchanged(server);
            draft.writes().unschedule(&server.uid);
        }
        // Visited by the schedule until the pause is over.
        FileServerState::Deleting { .. } if now < server.removal.not_before => {}
        FileServerState::Deleting { .. } => match context.directories.remove(&server.uid).await {
            Ok(()) => resources::finish_deletion(draft, server),
            Err(error) => {
                tracing::warn!(file_server = %server.name, %error, "its files cannot be removed");
                let error = ResourceError::new("FileRemovalFailed", error.to_string());
                resources::removal_failed(draft, server, error);
            }
        },
    }
    Ok(())
}

/// The operation of a creation ends; when it has failed, it says so inside its 200.
fn provisioned(
    draft: &mut Draft,
    server: &FileServer,
    operation: &Uid,
    since: Timestamp,
    outcome: Result<(), PortError>,
) {
    let now = draft.now;
    let mut after = server.clone();
    let started = Operation::started(operation.clone(), server.operation_key(), since);
    let ended = match outcome {
        Ok(()) => {
            after.state = FileServerState::Ready { since: now };
            started.succeeded(now)
        }
        Err(error) => {
            tracing::error!(file_server = %server.name, %error, "it cannot be provisioned");
            after.state = FileServerState::Failed { since: now };
            // Code and message of the Batch AI service (docs/contract.md, "Errors").
            let (code, message) =
                ("FileServerProvisioningFailed", "File Server provisioning has failed");
            started.failed(ResourceError::new(code, message), now)
        }
    };
    draft.writes().replace(server, &after);
    draft.put_operation(&ended);
    draft.writes().unschedule(&server.uid);
}

/// A PUT of something else under a name that is taken.
pub(crate) fn exists(code: &str, what: &str, name: &Name) -> Error {
    Error::conflict(
        code,
        format!(
            "The specified {what} {name} exists already with other properties; delete it first or choose another name"
        ),
    )
}
