//! Resource groups, as far as Azure Resource Manager's clients need them. Creating a workspace
//! creates its group too, so that clients that know only Batch AI suffice.

use crate::context::replan;
use crate::operations::{StartedOperation, stored};
use crate::{Context, Error, Function, locations};
use lifecycle::resources::{self, Resource};
use lifecycle::workspaces::{NewGroup, put_group, tag_group};
use model::{Name, ResourceGroup, WorkspaceNames};
use std::collections::BTreeMap;
use table::Page;
use wire::{ResourceGroupRequest, ResourceKind};

/// The outcome of a PUT of a resource group.
#[derive(Debug)]
pub enum PutGroup {
    /// The group was created by this request.
    Created(ResourceGroup),
    /// The group existed; its tags are those of the request.
    Updated(ResourceGroup),
}

/// The resource groups of the service.
#[derive(Clone)]
pub struct ResourceGroups {
    context: Context,
}

impl ResourceGroups {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// One resource group.
    ///
    /// # Errors
    /// 404 when there is no such group.
    pub async fn get(&self, subscription: &Name, name: &Name) -> Result<ResourceGroup, Error> {
        let found = self.context.table.resource_group(subscription, name).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::ResourceGroup, name.as_str()))
    }

    /// One page of the groups of a subscription, after a position.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn list(
        &self,
        subscription: &Name,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<ResourceGroup>, Error> {
        Ok(self.context.table.resource_groups(subscription, after, limit).await?)
    }

    /// Creates the group, or replaces its tags.
    ///
    /// # Errors
    /// 400 for an unknown location, 409 when the group is in another one or is being deleted.
    pub async fn put(
        &self,
        subscription: &Name,
        name: &Name,
        request: &ResourceGroupRequest,
    ) -> Result<PutGroup, Error> {
        let uid = self.context.new_uid();
        replan(|| async {
            let found = self.context.table.resource_group(subscription, name).await?;
            if found.is_none() {
                locations::require(
                    &self.context,
                    &request.location,
                    wire::ids::RESOURCE_GROUP_TYPE,
                )?;
            }
            let new = NewGroup {
                subscription: subscription.clone(),
                name: name.clone(),
                location: request.location.clone(),
                tags: request.tags.clone(),
            };
            let mut draft = self.context.draft();
            let group = put_group(&mut draft, found, new, uid.clone())?;
            self.context.commit(draft).await?;
            // The uid of this request: created by this try, or by an earlier one whose result was lost.
            Ok(if group.uid == uid { PutGroup::Created(group) } else { PutGroup::Updated(group) })
        })
        .await
    }

    /// Replaces the tags, if the request has any.
    ///
    /// # Errors
    /// 404 when there is no such group, 409 while it is being deleted.
    pub async fn tag(
        &self,
        subscription: &Name,
        name: &Name,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<ResourceGroup, Error> {
        replan(|| async {
            let (found, mut draft) = (self.get(subscription, name).await?, self.context.draft());
            let group = tag_group(&mut draft, found, tags.clone())?;
            self.context.commit(draft).await?;
            Ok(group)
        })
        .await
    }

    /// Begins the deletion of the group with its workspaces. `None` when there is no such group.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn delete(
        &self,
        subscription: &Name,
        name: &Name,
    ) -> Result<Option<StartedOperation>, Error> {
        replan(|| async {
            let found = self.context.table.resource_group(subscription, name).await?;
            let Some(group) = found else { return Ok(None) };
            let mut draft = self.context.draft();
            let operation = self.context.new_uid();
            let operation = resources::begin_deletion(&mut draft, &group, operation);
            self.context.commit(draft).await?;
            Ok(Some(stored(operation, &group.location)))
        })
        .await
    }
}

/// Sends a hint for the group of a removed workspace, whose deletion may wait for that.
pub(crate) async fn hint(context: &Context, names: &WorkspaceNames) -> Result<(), Error> {
    let WorkspaceNames { subscription, resource_group, .. } = names;
    if let Some(group) = context.table.resource_group(subscription, resource_group).await?
        && group.lifecycle.is_deleting()
    {
        context.hint(Function::Provisioner, &group.target()).await;
    }
    Ok(())
}
