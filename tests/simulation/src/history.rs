//! One history: the event loop and the processes of the service.

use crate::choices::Choices;
use crate::cloud::{Cloud, SimMachines};
use crate::directories::{Directories, SimDirectories};
use crate::event_queue::{EventQueue, SimEvent};
use crate::executor::{Handler, Purpose, TaskResult, Tasks};
use crate::faults::FaultKind;
use crate::hints::{FUNCTIONS, Queues, SimHints};
use crate::oracle::Oracle;
use crate::scenario::{Mode, Scenario};
use crate::script::UserRequest;
use crate::sim::{SeededIds, Sim, SimClock, State};
use crate::storage::SimStorage;
use crate::trace::Trace;
use crate::watch::{Limits, Watch};
use control::files::MountedFiles;
use control::keys::Keys;
use control::ports::Ids;
use control::secrets::NoSecretStore;
use control::uptime::Uptime;
use control::{Context, Control, Parts, Provider, Settings};
use model::{Quota, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use table::{Memory, Table};

/// How long idle nodes beyond demand are kept.
pub const IDLE_SECONDS: u64 = 30;

/// Simulated time from the end of all faults until the environment must have settled. Covers the
/// longest deadline (a launch), the longest silence, the longest backoff, and the longest jobs.
const SETTLE_MILLIS: i64 = 2 * 3600 * 1000;

/// Far more steps than any history has.
const MAX_STEPS: u64 = 400_000;

/// The processes of the service in the mode `Functions`: two of the API, two of each function.
const PROCESSES: usize = 2 + 2 * FUNCTIONS.len();

pub struct History {
    pub scenario: Arc<Scenario>,
    pub sim: Arc<Sim>,
    pub memory: Arc<Memory>,
    pub tasks: Tasks,
    pub controls: Vec<Arc<Control>>,
    ids: Arc<dyn Ids>,
    /// The requests of users, each with the number of times it was sent.
    pub requests: Vec<(UserRequest, u32)>,
    /// All faults have ended.
    pub quiet: bool,
    healthy: bool,
    pub over: bool,
    /// The service does nothing until then.
    pub frozen_until: i64,
    /// What could make progress shortly before the end of a calm time.
    stalled: Option<String>,
    /// What had not settled at the last check.
    pub unsettled: Option<String>,
}

static KEYS: LazyLock<Arc<Keys>> = LazyLock::new(|| Arc::new(Keys::derive(&[7; 32])));

impl History {
    pub fn new(scenario: Arc<Scenario>, choices: Choices, trace: Trace) -> Self {
        let kinds = scenario.kinds;
        let limits = Limits {
            cores: i64::from(scenario.quota_nodes),
            clusters: 200,
            one_clock: !kinds.has(FaultKind::ClockSkew) && !kinds.has(FaultKind::ClockJumps),
            no_pauses: !kinds.has(FaultKind::Pauses),
        };
        let failing = scenario.layout.clusters.iter().filter(|it| it.setup_fails);
        let failing_setups: BTreeSet<String> =
            failing.map(|it| it.name.as_str().to_owned()).collect();
        let mut watch = Watch::default();
        watch.limits = limits;
        watch.user_requests.failing_setups = failing_setups;
        let mut cloud = Cloud::default();
        (cloud.limit, cloud.is_fleet) = (scenario.instances, scenario.is_fleet);
        let mut directories = Directories::default();
        directories.rate = if kinds.has(FaultKind::Directories) { 500 } else { 0 };
        let state = State {
            now: 0,
            clock_offset: 0,
            choices,
            rates: scenario.rates,
            storage_down: false,
            bad_nodes: kinds.has(FaultKind::BadNodes),
            directories,
            changed: false,
            event_queue: EventQueue::default(),
            cloud,
            queues: Queues::default(),
            oracle: Oracle::default(),
            watch,
            trace,
            violation: None,
            resume_at: None,
            task: 0,
            task_started: 0,
            step: 0,
            held: BTreeMap::new(),
            holds: scenario.mode == Mode::OneProcess,
        };
        let mut history = Self {
            ids: Arc::new(SeededIds::new(scenario.seed)),
            sim: Sim::new(state),
            memory: Arc::new(Memory::unmeasured()),
            tasks: Tasks::default(),
            controls: Vec::new(),
            requests: Vec::new(),
            quiet: false,
            healthy: scenario.is_healthy(),
            over: false,
            frozen_until: 0,
            stalled: None,
            unsettled: None,
            scenario,
        };
        history.start();
        history
    }

    fn start(&mut self) {
        let processes = match self.scenario.mode {
            Mode::Functions => PROCESSES,
            Mode::OneProcess => 1,
        };
        self.controls = (0..processes).map(|it| self.start_process(it)).collect();
        let mut state = self.sim.state();
        for (index, event) in self.scenario.events.iter().enumerate() {
            state.event_queue.add(event.at, SimEvent::Event(index));
        }
        for function in 0..FUNCTIONS.len() {
            let at = 1000 + 300 * function as i64;
            state.event_queue.add(at, SimEvent::Visit(function));
        }
        state.event_queue.add(self.scenario.quiet_at, SimEvent::FaultsEnd);
    }

    pub fn start_process(&self, number: usize) -> Arc<Control> {
        let scenario = &self.scenario;
        let skewed = scenario.kinds.has(FaultKind::ClockSkew) && scenario.mode == Mode::Functions;
        let skew_millis = if skewed { [0, 900, -1500, 2500][number % 4] } else { 0 };
        let now = Timestamp(self.sim.service_time().0 + skew_millis);
        let storage = SimStorage { sim: Arc::clone(&self.sim), memory: Arc::clone(&self.memory) };
        let uptime = match scenario.mode {
            Mode::Functions => Uptime::always(),
            Mode::OneProcess => Uptime::starting_at(now),
        };
        Arc::new(Control::new(Context::new(Parts {
            table: Table::new(Arc::new(storage)),
            machines: Arc::new(SimMachines(Arc::clone(&self.sim))),
            file_shares: Arc::new(SimDirectories(Arc::clone(&self.sim))),
            shared_files: Arc::new(MountedFiles { root: PathBuf::new() }),
            secret_store: Arc::new(NoSecretStore),
            hints: Arc::new(SimHints(Arc::clone(&self.sim))),
            clock: Arc::new(SimClock { sim: Arc::clone(&self.sim), skew_millis }),
            ids: Arc::clone(&self.ids),
            keys: Arc::clone(&KEYS),
            settings: Settings {
                idle_seconds: IDLE_SECONDS,
                max_nodes: 8,
                quota: Quota { clusters: 200, cores: scenario.quota_nodes, ..Quota::DEFAULT },
                locations: "here".parse().expect("a list"),
                file_server_root: Some(PathBuf::new()),
                provider: Provider::Processes,
                shows_local_paths: false,
            },
            uptime: Arc::new(uptime),
        })))
    }

    /// Runs the history to its end.
    ///
    /// # Errors
    /// The first invariant that was violated.
    pub fn run(&mut self) -> Result<(), String> {
        while !self.over {
            let Some(event) = self.next_event() else { return Err("no event is left".into()) };
            self.handle(event);
            self.check_stalls()?;
            let mut state = self.sim.state();
            if let Some(violation) = state.oracle.violation.take().or(state.violation.take()) {
                return Err(violation);
            }
            if state.step > MAX_STEPS {
                return Err("too many steps".to_owned());
            }
            if state.now > self.scenario.quiet_at + SETTLE_MILLIS {
                let why = self.unsettled.take().unwrap_or_else(|| "handlers are running".into());
                return Err(format!("not settled: {why}"));
            }
        }
        Ok(())
    }

    fn stalled_now(&self) -> Option<String> {
        self.sim.state().watch.stalled(&self.scenario, self.sim.service_time())
    }

    /// After a time without faults, what could make progress during all of it is stuck.
    fn end_calm(&mut self) {
        let (before, now) = (self.stalled.take(), self.stalled_now());
        let mut state = self.sim.state();
        if let Some(stalled) = before.filter(|it| now.as_ref() == Some(it)) {
            state.report_violation(format!("stuck in a calm time: {stalled}"));
        }
        state.rates = if self.quiet { Default::default() } else { self.scenario.rates };
    }

    /// Without faults, nothing waits for the schedule.
    fn check_stalls(&self) -> Result<(), String> {
        if !self.healthy || !self.tasks.is_empty() {
            return Ok(());
        }
        let mut state = self.sim.state();
        if !state.changed || !state.queues.is_empty() || self.quiet {
            return Ok(());
        }
        state.changed = false;
        let stalled = state.watch.stalled(&self.scenario, self.sim.service_time());
        stalled.map_or(Ok(()), |stalled| Err(format!("stalled: {stalled}")))
    }

    fn next_event(&mut self) -> Option<SimEvent> {
        let mut state = self.sim.state();
        loop {
            let (at, event) = state.event_queue.next()?;
            let of_service = matches!(
                event,
                SimEvent::Task(_)
                    | SimEvent::Deliver(_)
                    | SimEvent::Visible { .. }
                    | SimEvent::Visit(_)
            );
            if of_service && at < self.frozen_until {
                let later = self.frozen_until;
                state.event_queue.add(later, event);
                continue;
            }
            state.now = state.now.max(at);
            state.step += 1;
            state.task = 0;
            self.sim.set_clock(&state);
            return Some(event);
        }
    }

    fn handle(&mut self, event: SimEvent) {
        match event {
            SimEvent::Task(task) => self.poll_task(task),
            SimEvent::Event(index) => self.apply_event(index),
            SimEvent::Request(request) => self.send_request(request),
            SimEvent::Agent(instance) => self.agent_timer(instance),
            SimEvent::InstanceEnds(instance) => self.sim.state().end_instance(instance),
            SimEvent::Deliver(function) => self.deliver(function),
            SimEvent::Visible { function, receipt } => {
                self.sim.state().hint_visible(function, receipt);
            }
            SimEvent::Visit(function) => self.visit(function),
            SimEvent::StorageRestored => self.sim.state().storage_down = false,
            SimEvent::CloudRestored => self.sim.state().cloud.down = false,
            SimEvent::CalmChecked => self.stalled = self.stalled_now(),
            SimEvent::CalmEnds => self.end_calm(),
            SimEvent::FaultsEnd => self.end_faults(),
            SimEvent::CheckSettled => self.check_settled(),
        }
    }

    pub fn spawn(&mut self, process: usize, purpose: Purpose, at: i64, handler: Handler) -> u64 {
        let mut state = self.sim.state();
        let task = self.tasks.add(process, purpose, state.step, handler);
        state.event_queue.add(at, SimEvent::Task(task));
        task
    }

    fn poll_task(&mut self, task: u64) {
        let Some(started) = self.tasks.started(task) else { return };
        {
            let mut state = self.sim.state();
            (state.task, state.task_started, state.resume_at) = (task, started, None);
        }
        match self.tasks.poll(task) {
            Some(result) => self.handle_result(result),
            None => {
                let mut state = self.sim.state();
                if let Some(at) = state.resume_at.take() {
                    state.event_queue.add(at, SimEvent::Task(task));
                }
            }
        }
    }

    fn handle_result(&mut self, result: TaskResult) {
        match result {
            TaskResult::Request { request, outcome } => self.handle_answer(request, outcome),
            TaskResult::Sync { instance, number, sent_at, outcome } => {
                self.handle_sync_answer(instance, number, sent_at, outcome);
            }
            TaskResult::SignIn { instance, number, sent_at, outcome } => {
                self.handle_sign_in_answer(instance, number, sent_at, outcome);
            }
            TaskResult::Repetition | TaskResult::Visit => {}
            TaskResult::Hint { function, target, receipt, outcome } => match outcome {
                Ok(()) => self.sim.state().hint_done(function, &target, receipt),
                Err(error) => {
                    self.note(|| format!("hint for {:?} failed: {}", target, error.chain()))
                }
            },
            TaskResult::Notice { instance, notice, tries, failed } => {
                if failed && tries < 3 {
                    self.notice(instance, notice, tries + 1, 2000);
                }
            }
        }
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        let mut state = self.sim.state();
        if state.trace.on() {
            state.note(line());
        }
    }
}
