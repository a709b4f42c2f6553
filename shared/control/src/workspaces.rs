//! Requests for workspaces. A workspace is created immediately, and deleted with all its resources.

use crate::context::replan;
use crate::operations::{StartedOperation, stored};
use crate::{Context, Error, locations};
use lifecycle::resources;
use lifecycle::workspaces::{NewWorkspace, put_workspace, tag_workspace};
use model::{Name, Workspace, WorkspaceNames};
use std::collections::BTreeMap;
use table::Page;
use wire::{ResourceKind, WorkspaceCreate};

/// The workspaces of the service.
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

impl Workspaces {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// One workspace.
    ///
    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn get(&self, names: &WorkspaceNames) -> Result<Workspace, Error> {
        existing(&self.context, names).await
    }

    /// Creates a workspace, and its resource group if there is none. An existing workspace is returned
    /// unchanged (docs/contract.md, "Workspaces").
    ///
    /// # Errors
    /// 400 for an unknown location, 409 while the workspace or its group is being deleted.
    pub async fn put(
        &self,
        names: &WorkspaceNames,
        request: &WorkspaceCreate,
    ) -> Result<Workspace, Error> {
        let (fresh, group_uid) = (self.context.new_ids(), self.context.new_uid());
        let (table, WorkspaceNames { subscription, resource_group, workspace }) =
            (&self.context.table, names);
        replan(|| async {
            let found = table.workspace(subscription, resource_group, workspace).await?;
            let group = match &found {
                Some(_) => None,
                None => {
                    let location = &request.location;
                    locations::require(&self.context, location, wire::ids::WORKSPACE_TYPE)?;
                    table.resource_group(subscription, resource_group).await?
                }
            };
            let (location, tags) = (request.location.clone(), request.tags.clone());
            let new = NewWorkspace { names: names.clone(), location, tags };
            let (mut draft, fresh, uid) = (self.context.draft(), fresh.clone(), group_uid.clone());
            let workspace = put_workspace(&mut draft, found, group, new, fresh, uid)?;
            self.context.commit(draft).await?;
            Ok(workspace)
        })
        .await
    }

    /// Replaces the tags, if the request has any.
    ///
    /// # Errors
    /// 404 when there is no such workspace, 409 while it is being deleted.
    pub async fn tag(
        &self,
        names: &WorkspaceNames,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<Workspace, Error> {
        replan(|| async {
            let found = self.get(names).await?;
            let (mut draft, etag) = (self.context.draft(), self.context.new_uid());
            let workspace = tag_workspace(&mut draft, &found, tags.clone(), etag)?;
            self.context.commit(draft).await?;
            Ok(workspace)
        })
        .await
    }

    /// One page of the workspaces of a subscription, or of one of its groups, after a position.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn list(
        &self,
        subscription: &Name,
        group: Option<&Name>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Workspace>, Error> {
        Ok(self.context.table.workspaces(subscription, group, after, limit).await?)
    }

    /// Begins the deletion of a workspace with all its resources. `None` when there is nothing to delete.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn delete(&self, names: &WorkspaceNames) -> Result<Option<StartedOperation>, Error> {
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
