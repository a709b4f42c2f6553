//! The shell around the decisions: reads snapshots, has `scheduler` plan, carries the plans out.
//!
//! The rules of this crate: nothing is decided here that `scheduler` or `model` could decide; every
//! write is conditional; the intent is stored before the effect; what a message says is never
//! believed, only looked up.

mod assignment;
pub mod autoscaler;
pub mod clusters;
pub mod deletion;
pub mod dispatcher;
mod error;
pub mod execute;
pub mod experiments;
pub mod file_servers;
pub mod files;
pub mod jobs;
pub mod keys;
mod launch;
pub mod nodes;
pub mod operations;
pub mod ports;
mod provided;
pub mod recovery;
pub mod resource_groups;
pub mod roles;
mod settle;
pub mod tokens;
pub mod trigger;
pub mod usages;
pub mod workspaces;
pub mod world;

pub use error::{ApiError, Error, Kind};

use keys::Keys;
use model::{NodeId, Timestamp, Uid, Wake};
use ports::{Clock, Function, Hints, Ids, Machines};
use std::path::PathBuf;
use std::sync::Arc;

/// How often something is planned anew after others wrote first, before the caller is told so. Each
/// try reads the newest state, so more tries than writers at one record are never needed.
const MAX_TRIES: usize = 20;

/// The control plane: the table and the ports, the same on AWS and on one machine.
#[derive(Clone)]
pub struct Control {
    pub table: dynamo::Table,
    pub machines: Arc<dyn Machines>,
    pub hints: Arc<dyn Hints>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub keys: Arc<Keys>,
    pub settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// How long idle nodes beyond demand stay.
    pub idle_seconds: u64,
    /// Nodes that the whole service may have; a job that needs more is refused.
    pub max_nodes: u32,
    /// What a region of a subscription may use.
    pub quota: usages::Quota,
    /// Where the trees of the file servers are, one directory each, named by uid.
    pub file_server_root: PathBuf,
    /// Whether users are told that directory: only where it is on their own machine.
    pub shows_local_paths: bool,
    /// Since when nodes can reach the control plane; a lease does not run before.
    pub listening_since: Timestamp,
}

impl Control {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn new_uid(&self) -> Uid {
        self.ids.uid()
    }

    /// Tells a function to look at something. A lost hint costs time, never more: the schedule
    /// looks at everything that is not at rest.
    pub async fn hint(&self, function: Function, wake: &Wake) {
        if let Err(error) = self.hints.send(function, wake).await {
            tracing::warn!(?function, %error, "a hint was not sent; the schedule will look");
        }
    }

    pub async fn hint_cluster(&self, function: Function, cluster: &model::ClusterRef) {
        self.hint(function, &Wake::Cluster { cluster: cluster.clone() }).await;
    }

    /// A node that waits for news is to ask again.
    pub fn wake_nodes<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) {
        for node in nodes {
            self.hints.wake_node(node);
        }
    }
}

/// Tries again as long as somebody else wrote first.
pub(crate) async fn replan<T, F>(mut step: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..MAX_TRIES {
        match step().await {
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
    }
    step().await
}
