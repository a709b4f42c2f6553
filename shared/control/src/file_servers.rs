//! Requests for file servers, and their provisioning. A file server is a directory that clusters and
//! jobs mount.

use crate::context::replan;
use crate::operations::{PutOutcome, StartedOperation, stored};
use crate::ports::PortError;
use crate::roles::Roles;
use crate::{Context, Error, workspaces};
use lifecycle::file_servers::{
    NewFileServer, PutResult, provisioned, put, removal_failed, require_ready, settled,
};
use lifecycle::{Draft, resources};
use model::{
    DataRetention, FileServer, FileServerSpec, FileServerState, FileServerUser, FileShare,
    MountVolumes, Name, Principal, ResourceError, Role, Scope, Timestamp, Uid, WorkspaceNames,
    limits,
};
use std::path::PathBuf;
use table::Page;
use wire::{FileServerId, FileServerView, ResourceKind};

/// The file servers of the service.
#[derive(Clone)]
pub struct FileServers {
    context: Context,
    roles: Roles,
}

/// The directory of a file server, if it is one of the machine of service and nodes.
pub(crate) fn directory(context: &Context, uid: &Uid) -> Option<PathBuf> {
    Some(context.settings.file_server_root.as_ref()?.join(uid.as_str()))
}

/// Records with each mount what nodes mount.
pub(crate) fn add_shares(mounts: Option<&mut MountVolumes>, servers: &[FileServer]) {
    let Some(mounts) = mounts else { return };
    for mount in &mut mounts.file_servers {
        if let Some(server) = servers.iter().find(|server| server.uid == mount.uid) {
            mount.share = server.share.clone();
        }
    }
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

/// Reads the file servers that a request names, each once.
///
/// # Errors
/// When one does not exist, cannot be mounted, or there are more than a transaction can write.
pub(crate) async fn mountable(
    context: &Context,
    ids: impl Iterator<Item = &FileServerId>,
) -> Result<Vec<FileServer>, Error> {
    let mut servers: Vec<FileServer> = Vec::new();
    for id in ids {
        let server = existing(context, &id.names, &id.name).await?;
        require_ready(&server)?;
        if !servers.iter().any(|known| known.uid == server.uid) {
            servers.push(server);
        }
        if servers.len() > limits::MAX_FILE_SERVER_MOUNTS {
            let message = format!(
                "At most {} different file servers can be mounted; use fewer, or directories of one",
                limits::MAX_FILE_SERVER_MOUNTS
            );
            return Err(Error::invalid("InvalidParameter", message));
        }
    }
    Ok(servers)
}

impl FileServers {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone(), roles: Roles::new(context) }
    }

    /// One file server.
    ///
    /// # Errors
    /// 404 when there is no such workspace or file server.
    pub async fn get(&self, names: &WorkspaceNames, name: &Name) -> Result<FileServer, Error> {
        existing(&self.context, names, name).await
    }

    /// The parts of a response that are not in the record. Where nodes use directories of the service, the
    /// addresses are those of this machine. An access point of EFS has no address of its own; its id is shown
    /// instead.
    pub fn view(&self, server: &FileServer) -> FileServerView {
        let address = match &server.share {
            FileShare::Directory => "127.0.0.1",
            FileShare::Efs { access_point, .. } => access_point,
        };
        let path = directory(&self.context, &server.uid);
        let path = path.filter(|_| self.context.settings.shows_local_paths);
        FileServerView {
            mount_point: "/data".to_owned(),
            public_ip: address.to_owned(),
            internal_ip: address.to_owned(),
            local_path: path.map(|path| path.to_string_lossy().into_owned()),
        }
    }

    /// Creates a file server. The provisioner makes its directory afterwards. A request for one that failed to
    /// be provisioned retries it.
    ///
    /// # Errors
    /// 409 when a different file server has the name.
    pub async fn put(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        spec: &FileServerSpec,
    ) -> Result<PutOutcome<FileServer>, Error> {
        let (fresh, operation) = (self.context.new_ids(), self.context.new_uid());
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            let found = self.context.table.file_server(&workspace.uid, name.as_str()).await?;
            let is_same = found.as_ref().is_some_and(|it| wire::is_same_file_server(spec, it));
            let own = || wire::ids::own_subnet_id(&workspace.names.subscription, &fresh.uid);
            let subnet_id = Some(spec.subnet_id.clone().unwrap_or_else(own));
            let spec = FileServerSpec { subnet_id, ..spec.clone() };
            let new = NewFileServer { name: name.clone(), spec };
            let (mut draft, found) = (self.context.draft(), (found, is_same));
            let (fresh, operation) = (fresh.clone(), operation.clone());
            let outcome = put(&mut draft, &workspace, found, new, fresh, operation)?;
            self.context.commit(draft).await?;
            Ok(match outcome {
                PutResult::Provisioning(id) => {
                    PutOutcome::Accepted(stored(id, &workspace.location))
                }
                PutResult::Unchanged(found) => PutOutcome::Unchanged(found),
            })
        })
        .await
    }

    /// One page of the file servers of a workspace, after a position.
    ///
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

    /// Begins the deletion of a file server with its files. `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 409 while a cluster of any workspace mounts it. The message names the cluster only if
    /// `principal` may read it.
    pub async fn delete(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        principal: &Principal,
    ) -> Result<Option<StartedOperation>, Error> {
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            let found = self.context.table.file_server(&workspace.uid, name.as_str()).await?;
            let Some(server) = found else { return Ok(None) };
            self.require_unmounted(&server, principal).await?;
            let mut draft = self.context.draft();
            let operation = self.context.new_uid();
            let operation = resources::begin_deletion(&mut draft, &server, operation);
            self.context.commit(draft).await?;
            Ok(Some(stored(operation, &workspace.location)))
        })
        .await
    }

    async fn require_unmounted(
        &self,
        server: &FileServer,
        principal: &Principal,
    ) -> Result<(), Error> {
        let user = self.context.table.file_server_user(&server.uid).await?;
        let Some(FileServerUser { names, name, .. }) = user else { return Ok(()) };
        let scope = Scope::from(&names);
        let cluster = match self.roles.may(principal, Role::Reader, &scope).await? {
            true => format!("the cluster {}", wire::cluster_id(&names, &name)),
            false => "a cluster of another workspace".to_owned(),
        };
        let server = &server.name;
        Err(Error::conflict(
            "FileServerInUse",
            format!(
                "The specified file server {server} is mounted by {cluster}; delete the cluster first"
            ),
        ))
    }
}

