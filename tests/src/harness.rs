//! A test environment with one workspace and one experiment, and the actions of users and agents in it.

use crate::environment::Environment;
use crate::fleet::agent;
use control::jobs::ExperimentPath;
use control::nodes::AgentIdentity;
use model::{ClusterRef, Instance, Job, LaunchId, Name, Waiting, WorkspaceNames};
use serde_json::{Value, json};

pub struct Harness {
    pub environment: Environment,
}

/// A job to submit.
#[derive(Clone, Debug)]
pub struct JobSpec<'a> {
    pub name: &'a str,
    pub cluster: &'a str,
    pub nodes: u32,
    pub priority: &'a str,
    /// The exit code of its command.
    pub exit_code: u32,
    /// How long the command runs.
    pub millis: u64,
    /// The maximum wall clock time, in the format of ISO 8601.
    pub wall_clock: &'a str,
    pub max_retries: u32,
}

impl<'a> JobSpec<'a> {
    /// A job on one node with normal priority, whose command succeeds after one second.
    pub fn new(name: &'a str, cluster: &'a str) -> Self {
        let (priority, wall_clock) = ("normal", "PT5M");
        Self {
            name,
            cluster,
            nodes: 1,
            priority,
            exit_code: 0,
            millis: 1000,
            wall_clock,
            max_retries: 0,
        }
    }
}

pub fn names() -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new("s"),
        resource_group: Name::new("g"),
        workspace: Name::new("w"),
    }
}

pub fn path() -> ExperimentPath {
    ExperimentPath { workspace: names(), experiment: Name::new("e") }
}

pub fn cluster_id(name: &str) -> String {
    wire::cluster_id(&names(), &Name::new(name))
}

pub fn auto(minimum: u32, maximum: u32) -> Value {
    json!({"autoScale": {"minimumNodeCount": minimum, "maximumNodeCount": maximum}})
}

pub fn manual(target: u32, deallocation: &str) -> Value {
    json!({"manual": {"targetNodeCount": target, "nodeDeallocationOption": deallocation}})
}

impl Harness {
    /// An environment with the workspace `w` and the experiment `e`.
    pub async fn new(seed: u64) -> Self {
        Self::of(Environment::new(seed)).await
    }

