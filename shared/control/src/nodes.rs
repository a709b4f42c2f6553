//! The agents' endpoint: takes the report of a node and returns its desired state (see the `protocol`
//! crate).

use crate::context::replan;
use crate::execute::read_launch_of;
use crate::ports::PortError;
use crate::{ApiError, ApiErrorKind, Context, Error, Function, job_metrics};
use lifecycle::report::{self, DesiredState};
use lifecycle::{Draft, jobs};
use model::{ClusterRef, Instance, Job, JobState, Node, NodeId, NodeState, Target, limits};
use protocol::{
    AttemptKey, AttemptReport, Desired, End, NodePhase, Problem, Progress, SyncRequest,
    SyncResponse,
};

/// In how many tries a node that becomes free gets the next job in the same commit. When many nodes
/// become free at once they compete for the head of the queue; then the dispatcher assigns it.
const COMPOSED_TRIES: usize = 3;

/// The nodes of all clusters, as their agents see them.
#[derive(Clone)]
pub struct Nodes {
    pub(crate) context: Context,
}

/// The identity of the agent that sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentIdentity {
    /// The node of the request: it has the token of this node. It may register its instance.
    Node,
    /// This instance, which may speak only for the node that it is bound to.
    Instance(String),
}

/// The node after its report, and the job that it runs.
type Observed = (Node, Option<Job>);

impl Nodes {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Records what the agent observed and returns the desired state.
    ///
    /// # Errors
    /// `NodeNotFound`: 410 when the node no longer exists, 403 when it is another instance; its agent
    /// must stop. 400 when the request names no valid machine.
    pub async fn sync(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        agent: &AgentIdentity,
        request: &SyncRequest,
    ) -> Result<SyncResponse, Error> {
        if Instance::parse(&request.instance, &request.address).is_none() {
            let message = "instance must be a plain id, and address an IP address";
            return Err(Error::invalid("InvalidNode", message));
        }
        let mut tries = 0;
        let observed = replan(|| {
            tries += 1;
            self.observe(cluster, id, agent, request, tries <= COMPOSED_TRIES)
        })
        .await?;
        job_metrics::store_live(&self.context, &observed.0, observed.1.as_ref(), request).await;
        self.answer(observed, agent, request).await
    }

    /// The desired state, without a new observation.
    ///
    /// # Errors
    /// As [`Nodes::sync`].
    pub async fn current(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        agent: &AgentIdentity,
        request: &SyncRequest,
    ) -> Result<SyncResponse, Error> {
        let node = self.known(cluster, id).await?;
        self.authorize(&node, agent, request).await?;
        let job = self.job_of(&node).await?;
        self.answer((node, job), agent, request).await
    }

    async fn known(&self, cluster: &ClusterRef, id: &NodeId) -> Result<Node, Error> {
        let gone = || {
            let message = format!("Node {id} no longer belongs to cluster {}", cluster.name);
            ApiError::new(ApiErrorKind::Gone, "NodeNotFound", message)
        };
        Ok(self.context.table.node(cluster, id).await?.ok_or_else(gone)?)
    }

    /// Refuses an instance that is not the node. A node that waits for its instance takes one that
    /// no other node has.
    async fn authorize(
        &self,
        node: &Node,
        agent: &AgentIdentity,
        request: &SyncRequest,
    ) -> Result<(), Error> {
        let is_allowed = match (node.instance(), agent) {
            (Some(instance), AgentIdentity::Node) => instance.id == request.instance,
            (Some(instance), AgentIdentity::Instance(verified)) => {
                instance.id == request.instance && instance.id == *verified
            }
            (None, AgentIdentity::Instance(_)) => false,
            (None, AgentIdentity::Node) => {
                let owner = self.context.table.instance_owner(&request.instance).await?;
                owner.is_none_or(|owner| owner.node == node.id)
            }
        };
        let refused = || {
            let message = format!("Node {} is not instance {}", node.id, request.instance);
            ApiError::new(ApiErrorKind::Denied, "NodeNotFound", message)
        };
        if is_allowed { Ok(()) } else { Err(refused().into()) }
    }

