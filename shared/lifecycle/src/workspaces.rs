//! Resource groups, workspaces and experiments. They are created at once and have no state of their
//! own. A PUT of an existing one returns it.

use crate::creation::{NewIds, require_not_deleting};
use crate::draft::Draft;
use crate::refusal::Refusal;
use model::{
    Experiment, Lifecycle, Name, ResourceGroup, Subscription, Uid, Workspace, WorkspaceNames,
};
use std::collections::BTreeMap;

/// Tags of a resource, as sent.
pub type Tags = Option<BTreeMap<String, String>>;

/// A requested resource group.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// The subscription.
    pub subscription: Name,
    /// Name of the group.
    pub name: Name,
    /// Region.
    pub location: String,
    /// Tags.
    pub tags: Tags,
}

/// A requested workspace.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// Full name.
    pub names: WorkspaceNames,
    /// Region.
    pub location: String,
    /// Tags.
    pub tags: Tags,
}

/// Creates the group with this uid, or replaces its tags. A group cannot move to another region.
///
/// # Errors
/// When the group is in another region, or is being deleted.
pub fn put_group(
    draft: &mut Draft,
    found: Option<ResourceGroup>,
    new: NewGroup,
    uid: Uid,
) -> Result<ResourceGroup, Refusal> {
    let Some(found) = found else {
        let group = new_group(draft, new, uid);
        create_group(draft, &group);
        return Ok(group);
    };
    require_not_deleting(&found)?;
    if !found.location.eq_ignore_ascii_case(&new.location) {
        let (name, location) = (found.name, found.location);
        return Err(Refusal::InAnotherRegion { name, location, wanted: new.location });
    }
    Ok(replace_tags(draft, found, new.tags))
}

/// Replaces the tags, if the request has any.
///
/// # Errors
/// When the group is being deleted.
pub fn tag_group(
    draft: &mut Draft,
    found: ResourceGroup,
    tags: Tags,
) -> Result<ResourceGroup, Refusal> {
    require_not_deleting(&found)?;
    match tags {
        Some(tags) => Ok(replace_tags(draft, found, Some(tags))),
        None => Ok(found),
    }
}

fn replace_tags(draft: &mut Draft, found: ResourceGroup, tags: Tags) -> ResourceGroup {
    if found.tags == tags {
        return found;
    }
    let tagged = ResourceGroup { tags, ..found.clone() };
    draft.writes().replace(&found, &tagged);
    tagged
}

fn new_group(draft: &Draft, new: NewGroup, uid: Uid) -> ResourceGroup {
    let NewGroup { subscription, name, location, tags } = new;
    ResourceGroup {
        subscription,
        name,
        uid,
        version: draft.first_version(),
        location,
        tags,
        created_at: draft.now,
        lifecycle: Lifecycle::Active,
    }
}

/// A subscription exists from its first resource group on.
fn create_group(draft: &mut Draft, group: &ResourceGroup) {
    draft.writes().create(group);
    draft.writes().put_subscription(&Subscription { id: group.subscription.clone() });
}

/// Creates a workspace. `group` is its resource group; if there is none it is created too, so that
/// clients that only know Batch AI work.
///
/// # Errors
/// When the workspace or its group is being deleted.
pub fn put_workspace(
    draft: &mut Draft,
    found: Option<Workspace>,
    group: Option<ResourceGroup>,
    new: NewWorkspace,
    ids: NewIds,
    group_uid: Uid,
) -> Result<Workspace, Refusal> {
    if let Some(found) = found {
        require_not_deleting(&found)?;
        return Ok(found);
    }
    let NewWorkspace { names, location, tags } = new;
    match group {
        Some(group) => {
            require_not_deleting(&group)?;
            draft.writes().require_resource_group(&group);
        }
        None => {
            let (subscription, name) = (names.subscription.clone(), names.resource_group.clone());
            let group = NewGroup { subscription, name, location: location.clone(), tags: None };
            let group = new_group(draft, group, group_uid);
            create_group(draft, &group);
        }
    }
    let workspace = Workspace {
        names,
        uid: ids.uid,
        version: draft.first_version(),
        location,
        tags,
        created_at: draft.now,
        etag: ids.etag,
        modified_at: draft.now,
        lifecycle: Lifecycle::Active,
    };
    draft.writes().create(&workspace);
    Ok(workspace)
}

/// Replaces the tags, if the request has any.
///
/// # Errors
/// When the workspace is being deleted.
pub fn tag_workspace(
    draft: &mut Draft,
    found: &Workspace,
    tags: Tags,
    etag: Uid,
) -> Result<Workspace, Refusal> {
    require_not_deleting(found)?;
    let tags = tags.or_else(|| found.tags.clone());
    let tagged = Workspace { tags, etag, modified_at: draft.now, ..found.clone() };
    draft.writes().replace(found, &tagged);
    Ok(tagged)
}

/// Creates an experiment, or returns the existing one.
///
/// # Errors
/// When the experiment or its workspace is being deleted.
pub fn put_experiment(
    draft: &mut Draft,
    workspace: &Workspace,
    found: Option<Experiment>,
    name: &Name,
    ids: NewIds,
) -> Result<Experiment, Refusal> {
    require_not_deleting(workspace)?;
    if let Some(found) = found {
        require_not_deleting(&found)?;
        return Ok(found);
    }
    let experiment = Experiment {
        workspace: workspace.uid.clone(),
        names: workspace.names.clone(),
        name: name.clone(),
        uid: ids.uid,
        version: draft.first_version(),
        created_at: draft.now,
        etag: ids.etag,
        modified_at: draft.now,
        lifecycle: Lifecycle::Active,
    };
    draft.writes().require_workspace(workspace);
    draft.writes().create(&experiment);
    Ok(experiment)
}

#[cfg(test)]
mod tests;
