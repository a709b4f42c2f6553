//! File servers: a directory tree each, named by uid, that clusters and jobs mount.

use crate::operations::{Put, Started};
use crate::ports::Function;
use crate::workspaces::being_deleted;
use crate::{Control, Error, replan};
use dynamo::{Page, Transaction};
use model::{
    FileServer, FileServerSpec, FileServerState, Name, Operation, ResourceError, Timestamp, Uid,
    Wake, WorkspaceNames, limits,
};
use std::path::PathBuf;
use wire::{FileServerId, FileServerView, ResourceKind};

impl Control {
    pub fn file_server_directory(&self, uid: &Uid) -> PathBuf {
        self.settings.file_server_root.join(uid.as_str())
    }

    /// What a response says beyond the record. Nodes reach the tree through the service, so the
    /// addresses are those of this machine or of the stack's file system.
    pub fn file_server_view(&self, server: &FileServer) -> FileServerView {
        let path = self.file_server_directory(&server.uid).to_string_lossy().into_owned();
        FileServerView {
            mount_point: "/data".to_owned(),
            public_ip: "127.0.0.1".to_owned(),
            internal_ip: "127.0.0.1".to_owned(),
            local_path: self.settings.shows_local_paths.then_some(path),
        }
    }

    pub async fn file_server(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<FileServer, Error> {
        let workspace = self.workspace(names).await?;
        let found = self.table.file_server(&workspace.uid, name.as_str()).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::FileServer, name.as_str()))
    }

    /// A file server that is named in a request, if it can be mounted.
    pub(crate) async fn mountable(&self, id: &FileServerId) -> Result<FileServer, Error> {
        let server = self.file_server(&id.names, &id.name).await?;
        match server.state {
            FileServerState::Ready { .. } => Ok(server),
            FileServerState::Creating { .. } => Err(Error::conflict(
                "FileServerNotReady",
                format!("The specified file server {} is still being created", id.name),
            )),
            FileServerState::Failed { .. } => Err(Error::conflict(
                "FileServerNotReady",
                format!(
                    "The specified file server {} could not be provisioned; create it again, or delete it",
                    id.name
                ),
            )),
            FileServerState::Deleting { .. } => Err(being_deleted("file server", &id.name)),
        }
    }

    pub async fn put_file_server(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        spec: &FileServerSpec,
    ) -> Result<Put<FileServer>, Error> {
        let uid = self.new_uid();
        replan(|| async {
            let workspace = self.open_workspace(names).await?;
            let found = self.table.file_server(&workspace.uid, name.as_str()).await?;
            let operation = self.new_uid();
            let started = |operation| Started {
                operation,
                location: workspace.location.clone(),
                is_done: false,
            };
            match found {
                Some(found) if found.uid == uid => {
                    if let FileServerState::Creating { operation, .. } = found.state {
                        return Ok(Put::Accepted(started(operation)));
                    }
                    return Ok(Put::Unchanged(Box::new(found)));
                }
                Some(found) if matches!(found.state, FileServerState::Deleting { .. }) => {
                    return Err(being_deleted("file server", name));
                }
                Some(found) if wire::is_same_file_server(spec, &found) => {
                    if let FileServerState::Failed { .. } = found.state {
                        self.provision_again(found, operation.clone()).await?;
                        return Ok(Put::Accepted(started(operation)));
                    }
                    return Ok(Put::Unchanged(Box::new(found)));
                }
                Some(_) => return Err(exists("FileServerExists", "file server", name)),
                None => {}
            }
            let now = self.now();
            let mut spec = spec.clone();
            let own = || wire::ids::own_subnet_id(&workspace.names.subscription, &uid);
            spec.subnet_id = spec.subnet_id.or_else(|| Some(own()));
            let server = FileServer {
                workspace: workspace.uid.clone(),
                names: workspace.names.clone(),
                name: name.clone(),
                uid: uid.clone(),
                version: 1,
                spec,
                created_at: now,
                etag: self.new_uid(),
                modified_at: now,
                state: FileServerState::Creating { operation: operation.clone(), since: now },
            };
            let resource = wire::ids::child_key(&server.names, name);
            let wake = file_server_wake(&server);
            let transaction = Transaction::new()
                .require_workspace(&workspace)
                .create_file_server(&server)
                .put_operation(&Operation::started(operation.clone(), resource, now))
                .wake(&wake);
            self.table.commit(transaction).await?;
            self.hint(Function::Recovery, &wake).await;
            Ok(Put::Accepted(started(operation)))
        })
        .await
    }

    pub async fn file_servers(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<FileServer>, Error> {
        let workspace = self.workspace(names).await?;
        Ok(self.table.file_servers(&workspace.uid, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 409 while a cluster mounts it, of whatever workspace.
    pub async fn delete_file_server(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let workspace = self.workspace(names).await?;
            let found = self.table.file_server(&workspace.uid, name.as_str()).await?;
            let Some(server) = found else { return Ok(None) };
            self.refuse_if_mounted(&server).await?;
            let operation = self.start_file_server_deletion(server).await?;
            Ok(Some(Started { operation, location: workspace.location, is_done: false }))
        })
        .await
    }

    async fn refuse_if_mounted(&self, server: &FileServer) -> Result<(), Error> {
        match self.table.file_server_user(&server.uid).await? {
            None => Ok(()),
            Some(user) => Err(Error::conflict(
                "FileServerInUse",
                format!(
                    "The specified file server {} is mounted by the cluster {}; delete the cluster first",
                    server.name, user.cluster_id
                ),
            )),
        }
    }

    pub(crate) async fn start_file_server_deletion(
        &self,
        mut server: FileServer,
    ) -> Result<Uid, Error> {
        if let FileServerState::Deleting { operation, .. } = server.state {
            return Ok(operation);
        }
        let (now, operation) = (self.now(), self.new_uid());
        server.state = FileServerState::Deleting { operation: operation.clone(), since: now };
        let resource = wire::ids::child_key(&server.names, &server.name);
        let wake = file_server_wake(&server);
        let transaction = Transaction::new()
            .replace_file_server(&server)
            .put_operation(&Operation::started(operation.clone(), resource, now))
            .wake(&wake);
        self.table.commit(transaction).await?;
        self.hint(Function::Recovery, &wake).await;
        Ok(operation)
    }

    /// The next step of a file server that is being created or deleted: its directory, then its
    /// record.
    pub(crate) async fn settle_file_server(
        &self,
        workspace: &Uid,
        name: &str,
        uid: &Uid,
    ) -> Result<(), Error> {
        replan(|| async {
            let found = self.table.file_server(workspace, name).await?;
            let Some(mut server) = found.filter(|server| server.uid == *uid) else {
                return Ok(self.table.commit(Transaction::new().rest(uid)).await?);
            };
            let directory = self.file_server_directory(uid);
            let (transaction, operation) = match server.state.clone() {
                FileServerState::Creating { operation, since } => {
                    if let Err(error) = std::fs::create_dir_all(&directory) {
                        return self.not_provisioned(server, &operation, since, error).await;
                    }
                    server.state = FileServerState::Ready { since: self.now() };
                    (Transaction::new().replace_file_server(&server), Some(operation))
                }
                FileServerState::Ready { .. } | FileServerState::Failed { .. } => {
                    (Transaction::new(), None)
                }
                FileServerState::Deleting { operation, .. } => {
                    remove_tree(&directory)?;
                    (Transaction::new().remove_file_server(&server), Some(operation))
                }
            };
            let transaction =
                self.complete_operations(transaction, operation.into_iter().collect()).await?;
            Ok(self.table.commit(transaction.rest(uid)).await?)
        })
        .await
    }
}

impl Control {
    /// Tried again until its deadline; then the operation has failed, and says so inside its 200.
    async fn not_provisioned(
        &self,
        mut server: FileServer,
        operation: &Uid,
        since: Timestamp,
        error: std::io::Error,
    ) -> Result<(), Error> {
        let now = self.now();
        if now.seconds_since(since) < limits::FILE_SERVER_DEADLINE_SECONDS {
            return Err(error.into());
        }
        tracing::error!(file_server = %server.name, %error, "a file server cannot be provisioned");
        server.state = FileServerState::Failed { since: now };
        let rest = server.uid.clone();
        let mut transaction = Transaction::new().replace_file_server(&server).rest(&rest);
        if let Some(operation) = self.table.operation(operation).await? {
            // Code and message that the service was seen to use (section 1.1).
            let failure = ResourceError::new(
                "FileServerProvisioningFailed",
                "File Server provisioning has failed",
            );
            transaction = transaction.put_operation(&operation.failed(failure, now));
        }
        Ok(self.table.commit(transaction).await?)
    }

    /// Another try of a file server that could not be provisioned.
    async fn provision_again(&self, mut server: FileServer, operation: Uid) -> Result<(), Error> {
        let now = self.now();
        let resource = wire::ids::child_key(&server.names, &server.name);
        server.state = FileServerState::Creating { operation: operation.clone(), since: now };
        let wake = file_server_wake(&server);
        let transaction = Transaction::new()
            .replace_file_server(&server)
            .put_operation(&Operation::started(operation, resource, now))
            .wake(&wake);
        self.table.commit(transaction).await?;
        self.hint(Function::Recovery, &wake).await;
        Ok(())
    }
}

fn file_server_wake(server: &FileServer) -> Wake {
    Wake::FileServer {
        workspace: server.workspace.clone(),
        name: server.name.key(),
        uid: server.uid.clone(),
    }
}

fn remove_tree(directory: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
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
