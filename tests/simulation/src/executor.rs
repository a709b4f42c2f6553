//! The running handlers. One is polled at a time, until its next call. The crash of a process drops
//! all of its handlers.

use control::Error;
use control::nodes::AgentIdentity;
use model::{ClusterRef, Instance, LaunchId, NodeId, Target};
use protocol::{SyncRequest, SyncResponse};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::requests::Answer;

/// The result of a handler.
#[derive(Debug)]
pub enum TaskResult {
    Request {
        request: usize,
        outcome: Result<Answer, Error>,
    },
    Sync {
        instance: usize,
        number: u64,
        sent_at: i64,
        outcome: Result<SyncResponse, Error>,
    },
    SignIn {
        instance: usize,
        number: u64,
        sent_at: i64,
        outcome: Result<Option<NodeId>, Error>,
    },
    /// A repeated old report; nobody awaits the answer.
    Repetition,
    Hint {
        function: usize,
        target: Target,
        receipt: u64,
        outcome: Result<(), Error>,
    },
    Visit,
    Notice {
        instance: usize,
        notice: Notice,
        tries: u32,
        failed: bool,
    },
}

pub type Handler = Pin<Box<dyn Future<Output = TaskResult> + Send>>;

/// An event of the cloud about an instance.
#[derive(Clone, Copy, Debug)]
pub enum Notice {
    /// It is interrupted in this many seconds.
    Interruption(u64),
    /// It had better be replaced.
    Rebalance,
}

/// What a task was started for; needed when it is dropped.
#[derive(Clone, Debug)]
pub enum Purpose {
    Request(usize),
    Sync(usize),
    Other,
}

pub struct Task {
    pub process: usize,
    pub purpose: Purpose,
    /// The step at which it was started.
    pub started: u64,
    handler: Handler,
}

/// Tasks by number; numbers start at 1.
#[derive(Default)]
pub struct Tasks {
    tasks: BTreeMap<u64, Task>,
    added: u64,
}

impl Tasks {
    pub fn add(&mut self, process: usize, purpose: Purpose, started: u64, handler: Handler) -> u64 {
        self.added += 1;
        self.tasks.insert(self.added, Task { process, purpose, started, handler });
        self.added
    }

    /// The step at which a task was started.
    pub fn started(&self, task: u64) -> Option<u64> {
        self.tasks.get(&task).map(|it| it.started)
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether a task other than a request of an agent, which may be held, is running.
    pub fn has_others(&self) -> bool {
        self.tasks.values().any(|it| !matches!(it.purpose, Purpose::Sync(_)))
    }

    /// Polls a task until its next call; `None` if it has not finished.
    pub fn poll(&mut self, number: u64) -> Option<TaskResult> {
        let task = self.tasks.get_mut(&number)?;
        let mut context = Context::from_waker(Waker::noop());
        match task.handler.as_mut().poll(&mut context) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.tasks.remove(&number);
                Some(result)
            }
        }
    }

    pub fn drop_task(&mut self, number: u64) {
        self.tasks.remove(&number);
    }

    /// Drops the tasks of a process; returns their purposes.
    pub fn crash(&mut self, process: usize) -> Vec<Purpose> {
        let ended: Vec<u64> =
            self.tasks.iter().filter(|(_, it)| it.process == process).map(|(it, _)| *it).collect();
        ended.iter().filter_map(|it| self.tasks.remove(it)).map(|it| it.purpose).collect()
    }
}

/// A request of an agent.
pub enum AgentCall {
    SignIn(SignInCall),
    Sync(Box<SyncCall>),
}

/// An instance asks which node it is.
pub struct SignInCall {
    pub cluster: ClusterRef,
    pub launch: LaunchId,
    pub instance: Instance,
}

/// A report of a node. With `hold_until`, it is held until there is an update.
pub struct SyncCall {
    pub cluster: model::ClusterRef,
    pub node: model::NodeId,
    pub agent: AgentIdentity,
    pub request: SyncRequest,
    pub hold_until: Option<i64>,
}

impl SyncCall {
    /// # Errors
    /// The errors of the service.
    pub async fn send(
        &self,
        control: &control::Control,
        sim: &crate::sim::Sim,
    ) -> Result<SyncResponse, Error> {
        let Self { cluster, node, agent, request, hold_until } = self;
        let mut response = control.nodes.sync(cluster, node, agent, request).await?;
        let Some(until) = hold_until else { return Ok(response) };
        while !control::nodes::has_update(request, &response.desired) {
            sim.hold(node.clone(), *until).await;
            if sim.state().now >= *until {
                break;
            }
            response = control.nodes.current(cluster, node, agent, request).await?;
        }
        Ok(response)
    }
}
