//! Properties of random sequences of reactions and decisions on random records: the table stays
//! consistent (a [`Fixture`] checks that after every commit, with one write per item and at most
//! 100), a repetition changes nothing, ended jobs and attempts do not change, and everything ends
//! when agents follow their desired state.

mod steps;

use crate::change::Function;
use crate::clusters::{self, Update};
use crate::report::{self, DesiredState};
use crate::testing::*;
use crate::{Change, Draft, jobs, launches, nodes, resources};
use model::*;
use proptest::prelude::*;
use protocol::{End, NodePhase, Progress, SyncRequest};
use scheduler::{Action, dispatch, recovery};
use steps::{Step, step};
use table::Memory;

/// The records, and the last numbers of jobs and nodes.
struct Harness {
    fixture: Fixture,
    jobs: usize,
    nodes: usize,
}

impl Harness {
    fn new() -> Self {
        // Sizes are tested in `bounds`, at their maximum.
        let fixture = Fixture::on(Memory::unmeasured());
        fixture.create(|draft| draft.create_cluster(auto_cluster(0, 4)));
        Self { fixture, jobs: 0, nodes: 0 }
    }

    fn nth_job(&self, index: usize) -> Option<Job> {
        let jobs = self.fixture.jobs();
        (!jobs.is_empty()).then(|| jobs[index % jobs.len()].clone())
    }

    fn nth_node(&self, index: usize) -> Option<Node> {
        let nodes = self.fixture.nodes();
        (!nodes.is_empty()).then(|| nodes[index % nodes.len()].clone())
    }

    /// Applies the reaction twice. The second time writes nothing.
    fn twice(&self, reaction: impl Fn(&mut Draft) -> Result<(), InvalidTransition>) {
        if self.fixture.try_react(&reaction).is_ok() {
            let again = self.fixture.try_react(&reaction);
            assert!(again.is_err() || again.is_ok_and(|change| change.writes.is_empty()));
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Submit { width, retries, at_once } => self.submit(*width, *retries, *at_once),
            Step::Terminate(index) => self.each_job(*index, |draft, job| {
                jobs::terminate(draft, &job.reference(), uid("op")).map(drop)
            }),
            Step::Delete(index) => self.each_job(*index, |draft, job| {
                jobs::delete(draft, &job.reference(), uid("e")).map(drop)
            }),
            Step::Report { node, phase, progress, notice } => {
                self.report(*node, phase, progress.as_ref(), *notice);
            }
            Step::Interrupt(index, seconds) => {
                self.each_node(*index, |draft, node| nodes::interrupted(draft, &node.id, *seconds))
            }
            Step::Leave(index, reason, end_reason) => self.leave(*index, *reason, *end_reason),
            Step::EndAttempt(index, end_reason) => self.each_job(*index, |draft, job| {
                let Some(attempt) = job.live_attempt() else { return Ok(()) };
                let end_reason = endings(&node_id(0))[*end_reason].clone();
                let grace_seconds = limits::STOP_GRACE_SECONDS;
                let end = Action::EndAttempt { attempt, end_reason, grace_seconds };
                crate::actions::apply(draft, &end, None)
            }),
            Step::Remove(index) => {
                self.each_node(*index, |draft, node| nodes::removed(draft, &node.id));
            }
            Step::RemovalFailed(index) => {
                let Some(node) = self.nth_node(*index) else { return };
                let failed =
                    |draft: &mut Draft| nodes::removal_failed(draft, &node.id, &error("Denied"));
                self.fixture.try_react(failed).expect("the node exists");
            }
            Step::Launch(count) => {
                let planned_nodes = self.nodes as u32 + count;
                self.action(&Action::Launch {
                    count: *count,
                    planned_nodes,
                    is_gang: false,
                    zone: None,
                });
            }
            Step::Answer(up) => self.answer(*up),
            Step::SignIn(index) => self.sign_in(*index),
            Step::Dispatch => self.dispatch(),
            Step::Capacity => self.capacity(),
            Step::Recover(lost) => self.recover(*lost),
            Step::Resize(count) => self.resize(*count),
            Step::DeleteCluster => self.delete_cluster(),
            Step::Wait(seconds) => self.fixture.now = self.fixture.now.plus_seconds(*seconds),
        }
    }

    fn leave(&mut self, index: usize, reason: LeaveReason, end_reason: Option<usize>) {
        let Some(node) = self.nth_node(index) else { return };
        let end_reason = end_reason.map(|end_reason| endings(&node.id)[end_reason].clone());
        self.action(&Action::Leave { node: node.id, reason, end_reason });
    }

