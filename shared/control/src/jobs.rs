//! Jobs: submitting, ending, deleting. Running them is the dispatcher's and the nodes'.

use crate::clusters::{self, uid_of};
use crate::context::replan;
use crate::file_servers::{self, exists};
use crate::operations::{Put, Started, done, pending};
use crate::workspaces::{self, being_deleted};
use crate::{Context, Error, experiments, provided};
use lifecycle::jobs::{self, Pending};
use lifecycle::size;
use model::{
    Cluster, ClusterNames, Experiment, FileServer, Job, JobNames, JobState, MountVolumes, Name,
    Node, NodeId, Toolkit, Uid, VmSize, Waiting, Workspace, WorkspaceNames,
};
use table::Page;
use wire::{ClusterId, JobRequest, ResourceKind};

/// Where a job is: workspace and experiment.
#[derive(Clone, Debug)]
pub struct ExperimentPath {
    pub workspace: WorkspaceNames,
    pub experiment: Name,
}

#[derive(Clone)]
pub struct Jobs {
    context: Context,
}

/// In how many tries a submission may take idle nodes at once. Where many submissions meet at the
/// same nodes, the queue sorts them.
const DIRECT_TRIES: usize = 2;

impl Jobs {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

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

    /// What a queued job waits for; nothing for any other.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn waiting_reason(&self, job: &Job) -> Result<Option<Waiting>, Error> {
        let JobState::Queued { since } = job.state else { return Ok(None) };
        let cluster = self.context.table.cluster(&job.cluster).await?;
        let Some(cluster) = cluster else { return Ok(None) };
        let blocked = provided::cluster_problem(&cluster.spec);
        let (entry, now) = (job.queue_entry(), self.context.now());
        Ok(Some(scheduler::waiting::explain(&cluster, blocked.as_ref(), &entry, since, now)))
    }

    /// # Errors
    /// What the table reports.
    pub async fn nodes(&self, job: &Job, ids: &[NodeId]) -> Result<Vec<Node>, Error> {
        Ok(self.context.table.nodes_named(&job.cluster, ids).await?)
    }

    /// Accepts a job: it starts at once where nodes are free and nobody waits for them, or takes
    /// its place in the queue of its cluster. One that this version cannot run is accepted too, as
    /// its body keeps all rules, and fails at once.
    ///
    /// # Errors
    /// 409 when the name is taken by another job, 400 when it could never run.
    pub async fn put(
        &self,
        path: &ExperimentPath,
        name: &Name,
        request: &JobRequest,
    ) -> Result<Put<Job>, Error> {
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
    ) -> Result<Put<Job>, Error> {
        let (workspace, experiment) = self.place(path).await?;
        let accepted = || {
            let names = job_names(&experiment, name);
            let (location, key) = (&workspace.location, names.operation_key());
            Ok(Put::Accepted(done(&self.context, operation.clone(), location, &key)))
        };
        match self.context.table.job_named(&experiment.uid, name.as_str()).await? {
            // An earlier try of this very request succeeded, though its answer was lost.
            Some(found) if found.uid == *uid => return accepted(),
            Some(found) if found.deletion.is_some() => return Err(being_deleted("job", name)),
            Some(found) if request.is_same_as(&found) => {
                return Ok(Put::Unchanged(Box::new(found)));
            }
            Some(_) => return Err(exists("JobExists", "job", name)),
            None => {}
        }
        if experiment.lifecycle.is_deleting() {
            return Err(being_deleted("experiment", &path.experiment));
        }
        let cluster = self.cluster_for(&workspace, &request.cluster).await?;
        self.submit(&cluster, &experiment, name, uid, request, direct).await?;
        accepted()
    }

    /// The cluster that a job names, mostly one of its own workspace.
    async fn cluster_for(&self, workspace: &Workspace, id: &ClusterId) -> Result<Cluster, Error> {
        let cluster = match id.names == workspace.names {
            true => clusters::existing_in(&self.context, workspace, &id.name).await?,
            false => clusters::existing(&self.context, &id.names, &id.name).await?,
        };
        match cluster.is_deleting() {
            true => Err(being_deleted("cluster", &cluster.name)),
            false => Ok(cluster),
        }
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
        self.refuse_impossible(cluster, request)?;
        let servers = file_servers::mountable(&self.context, request.file_servers()).await?;
        let job = self.new_job(experiment, name, uid, cluster, request, &servers)?;
        size::check(&job)?;
        let mut draft = self.context.draft();
        draft.writes().require_experiment(experiment);
        for server in servers.iter().filter(|_| !job.state.is_final()) {
            draft.writes().require_file_server(server);
        }
        let free = match direct && !job.state.is_final() {
            true => self.free_nodes(cluster, request.node_count as usize).await?,
            false => Vec::new(),
        };
        let ids: Vec<NodeId> = free.iter().map(|node| node.id.clone()).collect();
        for node in free {
            draft.read_node(node);
        }
        jobs::submit(&mut draft, job, cluster, &ids)?;
        self.context.commit(draft).await?;
        Ok(())
    }

    /// As many idle nodes as a job needs, if nobody waits for them; else none.
    async fn free_nodes(&self, cluster: &Cluster, needed: usize) -> Result<Vec<Node>, Error> {
        let reference = cluster.reference();
        if cluster.planned_nodes == 0 || !cluster.scheduled {
            return Ok(Vec::new());
        }
        let idle = self.context.table.idle_nodes(&reference, needed).await?;
        if idle.len() < needed {
            return Ok(Vec::new());
        }
        let ceiling = cluster.scale.ceiling();
        if !self.context.table.startable(&reference, ceiling, 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        let nodes = self.context.table.nodes_named(&reference, &idle).await?;
        Ok(if nodes.len() == needed { nodes } else { Vec::new() })
    }

    /// A job that no setting of its cluster could ever let run.
    fn refuse_impossible(&self, cluster: &Cluster, request: &JobRequest) -> Result<(), Error> {
        let refused = |message| Err(Error::bad_request("QuotaExceeded", message));
        let (wanted, limit) = (request.node_count, self.context.settings.max_nodes);
        if wanted > limit {
            return refused(format!(
                "The job needs {wanted} nodes at once, but this service runs at most {limit}; ask for fewer, or raise the limit of the service (--max-nodes)"
            ));
        }
        let (cores, limit) =
            (wanted.saturating_mul(cluster.charge().cores), self.context.settings.quota.cores);
        if cores > limit {
            return refused(format!(
                "The job needs {cores} cores at once, but the quota is {limit}; ask for fewer nodes or smaller ones, or raise the limit of the service (--max-cores)"
            ));
        }
        refuse_crowded_workers(cluster, request)
    }

    fn new_job(
        &self,
        experiment: &Experiment,
        name: &Name,
        uid: &Uid,
        cluster: &Cluster,
        request: &JobRequest,
        servers: &[FileServer],
    ) -> Result<Job, Error> {
        let now = self.context.now();
        let spec = request.clone().into_spec(
            |secret| self.context.keys.seal(secret, &self.context.new_uid()),
            |id| uid_of(servers, id),
        )?;
        let state = match provided::job_problem(&spec) {
            None => JobState::Queued { since: now },
            Some(error) => {
                JobState::Failed { started_at: now, ended_at: now, exit_code: None, error }
            }
        };
        let elsewhere = cluster.names != experiment.names;
        let workspace = elsewhere.then(|| cluster.names.clone());
        Ok(Job {
            experiment: experiment.uid.clone(),
            names: job_names(experiment, name),
            uid: uid.clone(),
            version: self.context.first_version(),
            cluster: cluster.reference(),
            cluster_names: ClusterNames { workspace, name: cluster.name.clone() },
            cluster_mounts: cluster
                .spec
                .mounts
                .as_ref()
                .map(MountVolumes::points)
                .unwrap_or_default(),
            spec,
            submitted_at: now,
            state,
            attempts: Vec::new(),
            deletion: None,
        })
    }

    /// Ends a job that has not ended. `None` when it has: then there is nothing to wait for.
    ///
    /// # Errors
    /// 404 when there is no such job.
    pub async fn terminate(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        let operation = self.context.new_uid();
        replan(|| async {
            let (workspace, experiment) = self.place(path).await?;
            let found = self.context.table.job_named(&experiment.uid, name.as_str()).await?;
            let missing = || Error::not_found(ResourceKind::Job, name.as_str());
            let job = found.ok_or_else(missing)?;
            let (reference, key) = (job.reference(), job.names.operation_key());
            let mut draft = self.context.draft();
            draft.read_job(job);
            let what = jobs::terminate(&mut draft, &reference, operation.clone())?;
            self.context.commit(draft).await?;
            let started = |what: Pending| {
                pending(&self.context, what, operation.clone(), &workspace.location, &key)
            };
            Ok(what.map(started))
        })
        .await
    }

    /// Ends the job if need be, then removes it. Its files stay: they are the user's.
    /// `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 404 when there is no such workspace or experiment.
    pub async fn delete(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        let operation = self.context.new_uid();
        replan(|| async {
            let (workspace, experiment) = self.place(path).await?;
            let found = self.context.table.job_named(&experiment.uid, name.as_str()).await?;
            let Some(job) = found else { return Ok(None) };
            let key = job.names.operation_key();
            let what = delete_found(&self.context, job, operation.clone()).await?;
            let location = &workspace.location;
            Ok(Some(pending(&self.context, what, operation.clone(), location, &key)))
        })
        .await
    }
}

