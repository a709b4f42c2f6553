//! Experiments: folders of jobs.

use crate::context::replan;
use crate::operations::{Started, stored};
use crate::workspaces::{self, being_deleted};
use crate::{Context, Error};
use lifecycle::resources;
use model::{Experiment, Lifecycle, Name, Workspace, WorkspaceNames};
use table::{Page, Writes};
use wire::ResourceKind;

#[derive(Clone)]
pub struct Experiments {
    context: Context,
}

/// # Errors
/// 404 when there is no such experiment.
pub(crate) async fn existing_in(
    context: &Context,
    workspace: &Workspace,
    name: &Name,
) -> Result<Experiment, Error> {
    let found = context.table.experiment(&workspace.uid, name.as_str()).await?;
    found.ok_or_else(|| Error::not_found(ResourceKind::Experiment, name.as_str()))
}

impl Experiments {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// # Errors
    /// 404 when there is no such workspace or experiment.
    pub async fn get(&self, names: &WorkspaceNames, name: &Name) -> Result<Experiment, Error> {
        let workspace = workspaces::existing(&self.context, names).await?;
        existing_in(&self.context, &workspace, name).await
    }

    /// Idempotent: an existing experiment is answered as it is (docs/contract.md, "Experiments").
    pub async fn put(&self, names: &WorkspaceNames, name: &Name) -> Result<Experiment, Error> {
        let (uid, etag) = (self.context.new_uid(), self.context.new_uid());
        replan(|| async {
            let workspace = workspaces::open(&self.context, names).await?;
            match self.context.table.experiment(&workspace.uid, name.as_str()).await? {
                Some(found) if found.lifecycle.is_deleting() => {
                    return Err(being_deleted("experiment", name));
                }
                Some(found) => return Ok(found),
                None => {}
            }
            let now = self.context.now();
            let experiment = Experiment {
                workspace: workspace.uid.clone(),
                names: workspace.names.clone(),
                name: name.clone(),
                uid: uid.clone(),
                version: self.context.first_version(),
                created_at: now,
                etag: etag.clone(),
                modified_at: now,
                lifecycle: Lifecycle::Active,
            };
            let mut writes = Writes::default();
            writes.require_workspace(&workspace);
            writes.create(&experiment);
            self.context.table.commit(writes).await?;
            Ok(experiment)
        })
        .await
    }

    pub async fn list(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Experiment>, Error> {
        let workspace = workspaces::existing(&self.context, names).await?;
        Ok(self.context.table.experiments(&workspace.uid, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    pub async fn delete(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            let found = self.context.table.experiment(&workspace.uid, name.as_str()).await?;
            let Some(experiment) = found else { return Ok(None) };
            let mut draft = self.context.draft();
            let operation = self.context.new_uid();
            let operation = resources::begin_deletion(&mut draft, &experiment, operation);
            self.context.commit(draft).await?;
            Ok(Some(stored(operation, &workspace.location)))
        })
        .await
    }
}
