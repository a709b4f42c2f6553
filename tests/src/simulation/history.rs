//! One history: random steps with faults, then quiet, then rest.

use super::invariants::{self, Memory, Records};
use crate::stage::{JobOrder, Stage, auto, manual, names, path};
use crate::world::IDLE_SECONDS;
use control::ports::Function;
use control::trigger::{INTERRUPTION, Trigger};
use model::{Cluster, Job, JobState, Name};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use wire::Usage;

const STEPS: usize = 100;

/// Rounds of quiet, of some seconds each: enough for every lease, deadline and pause there is,
/// except the wait for a launch that the cloud never answers.
const QUIET_ROUNDS: usize = 900;

/// What went wrong, at which step, after what.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub step: usize,
    pub what: String,
    pub log: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "seed {} at step {}: {}", self.seed, self.step, self.what)?;
        let last = self.log.len().saturating_sub(60);
        for line in &self.log[last..] {
            writeln!(formatter, "    {line}")?;
        }
        Ok(())
    }
}

/// Plays the history of a seed.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(seed: u64) -> Result<(), Box<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime on one thread can be built");
    runtime.block_on(async {
        let mut history = History::begin(seed).await;
        let outcome = history.play().await;
        outcome.map_err(|what| {
            let step = history.step;
            Box::new(Failure { seed, step, what, log: std::mem::take(&mut history.log) })
        })
    })
}

struct History {
    stage: Stage,
    dice: StdRng,
    memory: Memory,
    step: usize,
    jobs_submitted: usize,
    /// How many transactions there had been at the last check.
    checked_at: Option<u64>,
    log: Vec<String>,
}

const CLUSTERS: [&str; 2] = ["auto", "manual"];

impl History {
    async fn begin(seed: u64) -> Self {
        let stage = Stage::set(seed).await;
        stage.put_cluster("auto", &auto(0, 4)).await;
        stage.put_cluster("manual", &manual(1, "requeue")).await;
        Self {
            stage,
            dice: StdRng::seed_from_u64(seed),
            memory: Memory::default(),
            step: 0,
            jobs_submitted: 0,
            checked_at: None,
            log: Vec::new(),
        }
    }

    async fn play(&mut self) -> Result<(), String> {
        let rate = self.dice.random_range(0..60);
        self.stage.world.faults.set_rate(rate);
        self.stage.world.machines.state().refuse_per_mille = self.dice.random_range(0..300);
        while self.step < STEPS {
            self.step += 1;
            self.random_step().await;
            self.check().await?;
        }
        self.come_to_rest().await
    }

    fn note(&mut self, line: String) {
        self.log.push(format!("{:4} {line}", self.step));
    }

    async fn random_step(&mut self) {
        // Some functions end in the middle.
        let crash = self.dice.random_bool(0.15).then(|| self.dice.random_range(0..12));
        self.stage.world.faults.crash_after(crash);
        match self.dice.random_range(0..100) {
            0..12 => self.submit().await,
            12..14 => self.end_a_job().await,
            14..17 => self.rescale().await,
            17..40 => self.deliver_a_hint().await,
            40..50 => self.look().await,
            50..80 => self.agents_speak(false).await,
            80..83 => self.an_old_report().await,
            83..86 => self.lose_a_machine(),
            86..90 => self.interrupt().await,
            _ => {
                let millis = self.dice.random_range(100..8000);
                self.note(format!("{millis} ms pass"));
                self.stage.pass(millis);
            }
        }
        self.stage.world.faults.crash_after(None);
    }

    async fn submit(&mut self) {
        self.jobs_submitted += 1;
        let name = format!("j{}", self.jobs_submitted);
        let cluster = CLUSTERS[self.dice.random_range(0..2)];
        let order = JobOrder {
            max_retries: self.dice.random_range(0..3),
            name: &name,
            cluster,
            nodes: self.dice.random_range(1..4),
            priority: ["low", "normal", "high"][self.dice.random_range(0..3)],
            exit_code: [0, 0, 0, 3][self.dice.random_range(0..4)],
            millis: self.dice.random_range(0..12_000),
            wall_clock: "PT5M",
        };
        let outcome = self.stage.submit(&order).await.map_err(|error| error.to_string());
        self.note(format!("submit {order:?}: {outcome:?}"));
    }

