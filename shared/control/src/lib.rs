//! The shell around decisions and reactions: reads records, has `scheduler` plan or `lifecycle`
//! react, commits the change, and carries out what follows from it.
//!
//! The rules of this crate: nothing is decided here that `scheduler`, `lifecycle` or `model` could
//! decide; every write is conditional; the intent is stored before the effect; a hint carries no
//! state, it only names the target to read.

mod assignment;
pub mod autoscaler;
pub mod clusters;
mod context;
pub mod deletion;
pub mod directories;
pub mod dispatcher;
mod error;
mod execute;
pub mod experiments;
pub mod file_servers;
pub mod files;
pub mod jobs;
pub mod keys;
mod locations;
pub mod nodes;
pub mod operations;
pub mod ports;
pub mod recovery;
pub mod resource_groups;
pub mod roles;
pub mod schedule;
pub mod subscriptions;
pub mod system;
pub mod tokens;
pub mod uptime;
pub mod usages;
pub mod workspaces;

pub use context::{Context, Parts, Settings};
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
    pub context: Context,
    pub clusters: Clusters,
    pub experiments: Experiments,
    pub file_servers: FileServers,
    pub files: Files,
    pub jobs: Jobs,
    pub nodes: Nodes,
    pub operations: Operations,
    pub resource_groups: ResourceGroups,
    pub roles: Roles,
    pub subscriptions: Subscriptions,
    pub tokens: Tokens,
    pub usages: Usages,
    pub workspaces: Workspaces,
}

impl Control {
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

    /// Reconciles one target, as the function does that a hint names: the one handler of
    /// dispatcher, autoscaler and recovery.
    ///
    /// # Errors
    /// What the table or a port reports; the hint is to be delivered again.
    pub async fn reconcile(&self, function: Function, target: &model::Target) -> Result<(), Error> {
        match function {
            Function::Dispatcher => dispatcher::reconcile(&self.context, target).await,
            Function::Autoscaler => autoscaler::reconcile(&self.context, target).await,
            Function::Recovery => recovery::reconcile(&self.context, target).await,
        }
    }
}
