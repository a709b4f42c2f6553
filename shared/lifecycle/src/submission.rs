//! New jobs: a job that could never run is refused, a job that this version cannot run fails
//! immediately, every other job is submitted.

use crate::draft::Draft;
use crate::refusal::Refusal;
use crate::{jobs, size, unsupported};
use model::{
    Cluster, ClusterNames, Experiment, FileServer, Job, JobNames, JobSpec, JobState, MountVolumes,
    Name, Node, NodeId, Quota, Uid,
};

/// A requested job: secrets encrypted, file servers resolved.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its name.
    pub name: Name,
    /// Uid of the new record.
    pub uid: Uid,
    /// Its specification.
    pub spec: JobSpec,
}

/// Refuses a job that could not run with any settings of its cluster.
///
/// # Errors
/// When it needs more nodes or cores than the service or the quota allows.
pub fn require_possible(
    cluster: &Cluster,
    node_count: u32,
    max_nodes: u32,
    quota: &Quota,
) -> Result<(), Refusal> {
    if node_count > max_nodes {
        return Err(Refusal::JobBeyondNodes { wanted: node_count, most: max_nodes });
    }
    let cores = node_count.saturating_mul(cluster.charge().cores);
    let most = quota.most_cores();
    match cores <= most {
        true => Ok(()),
        false => Err(Refusal::JobBeyondCores { wanted: cores, most }),
    }
}

/// The record of a new job: queued, or failed if this version cannot run it.
///
/// # Errors
/// When the record has no room to grow.
pub fn accept(
    draft: &Draft,
    experiment: &Experiment,
    cluster: &Cluster,
    new: NewJob,
) -> Result<Job, Refusal> {
    let (now, NewJob { name, uid, spec }) = (draft.now, new);
    let state = match unsupported::job_problem(&spec) {
        None => JobState::Queued { since: now },
        Some(error) => JobState::Failed { started_at: now, ended_at: now, exit_code: None, error },
    };
    let elsewhere = cluster.names != experiment.names;
    let mounts = cluster.spec.mounts.as_ref();
    let job = Job {
        experiment: experiment.uid.clone(),
        names: job_names(experiment, &name),
        uid,
        version: draft.first_version(),
        cluster: cluster.reference(),
        cluster_names: ClusterNames {
            workspace: elsewhere.then(|| cluster.names.clone()),
            name: cluster.name.clone(),
        },
        cluster_mounts: mounts.map(MountVolumes::points).unwrap_or_default(),
        spec,
        submitted_at: now,
        state,
        attempts: Vec::new(),
        deletion: None,
        has_metrics: false,
    };
    size::check(&job)?;
    Ok(job)
}

/// The full name of a job of this experiment.
pub fn job_names(experiment: &Experiment, job: &Name) -> JobNames {
    JobNames {
        workspace: experiment.names.clone(),
        experiment: experiment.name.clone(),
        job: job.clone(),
    }
}

/// Submits a job. `servers` are the file servers that it mounts, `idle` the idle nodes that were
/// read for it (see [`jobs::submit`]).
///
/// # Errors
/// When the nodes have changed since they were listed.
pub fn submit(
    draft: &mut Draft,
    experiment: &Experiment,
    cluster: &Cluster,
    servers: &[FileServer],
    idle: Vec<Node>,
    job: Job,
) -> Result<(), Refusal> {
    draft.writes().require_experiment(experiment);
    for server in servers.iter().filter(|_| !job.state.is_final()) {
        draft.writes().require_file_server(server);
    }
    let ids: Vec<NodeId> = idle.iter().map(|node| node.id.clone()).collect();
    for node in idle {
        draft.read_node(node);
    }
    jobs::submit(draft, job, cluster, &ids)?;
    Ok(())
}

#[cfg(test)]
mod tests;