    async fn end_a_job(&mut self) {
        let name = Name::new(format!("j{}", self.dice.random_range(0..=self.jobs_submitted)));
        let delete = self.dice.random_bool(0.4);
        let control = &self.stage.world.control;
        let outcome = match delete {
            true => control.delete_job(&path(), &name).await,
            false => control.terminate_job(&path(), &name).await,
        };
        let said = outcome.map(|_| ()).map_err(|error| error.to_string());
        self.note(format!("end {name} (delete: {delete}): {said:?}"));
    }

    async fn rescale(&mut self) {
        let option = ["requeue", "terminate", "waitforjobcompletion"][self.dice.random_range(0..3)];
        let count = self.dice.random_range(0..5);
        let (name, scale) = match self.dice.random_bool(0.5) {
            true => ("auto", auto(0, count)),
            false => ("manual", manual(count, option)),
        };
        let outcome = self.stage.scale(name, &scale).await;
        self.note(format!("scale {name} to {scale}: {}", outcome.is_ok()));
    }

    async fn deliver_a_hint(&mut self) {
        let chosen = {
            let waiting = self.stage.world.hints.waiting.lock().expect("not poisoned");
            let position = self.dice.random_range(0..waiting.len().max(1));
            waiting.iter().nth(position).cloned()
        };
        let Some((function, wake)) = chosen else { return };
        let fate = self.dice.random_range(0..10);
        // Lost, repeated later, or delivered once.
        if fate != 1 {
            self.stage
                .world
                .hints
                .waiting
                .lock()
                .expect("not poisoned")
                .remove(&(function, wake.clone()));
        }
        self.note(format!("hint {function:?} (fate {fate})"));
        if fate != 0 {
            local::queue::deliver(&self.stage.world.control, function, &wake).await;
        }
    }

    async fn look(&mut self) {
        let functions = [Function::Recovery, Function::Autoscaler, Function::Dispatcher];
        let function = functions[self.dice.random_range(0..3)];
        self.note(format!("schedule {function:?}"));
        let trigger = Trigger::Event(Box::new(local::schedule::scheduled_event()));
        let _ = local::queue::call(&self.stage.world.control, function, trigger).await;
    }

    /// Every agent, or one of them, says what it observes. A request or an answer may be lost.
    async fn agents_speak(&mut self, all: bool) {
        let running = self.stage.world.machines.running();
        if running.is_empty() {
            return;
        }
        let chosen = self.dice.random_range(0..running.len());
        for (index, instance) in running.iter().enumerate() {
            if all || index == chosen {
                let answer_lost = !all && self.dice.random_bool(0.1);
                self.agent_speaks(instance, answer_lost).await;
            }
        }
    }

    async fn agent_speaks(&mut self, instance: &str, answer_lost: bool) {
        if let Some(note) = self.stage.agent_speaks(instance, answer_lost).await {
            self.note(note);
        }
    }

    /// Something that was said before arrives again, late.
    async fn an_old_report(&mut self) {
        let old = {
            let state = self.stage.world.machines.state();
            let count = state.machines.len().max(1);
            let chosen = self.dice.random_range(0..count);
            let Some(machine) = state.machines.values().nth(chosen) else { return };
            let said = &machine.agent.said;
            let position = self.dice.random_range(0..said.len().max(1));
            said.get(position).map(|it| (machine.cluster.clone(), machine.node.clone(), it.clone()))
        };
        let Some((cluster, node, request)) = old else { return };
        self.note(format!("an old word of {node}: {:?} {:?}", request.phase, request.attempt));
        let _ = self.stage.world.control.sync(&cluster, &node, &request).await;
    }

    fn lose_a_machine(&mut self) {
        let running = self.stage.world.machines.running();
        if running.is_empty() {
            return;
        }
        let instance = running[self.dice.random_range(0..running.len())].clone();
        self.note(format!("{instance} is gone"));
        self.stage.world.machines.lose(&instance);
    }

    async fn interrupt(&mut self) {
        let running = self.stage.world.machines.running();
        if running.is_empty() {
            return;
        }
        let instance = running[self.dice.random_range(0..running.len())].clone();
        let (agent_hears, event_arrives) = (self.dice.random_bool(0.7), self.dice.random_bool(0.7));
        self.note(format!("notice for {instance} (agent: {agent_hears}, event: {event_arrives})"));
        if agent_hears
            && let Some(machine) = self.stage.world.machines.state().machines.get_mut(&instance)
        {
            machine.agent.give_notice(10);
        }
        if event_arrives {
            let mut event = local::schedule::scheduled_event();
            event.detail_type = INTERRUPTION.to_owned();
            event.detail = json!({"instance-id": instance, "notice-seconds": 10});
            let trigger = Trigger::Event(Box::new(event));
            let _ = control::recovery::handle(&self.stage.world.control, trigger).await;
        }
    }

