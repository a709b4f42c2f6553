//! Requests for experiments, which group jobs.

use crate::context::replan;
use crate::operations::{StartedOperation, stored};
use crate::{Context, Error, workspaces};
use lifecycle::resources;
use lifecycle::workspaces::put_experiment;
use model::{Experiment, Name, Workspace, WorkspaceNames};
use table::Page;
use wire::ResourceKind;

/// The experiments of the service.
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

    /// One experiment.
    ///
    /// # Errors
    /// 404 when there is no such workspace or experiment.
    pub async fn get(&self, names: &WorkspaceNames, name: &Name) -> Result<Experiment, Error> {
        let workspace = workspaces::existing(&self.context, names).await?;
        existing_in(&self.context, &workspace, name).await
    }

    /// Creates an experiment. An existing one is returned unchanged (docs/contract.md, "Experiments").
    ///
    /// # Errors
    /// 404 when there is no such workspace, 409 while it or the experiment is being deleted.
    pub async fn put(&self, names: &WorkspaceNames, name: &Name) -> Result<Experiment, Error> {
        let fresh = self.context.new_ids();
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            let found = self.context.table.experiment(&workspace.uid, name.as_str()).await?;
            let (mut draft, fresh) = (self.context.draft(), fresh.clone());
            let experiment = put_experiment(&mut draft, &workspace, found, name, fresh)?;
            self.context.commit(draft).await?;
            Ok(experiment)
        })
        .await
    }

    /// One page of the experiments of a workspace, after a position.
    ///
    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn list(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Experiment>, Error> {
        let workspace = workspaces::existing(&self.context, names).await?;
        Ok(self.context.table.experiments(&workspace.uid, after, limit).await?)
    }

    /// Begins the deletion of an experiment with its jobs. `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn delete(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<StartedOperation>, Error> {
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
