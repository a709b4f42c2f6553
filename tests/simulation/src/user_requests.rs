//! The requests that users have sent, to check that nothing is deleted or terminated without one.

use crate::scenario::Layout;
use crate::script::UserRequest;
use model::{Job, JobNames, JobState, Name, NodeDeallocation, WorkspaceNames};
use std::collections::BTreeSet;

/// The requests of the whole history, by path of the resource.
#[derive(Debug, Default)]
pub struct UserRequests {
    /// Clusters whose set-up task fails on some nodes.
    pub failing_setups: BTreeSet<String>,
    pub deleted: BTreeSet<String>,
    pub terminated: BTreeSet<String>,
    /// Clusters with a request to shrink that terminates jobs.
    pub shrunk: BTreeSet<String>,
}

fn group_path(names: &WorkspaceNames) -> String {
    format!("{}/{}", names.subscription.key(), names.resource_group.key())
}

fn workspace_path(names: &WorkspaceNames) -> String {
    format!("{}/{}", group_path(names), names.workspace.key())
}

fn job_path(experiment: &str, number: u32) -> String {
    format!("{experiment}/j{number}")
}

impl UserRequests {
    /// Called before the request is sent.
    pub fn record(&mut self, layout: &Layout, request: &UserRequest) {
        let workspace = |it: usize| workspace_path(&layout.workspaces[it]);
        let cluster = |it: usize| {
            let slot = &layout.clusters[it];
            format!("{}/{}", workspace(slot.workspace), slot.name.key())
        };
        let jobs = |job: u32| experiment_paths(layout).map(move |path| job_path(&path, job));
        match request {
            UserRequest::DeleteGroup(it) => {
                self.deleted.insert(group_path(&layout.workspaces[*it]));
            }
            UserRequest::DeleteWorkspace(it) => {
                self.deleted.insert(workspace(*it));
            }
            UserRequest::DeleteCluster(it) => {
                self.deleted.insert(cluster(*it));
            }
            UserRequest::DeleteExperiment(it) => {
                let child = &layout.experiments[*it];
                let path = format!("{}/{}", workspace(child.workspace), child.name.key());
                self.deleted.insert(path);
            }
            UserRequest::DeleteJob { job, .. } => self.deleted.extend(jobs(*job)),
            UserRequest::Terminate { job, .. } => self.terminated.extend(jobs(*job)),
            UserRequest::PutCluster(it, scale) | UserRequest::Resize { cluster: it, scale } => {
                let terminates = scale.deallocation() == NodeDeallocation::Terminate;
                self.shrunk.extend(terminates.then(|| cluster(*it)));
            }
            UserRequest::PutWorkspace(_)
            | UserRequest::PutExperiment(_)
            | UserRequest::PutFileServer(_)
            | UserRequest::Submit(_)
            | UserRequest::ReadCluster(_)
            | UserRequest::DeleteFileServer(_)
            | UserRequest::Tag(_)
            | UserRequest::Grant(_)
            | UserRequest::Revoke(_)
            | UserRequest::CreateToken(_)
            | UserRequest::RevokeToken(_) => {}
        }
    }

    pub fn deletes_workspace(&self, names: &WorkspaceNames) -> bool {
        self.deleted.contains(&workspace_path(names)) || self.deleted.contains(&group_path(names))
    }

    pub fn deletes_cluster(&self, names: &WorkspaceNames, name: &Name) -> bool {
        self.deletes_workspace(names)
            || self.deleted.contains(&format!("{}/{}", workspace_path(names), name.key()))
    }

    pub fn deletes_job(&self, names: &JobNames) -> bool {
        let experiment = format!("{}/{}", workspace_path(&names.workspace), names.experiment.key());
        self.deletes_workspace(&names.workspace)
            || self.deleted.contains(&format!("{experiment}/{}", names.job.key()))
            || self.deleted.contains(&experiment)
    }

    fn terminates_job(&self, names: &JobNames) -> bool {
        let workspace = workspace_path(&names.workspace);
        let path = format!("{workspace}/{}/{}", names.experiment.key(), names.job.key());
        self.deletes_job(names) || self.terminated.contains(&path)
    }

    /// A job may fail by its exit code, or because of a request.
    ///
    /// # Errors
    /// When the job failed because of a request that was not sent.
    pub fn justifies(&self, job: &Job) -> Result<(), String> {
        let JobState::Failed { error, .. } = &job.state else { return Ok(()) };
        let (names, name) = (job.cluster_workspace(), &job.cluster_names.name);
        let cluster = format!("{}/{}", workspace_path(names), name.key());
        let justified = match error.code.as_str() {
            "JobTerminated" => self.terminates_job(&job.names),
            "ClusterDeleted" => self.deletes_cluster(names, name),
            "JobNodeDeallocated" => self.shrunk.contains(&cluster),
            _ => true,
        };
        match justified {
            true => Ok(()),
            false => Err(format!("job {} failed with {error:?} without a request", job.names.job)),
        }
    }
}

fn experiment_paths(layout: &Layout) -> impl Iterator<Item = String> {
    layout.experiments.iter().map(|child| {
        format!("{}/{}", workspace_path(&layout.workspaces[child.workspace]), child.name.key())
    })
}