    async fn records(&self) -> Result<(Vec<Records>, Vec<Job>), String> {
        let read = async {
            let names = names();
            let workspace = self
                .stage
                .world
                .table
                .workspace(&names.subscription, &names.resource_group, &names.workspace)
                .await?
                .ok_or_else(|| anyhow::anyhow!("the workspace is gone"))?;
            let clusters: Vec<Cluster> =
                self.stage.world.table.clusters(&workspace.uid, None, 100).await?.items;
            let mut records = Vec::new();
            for cluster in &clusters {
                records.push(invariants::read(&self.stage.world, cluster).await?);
            }
            let experiment = self
                .stage
                .world
                .table
                .experiment(&workspace.uid, "e")
                .await?
                .ok_or_else(|| anyhow::anyhow!("the experiment is gone"))?;
            let jobs = self.stage.world.table.jobs(&experiment.uid, None, 10_000).await?.items;
            anyhow::Ok((records, jobs))
        };
        read.await.map_err(|error| format!("the table cannot be read: {error:#}"))
    }

    async fn usage(&self) -> Result<Vec<Usage>, String> {
        let (subscription, location) = (names().subscription, Name::new("here"));
        let usage = self.stage.world.quiet_control().usages(&subscription, &location).await;
        usage.map_err(|error| format!("the usage cannot be read: {error}"))
    }

    /// Reads everything again only if something was written since.
    async fn check(&mut self) -> Result<(), String> {
        let transactions = self.stage.world.faults.transactions();
        if self.checked_at == Some(transactions) {
            let state = self.stage.world.machines.state();
            return state.truth.violation.clone().map_or(Ok(()), Err);
        }
        self.checked_at = Some(transactions);
        let (records, jobs) = self.records().await?;
        let usage = self.usage().await?;
        invariants::usage_is_what_is_there(&records, &usage)?;
        let state = self.stage.world.machines.state();
        invariants::check(&records, &jobs, &state.truth, &mut self.memory)
    }

    /// No more faults and nothing new: everything must end and be cleaned up.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        self.stage.world.faults.set_rate(0);
        self.stage.world.machines.state().refuse_per_mille = 0;
        self.note("quiet".to_owned());
        for name in CLUSTERS {
            self.stage.scale(name, &auto(0, 3)).await.map_err(|error| error.to_string())?;
        }
        for _ in 0..QUIET_ROUNDS {
            self.step += 1;
            // All hints are lost: the schedule alone must bring everything to an end.
            self.stage.world.hints.waiting.lock().expect("not poisoned").clear();
            self.stage.world.tick().await;
            self.agents_speak(true).await;
            self.check().await?;
            if self.is_at_rest().await? {
                return Ok(());
            }
            let millis = self.dice.random_range(1000..(IDLE_SECONDS as i64 * 400));
            self.stage.pass(millis);
        }
        let (records, jobs) = self.records().await?;
        let open: Vec<_> = jobs.iter().filter(|job| !job.state.is_final()).collect();
        let nodes: Vec<_> = records.iter().flat_map(|it| &it.nodes).collect();
        let awake = self.stage.world.table.awake().await.map_err(|error| error.to_string())?;
        let running = self.stage.world.machines.running();
        Err(format!(
            "no rest: jobs {open:#?}, nodes {nodes:#?}, awake {awake:?}, machines {running:?}"
        ))
    }

    /// Every job has ended, no machine runs, nothing is left on the list of the schedule.
    async fn is_at_rest(&self) -> Result<bool, String> {
        let (records, jobs) = self.records().await?;
        let ended = jobs.iter().all(|job| match job.state {
            JobState::Succeeded { .. } | JobState::Failed { .. } => true,
            JobState::Queued { .. } | JobState::Running { .. } | JobState::Terminating { .. } => {
                false
            }
        });
        let empty = records.iter().all(|it| it.nodes.is_empty());
        let quiet =
            self.stage.world.table.awake().await.map_err(|error| error.to_string())?.is_empty();
        Ok(ended && empty && quiet && self.stage.world.machines.running().is_empty())
    }
}
