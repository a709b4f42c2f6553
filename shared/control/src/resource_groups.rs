//! Resource groups and subscriptions, as far as Azure Resource Manager's clients need them.
//!
//! A subscription exists as soon as something is created in it. A group is made by itself when a
//! workspace is, so that clients that know only Batch AI suffice.

use crate::context::replan;
use crate::operations::{Started, stored};
use crate::workspaces::being_deleted;
use crate::{Context, Error, Function};
use lifecycle::resources::{self, Resource};
use model::{Lifecycle, Name, ResourceGroup, Subscription, Uid, WorkspaceNames};
use std::collections::BTreeMap;
use table::{Page, Writes};
use wire::{ResourceGroupRequest, ResourceKind};

/// What a PUT of a resource group did.
#[derive(Debug)]
pub enum PutGroup {
    Created(ResourceGroup),
    Updated(ResourceGroup),
}

#[derive(Clone)]
pub struct ResourceGroups {
    context: Context,
}

impl ResourceGroups {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        Ok(self.context.table.subscriptions().await?)
    }

    pub async fn get(&self, subscription: &Name, name: &Name) -> Result<ResourceGroup, Error> {
        let found = self.context.table.resource_group(subscription, name).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::ResourceGroup, name.as_str()))
    }

    pub async fn list(
        &self,
        subscription: &Name,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<ResourceGroup>, Error> {
        Ok(self.context.table.resource_groups(subscription, after, limit).await?)
    }

    /// Creates the group, or replaces its tags. It cannot move to another region.
    pub async fn put(
        &self,
        subscription: &Name,
        name: &Name,
        request: &ResourceGroupRequest,
    ) -> Result<PutGroup, Error> {
        let uid = self.context.new_uid();
        replan(|| async {
            let found = open(&self.context, subscription, name).await?;
            let Some(mut group) = found else {
                let group = new(&self.context, subscription, name, &request.location, &uid);
                let group = ResourceGroup { tags: request.tags.clone(), ..group };
                let mut writes = Writes::default();
                create(&mut writes, &group);
                self.context.table.commit(writes).await?;
                return Ok(PutGroup::Created(group));
            };
            if !group.location.eq_ignore_ascii_case(&request.location) {
                let message = format!(
                    "The resource group {name} is in {} and cannot move to {}; use another name, or delete it first",
                    group.location, request.location
                );
                return Err(Error::conflict("InvalidResourceGroupLocation", message));
            }
            // An earlier try of this very request succeeded, though its answer was lost.
            let created = group.uid == uid;
            if group.tags != request.tags {
                let before = group.clone();
                group.tags = request.tags.clone();
                self.replace(&before, &group).await?;
            }
            Ok(if created { PutGroup::Created(group) } else { PutGroup::Updated(group) })
        })
        .await
    }

    /// Replaces the tags, if there are any.
    pub async fn tag(
        &self,
        subscription: &Name,
        name: &Name,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<ResourceGroup, Error> {
        replan(|| async {
            let missing = || Error::not_found(ResourceKind::ResourceGroup, name.as_str());
            let mut group = open(&self.context, subscription, name).await?.ok_or_else(missing)?;
            if let Some(tags) = &tags {
                let before = group.clone();
                group.tags = Some(tags.clone());
                self.replace(&before, &group).await?;
            }
            Ok(group)
        })
        .await
    }

    /// Deletes the group with all workspaces in it. `None` when there is no such group.
    pub async fn delete(&self, subscription: &Name, name: &Name) -> Result<Option<Started>, Error> {
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

    async fn replace(&self, before: &ResourceGroup, after: &ResourceGroup) -> Result<(), Error> {
        let mut writes = Writes::default();
        writes.replace(before, after);
        Ok(self.context.table.commit(writes).await?)
    }
}

/// The group, if there is one; something may still be created in it.
async fn open(
    context: &Context,
    subscription: &Name,
    name: &Name,
) -> Result<Option<ResourceGroup>, Error> {
    match context.table.resource_group(subscription, name).await? {
        Some(group) if group.lifecycle.is_deleting() => Err(being_deleted("resource group", name)),
        found => Ok(found),
    }
}

/// Makes sure that the group is there, and stays, when the writes are carried out.
pub(crate) async fn require(
    context: &Context,
    writes: &mut Writes,
    subscription: &Name,
    name: &Name,
    location: &str,
) -> Result<(), Error> {
    match open(context, subscription, name).await? {
        Some(group) => writes.require_resource_group(&group),
        None => {
            let uid = context.new_uid();
            create(writes, &new(context, subscription, name, location, &uid));
        }
    }
    Ok(())
}

/// A workspace is gone: its group may wait for that.
pub(crate) async fn hint(context: &Context, names: &WorkspaceNames) -> Result<(), Error> {
    let WorkspaceNames { subscription, resource_group, .. } = names;
    if let Some(group) = context.table.resource_group(subscription, resource_group).await?
        && group.lifecycle.is_deleting()
    {
        context.hint(Function::Recovery, &group.target()).await;
    }
    Ok(())
}

fn new(
    context: &Context,
    subscription: &Name,
    name: &Name,
    location: &str,
    uid: &Uid,
) -> ResourceGroup {
    ResourceGroup {
        subscription: subscription.clone(),
        name: name.clone(),
        uid: uid.clone(),
        version: context.first_version(),
        location: location.to_owned(),
        tags: None,
        created_at: context.now(),
        lifecycle: Lifecycle::Active,
    }
}

fn create(writes: &mut Writes, group: &ResourceGroup) {
    writes.create(group);
    writes.know_subscription(&Subscription { id: group.subscription.clone() });
}