    async fn job_of(&self, node: &Node) -> Result<Option<Job>, Error> {
        match node.attempt() {
            Some(attempt) => Ok(self.context.table.job(&attempt.job).await?),
            None => Ok(None),
        }
    }

    async fn observe(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        agent: &AgentIdentity,
        request: &SyncRequest,
        compose: bool,
    ) -> Result<Observed, Error> {
        let node = self.known(cluster, id).await?;
        self.authorize(&node, agent, request).await?;
        let affected = report::affected_records(&node, request);
        let mut draft = self.context.draft();
        let before = self.job_of(&node).await?;
        if let Some(job) = &before {
            draft.read_job(job.clone());
        }
        if affected.cluster
            && let Some(cluster) = self.context.table.cluster(cluster).await?
        {
            draft.read_cluster(cluster);
        }
        let was_idle = is_idle(&node);
        read_launch_of(&self.context, &mut draft, &node).await?;
        draft.read_node(node.clone());
        job_metrics::add_final(&self.context, &mut draft, &node, before.as_ref(), request).await?;
        report::observe(&mut draft, id, request)?;
        let mut queue_was_empty = false;
        if !was_idle && draft.node(id).is_some_and(is_idle) {
            let queued_again = before.is_some_and(|job| {
                let after = draft.job(&job.reference());
                after.is_some_and(|job| matches!(job.state, JobState::Queued { .. }))
            });
            let compose = compose && !queued_again;
            queue_was_empty = !self.give_next_job(&mut draft, cluster, id, compose).await?;
        }
        let node = draft.node(id).cloned().unwrap_or(node);
        let job = node.attempt().and_then(|attempt| draft.job(&attempt.job)).cloned();
        self.context.commit(draft).await?;
        if queue_was_empty {
            self.hint_if_queued(cluster).await;
        }
        Ok((node, job))
    }

    /// Sends a hint for a job that was queued after the queue was read and before the node was free: no
    /// other writer noticed that it can start. If this fails, the schedule visits the cluster.
    async fn hint_if_queued(&self, cluster: &ClusterRef) {
        let queue = self.context.table.queue_head(cluster, 1, |_| true).await;
        if queue.is_ok_and(|queue| !queue.is_empty()) {
            let target = Target::Cluster { cluster: cluster.clone() };
            self.context.hint(Function::Dispatcher, &target).await;
        }
    }

    /// Starts the head of the queue on a node that becomes free, in the commit that frees it. A job of
    /// several nodes, or of a sweep with a limit, is left to the dispatcher. Returns whether any job was queued.
    async fn give_next_job(
        &self,
        draft: &mut Draft,
        cluster: &ClusterRef,
        id: &NodeId,
        compose: bool,
    ) -> Result<bool, Error> {
        let queue = self.context.table.queue_head(cluster, 1, |_| true).await?;
        let Some(head) = queue.first() else { return Ok(false) };
        let job = match compose && head.node_count == 1 && head.sweep.is_none() {
            true => self.context.table.job(&head.job).await?,
            false => None,
        };
        match job {
            Some(job) => {
                draft.read_job(job);
                jobs::start(draft, head, std::slice::from_ref(id))?;
            }
            None => {
                draft.hint(Function::Dispatcher, Target::Cluster { cluster: cluster.clone() });
            }
        }
        Ok(true)
    }

    async fn answer(
        &self,
        (node, job): Observed,
        agent: &AgentIdentity,
        request: &SyncRequest,
    ) -> Result<SyncResponse, Error> {
        let desired = match self.desired(&node, job.as_ref(), request).await? {
            Ok(desired) => desired,
            Err(report) => {
                let (cluster, id) = (&node.cluster, &node.id);
                let (node, job) =
                    replan(|| self.observe(cluster, id, agent, &report, false)).await?;
                // What could not be provided has ended, and nothing was started instead.
                let desired = self.desired(&node, job.as_ref(), request).await?;
                desired.map_err(|_| Error::Busy)?
            }
        };
        Ok(SyncResponse { ask_again_millis: ask_again_millis(&desired), desired })
    }