    /// With a workspace and an experiment in this environment.
    pub async fn of(environment: Environment) -> Self {
        let workspace =
            wire::parse_workspace_create(br#"{"location":"here"}"#).expect("a valid workspace");
        environment
            .control
            .workspaces
            .put(&names(), &workspace)
            .await
            .expect("there are no faults");
        environment
            .control
            .experiments
            .put(&names(), &Name::new("e"))
            .await
            .expect("there are no faults");
        Self { environment }
    }

    pub async fn put_cluster(&self, name: &str, scale: &Value) {
        self.put_cluster_with(name, scale, &json!({})).await;
    }

    /// Creates a cluster with this `nodeSetup`.
    pub async fn put_cluster_with(&self, name: &str, scale: &Value, node_setup: &Value) {
        let body = json!({"properties": {
            "vmSize": "STANDARD_NC6",
            "vmPriority": "lowpriority",
            "scaleSettings": scale,
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
            "nodeSetup": node_setup,
        }});
        let request =
            wire::parse_cluster_create(body.to_string().as_bytes()).expect("a valid cluster");
        let control = &self.environment.control;
        control
            .clusters
            .put(&names(), &Name::new(name), &request)
            .await
            .expect("there are no faults");
    }

    pub async fn scale(&self, name: &str, scale: &Value) -> Result<(), control::Error> {
        let body = json!({"properties": {"scaleSettings": scale}}).to_string();
        let update = wire::parse_cluster_update(body.as_bytes()).expect("valid settings");
        let control = &self.environment.control;
        control.clusters.update(&names(), &Name::new(name), update).await.map(|_| ())
    }

    pub async fn submit(&self, spec: &JobSpec<'_>) -> Result<(), control::Error> {
        let JobSpec { name, cluster, nodes, priority, exit_code, millis, wall_clock, max_retries } =
            spec;
        let body = json!({"properties": {
            "cluster": {"id": cluster_id(cluster)},
            "nodeCount": nodes,
            "schedulingPriority": priority,
            "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
            "customToolkitSettings": {"commandLine": agent::command_line(*exit_code, *millis)},
            "constraints": {"maxWallClockTime": wall_clock},
            "extensions": {"maxRetries": max_retries},
        }});
        self.put_job(name, &body).await
    }

    /// Creates a job from its JSON body.
    pub async fn put_job(&self, name: &str, body: &Value) -> Result<(), control::Error> {
        let request = wire::parse_job_create(body.to_string().as_bytes()).expect("a valid job");
        self.environment.control.jobs.put(&path(), &Name::new(name), &request).await.map(|_| ())
    }

    pub async fn job(&self, name: &str) -> Job {
        self.environment.control.jobs.get(&path(), &Name::new(name)).await.expect("the job exists")
    }

    /// Why a queued job waits.
    pub async fn waiting(&self, name: &str) -> Option<Waiting> {
        let jobs = [self.job(name).await];
        self.environment.control.jobs.waiting_reasons(&jobs).await.expect("it is read").remove(0)
    }

    /// Advances the clock and every process.
    pub fn advance_millis(&self, millis: i64) {
        self.environment.clock.advance_millis(millis);
        let now = self.environment.now();
        let mut state = self.environment.machines.state();
        let state = &mut *state;
        for machine in state.machines.values_mut().filter(|machine| machine.running) {
            machine.agent.pass_time(now, &mut state.oracle);
        }
    }

    /// Sends the report of one agent and, unless the answer is lost, applies the desired state. Returns
    /// a short description of both.
    pub async fn sync_agent(&self, instance: &str, answer_lost: bool) -> Option<String> {
        if let Some((cluster, launch, address)) = self.unknown_node(instance) {
            let signs_in = Instance { id: instance.to_owned(), address };
            return Some(self.sign_in_agent(&cluster, &launch, signs_in, answer_lost).await);
        }
        let (cluster, node, agent, request) = {
            let mut state = self.environment.machines.state();
            let is_fleet = state.is_fleet;
            let machine = state.machines.get_mut(instance).filter(|machine| machine.running)?;
            let node = machine.node.clone()?;
            let request = machine.agent.observe(instance, &machine.address);
            machine.agent.sent.push(request.clone());
            let agent = match is_fleet {
                true => AgentIdentity::Instance(instance.to_owned()),
                false => AgentIdentity::Node,
            };
            (machine.cluster.clone(), node, agent, request)
        };
        let answer = self.environment.control.nodes.sync(&cluster, &node, &agent, &request).await;
        let received = match &answer {
            Ok(response) => brief(&response.desired),
            Err(error) => error.to_string(),
        };
        let attempt = request.attempt.as_ref();
        let attempt = attempt.map(|it| (&it.key.job_name, it.key.number, &it.progress));
        let note = format!(
            "{node} sends {:?} {attempt:?}, receives {received} (lost: {answer_lost})",
            request.phase
        );
        if let (Ok(response), false) = (answer, answer_lost) {
            let now = self.environment.now();
            let mut state = self.environment.machines.state();
            let state = &mut *state;
            if let Some(machine) = state.machines.get_mut(instance) {
                machine.agent.apply(response.desired, instance, now, &mut state.oracle);
            }
        }
        Some(note)
    }

    /// The cluster, launch and address of a running instance whose agent does not know its node.
    fn unknown_node(&self, instance: &str) -> Option<(ClusterRef, LaunchId, String)> {
        let state = self.environment.machines.state();
        let machine = state.machines.get(instance).filter(|it| it.running && it.node.is_none())?;
        Some((machine.cluster.clone(), machine.launch.clone(), machine.address.clone()))
    }

    /// The agent of an instance asks which node it is.
    async fn sign_in_agent(
        &self,
        cluster: &ClusterRef,
        launch: &LaunchId,
        instance: Instance,
        answer_lost: bool,
    ) -> String {
        let answer = self.environment.control.nodes.sign_in(cluster, launch, &instance).await;
        let note = format!("{} signs in, receives {answer:?} (lost: {answer_lost})", instance.id);
        if let (Ok(node), false) = (answer, answer_lost)
            && let Some(machine) = self.environment.machines.state().machines.get_mut(&instance.id)
        {
            machine.node = node;
        }
        note
    }

    /// Runs without faults: every hint is delivered, every agent sends a report twice a second.
    pub async fn run(&self, seconds: u64) {
        for _ in 0..2 * seconds {
            self.environment.run_schedule().await;
            self.environment.deliver_all().await;
            for instance in self.environment.machines.running() {
                self.sync_agent(&instance, false).await;
            }
            self.environment.deliver_all().await;
            self.advance_millis(500);
        }
    }
}

fn brief(desired: &protocol::Desired) -> String {
    match desired {
        protocol::Desired::Run { key, start, .. } => {
            format!("Run {} #{} start {start}", key.job_name, key.number)
        }
        other => format!("{other:?}").chars().take(60).collect(),
    }
}
