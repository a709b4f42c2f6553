//! Experiments: folders of jobs.

use crate::operations::Started;
use crate::ports::Function;
use crate::workspaces::being_deleted;
use crate::{Control, Error, replan};
use dynamo::{Page, Transaction};
use model::{Experiment, Lifecycle, Name, Operation, Wake, Workspace, WorkspaceNames};
use wire::ResourceKind;

impl Control {
    pub async fn experiment(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Experiment, Error> {
        let workspace = self.workspace(names).await?;
        self.experiment_in(&workspace, name).await
    }

    pub(crate) async fn experiment_in(
        &self,
        workspace: &Workspace,
        name: &Name,
    ) -> Result<Experiment, Error> {
        let found = self.table.experiment(&workspace.uid, name.as_str()).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::Experiment, name.as_str()))
    }

    /// Idempotent: an existing experiment is answered as it is (section 3.2).
    pub async fn put_experiment(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Experiment, Error> {
        let (uid, etag) = (self.new_uid(), self.new_uid());
        replan(|| async {
            let workspace = self.open_workspace(names).await?;
            match self.table.experiment(&workspace.uid, name.as_str()).await? {
                Some(found) if found.lifecycle.is_deleting() => {
                    return Err(being_deleted("experiment", name));
                }
                Some(found) => return Ok(found),
                None => {}
            }
            let now = self.now();
            let experiment = Experiment {
                workspace: workspace.uid.clone(),
                names: workspace.names.clone(),
                name: name.clone(),
                uid: uid.clone(),
                version: 1,
                created_at: now,
                etag: etag.clone(),
                modified_at: now,
                lifecycle: Lifecycle::Active,
            };
            let transaction =
                Transaction::new().require_workspace(&workspace).create_experiment(&experiment);
            self.table.commit(transaction).await?;
            Ok(experiment)
        })
        .await
    }

    pub async fn experiments(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Experiment>, Error> {
        let workspace = self.workspace(names).await?;
        Ok(self.table.experiments(&workspace.uid, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    pub async fn delete_experiment(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let workspace = self.workspace(names).await?;
            let found = self.table.experiment(&workspace.uid, name.as_str()).await?;
            let Some(experiment) = found else { return Ok(None) };
            let operation = self.start_experiment_deletion(experiment).await?;
            Ok(Some(Started { operation, location: workspace.location, is_done: false }))
        })
        .await
    }

    pub(crate) async fn start_experiment_deletion(
        &self,
        mut experiment: Experiment,
    ) -> Result<model::Uid, Error> {
        if let Lifecycle::Deleting { operation, .. } = experiment.lifecycle {
            return Ok(operation);
        }
        let (now, operation) = (self.now(), self.new_uid());
        let resource = wire::ids::child_key(&experiment.names, &experiment.name);
        experiment.lifecycle = Lifecycle::Deleting { operation: operation.clone(), since: now };
        let wake = Wake::Experiment {
            workspace: experiment.workspace.clone(),
            name: experiment.name.key(),
            uid: experiment.uid.clone(),
        };
        let transaction = Transaction::new()
            .replace_experiment(&experiment)
            .put_operation(&Operation::started(operation.clone(), resource, now))
            .wake(&wake);
        self.table.commit(transaction).await?;
        self.hint(Function::Recovery, &wake).await;
        Ok(operation)
    }
}
