//! The jobs of a cluster: those that its nodes run, and those that are queued for it. They may belong to other workspaces
//! than the cluster. Jobs of a workspace that the caller may not read are left out.

use crate::clusters::{Clusters, existing};
use crate::{Context, Error, roles};
use model::{
    Cluster, Job, JobNames, JobRef, JobState, Name, Node, Principal, Role, Scope, WorkspaceNames,
};
use std::collections::{BTreeSet, HashMap};
use table::Page;

impl Clusters {
    /// All nodes of a cluster, each with the job that it runs, if `principal` may read that.
    ///
    /// # Errors
    /// 404 when there is no such workspace or cluster.
    pub async fn nodes_with_jobs(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        principal: &Principal,
    ) -> Result<Vec<(Node, Option<JobNames>)>, Error> {
        let cluster = existing(&self.context, names, name).await?;
        let nodes = self.nodes(&cluster).await?;
        let attempts = nodes.iter().filter_map(Node::attempt);
        let running: BTreeSet<&JobRef> = attempts.map(|attempt| &attempt.job).collect();
        let running: Vec<JobRef> = running.into_iter().cloned().collect();
        let jobs = self.readable_jobs(&cluster, &running, principal).await?;
        let with_job = |node: Node| {
            let job = node.attempt().and_then(|attempt| jobs.get(&attempt.job));
            let names = job.map(|job| job.names.clone());
            (node, names)
        };
        Ok(nodes.into_iter().map(with_job).collect())
    }

    /// One page of the queue of a cluster, after a position: the jobs in the order in which dispatch considers them, without
    /// those that `principal` may not read. So a page may have fewer jobs than `limit` although others follow.
    ///
    /// # Errors
    /// 404 when there is no such workspace or cluster.
    pub async fn queued_jobs(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        (after, limit): (Option<String>, usize),
        principal: &Principal,
    ) -> Result<Page<Job>, Error> {
        let cluster = existing(&self.context, names, name).await?;
        let page = self.context.table.queue(&cluster.reference(), after, limit).await?;
        let queued: Vec<JobRef> = page.items.into_iter().map(|entry| entry.job).collect();
        let mut jobs = self.readable_jobs(&cluster, &queued, principal).await?;
        // A job may have started since the queue was read.
        jobs.retain(|_, job| matches!(job.state, JobState::Queued { .. }));
        let items = queued.iter().filter_map(|reference| jobs.remove(reference)).collect();
        Ok(Page { items, next: page.next })
    }

    /// Those of these jobs that exist and that the principal may read. The caller has checked the workspace of the cluster.
    async fn readable_jobs(
        &self,
        cluster: &Cluster,
        references: &[JobRef],
        principal: &Principal,
    ) -> Result<HashMap<JobRef, Job>, Error> {
        let mut known = vec![(cluster.names.clone(), true)];
        let mut readable = HashMap::new();
        for job in self.context.table.jobs_named(references).await? {
            let workspace = &job.names.workspace;
            let decided = known.iter().find(|(names, _)| names == workspace);
            let may_read = match decided {
                Some((_, may_read)) => *may_read,
                None => {
                    let may_read = may_read(&self.context, workspace, principal).await?;
                    known.push((workspace.clone(), may_read));
                    may_read
                }
            };
            if may_read {
                readable.insert(job.reference(), job);
            }
        }
        Ok(readable)
    }
}

async fn may_read(
    context: &Context,
    workspace: &WorkspaceNames,
    principal: &Principal,
) -> Result<bool, Error> {
    roles::may(&context.table, principal, Role::Reader, &Scope::from(workspace)).await
}
