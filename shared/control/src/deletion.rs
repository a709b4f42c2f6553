//! Cascading deletions: of an experiment with its jobs, of a workspace with all its resources, of a
//! resource group with its workspaces.
//!
//! Each pass does a bounded amount of work. The record stays, and the schedule visits it, until all
//! resources below it are deleted.

use crate::context::replan;
use crate::roles::Roles;
use crate::{Context, Error, Function, jobs, resource_groups};
use lifecycle::resources::{self, Resource};
use model::{JobState, Name, Scope, Uid, Workspace};

/// Records per pass; a hint starts the next one.
const RECORDS_PER_PASS: usize = 100;

pub(crate) async fn clear_experiment(
    context: &Context,
    workspace: &Uid,
    name: &str,
    uid: &Uid,
) -> Result<(), Error> {
    let found = context.table.experiment(workspace, name).await?;
    let experiment = found.filter(|it| it.uid == *uid && it.deletion().is_some());
    let Some(experiment) = experiment else { return unschedule(context, uid).await };
    let page = context.table.jobs(uid, None, RECORDS_PER_PASS).await?;
    if page.items.is_empty() {
        return finish(context, &experiment).await;
    }
    let mut waiting = false;
    for job in page.items {
        waiting |= !remove_job(context, uid, &job.names.job.key()).await?;
    }
    // If only jobs remain that are still ending, the schedule makes the next pass. Jobs on further
    // pages do not wait for it.
    if !waiting || page.next.is_some() {
        context.hint(Function::Provisioner, &experiment.target()).await;
    }
    Ok(())
}

/// Deletes a job. Returns whether it is removed; a running job is removed when its processes ended.
async fn remove_job(context: &Context, experiment: &Uid, name: &str) -> Result<bool, Error> {
    replan(|| async {
        let Some(job) = context.table.job_named(experiment, name).await? else { return Ok(true) };
        let runs = match job.state {
            JobState::Running { .. } | JobState::Terminating { .. } => true,
            JobState::Queued { .. } | JobState::Succeeded { .. } | JobState::Failed { .. } => false,
        };
        jobs::delete_found(context, job, context.new_uid()).await?;
        Ok(!runs)
    })
    .await
}

pub(crate) async fn clear_workspace(
    context: &Context,
    subscription: &str,
    resource_group: &str,
    name: &str,
    uid: &Uid,
) -> Result<(), Error> {
    let (subscription, group) = (Name::new(subscription), Name::new(resource_group));
    let found = context.table.workspace(&subscription, &group, &Name::new(name)).await?;
    let workspace = found.filter(|it| it.uid == *uid && it.deletion().is_some());
    let Some(workspace) = workspace else { return unschedule(context, uid).await };
    if delete_children(context, &workspace).await? {
        return Ok(());
    }
    Roles::new(context).revoke_all_at(&Scope::from(&workspace.names)).await?;
    finish(context, &workspace).await?;
    resource_groups::hint(context, &workspace.names).await
}

/// Returns whether any resource remains. File servers are deleted last: jobs write to them until they
/// end.
async fn delete_children(context: &Context, workspace: &Workspace) -> Result<bool, Error> {
    let (table, uid, most) = (&context.table, &workspace.uid, RECORDS_PER_PASS);
    let experiments = table.experiments(uid, None, most).await?.items;
    let clusters = table.clusters(uid, None, most).await?.items;
    let users = !experiments.is_empty() || !clusters.is_empty();
    for experiment in &experiments {
        begin(context, experiment).await?;
    }
    for cluster in &clusters {
        begin(context, cluster).await?;
    }
    if users {
        return Ok(true);
    }
    let servers = table.file_servers(uid, None, most).await?.items;
    for server in &servers {
        begin(context, server).await?;
    }
    Ok(!servers.is_empty())
}

pub(crate) async fn clear_resource_group(
    context: &Context,
    subscription: &str,
    name: &str,
    uid: &Uid,
) -> Result<(), Error> {
    let (subscription, name) = (Name::new(subscription), Name::new(name));
    let found = context.table.resource_group(&subscription, &name).await?;
    let group = found.filter(|it| it.uid == *uid && it.deletion().is_some());
    let Some(group) = group else { return unschedule(context, uid).await };
    let (table, most) = (&context.table, RECORDS_PER_PASS);
    let workspaces = table.workspaces(&subscription, Some(&name), None, most).await?.items;
    for workspace in &workspaces {
        begin(context, workspace).await?;
    }
    if !workspaces.is_empty() {
        return Ok(());
    }
    Roles::new(context).revoke_all_at(&Scope::resource_group(subscription, name)).await?;
    finish(context, &group).await
}

/// Begins the deletion of a resource. After a conflict the next pass retries.
async fn begin<R: Resource>(context: &Context, resource: &R) -> Result<(), Error> {
    if resource.deletion().is_some() {
        return Ok(());
    }
    let mut draft = context.draft();
    resources::begin_deletion(&mut draft, resource, context.new_uid());
    match context.commit(draft).await {
        Err(error) if !error.is_conflict() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn finish<R: Resource>(context: &Context, resource: &R) -> Result<(), Error> {
    let mut draft = context.draft();
    resources::finish_deletion(&mut draft, resource);
    context.commit(draft).await?;
    Ok(())
}

/// Removes a target from the schedule: its record no longer exists.
async fn unschedule(context: &Context, uid: &Uid) -> Result<(), Error> {
    let mut draft = context.draft();
    draft.writes().unschedule(uid);
    context.commit(draft).await?;
    Ok(())
}