    fn resize(&self, count: u32) {
        let scale = Some(manual_cluster(count).scale);
        let update = Update { scale, ..Update::default() };
        let nodes = self.fixture.nodes();
        // Refused if it was removed.
        self.fixture.request(|it| clusters::update(it, update, &nodes, uid("e")));
    }

    fn delete_cluster(&self) {
        let Some(cluster) = self.fixture.cluster() else { return };
        let delete = |draft: &mut Draft| {
            resources::begin_deletion(draft, &cluster, uid("op"));
            Ok(())
        };
        self.fixture.try_react(delete).expect("it exists");
    }

    fn each_job(
        &self,
        index: usize,
        reaction: impl Fn(&mut Draft, &Job) -> Result<(), InvalidTransition>,
    ) {
        if let Some(job) = self.nth_job(index) {
            self.twice(|draft| reaction(draft, &job));
        }
    }

    fn each_node(
        &self,
        index: usize,
        reaction: impl Fn(&mut Draft, &Node) -> Result<(), InvalidTransition>,
    ) {
        if let Some(node) = self.nth_node(index) {
            self.twice(|draft| reaction(draft, &node));
        }
    }

    fn submit(&mut self, width: u32, retries: u32, at_once: bool) {
        let cluster = self.fixture.cluster().filter(|cluster| !cluster.is_deleting());
        let Some(cluster) = cluster else { return };
        let mut new = job(&format!("j{}", self.jobs), width);
        new.spec.max_retries = Some(retries);
        new.submitted_at = self.fixture.now;
        self.jobs += 1;
        let idle = if at_once { self.fixture.idle_nodes() } else { Vec::new() };
        let idle = idle.into_iter().map(|node| node.id).take(width as usize);
        let idle: Vec<NodeId> = idle.collect();
        let mut draft = Draft::new(self.fixture.now, self.fixture.quota);
        let read = self.fixture.nodes().into_iter().filter(|node| idle.contains(&node.id));
        read.for_each(|node| draft.read_node(node));
        jobs::submit(&mut draft, new, &cluster, &idle).expect("the nodes are idle");
        self.fixture.committed(draft);
    }

    /// A request of the node's agent about the attempt that the node runs, or about an unknown one.
    fn report(
        &self,
        index: usize,
        phase: &NodePhase,
        progress: Option<&Progress>,
        notice: Option<u64>,
    ) {
        let Some(node) = self.nth_node(index) else { return };
        let unknown = AttemptRef { job: job_ref("a"), number: 1 };
        let attempt = node.attempt().unwrap_or(&unknown);
        let key = report::attempt_key(attempt);
        let report = progress.map(|it| protocol::AttemptReport::new(key, it.clone()));
        let number = number_of(&node);
        let Some(request) = self.request_of(&node, phase.clone()) else { return };
        let request =
            SyncRequest { attempt: report, interruption_notice_seconds: notice, ..request };
        self.fixture.observe(number, &request).expect("every request can be taken in");
        let again = self.fixture.observe(number, &request).expect("allowed again");
        assert!(again.writes.is_empty(), "a repetition writes nothing: {again:?}");
    }

    /// A request of the instance of a node. `None` for a launching node whose own instance is bound
    /// to another node of the launch.
    fn request_of(&self, node: &Node, phase: NodePhase) -> Option<SyncRequest> {
        let Instance { id, address } = match node.instance() {
            Some(instance) => instance.clone(),
            None => instance(number_of(node)),
        };
        let owner = |it: &Node| it.instance().is_some_and(|it| it.id == id) && it.id != node.id;
        if self.fixture.nodes().iter().any(owner) {
            return None;
        }
        Some(SyncRequest { instance: id, address, ..request(number_of(node), phase) })
    }

    fn action(&mut self, action: &Action) -> Option<Change> {
        let mut ids = None;
        if let Action::Launch { count, .. } = action {
            let first = self.nodes;
            self.nodes += *count as usize;
            let nodes = node_ids(first..self.nodes);
            ids = Some(new_launch(&format!("l{first}"), nodes));
        }
        let applied = self.fixture.apply(action, ids);
        if let (Ok(_), Action::Start { .. } | Action::Leave { .. } | Action::EndAttempt { .. }) =
            (&applied, action)
        {
            let again = self.fixture.apply(action, None);
            assert!(again.is_err() || again.is_ok_and(|change| change.writes.is_empty()));
        }
        applied.ok()
    }

