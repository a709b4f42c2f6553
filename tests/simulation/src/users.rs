//! What users asked for, and what follows from it: nothing is deleted or ended that nobody asked for.

use crate::scenario::Place;
use crate::script::What;
use model::{Job, JobNames, JobState, Name, NodeDeallocation, WorkspaceNames};
use std::collections::BTreeSet;

/// Everything that was ever asked for, by path.
#[derive(Debug, Default)]
pub struct Asked {
    /// Clusters whose set-up task fails on some nodes.
    pub failing_setups: BTreeSet<String>,
    pub deleted: BTreeSet<String>,
    pub terminated: BTreeSet<String>,
    /// Clusters that were to be shrunk at the cost of their jobs.
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

impl Asked {
    /// Called before the request is sent.
    pub fn note(&mut self, place: &Place, what: &What) {
        let workspace = |it: usize| workspace_path(&place.workspaces[it]);
        let cluster = |it: usize| {
            let slot = &place.clusters[it];
            format!("{}/{}", workspace(slot.workspace), slot.name.key())
        };
        match what {
            What::DeleteGroup(it) => drop(self.deleted.insert(group_path(&place.workspaces[*it]))),
            What::DeleteWorkspace(it) => drop(self.deleted.insert(workspace(*it))),
            What::DeleteCluster(it) => drop(self.deleted.insert(cluster(*it))),
            What::DeleteExperiment(it) => {
                let child = &place.experiments[*it];
                let path = format!("{}/{}", workspace(child.workspace), child.name.key());
                self.deleted.insert(path);
            }
            What::DeleteJob { job, .. } => {
                for path in experiment_paths(place) {
                    self.deleted.insert(job_path(&path, *job));
                }
            }
            What::Terminate { job, .. } => {
                for path in experiment_paths(place) {
                    self.terminated.insert(job_path(&path, *job));
                }
            }
            What::PutCluster(it, scale) | What::Resize { cluster: it, scale } => {
                let at_the_cost_of_jobs = scale.deallocation() == NodeDeallocation::Terminate;
                self.shrunk.extend(at_the_cost_of_jobs.then(|| cluster(*it)));
            }
            _ => {}
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

    /// A job failed: for an exit code, or because of something that somebody asked for.
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
            false => Err(format!("job {} failed with {error:?} unasked", job.names.job)),
        }
    }
}

fn experiment_paths(place: &Place) -> impl Iterator<Item = String> {
    place.experiments.iter().map(|child| {
        format!("{}/{}", workspace_path(&place.workspaces[child.workspace]), child.name.key())
    })
}
