//! Workspaces: created at once, deleted with all they hold.

use crate::context::replan;
use crate::operations::{Started, stored};
use crate::{Context, Error, resource_groups};
use lifecycle::resources;
use model::{Lifecycle, Name, Workspace, WorkspaceNames};
use std::collections::BTreeMap;
use table::{Page, Writes};
use wire::{ResourceKind, WorkspaceCreate};

#[derive(Clone)]
pub struct Workspaces {
    context: Context,
}

/// # Errors
/// 404 when there is no such workspace.
pub(crate) async fn existing(
    context: &Context,
    names: &WorkspaceNames,
) -> Result<Workspace, Error> {
    let WorkspaceNames { subscription, resource_group, workspace } = names;
    let found = context.table.workspace(subscription, resource_group, workspace).await?;
    found.ok_or_else(|| Error::not_found(ResourceKind::Workspace, workspace.as_str()))
}

/// The workspace, if something may still be created in it.
pub(crate) async fn open(context: &Context, names: &WorkspaceNames) -> Result<Workspace, Error> {
    let workspace = existing(context, names).await?;
    match workspace.lifecycle {
        Lifecycle::Active => Ok(workspace),
        Lifecycle::Deleting { .. } => Err(being_deleted("workspace", &names.workspace)),
    }
}

impl Workspaces {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn get(&self, names: &WorkspaceNames) -> Result<Workspace, Error> {
        existing(&self.context, names).await
    }

    /// Idempotent: an existing workspace is answered as it is (docs/contract.md, "Workspaces").
    pub async fn put(
        &self,
        names: &WorkspaceNames,
        request: &WorkspaceCreate,
    ) -> Result<Workspace, Error> {
        let (uid, etag) = (self.context.new_uid(), self.context.new_uid());
        replan(|| async {
            match self.get(names).await {
                Err(Error::Api(missing)) if missing.code() == "WorkspaceNotFound" => {}
                Ok(found) if found.lifecycle.is_deleting() => {
                    return Err(being_deleted("workspace", &names.workspace));
                }
                other => return other,
            }
            let now = self.context.now();
            let workspace = Workspace {
                names: names.clone(),
                uid: uid.clone(),
                version: self.context.first_version(),
                location: request.location.clone(),
                tags: request.tags.clone(),
                created_at: now,
                etag: etag.clone(),
                modified_at: now,
                lifecycle: Lifecycle::Active,
            };
            let WorkspaceNames { subscription, resource_group, .. } = names;
            let location = &workspace.location;
            let mut writes = Writes::default();
            writes.create(&workspace);
            let context = &self.context;
            resource_groups::require(context, &mut writes, subscription, resource_group, location)
                .await?;
            context.table.commit(writes).await?;
            Ok(workspace)
        })
        .await
    }

    /// Replaces the tags.
    pub async fn tag(
        &self,
        names: &WorkspaceNames,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<Workspace, Error> {
        replan(|| async {
            let before = open(&self.context, names).await?;
            let mut workspace = before.clone();
            workspace.tags = tags.clone().or(workspace.tags);
            workspace.etag = self.context.new_uid();
            workspace.modified_at = self.context.now();
            let mut writes = Writes::default();
            writes.replace(&before, &workspace);
            self.context.table.commit(writes).await?;
            Ok(workspace)
        })
        .await
    }

    pub async fn list(
        &self,
        subscription: &Name,
        group: Option<&Name>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Workspace>, Error> {
        Ok(self.context.table.workspaces(subscription, group, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn delete(&self, names: &WorkspaceNames) -> Result<Option<Started>, Error> {
        replan(|| async {
            let WorkspaceNames { subscription, resource_group, workspace } = names;
            let table = &self.context.table;
            let found = table.workspace(subscription, resource_group, workspace).await?;
            let Some(workspace) = found else { return Ok(None) };
            let mut draft = self.context.draft();
            let operation = self.context.new_uid();
            let operation = resources::begin_deletion(&mut draft, &workspace, operation);
            self.context.commit(draft).await?;
            Ok(Some(stored(operation, &workspace.location)))
        })
        .await
    }
}

/// The name is taken until the deletion is over.
pub(crate) fn being_deleted(what: &str, name: &Name) -> Error {
    let message = format!("The specified {what} {name} is being deleted; wait until that is done");
    Error::conflict("ResourceBeingDeleted", message)
}