    /// The desired state. If a secret of it cannot be read, a report in place of the agent's that says so.
    async fn desired(
        &self,
        node: &Node,
        job: Option<&Job>,
        request: &SyncRequest,
    ) -> Result<Result<Desired, Box<SyncRequest>>, Error> {
        let has_setup = request.phase != NodePhase::Preparing;
        Ok(Ok(match report::desired_state(node, job, self.context.now()) {
            DesiredState::Nothing => Desired::Idle,
            DesiredState::Prepare if has_setup => Desired::Idle,
            DesiredState::Prepare => {
                match crate::assignment::node_setup(&self.context, node).await? {
                    Ok(setup) => Desired::Prepare { setup: Box::new(setup) },
                    Err(problem) => {
                        let phase = NodePhase::Failed { problem };
                        return Ok(Err(Box::new(SyncRequest { phase, ..request.clone() })));
                    }
                }
            }
            DesiredState::Leave => Desired::Leave { grace_seconds: 0 },
            DesiredState::Stop { attempt, grace_seconds } => {
                Desired::Stop { key: report::attempt_key(&attempt), grace_seconds }
            }
            DesiredState::Run { attempt, start } => {
                let key = report::attempt_key(&attempt);
                let known = |report: &AttemptReport| report.key == key && !report.needs_assignment;
                let known = request.attempt.as_ref().is_some_and(known);
                let assignment = match job.filter(|_| !known) {
                    Some(job) => {
                        match crate::assignment::assignment(&self.context, node, job).await? {
                            Ok(assignment) => Some(Box::new(assignment)),
                            Err(problem) => return not_provided(request, key, problem),
                        }
                    }
                    None => None,
                };
                Desired::Run { key, start, assignment }
            }
        }))
    }
}

/// The report of an agent that could not be provided with what the job needs. An agent that knows the attempt
/// may be running its processes: it asks again.
fn not_provided(
    request: &SyncRequest,
    key: AttemptKey,
    problem: Problem,
) -> Result<Result<Desired, Box<SyncRequest>>, Error> {
    if request.attempt.as_ref().is_some_and(|report| report.key == key) {
        return Err(PortError::other(format!("{}: {}", problem.code, problem.message)).into());
    }
    let progress = Progress::Ended { end: End::NotProvided { problem } };
    let attempt = Some(AttemptReport::new(key, progress));
    Ok(Err(Box::new(SyncRequest { attempt, ..request.clone() })))
}

fn is_idle(node: &Node) -> bool {
    matches!(node.state, NodeState::Idle { .. })
}

/// Whether the desired state contains something that the agent's request did not show. A request
/// without an update may be held.
pub fn has_update(request: &SyncRequest, desired: &Desired) -> bool {
    match desired {
        Desired::Idle => request.attempt.is_some(),
        Desired::Run { key, start, .. } => match &request.attempt {
            Some(report) if report.key == *key => {
                report.needs_assignment || *start && report.progress == Progress::Prepared
            }
            Some(_) | None => true,
        },
        Desired::Prepare { .. } | Desired::Stop { .. } | Desired::Leave { .. } => true,
    }
}

/// The interval of agents whose requests cannot be held: short where the next answer may start a job,
/// otherwise that of heartbeats. An agent that has something new to report does not wait.
fn ask_again_millis(desired: &Desired) -> u64 {
    match desired {
        Desired::Idle => limits::IDLE_ASK_MILLIS,
        Desired::Run { start: false, .. } => limits::GANG_ASK_MILLIS,
        Desired::Run { start: true, .. }
        | Desired::Prepare { .. }
        | Desired::Stop { .. }
        | Desired::Leave { .. } => limits::HEARTBEAT_SECONDS * 1000,
    }
}
