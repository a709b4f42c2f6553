//! Resource groups and subscriptions, as far as Azure Resource Manager's clients need them.
//!
//! A subscription exists as soon as something is created in it. A group is made by itself when a
//! workspace is, so that clients that know only Batch AI suffice.

use crate::operations::Started;
use crate::ports::Function;
use crate::workspaces::being_deleted;
use crate::{Control, Error, replan};
use dynamo::{Page, Transaction};
use model::{
    Lifecycle, Name, Operation, ResourceGroup, Scope, Subscription, Uid, Wake, WorkspaceNames,
};
use std::collections::BTreeMap;
use wire::{ResourceGroupRequest, ResourceKind};

/// What a PUT of a resource group did.
#[derive(Debug)]
pub enum PutGroup {
    Created(ResourceGroup),
    Updated(ResourceGroup),
}

impl Control {
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        Ok(self.table.subscriptions().await?)
    }

    pub async fn resource_group(
        &self,
        subscription: &Name,
        name: &Name,
    ) -> Result<ResourceGroup, Error> {
        let found = self.table.resource_group(subscription, name).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::ResourceGroup, name.as_str()))
    }

    pub async fn resource_groups(
        &self,
        subscription: &Name,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<ResourceGroup>, Error> {
        Ok(self.table.resource_groups(subscription, after, limit).await?)
    }

    /// Creates the group, or replaces its tags. It cannot move to another region.
    pub async fn put_resource_group(
        &self,
        subscription: &Name,
        name: &Name,
        request: &ResourceGroupRequest,
    ) -> Result<PutGroup, Error> {
        let uid = self.new_uid();
        replan(|| async {
            let found = self.open_resource_group(subscription, name).await?;
            let Some(mut group) = found else {
                let group = self.new_resource_group(subscription, name, &request.location, &uid);
                let group = ResourceGroup { tags: request.tags.clone(), ..group };
                self.table.commit(create(Transaction::new(), &group)).await?;
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
                group.tags = request.tags.clone();
                self.table.commit(Transaction::new().replace_resource_group(&group)).await?;
            }
            Ok(if created { PutGroup::Created(group) } else { PutGroup::Updated(group) })
        })
        .await
    }

    /// Replaces the tags, if there are any.
    pub async fn tag_resource_group(
        &self,
        subscription: &Name,
        name: &Name,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<ResourceGroup, Error> {
        replan(|| async {
            let missing = || Error::not_found(ResourceKind::ResourceGroup, name.as_str());
            let mut group =
                self.open_resource_group(subscription, name).await?.ok_or_else(missing)?;
            if let Some(tags) = &tags {
                group.tags = Some(tags.clone());
                self.table.commit(Transaction::new().replace_resource_group(&group)).await?;
            }
            Ok(group)
        })
        .await
    }

    /// The group, if there is one; something may still be created in it.
    async fn open_resource_group(
        &self,
        subscription: &Name,
        name: &Name,
    ) -> Result<Option<ResourceGroup>, Error> {
        match self.table.resource_group(subscription, name).await? {
            Some(group) if group.lifecycle.is_deleting() => {
                Err(being_deleted("resource group", name))
            }
            found => Ok(found),
        }
    }

    /// Makes sure that the group is there, and stays, when the transaction is carried out.
    pub(crate) async fn in_resource_group(
        &self,
        transaction: Transaction,
        subscription: &Name,
        name: &Name,
        location: &str,
    ) -> Result<Transaction, Error> {
        Ok(match self.open_resource_group(subscription, name).await? {
            Some(group) => transaction.require_resource_group(&group),
            None => {
                let uid = self.new_uid();
                create(transaction, &self.new_resource_group(subscription, name, location, &uid))
            }
        })
    }

    fn new_resource_group(
        &self,
        subscription: &Name,
        name: &Name,
        location: &str,
        uid: &Uid,
    ) -> ResourceGroup {
        ResourceGroup {
            subscription: subscription.clone(),
            name: name.clone(),
            uid: uid.clone(),
            version: 1,
            location: location.to_owned(),
            tags: None,
            created_at: self.now(),
            lifecycle: Lifecycle::Active,
        }
    }

    /// Deletes the group with all workspaces in it. `None` when there is no such group.
    pub async fn delete_resource_group(
        &self,
        subscription: &Name,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let found = self.table.resource_group(subscription, name).await?;
            let Some(mut group) = found else { return Ok(None) };
            let location = group.location.clone();
            if let Lifecycle::Deleting { operation, .. } = group.lifecycle {
                return Ok(Some(Started { operation, location, is_done: false }));
            }
            let (now, operation) = (self.now(), self.new_uid());
            group.lifecycle = Lifecycle::Deleting { operation: operation.clone(), since: now };
            let wake = wake(&group);
            let resource = format!("{subscription}${name}");
            let transaction = Transaction::new()
                .replace_resource_group(&group)
                .put_operation(&Operation::started(operation.clone(), resource, now))
                .wake(&wake);
            self.table.commit(transaction).await?;
            self.hint(Function::Recovery, &wake).await;
            Ok(Some(Started { operation, location, is_done: false }))
        })
        .await
    }

    /// Recovery's look at a group: starts the deletion of its workspaces, and ends its own when
    /// none is left.
    pub(crate) async fn clear_resource_group(
        &self,
        subscription: &str,
        name: &str,
        uid: &Uid,
    ) -> Result<(), Error> {
        let (subscription, name) = (Name::new(subscription), Name::new(name));
        let found = self.table.resource_group(&subscription, &name).await?;
        let group = found.filter(|group| group.uid == *uid);
        let deleting = group.and_then(|group| match group.lifecycle.clone() {
            Lifecycle::Deleting { operation, .. } => Some((group, operation)),
            Lifecycle::Active => None,
        });
        let Some((group, operation)) = deleting else {
            return Ok(self.table.commit(Transaction::new().rest(uid)).await?);
        };
        let all = usize::MAX - 1;
        let workspaces = self.table.workspaces(&subscription, Some(&name), None, all).await?.items;
        if !workspaces.is_empty() {
            for workspace in workspaces {
                self.delete_workspace(&workspace.names).await?;
            }
            return Ok(());
        }
        self.revoke_all_at(&Scope::resource_group(subscription, name)).await?;
        let transaction = Transaction::new().remove_resource_group(&group).rest(uid);
        let transaction = self.complete_operations(transaction, vec![operation]).await?;
        Ok(self.table.commit(transaction).await?)
    }
}

impl Control {
    /// A workspace is gone: its group may wait for that.
    pub(crate) async fn hint_resource_group(&self, names: &WorkspaceNames) -> Result<(), Error> {
        let WorkspaceNames { subscription, resource_group, .. } = names;
        if let Some(group) = self.table.resource_group(subscription, resource_group).await?
            && group.lifecycle.is_deleting()
        {
            self.hint(Function::Recovery, &wake(&group)).await;
        }
        Ok(())
    }
}

fn wake(group: &ResourceGroup) -> Wake {
    Wake::ResourceGroup {
        subscription: group.subscription.key(),
        name: group.name.key(),
        uid: group.uid.clone(),
    }
}

fn create(transaction: Transaction, group: &ResourceGroup) -> Transaction {
    let subscription = Subscription { id: group.subscription.clone() };
    transaction.create_resource_group(group).know_subscription(&subscription)
}
