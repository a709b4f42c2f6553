//! The control plane: reads records, calls `scheduler` for plans and `lifecycle` for reactions, commits
//! the change and executes its effects.
//!
//! The rules of this crate: nothing is decided here that `scheduler`, `lifecycle` or `model` could
//! decide. Every write is conditional. The intent is stored before the effect. A hint carries no state;
//! it only names the target to read.

#![warn(missing_docs)]

mod assignment;
pub mod autoscaler;
mod cluster_jobs;
pub mod clusters;
mod containers;
mod context;
pub mod deletion;
pub mod directories;
pub mod dispatcher;
mod early_stopping;
mod error;
mod execute;
pub mod experiments;
pub mod file_servers;
pub mod files;
pub mod job_metrics;
pub mod jobs;
pub mod keys;
mod locations;
pub mod metrics;
mod mounts;
pub mod nodes;
pub mod operations;
pub mod ports;
mod provisioner;
pub mod recovery;
pub mod resource_groups;
pub mod roles;
pub mod schedule;
pub mod secrets;
mod sign_in;
pub mod subscriptions;
pub mod system;
mod terminations;
pub mod tokens;
mod toolkits;
pub mod uptime;
pub mod usages;
pub mod workspaces;

pub use context::{Context, Parts, Provider, Settings};
pub use error::{ApiError, ApiErrorKind, Error};
pub use lifecycle::Function;

use clusters::Clusters;
use experiments::Experiments;
use file_servers::FileServers;
use files::Files;
use jobs::Jobs;
use nodes::Nodes;
use operations::Operations;
use resource_groups::ResourceGroups;
use roles::Roles;
use subscriptions::Subscriptions;
use tokens::Tokens;
use usages::Usages;
use workspaces::Workspaces;

/// The services of the control plane, one for each resource type of the API, on one context.
#[derive(Clone)]
pub struct Control {
    /// The table, the ports and the settings.
    pub context: Context,
    /// Requests for clusters.
    pub clusters: Clusters,
    /// Requests for experiments.
    pub experiments: Experiments,
    /// Requests for file servers.
    pub file_servers: FileServers,
    /// Output files of jobs.
    pub files: Files,
    /// Requests for jobs.
    pub jobs: Jobs,
    /// Reports of agents.
    pub nodes: Nodes,
    /// Long-running operations.
    pub operations: Operations,
    /// Requests for resource groups.
    pub resource_groups: ResourceGroups,
    /// Role assignments and authorization.
    pub roles: Roles,
    /// Subscriptions.
    pub subscriptions: Subscriptions,
    /// Tokens that the service issues.
    pub tokens: Tokens,
    /// Usages and quotas.
    pub usages: Usages,
    /// Requests for workspaces.
    pub workspaces: Workspaces,
}

impl Control {
    /// All services on this context.
    pub fn new(context: Context) -> Self {
        Self {
            clusters: Clusters::new(&context),
            experiments: Experiments::new(&context),
            file_servers: FileServers::new(&context),
            files: Files::new(&context),
            jobs: Jobs::new(&context),
            nodes: Nodes::new(&context),
            operations: Operations::new(&context),
            resource_groups: ResourceGroups::new(&context),
            roles: Roles::new(&context),
            subscriptions: Subscriptions::new(&context),
            tokens: Tokens::new(&context),
            usages: Usages::new(&context),
            workspaces: Workspaces::new(&context),
            context,
        }
    }

    /// Reconciles one target as this function does. Lambda functions and the local queues call it for
    /// every hint.
    ///
    /// # Errors
    /// What the table or a port reports; the hint must be delivered again.
    pub async fn reconcile(&self, function: Function, target: &model::Target) -> Result<(), Error> {
        reconcile(&self.context, function, target).await
    }

    /// Like [`Self::reconcile`], but starts no further action at `end`: a hint to itself continues. At
    /// least one action is executed, so every pass makes progress.
    ///
    /// # Errors
    /// Those of [`Self::reconcile`].
    pub async fn reconcile_until(
        &self,
        function: Function,
        target: &model::Target,
        end: model::Timestamp,
    ) -> Result<(), Error> {
        reconcile(&self.context.until(end), function, target).await
    }
}

async fn reconcile(
    context: &Context,
    function: Function,
    target: &model::Target,
) -> Result<(), Error> {
    match (function, target.cluster()) {
        (Function::Dispatcher, Some(cluster)) => dispatcher::reconcile(context, cluster).await,
        (Function::Autoscaler, Some(cluster)) => autoscaler::reconcile(context, cluster).await,
        (Function::Recovery, Some(cluster)) => recovery::reconcile(context, cluster).await,
        (Function::Provisioner, _) => provisioner::reconcile(context, target).await,
        // Sent by an earlier version of the service.
        (Function::Dispatcher | Function::Autoscaler | Function::Recovery, None) => Ok(()),
    }
}