/// Ends the job if need be, then removes it.
pub(crate) async fn delete_found(
    context: &Context,
    job: Job,
    operation: Uid,
) -> Result<Pending, Error> {
    let reference = job.reference();
    let mut draft = context.draft();
    draft.read_job(job);
    let what = jobs::delete(&mut draft, &reference, operation)?;
    context.commit(draft).await?;
    Ok(what)
}

fn job_names(experiment: &Experiment, name: &Name) -> JobNames {
    JobNames {
        workspace: experiment.names.clone(),
        experiment: experiment.name.clone(),
        job: name.clone(),
    }
}

/// A TensorFlow job has at most one worker per GPU, or per node where nodes have no GPU
/// (docs/contract.md, "Toolkits").
fn refuse_crowded_workers(cluster: &Cluster, request: &JobRequest) -> Result<(), Error> {
    let Toolkit::TensorFlow(settings) = &request.toolkit else { return Ok(()) };
    let workers = settings.worker_count.unwrap_or(request.node_count);
    let most = request.node_count * VmSize::of(&cluster.spec.vm_size).gpus.max(1);
    if workers <= most {
        return Ok(());
    }
    let target = "properties.tensorFlowSettings.workerCount";
    let predicate = format!(
        "must be at most {most}, the number of GPUs of {} node(s) of size {}, but is {workers}",
        request.node_count, cluster.spec.vm_size
    );
    let violation = wire::Violation::new(wire::codes::INVALID_PARAMETER, target, &predicate);
    Err(wire::Violations::from(violation).into())
}
