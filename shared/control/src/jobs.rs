//! Requests for jobs: submission, termination, deletion. The dispatcher and the nodes run them.

use crate::clusters::{self, uid_of};
use crate::context::replan;
use crate::operations::{PutOutcome, StartedOperation, done, pending};
use crate::{Context, Error, experiments, file_servers, workspaces};
use lifecycle::creation::{Existing, check_name, require_not_deleting};
use lifecycle::jobs::{self, Completion};
use lifecycle::submission::{self, NewJob, require_possible};
use lifecycle::{mounted, unsupported};
use model::{
    Cluster, ClusterRef, Experiment, Job, JobState, LogTail, Name, Node, NodeId, QueueEntry, Uid,
    Waiting, Workspace, WorkspaceNames, limits,
};
use scheduler::dispatch;
use scheduler::waiting::{self, WaitingSnapshot};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use table::Page;
use wire::{ClusterId, JobRequest, ResourceKind};

/// The parents of a job.
#[derive(Clone, Debug)]
pub struct ExperimentPath {
    /// The workspace of the experiment.
    pub workspace: WorkspaceNames,
    /// The name of the experiment.
    pub experiment: Name,
}

/// The jobs of the service.
#[derive(Clone)]
pub struct Jobs {
    context: Context,
}

/// In how many tries a submission may start on idle nodes. When many submissions compete for the same
/// nodes, they are queued.
const DIRECT_TRIES: usize = 2;

