//! Deletions that take others along: an experiment its jobs, a workspace everything.
//!
//! Each look does what can be done now; the record, and with it the place on the list of the
//! schedule, stays until nothing is left below it.

use crate::{Control, Error, replan};
use dynamo::Transaction;
use model::{Experiment, Lifecycle, Name, Scope, Uid, Workspace};

/// Jobs per look; the next look goes on.
const JOBS_PER_LOOK: usize = 200;

impl Control {
    pub(crate) async fn clear_experiment(
        &self,
        workspace: &Uid,
        name: &str,
        uid: &Uid,
    ) -> Result<(), Error> {
        let found = self.table.experiment(workspace, name).await?;
        let Some(experiment) = found.filter(|experiment| experiment.uid == *uid) else {
            return Ok(self.table.commit(Transaction::new().rest(uid)).await?);
        };
        let Lifecycle::Deleting { operation, .. } = experiment.lifecycle.clone() else {
            return Ok(self.table.commit(Transaction::new().rest(uid)).await?);
        };
        loop {
            let jobs = self.table.jobs(uid, None, JOBS_PER_LOOK).await?.items;
            if jobs.is_empty() {
                break;
            }
            let mut waiting = false;
            for job in jobs {
                let name = job.names.job.key();
                waiting |= !self.remove_job_named(uid, &name).await?;
            }
            if waiting {
                return Ok(());
            }
        }
        self.finish_experiment_deletion(&experiment, operation).await
    }

    /// Whether the job is gone; one that runs is when its processes have ended.
    async fn remove_job_named(&self, experiment: &Uid, name: &str) -> Result<bool, Error> {
        replan(|| async {
            match self.table.job_named(experiment, name).await? {
                None => Ok(true),
                Some(job) => {
                    let running = job.live_attempt().is_some();
                    self.remove_job(job, self.new_uid()).await?;
                    Ok(!running)
                }
            }
        })
        .await
    }

    async fn finish_experiment_deletion(
        &self,
        experiment: &Experiment,
        operation: Uid,
    ) -> Result<(), Error> {
        let transaction = Transaction::new().remove_experiment(experiment).rest(&experiment.uid);
        let transaction = self.complete_operations(transaction, vec![operation]).await?;
        Ok(self.table.commit(transaction).await?)
    }

    pub(crate) async fn clear_workspace(
        &self,
        subscription: &str,
        resource_group: &str,
        name: &str,
        uid: &Uid,
    ) -> Result<(), Error> {
        let (subscription, group) = (Name::new(subscription), Name::new(resource_group));
        let found = self.table.workspace(&subscription, &group, &Name::new(name)).await?;
        let Some(workspace) = found.filter(|workspace| workspace.uid == *uid) else {
            return Ok(self.table.commit(Transaction::new().rest(uid)).await?);
        };
        let Lifecycle::Deleting { operation, .. } = workspace.lifecycle.clone() else {
            return Ok(self.table.commit(Transaction::new().rest(uid)).await?);
        };
        if self.delete_children(&workspace).await? {
            return Ok(());
        }
        self.revoke_all_at(&Scope::from(&workspace.names)).await?;
        let transaction = Transaction::new().remove_workspace(&workspace).rest(uid);
        let transaction = self.complete_operations(transaction, vec![operation]).await?;
        self.table.commit(transaction).await?;
        self.hint_resource_group(&workspace.names).await
    }

    /// Whether something is left. File servers go last: jobs write to them until they end.
    async fn delete_children(&self, workspace: &Workspace) -> Result<bool, Error> {
        let all = usize::MAX - 1;
        let experiments = self.table.experiments(&workspace.uid, None, all).await?.items;
        let clusters = self.table.clusters(&workspace.uid, None, all).await?.items;
        let users = !experiments.is_empty() || !clusters.is_empty();
        for experiment in experiments {
            self.start_experiment_deletion(experiment).await?;
        }
        for cluster in clusters {
            self.start_cluster_deletion(cluster).await?;
        }
        if users {
            return Ok(true);
        }
        let servers = self.table.file_servers(&workspace.uid, None, all).await?.items;
        let left = !servers.is_empty();
        for server in servers {
            self.start_file_server_deletion(server).await?;
        }
        Ok(left)
    }
}
