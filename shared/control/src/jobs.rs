//! Jobs: submitting, ending, deleting. Running them is the dispatcher's and the nodes'.

use crate::clusters::uid_of;
use crate::file_servers::exists;
use crate::operations::{Put, Started, done};
use crate::ports::Function;
use crate::workspaces::being_deleted;
use crate::{Control, Error, provided, replan};
use dynamo::{Page, Transaction};
use model::{
    Cluster, Ending, Experiment, FileServer, Job, JobNames, JobState, MountVolumes, Name, Node,
    NodeId, Operation, Toolkit, Uid, VmSize, Waiting, Wake, Workspace, WorkspaceNames, limits,
};
use wire::{ClusterId, JobRequest, ResourceKind};

/// Where a job stands: workspace and experiment.
#[derive(Clone, Debug)]
pub struct ExperimentPath {
    pub workspace: WorkspaceNames,
    pub experiment: Name,
}

impl Control {
    pub async fn job(&self, path: &ExperimentPath, name: &Name) -> Result<Job, Error> {
        let experiment = self.experiment(&path.workspace, &path.experiment).await?;
        let found = self.table.job_named(&experiment.uid, name.as_str()).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::Job, name.as_str()))
    }

    pub async fn jobs(
        &self,
        path: &ExperimentPath,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Job>, Error> {
        let experiment = self.experiment(&path.workspace, &path.experiment).await?;
        Ok(self.table.jobs(&experiment.uid, after, limit).await?)
    }

    /// What a queued job waits for; nothing for any other.
    pub async fn waiting_reason(&self, job: &Job) -> Result<Option<Waiting>, Error> {
        let JobState::Queued { since } = job.state else { return Ok(None) };
        let Some(cluster) = self.table.cluster(&job.cluster).await? else { return Ok(None) };
        let blocked = provided::cluster_problem(&cluster.spec);
        let (entry, now) = (job.queue_entry(), self.now());
        Ok(Some(scheduler::waiting::explain(&cluster, blocked.as_ref(), &entry, since, now)))
    }

    pub async fn nodes_of(&self, job: &Job, ids: &[NodeId]) -> Result<Vec<Node>, Error> {
        Ok(self.table.nodes_named(&job.cluster, ids).await?)
    }

    /// Accepts a job into the queue of its cluster. One that this version cannot run is accepted
    /// too, as its body keeps all rules, and has failed at once.
    pub async fn put_job(
        &self,
        path: &ExperimentPath,
        name: &Name,
        request: &JobRequest,
    ) -> Result<Put<Job>, Error> {
        let (uid, operation) = (self.new_uid(), self.new_uid());
        let submitted = replan(|| async {
            let workspace = self.workspace(&path.workspace).await?;
            let accepted = |queued_on| Submitted::New {
                queued_on,
                started: Started {
                    operation: operation.clone(),
                    location: workspace.location.clone(),
                    is_done: true,
                },
            };
            let experiment = self.experiment_in(&workspace, &path.experiment).await?;
            match self.table.job_named(&experiment.uid, name.as_str()).await? {
                // An earlier try of this very request succeeded, though its answer was lost.
                Some(found) if found.uid == uid => {
                    let queued = !found.state.is_final();
                    return Ok(accepted(queued.then_some(found.cluster)));
                }
                Some(found) if found.deletion.is_some() => return Err(being_deleted("job", name)),
                Some(found) if request.is_same_as(&found) => {
                    return Ok(Submitted::Before(Box::new(found)));
                }
                Some(_) => return Err(exists("JobExists", "job", name)),
                None => {}
            }
            if experiment.lifecycle.is_deleting() {
                return Err(being_deleted("experiment", &path.experiment));
            }
            let cluster = self.cluster_for(&workspace, &request.cluster).await?;
            let accept = self.submit(cluster, &experiment, name, &uid, &operation, request);
            Ok(accepted(accept.await?))
        })
        .await?;
        match submitted {
            Submitted::Before(job) => Ok(Put::Unchanged(job)),
            Submitted::New { queued_on, started } => {
                if let Some(cluster) = queued_on {
                    self.hint_cluster(Function::Dispatcher, &cluster).await;
                }
                Ok(Put::Accepted(started))
            }
        }
    }

    /// The cluster that a job names, mostly one of its own workspace.
    async fn cluster_for(&self, workspace: &Workspace, id: &ClusterId) -> Result<Cluster, Error> {
        let cluster = match id.names == workspace.names {
            true => self.cluster_in(workspace, &id.name).await?,
            false => self.cluster(&id.names, &id.name).await?,
        };
        match cluster.is_deleting() {
            true => Err(being_deleted("cluster", &cluster.name)),
            false => Ok(cluster),
        }
    }

    /// Answers the cluster that has the job in its queue now.
    async fn submit(
        &self,
        cluster: Cluster,
        experiment: &Experiment,
        name: &Name,
        uid: &Uid,
        operation: &Uid,
        request: &JobRequest,
    ) -> Result<Option<model::ClusterRef>, Error> {
        self.refuse_impossible(&cluster, request)?;
        let servers = self.mountable_all(request.file_servers()).await?;
        let job = self.new_job(experiment, name, uid, &cluster, request, &servers)?;
        let reference = cluster.reference();
        let resource = wire::ids::job_key(&job.names);
        let mut transaction = Transaction::new()
            .create_job(&job)
            .require_experiment(experiment)
            .put_operation(&done(operation.clone(), resource, job.submitted_at));
        if job.state.is_final() {
            self.table.commit(transaction).await?;
            return Ok(None);
        }
        transaction = transaction.enqueue(&reference, &job.queue_entry());
        transaction = match cluster.awake {
            true => transaction.require_awake_cluster(&cluster),
            false => {
                let awake = Cluster { awake: true, ..cluster };
                let wake = Wake::Cluster { cluster: reference.clone() };
                transaction.replace_cluster(&awake).wake(&wake)
            }
        };
        for server in &servers {
            transaction = transaction.require_file_server(server);
        }
        self.table.commit(transaction).await?;
        Ok(Some(reference))
    }

    /// A job that no setting of its cluster could ever let run.
    fn refuse_impossible(&self, cluster: &Cluster, request: &JobRequest) -> Result<(), Error> {
        let refused = |message| Err(Error::bad_request("QuotaExceeded", message));
        let (wanted, limit) = (request.node_count, self.settings.max_nodes);
        if wanted > limit {
            return refused(format!(
                "The job needs {wanted} nodes at once, but this service runs at most {limit}; ask for fewer, or raise the limit of the service (--max-nodes)"
            ));
        }
        let (cores, limit) =
            (wanted.saturating_mul(cluster.charge().cores), self.settings.quota.cores);
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
        let now = self.now();
        let spec = request.clone().into_spec(
            |secret| self.keys.seal(secret, &self.new_uid()),
            |id| uid_of(servers, id),
        )?;
        let state = match provided::job_problem(&spec) {
            None => JobState::Queued { since: now },
            Some(error) => {
                JobState::Failed { started_at: now, ended_at: now, exit_code: None, error }
            }
        };
        Ok(Job {
            experiment: experiment.uid.clone(),
            names: JobNames {
                workspace: experiment.names.clone(),
                experiment: experiment.name.clone(),
                job: name.clone(),
            },
            uid: uid.clone(),
            version: 1,
            cluster: cluster.reference(),
            cluster_id: wire::ids::id_of_cluster(cluster),
            cluster_mounts: cluster
                .spec
                .mounts
                .as_ref()
                .map(MountVolumes::points)
                .unwrap_or_default(),
            spec,
            submitted_at: now,
            etag: self.new_uid(),
            state,
            attempts: Vec::new(),
            deletion: None,
        })
    }

    /// Ends a job that has not ended. `None` when it has: then there is nothing to wait for.
    pub async fn terminate_job(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        let location = self.workspace(&path.workspace).await?.location;
        let operation = self.new_uid();
        let terminated = replan(|| async {
            let job = self.job(path, name).await?;
            if job.state.is_final() {
                return Ok(false);
            }
            self.end_job(job, Some(operation.clone()), None).await?;
            Ok(true)
        })
        .await?;
        Ok(terminated.then_some(Started { operation, location, is_done: false }))
    }

    /// Ends the job if need be, then forgets it. Its files stay: they are the user's.
    /// `None` when there is nothing to delete.
    pub async fn delete_job(
        &self,
        path: &ExperimentPath,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        let workspace = self.workspace(&path.workspace).await?;
        let experiment = self.experiment_in(&workspace, &path.experiment).await?;
        let operation = self.new_uid();
        let deleted = replan(|| async {
            match self.table.job_named(&experiment.uid, name.as_str()).await? {
                None => Ok(None),
                Some(job) => self.remove_job(job, operation.clone()).await.map(Some),
            }
        })
        .await?;
        let location = workspace.location;
        Ok(deleted.map(|operation| Started { operation, location, is_done: false }))
    }

    /// Answers the operation that completes with the removal.
    pub(crate) async fn remove_job(&self, job: Job, operation: Uid) -> Result<Uid, Error> {
        if let Some(running) = job.deletion {
            return Ok(running);
        }
        if !job.state.is_final() {
            self.end_job(job, None, Some(operation.clone())).await?;
            return Ok(operation);
        }
        let resource = wire::ids::job_key(&job.names);
        let transaction = Transaction::new().remove_job(&job).put_operation(&done(
            operation.clone(),
            resource,
            self.now(),
        ));
        self.table.commit(transaction).await?;
        Ok(operation)
    }

    /// A queued job ends (or disappears) at once; a running one when its processes have.
    async fn end_job(
        &self,
        job: Job,
        operation: Option<Uid>,
        deletion: Option<Uid>,
    ) -> Result<(), Error> {
        let now = self.now();
        let cluster = job.cluster.clone();
        let entry = job.queue_entry();
        let live = job.live_attempt();
        let mut job = job.terminate(operation.clone(), now)?;
        job.deletion = deletion.clone();
        let resource = wire::ids::job_key(&job.names);
        let id = operation.or(deletion.clone()).unwrap_or_else(|| self.new_uid());
        let Some(live) = live else {
            let ended = match deletion {
                Some(_) => Transaction::new().remove_job(&job),
                None => Transaction::new().replace_job(&job),
            };
            let ended = ended.dequeue(&cluster, &entry).put_operation(&done(id, resource, now));
            return Ok(self.table.commit(ended).await?);
        };
        let mut transaction = Transaction::new()
            .replace_job(&job)
            .put_operation(&Operation::started(id, resource, now));
        let attempt = self.table.attempt(&cluster, &live).await?;
        let attempt = attempt.ok_or(crate::execute::gone("attempt", "terminate"))?;
        let nodes: Vec<_> = attempt.members.iter().map(|member| member.node.clone()).collect();
        if !attempt.is_ending() {
            let ending = attempt.end(Ending::Terminated, limits::STOP_GRACE_SECONDS, now);
            transaction = transaction.replace_attempt(&ending);
        }
        self.table.commit(transaction).await?;
        self.wake_nodes(&nodes);
        Ok(())
    }
}

/// TensorFlow workers share the GPUs of their nodes, one each at least (section 4).
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

enum Submitted {
    New { queued_on: Option<model::ClusterRef>, started: Started },
    Before(Box<Job>),
}