/// Reconciles a file server that is being created or deleted: its directory, then its record.
///
/// # Errors
/// When the directory cannot be made; retried until the deadline of the creation.
pub(crate) async fn settle(
    context: &Context,
    workspace: &Uid,
    name: &str,
    uid: &Uid,
) -> Result<(), Error> {
    replan(|| async {
        let found = context.table.file_server(workspace, name).await?;
        let Some(server) = found.filter(|server| server.uid == *uid) else {
            // This pass may have just created the directory. If it is killed here, the schedule removes it later.
            return Ok(context.file_shares.remove(uid).await?);
        };
        let mut draft = context.draft();
        settle_found(context, &mut draft, &server).await?;
        context.commit(draft).await?;
        Ok(())
    })
    .await
}

/// Removes the directory of a removed file server once more. The schedule asks until that is done.
///
/// # Errors
/// When the directory cannot be removed.
pub(crate) async fn remove_again(
    context: &Context,
    uid: &Uid,
    not_before: Timestamp,
) -> Result<(), Error> {
    if context.now() < not_before {
        return Ok(());
    }
    context.file_shares.remove(uid).await?;
    let mut draft = context.draft();
    draft.writes().unschedule(uid);
    context.commit(draft).await?;
    Ok(())
}

/// Deletes the files of a file server, or keeps them.
async fn clear(context: &Context, server: &FileServer) -> Result<(), PortError> {
    match server.spec.data_retention {
        DataRetention::Delete => context.file_shares.remove(&server.uid).await,
        DataRetention::Keep => {
            let kept = server.kept_directory();
            context.file_shares.keep(&server.uid, &kept).await?;
            tracing::info!(file_server = %server.name, directory = kept, "kept the files of a deleted file server");
            Ok(())
        }
    }
}

async fn settle_found(
    context: &Context,
    draft: &mut Draft,
    server: &FileServer,
) -> Result<(), Error> {
    let now = draft.now;
    match &server.state {
        FileServerState::Creating { .. } => {
            let (share, error) = match context.file_shares.create(&server.uid).await {
                Ok(share) => (Some(share), None),
                Err(error) => (None, Some(error)),
            };
            let is_settled = provisioned(draft, server, share);
            match error {
                Some(error) if !is_settled => return Err(error.into()),
                Some(error) => {
                    tracing::error!(file_server = %server.name, %error, "could not provision a file server");
                }
                None => {}
            }
        }
        FileServerState::Ready { .. } | FileServerState::Failed { .. } => settled(draft, server),
        // The schedule visits it until the backoff is over.
        FileServerState::Deleting { .. } if now < server.removal.not_before => {}
        FileServerState::Deleting { .. } => match clear(context, server).await {
            Ok(()) => resources::finish_deletion(draft, server),
            Err(error) => {
                tracing::warn!(file_server = %server.name, %error, "could not remove the files of a file server");
                let error = ResourceError::new("FileRemovalFailed", error.to_string());
                removal_failed(draft, server, error);
            }
        },
    }
    Ok(())
}