    /// Each launch is answered with up to this many instances. Every second launch names the nodes.
    fn answer(&mut self, up: usize) {
        for launch in self.fixture.launches() {
            let nodes = launch.request.nodes.iter().take(up);
            let instances: Vec<LaunchedInstance> =
                nodes.map(|id| launched_as(id, &launch)).collect();
            let refused =
                (instances.len() < launch.request.nodes.len()).then(|| error("NoCapacity"));
            self.twice(|draft| {
                let (launched, refused) = (instances.clone(), refused.clone());
                let outcome = LaunchOutcome { launched, refused, ..LaunchOutcome::default() };
                launches::answered(draft, launch.id(), outcome);
                Ok(())
            });
        }
    }

    /// An instance of the launch of a node signs in.
    fn sign_in(&self, index: usize) {
        let Some(node) = self.nth_node(index) else { return };
        let mut draft = self.fixture.draft();
        let instance = instance(number_of(&node));
        let owned = |it: &Node| it.instance().is_some_and(|it| it.id == instance.id);
        if self.fixture.nodes().iter().any(owned) {
            return;
        }
        match launches::signed_in(&mut draft, &node.launch, instance.clone()) {
            launches::SignIn::Bound(bound) => {
                self.fixture.committed(draft);
                let bound = self.fixture.nodes().into_iter().find(|it| it.id == bound).unwrap();
                assert_eq!(bound.instance(), Some(&instance));
            }
            launches::SignIn::Surplus => {
                let waits = |it: &Node| it.launch == node.launch && nodes::is_launching(&it.state);
                let launch = self.fixture.launches().into_iter().find(|it| *it.id() == node.launch);
                let known = launch.is_none_or(|it| it.has_bound(&instance.id));
                assert!(known || !self.fixture.nodes().iter().any(waits));
            }
            launches::SignIn::Stale => panic!("everything was read at once"),
        }
    }

    fn dispatch(&mut self) {
        let Some(cluster) = self.fixture.cluster() else { return };
        let snapshot = dispatch::DispatchSnapshot {
            cluster,
            queue: self.fixture.queue(),
            idle: self.fixture.idle_nodes(),
            running: dispatch::busy_until(&self.fixture.nodes()),
        };
        for action in dispatch::plan(&snapshot, self.fixture.now) {
            assert!(self.action(&action).is_some(), "nothing came between: {action:?}");
        }
    }

    fn capacity(&mut self) {
        let plan = self.fixture.capacity_plan(300);
        for action in &plan {
            let applied = self.action(action).is_some();
            // The last member may have ended in an earlier step.
            let ends = matches!(action, Action::EndAttempt { .. });
            assert!(applied || ends, "nothing came between: {action:?} of {plan:?}");
        }
    }
}

impl Harness {
    fn recover(&mut self, lost: Option<usize>) {
        let Some(cluster) = self.fixture.cluster() else { return };
        let lost = lost.and_then(|index| self.nth_node(index)).map(|node| node.id);
        let nodes = self.fixture.nodes();
        let found = |node: &Node| {
            let id = node.instance()?.id.clone();
            let state = match Some(&node.id) == lost.as_ref() {
                true => recovery::InstanceState::Ended,
                false => recovery::InstanceState::Running,
            };
            let (launch, address) = (node.launch.clone(), Some("10.0.0.1".to_owned()));
            let offering = Offering::Single;
            Some(recovery::FoundInstance { id, launch, state, address, node: None, offering })
        };
        let instances = Some(nodes.iter().filter_map(found).collect());
        let jobs = self.fixture.jobs();
        let listening_since = Timestamp(0);
        let launches = self.fixture.launches();
        let snapshot = recovery::RecoverySnapshot {
            cluster,
            nodes,
            jobs,
            launches,
            instances,
            listening_since,
        };
        // Several policies may remove the same node; the first action does it.
        for action in recovery::plan(&snapshot, self.fixture.now) {
            self.action(&action);
        }
    }
}

fn number_of(node: &Node) -> usize {
    number_of_id(&node.id)
}

fn number_of_id(id: &NodeId) -> usize {
    id.as_str()[1..].parse().expect("a node of the builders")
}

