//! Workspaces: created at once, deleted with all they hold.

use crate::operations::Started;
use crate::ports::Function;
use crate::{Control, Error, replan};
use dynamo::{Page, Transaction};
use model::{Lifecycle, Name, Operation, Wake, Workspace, WorkspaceNames};
use std::collections::BTreeMap;
use wire::{ResourceKind, WorkspaceCreate};

impl Control {
    pub async fn workspace(&self, names: &WorkspaceNames) -> Result<Workspace, Error> {
        let WorkspaceNames { subscription, resource_group, workspace } = names;
        let found = self.table.workspace(subscription, resource_group, workspace).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::Workspace, workspace.as_str()))
    }

    /// The workspace, if something may still be created in it.
    pub(crate) async fn open_workspace(&self, names: &WorkspaceNames) -> Result<Workspace, Error> {
        let workspace = self.workspace(names).await?;
        match workspace.lifecycle {
            Lifecycle::Active => Ok(workspace),
            Lifecycle::Deleting { .. } => Err(being_deleted("workspace", &names.workspace)),
        }
    }

    /// Idempotent: an existing workspace is answered as it is (section 3.1).
    pub async fn put_workspace(
        &self,
        names: &WorkspaceNames,
        request: &WorkspaceCreate,
    ) -> Result<Workspace, Error> {
        let (uid, etag) = (self.new_uid(), self.new_uid());
        replan(|| async {
            match self.workspace(names).await {
                Err(Error::Api(missing)) if missing.code() == "WorkspaceNotFound" => {}
                Ok(found) if found.lifecycle.is_deleting() => {
                    return Err(being_deleted("workspace", &names.workspace));
                }
                other => return other,
            }
            let now = self.now();
            let workspace = Workspace {
                names: names.clone(),
                uid: uid.clone(),
                version: 1,
                location: request.location.clone(),
                tags: request.tags.clone(),
                created_at: now,
                etag: etag.clone(),
                modified_at: now,
                lifecycle: Lifecycle::Active,
            };
            let WorkspaceNames { subscription, resource_group, .. } = names;
            let location = &workspace.location;
            let transaction = Transaction::new().create_workspace(&workspace);
            let transaction =
                self.in_resource_group(transaction, subscription, resource_group, location).await?;
            self.table.commit(transaction).await?;
            Ok(workspace)
        })
        .await
    }

    /// Replaces the tags.
    pub async fn tag_workspace(
        &self,
        names: &WorkspaceNames,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<Workspace, Error> {
        replan(|| async {
            let mut workspace = self.open_workspace(names).await?;
            workspace.tags = tags.clone().or(workspace.tags);
            workspace.etag = self.new_uid();
            workspace.modified_at = self.now();
            self.table.commit(Transaction::new().replace_workspace(&workspace)).await?;
            Ok(workspace)
        })
        .await
    }

    pub async fn workspaces(
        &self,
        subscription: &Name,
        group: Option<&Name>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Workspace>, Error> {
        Ok(self.table.workspaces(subscription, group, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    pub async fn delete_workspace(&self, names: &WorkspaceNames) -> Result<Option<Started>, Error> {
        replan(|| async {
            let found = self
                .table
                .workspace(&names.subscription, &names.resource_group, &names.workspace)
                .await?;
            let Some(workspace) = found else { return Ok(None) };
            Ok(Some(self.start_workspace_deletion(workspace).await?))
        })
        .await
    }

    async fn start_workspace_deletion(&self, mut workspace: Workspace) -> Result<Started, Error> {
        let location = workspace.location.clone();
        if let Lifecycle::Deleting { operation, .. } = workspace.lifecycle {
            return Ok(Started { operation, location, is_done: false });
        }
        let (now, operation) = (self.now(), self.new_uid());
        let resource = wire::ids::workspace_key(&workspace.names);
        workspace.lifecycle = Lifecycle::Deleting { operation: operation.clone(), since: now };
        let wake = workspace_wake(&workspace);
        let transaction = Transaction::new()
            .replace_workspace(&workspace)
            .put_operation(&Operation::started(operation.clone(), resource, now))
            .wake(&wake);
        self.table.commit(transaction).await?;
        self.hint(Function::Recovery, &wake).await;
        Ok(Started { operation, location, is_done: false })
    }
}

fn workspace_wake(workspace: &Workspace) -> Wake {
    Wake::Workspace {
        subscription: workspace.names.subscription.key(),
        resource_group: workspace.names.resource_group.key(),
        name: workspace.names.workspace.key(),
        uid: workspace.uid.clone(),
    }
}

/// The name is taken until the deletion is over.
pub(crate) fn being_deleted(what: &str, name: &Name) -> Error {
    let message = format!("The specified {what} {name} is being deleted; wait until that is done");
    Error::conflict("ResourceBeingDeleted", message)
}