impl Jobs {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// One job.
    ///
    /// # Errors
    /// 404 when there is no such workspace, experiment or job.
    pub async fn get(&self, path: &ExperimentPath, name: &Name) -> Result<Job, Error> {
        let (_, experiment) = self.place(path).await?;
        let found = self.context.table.job_named(&experiment.uid, name.as_str()).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::Job, name.as_str()))
    }

    async fn place(&self, path: &ExperimentPath) -> Result<(Workspace, Experiment), Error> {
        let workspace = workspaces::existing(&self.context, &path.workspace).await?;
        let experiment =
            experiments::existing_in(&self.context, &workspace, &path.experiment).await?;
        Ok((workspace, experiment))
    }

    /// One page of the jobs of an experiment, after a position.
    ///
    /// # Errors
    /// 404 when there is no such workspace or experiment.
    pub async fn list(
        &self,
        path: &ExperimentPath,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Job>, Error> {
        let (_, experiment) = self.place(path).await?;
        Ok(self.context.table.jobs(&experiment.uid, after, limit).await?)
    }

    /// Why queued jobs do not run yet; `None` for any other job. The answers are in the order of the jobs. Each
    /// cluster is read once, and at most [`limits::MAX_EXPLAINED_CLUSTERS`] are.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn waiting_reasons(&self, jobs: &[Job]) -> Result<Vec<Option<Waiting>>, Error> {
        let mut clusters: BTreeMap<&Uid, Option<WaitingSnapshot>> = BTreeMap::new();
        let mut reasons = Vec::with_capacity(jobs.len());
        let now = self.context.now();
        for job in jobs {
            let JobState::Queued { since } = job.state else {
                reasons.push(None);
                continue;
            };
            let (known, uid) = (clusters.len(), &job.cluster.uid);
            let snapshot = match clusters.entry(uid) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(_) if known >= limits::MAX_EXPLAINED_CLUSTERS => {
                    reasons.push(None);
                    continue;
                }
                Entry::Vacant(vacant) => vacant.insert(self.waiting_snapshot(&job.cluster).await?),
            };
            let explain =
                |it: &WaitingSnapshot| waiting::explain(it, &job.queue_entry(), since, now);
            reasons.push(snapshot.as_ref().map(explain));
        }
        Ok(reasons)
    }

    async fn waiting_snapshot(
        &self,
        reference: &ClusterRef,
    ) -> Result<Option<WaitingSnapshot>, Error> {
        let table = &self.context.table;
        let Some(cluster) = table.cluster(reference).await? else { return Ok(None) };
        let blocked = unsupported::cluster_problem(&cluster.spec);
        let nodes = table.nodes(reference).await?;
        let ceiling = cluster.scale.ceiling();
        let admits = |entry: &QueueEntry| entry.node_count <= ceiling;
        let queue = table.queue_head(reference, limits::EXPLAINED_QUEUE, admits).await?;
        Ok(Some(WaitingSnapshot { cluster, blocked, nodes, queue }))
    }

    /// The end of the output of the last attempt that has ended, where the service cannot read its files. Empty for any
    /// other job.
    ///
    /// # Errors
    /// 404 when there is no such workspace, experiment or job.
    pub async fn log_tails(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Vec<LogTail>, Error> {
        let job = self.get(path, name).await?;
        if !job.may_have_log_tails() {
            return Ok(Vec::new());
        }
        let mut tails = self.context.table.log_tails(&job.reference()).await?;
        // A member that failed in an earlier attempt may have succeeded since.
        let last = tails.iter().map(|tail| tail.attempt).max();
        tails.retain(|tail| Some(tail.attempt) == last);
        Ok(tails)
    }

    /// Those of these nodes that still exist.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn nodes(&self, job: &Job, ids: &[NodeId]) -> Result<Vec<Node>, Error> {
        Ok(self.context.table.nodes_named(&job.cluster, ids).await?)
    }

    /// Submits a job. It starts immediately when enough nodes are idle and the queue is empty; otherwise
    /// it is queued. A job that this version cannot run is accepted, then fails immediately with a
    /// reason.
    ///
    /// # Errors
    /// 409 when a different job has the name, 400 when the job could never run.
    pub async fn put(
        &self,
        path: &ExperimentPath,
        name: &Name,
        request: &JobRequest,
    ) -> Result<PutOutcome<Job>, Error> {
        let (uid, operation) = (self.context.new_uid(), self.context.new_uid());
        let mut tries = 0;
        replan(|| {
            tries += 1;
            self.try_put(path, name, request, [&uid, &operation], tries <= DIRECT_TRIES)
        })
        .await
    }

    async fn try_put(
        &self,
        path: &ExperimentPath,
        name: &Name,
        request: &JobRequest,
        [uid, operation]: [&Uid; 2],
        direct: bool,
    ) -> Result<PutOutcome<Job>, Error> {
        let (workspace, experiment) = self.place(path).await?;
        let accepted = || {
            let names = submission::job_names(&experiment, name);
            let (location, key) = (&workspace.location, names.operation_key());
            Ok(PutOutcome::Accepted(done(&self.context, operation.clone(), location, &key)))
        };
        let found = self.context.table.job_named(&experiment.uid, name.as_str()).await?;
        match check_name(found, uid, |found| request.is_same_as(found))? {
            Existing::FromRetry(_) => return accepted(),
            Existing::Identical(found) => return Ok(PutOutcome::Unchanged(Box::new(found))),
            Existing::None => {}
        }
        require_not_deleting(&experiment)?;
        let cluster = self.cluster_for(&workspace, &request.cluster).await?;
        self.submit(&cluster, &experiment, name, uid, request, direct).await?;
        accepted()
    }

    /// The cluster that a job names; usually one of its own workspace.
    async fn cluster_for(&self, workspace: &Workspace, id: &ClusterId) -> Result<Cluster, Error> {
        let cluster = match id.names == workspace.names {
            true => clusters::existing_in(&self.context, workspace, &id.name).await?,
            false => clusters::existing(&self.context, &id.names, &id.name).await?,
        };
        require_not_deleting(&cluster)?;
        Ok(cluster)
    }

    async fn submit(
        &self,
        cluster: &Cluster,
        experiment: &Experiment,
        name: &Name,
        uid: &Uid,
        request: &JobRequest,
        direct: bool,
    ) -> Result<(), Error> {
        let settings = &self.context.settings;
        require_possible(cluster, request.node_count, settings.max_nodes, &settings.quota)?;
        request.check_workers(&cluster.spec.vm_size)?;
        let servers = file_servers::mountable(&self.context, request.file_servers()).await?;
        let mut spec = request.clone().into_spec(
            |secret| self.context.keys.seal(secret, &self.context.new_uid()),
            |id| uid_of(&servers, id),
        )?;
        mounted::require_job_output(&cluster.spec, &spec)?;
        settings.provider.check_mounts(spec.mounts.as_ref())?;
        file_servers::add_shares(spec.mounts.as_mut(), &servers);
        let mut draft = self.context.draft();
        let new = NewJob { name: name.clone(), uid: uid.clone(), spec };
        let job = submission::accept(&draft, experiment, cluster, new)?;
        // The dispatcher counts the jobs of a sweep that has a limit.
        let direct = direct && job.queue_entry().sweep.is_none();
        let idle = match direct && !job.state.is_final() {
            true => self.free_nodes(cluster, request.node_count as usize).await?,
            false => Vec::new(),
        };
        submission::submit(&mut draft, experiment, cluster, &servers, idle, job)?;
        self.context.commit(draft).await?;
        Ok(())
    }

    /// As many idle nodes of one zone as the job needs, if no other job is queued; otherwise none.
    async fn free_nodes(&self, cluster: &Cluster, needed: usize) -> Result<Vec<Node>, Error> {
        let reference = cluster.reference();
        if cluster.planned_nodes == 0 || !cluster.scheduled {
            return Ok(Vec::new());
        }
        let limit = if needed == 1 { 1 } else { limits::MAX_NODES_PER_CLUSTER as usize };
        let idle = self.context.table.idle_nodes(&reference, limit).await?;
        let Some(idle) = dispatch::nodes_for(&idle, needed) else { return Ok(Vec::new()) };
        let ceiling = cluster.scale.ceiling();
        let admits = |entry: &QueueEntry| entry.node_count <= ceiling;
        if !self.context.table.queue_head(&reference, 1, admits).await?.is_empty() {
            return Ok(Vec::new());
        }
        let nodes = self.context.table.nodes_named(&reference, &idle).await?;
        Ok(if nodes.len() == needed { nodes } else { Vec::new() })
    }

    /// Terminates a job. `None` when it has already ended.
    ///
    /// # Errors
    /// 404 when there is no such job.
    pub async fn terminate(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Option<StartedOperation>, Error> {
        let operation = self.context.new_uid();
        replan(|| async {
            let (workspace, experiment) = self.place(path).await?;
            let found = self.context.table.job_named(&experiment.uid, name.as_str()).await?;
            let missing = || Error::not_found(ResourceKind::Job, name.as_str());
            let job = found.ok_or_else(missing)?;
            let (reference, key) = (job.reference(), job.names.operation_key());
            let mut draft = self.context.draft();
            draft.read_job(job);
            let outcome = jobs::terminate(&mut draft, &reference, operation.clone())?;
            self.context.commit(draft).await?;
            let started = |completion: Completion| {
                pending(&self.context, completion, operation.clone(), &workspace.location, &key)
            };
            Ok(outcome.map(started))
        })
        .await
    }

    /// Terminates the job if necessary, then removes it. Its output files are kept. `None` when there
    /// is nothing to delete.
    ///
    /// # Errors
    /// 404 when there is no such workspace or experiment.
    pub async fn delete(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Option<StartedOperation>, Error> {
        let operation = self.context.new_uid();
        replan(|| async {
            let (workspace, experiment) = self.place(path).await?;
            let found = self.context.table.job_named(&experiment.uid, name.as_str()).await?;
            let Some(job) = found else { return Ok(None) };
            let key = job.names.operation_key();
            let outcome = delete_found(&self.context, job, operation.clone()).await?;
            let location = &workspace.location;
            Ok(Some(pending(&self.context, outcome, operation.clone(), location, &key)))
        })
        .await
    }
}

/// Terminates the job if necessary, then removes it.
pub(crate) async fn delete_found(
    context: &Context,
    job: Job,
    operation: Uid,
) -> Result<Completion, Error> {
    let reference = job.reference();
    let mut draft = context.draft();
    draft.read_job(job);
    let outcome = jobs::delete(&mut draft, &reference, operation)?;
    context.commit(draft).await?;
    Ok(outcome)
}