fn launched_as(id: &NodeId, launch: &Launch) -> LaunchedInstance {
    let named = number_of_id(&launch.request.nodes[0]).is_multiple_of(2);
    LaunchedInstance { node: named.then(|| id.clone()), ..launched(number_of_id(id)) }
}

/// Final jobs and the records of attempts do not change.
fn check_history(before: &[Job], after: &[Job]) {
    for old in before {
        let Some(new) = after.iter().find(|job| job.uid == old.uid) else { continue };
        assert!(new.attempts.starts_with(&old.attempts), "{old:?} {new:?}");
        assert!(!old.state.is_final() || new.state == old.state, "{old:?} {new:?}");
        assert_eq!(new.queue_entry(), old.queue_entry(), "a job keeps its place");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_stay_consistent_and_come_to_their_end(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut harness = Harness::new();
        for step in &steps {
            let before = harness.fixture.jobs();
            harness.take(step);
            check_history(&before, &harness.fixture.jobs());
        }
        harness.drain();
    }
}

impl Harness {
    /// Agents do what is desired of them and plans are carried out, until nothing is left to do.
    fn drain(&mut self) {
        if self.fixture.cluster().is_some_and(|cluster| !cluster.is_deleting()) {
            let update = Update { scale: Some(auto_cluster(0, 4).scale), ..Update::default() };
            let resize = |draft: &mut Draft| clusters::update(draft, update, &[], uid("e"));
            let resized = self.fixture.request(resize);
            assert!(!resized.starts_with("refused"), "{resized}");
        }
        for _ in 0..100 {
            if self.fixture.scheduled().is_empty() {
                break;
            }
            self.fixture.now = self.fixture.now.plus_seconds(60);
            self.dispatch();
            self.capacity();
            self.recover(None);
            self.answer(usize::MAX);
            for node in self.fixture.nodes() {
                self.follow(&node);
            }
        }
        let left = self.fixture.stored();
        assert_eq!(self.fixture.nodes(), [], "{left}");
        assert!(self.fixture.jobs().iter().all(|job| job.state.is_final()), "{left}");
        assert!(!left.contains("in progress"), "{left}");
        assert!(self.fixture.scheduled().is_empty(), "{left}");
    }

    fn follow(&self, node: &Node) {
        let occupant = node.attempt().map(|attempt| self.fixture.job_of(attempt));
        let master = |attempt: &AttemptRef| {
            let job = self.fixture.job_of(attempt);
            job.attempt(attempt).is_some_and(|live| live.members[0].node == node.id)
        };
        let about = |attempt: &AttemptRef, progress| {
            let key = report::attempt_key(attempt);
            (NodePhase::Ready, Some(protocol::AttemptReport::new(key, progress)))
        };
        let desired = report::desired_state(node, occupant.as_ref(), self.fixture.now);
        let (phase, attempt) = match desired {
            DesiredState::Prepare | DesiredState::Nothing => (NodePhase::Ready, None),
            DesiredState::Run { attempt, start: false } => about(&attempt, Progress::Prepared),
            DesiredState::Run { attempt, start: true } if master(&attempt) => {
                about(&attempt, has_ended(End::Exited { exit_code: 0 }))
            }
            DesiredState::Run { attempt, start: true } => about(&attempt, Progress::Running),
            DesiredState::Stop { attempt, .. } => about(&attempt, has_ended(End::Stopped)),
            DesiredState::Leave => (NodePhase::Left, None),
        };
        let Some(request) = self.request_of(node, phase) else { return };
        let request = SyncRequest { attempt, ..request };
        self.fixture.observe(number_of(node), &request).expect("every request can be taken in");
    }
}

/// Every member whose desired state changes is notified.
#[test]
fn a_change_of_a_gang_notifies_its_members() {
    let (job, nodes) = gang("a", &[0, 1]);
    let fixture = Fixture::of(manual_cluster(2), vec![job], nodes);
    let end = Action::EndAttempt {
        attempt: AttemptRef { job: job_ref("a"), number: 1 },
        end_reason: EndReason::WallClockExceeded,
        grace_seconds: 1,
    };
    let change = fixture.apply(&end, None).unwrap();
    assert_eq!(change.notify.into_iter().collect::<Vec<_>>(), node_ids([0, 1]));
    let remove = fixture.apply(&Action::Remove { node: node_id(0) }, None).unwrap();
    assert_eq!(remove.notify.into_iter().collect::<Vec<_>>(), node_ids([1]));
    assert!(remove.hints.iter().any(|(function, _)| *function == Function::Autoscaler));
}
