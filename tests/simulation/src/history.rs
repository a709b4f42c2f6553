//! One history: the loop that takes what is due, and the processes of the service.

use crate::agenda::{Agenda, Due};
use crate::choices::Choices;
use crate::cloud::{Cloud, SimMachines};
use crate::directories::{Directories, SimDirectories};
use crate::executor::{Done, Handler, Purpose, Tasks};
use crate::faults::Kind;
use crate::hints::{FUNCTIONS, Queues, SimHints};
use crate::oracle::Oracle;
use crate::scenario::{Mode, Scenario};
use crate::script::What;
use crate::sim::{SeededIds, Sim, SimClock, State};
use crate::storage::SimStorage;
use crate::trace::Trace;
use crate::watch::{Limits, Watch};
use control::keys::Keys;
use control::ports::Ids;
use control::uptime::Uptime;
use control::{Context, Control, Parts, Settings};
use model::{Quota, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use table::{Memory, Table};

/// Idle nodes beyond demand stay for so long.
pub const IDLE_SECONDS: u64 = 30;

/// Simulated time from the end of all faults until everything must have come to its rest: the
/// longest deadline (a launch), the longest silence, the longest pause, and the longest jobs.
const REST_MILLIS: i64 = 2 * 3600 * 1000;

/// Far more than any history takes.
const MAX_STEPS: u64 = 400_000;

/// Processes of the service, where it runs as functions: two of the API, two of each function.
const PROCESSES: usize = 8;

pub struct History {
    pub scenario: Arc<Scenario>,
    pub sim: Arc<Sim>,
    pub memory: Arc<Memory>,
    pub tasks: Tasks,
    pub controls: Vec<Arc<Control>>,
    ids: Arc<dyn Ids>,
    /// Requests of users, each with how often it was sent.
    pub requests: Vec<(What, u32)>,
    pub quiet: bool,
    healthy: bool,
    pub over: bool,
    /// The service does nothing until then.
    pub frozen_until: i64,
    /// What could have gone on shortly before the end of a calm time.
    stalled: Option<String>,
    /// What had not come to its rest when it was last asked.
    pub unrest: Option<String>,
}

static KEYS: LazyLock<Arc<Keys>> = LazyLock::new(|| Arc::new(Keys::derive(&[7; 32])));

impl History {
    pub fn new(scenario: Arc<Scenario>, choices: Choices, trace: Trace) -> Self {
        let kinds = scenario.kinds;
        let limits = Limits {
            cores: i64::from(scenario.quota_nodes),
            clusters: 200,
            one_clock: !kinds.has(Kind::ClockSkew) && !kinds.has(Kind::ClockJumps),
            no_pauses: !kinds.has(Kind::Pauses),
        };
        let failing = scenario.place.clusters.iter().filter(|it| it.setup_fails);
        let failing_setups: BTreeSet<String> =
            failing.map(|it| it.name.as_str().to_owned()).collect();
        let mut watch = Watch::default();
        watch.limits = limits;
        watch.asked.failing_setups = failing_setups;
        let mut cloud = Cloud::default();
        cloud.limit = scenario.instances;
        let mut directories = Directories::default();
        directories.rate = if kinds.has(Kind::Directories) { 500 } else { 0 };
        let state = State {
            now: 0,
            clock_offset: 0,
            choices,
            rates: scenario.rates,
            storage_down: false,
            bad_nodes: kinds.has(Kind::BadNodes),
            directories,
            changed: false,
            agenda: Agenda::default(),
            cloud,
            queues: Queues::default(),
            oracle: Oracle::default(),
            watch,
            trace,
            violation: None,
            resume_at: None,
            task: 0,
            task_began: 0,
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
            unrest: None,
            scenario,
        };
        history.begin();
        history
    }

    fn begin(&mut self) {
        let processes = match self.scenario.mode {
            Mode::Functions => PROCESSES,
            Mode::OneProcess => 1,
        };
        self.controls = (0..processes).map(|it| self.start_process(it)).collect();
        let mut state = self.sim.state();
        for (index, event) in self.scenario.events.iter().enumerate() {
            state.agenda.add(event.at, Due::Event(index));
        }
        for function in 0..FUNCTIONS.len() {
            let at = 1000 + 300 * function as i64;
            state.agenda.add(at, Due::Visit(function));
        }
        state.agenda.add(self.scenario.quiet_at, Due::Quiet);
    }

    pub fn start_process(&self, number: usize) -> Arc<Control> {
        let scenario = &self.scenario;
        let skewed = scenario.kinds.has(Kind::ClockSkew) && scenario.mode == Mode::Functions;
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
            directories: Arc::new(SimDirectories(Arc::clone(&self.sim))),
            hints: Arc::new(SimHints(Arc::clone(&self.sim))),
            clock: Arc::new(SimClock { sim: Arc::clone(&self.sim), skew_millis }),
            ids: Arc::clone(&self.ids),
            keys: Arc::clone(&KEYS),
            settings: Settings {
                idle_seconds: IDLE_SECONDS,
                max_nodes: 8,
                quota: Quota { clusters: 200, cores: scenario.quota_nodes },
                file_server_root: PathBuf::new(),
                shows_local_paths: false,
            },
            uptime: Arc::new(uptime),
        })))
    }

    /// Plays to the end.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn play(&mut self) -> Result<(), String> {
        while !self.over {
            let Some(due) = self.next_due() else { return Err("nothing is due any more".into()) };
            self.take(due);
            self.check_promptness()?;
            let mut state = self.sim.state();
            if let Some(violation) = state.oracle.violation.take().or(state.violation.take()) {
                return Err(violation);
            }
            if state.step > MAX_STEPS {
                return Err("too many steps".to_owned());
            }
            if state.now > self.scenario.quiet_at + REST_MILLIS {
                let why = self.unrest.take().unwrap_or_else(|| "something is under way".into());
                return Err(format!("no rest: {why}"));
            }
        }
        Ok(())
    }

    fn stalled_now(&self) -> Option<String> {
        self.sim.state().watch.stalled(&self.scenario, self.sim.service_time())
    }

    /// Nothing disturbed for a while: what could go on all that time is stuck.
    fn end_calm(&mut self) {
        let (before, now) = (self.stalled.take(), self.stalled_now());
        let mut state = self.sim.state();
        if let Some(what) = before.filter(|it| now.as_ref() == Some(it)) {
            state.violate(format!("stuck in a calm time: {what}"));
        }
        state.rates = if self.quiet { Default::default() } else { self.scenario.rates };
    }

    /// In a healthy environment nothing waits for the schedule.
    fn check_promptness(&self) -> Result<(), String> {
        if !self.healthy || !self.tasks.is_empty() {
            return Ok(());
        }
        let mut state = self.sim.state();
        if !state.changed || !state.queues.is_empty() || self.quiet {
            return Ok(());
        }
        state.changed = false;
        let stalled = state.watch.stalled(&self.scenario, self.sim.service_time());
        stalled.map_or(Ok(()), |what| Err(format!("stalled: {what}")))
    }

    fn next_due(&mut self) -> Option<Due> {
        let mut state = self.sim.state();
        loop {
            let (at, due) = state.agenda.next()?;
            let of_service =
                matches!(due, Due::Task(_) | Due::Deliver(_) | Due::Visible { .. } | Due::Visit(_));
            if of_service && at < self.frozen_until {
                let later = self.frozen_until;
                state.agenda.add(later, due);
                continue;
            }
            state.now = state.now.max(at);
            state.step += 1;
            state.task = 0;
            self.sim.set_clock(&state);
            return Some(due);
        }
    }

    fn take(&mut self, due: Due) {
        match due {
            Due::Task(task) => self.go_on(task),
            Due::Event(index) => self.happen(index),
            Due::Request(request) => self.send_request(request),
            Due::Agent(instance) => self.agent_timer(instance),
            Due::InstanceEnds(instance) => self.sim.state().end_instance(instance),
            Due::Deliver(function) => self.deliver(function),
            Due::Visible { function, receipt } => {
                self.sim.state().hint_visible(function, receipt);
            }
            Due::Visit(function) => self.visit(function),
            Due::StorageIsBack => self.sim.state().storage_down = false,
            Due::CloudIsBack => self.sim.state().cloud.down = false,
            Due::CalmChecked => self.stalled = self.stalled_now(),
            Due::CalmEnds => self.end_calm(),
            Due::Quiet => self.become_quiet(),
            Due::Rest => self.come_to_rest(),
        }
    }

    pub fn spawn(&mut self, process: usize, purpose: Purpose, at: i64, handler: Handler) -> u64 {
        let mut state = self.sim.state();
        let task = self.tasks.add(process, purpose, state.step, handler);
        state.agenda.add(at, Due::Task(task));
        task
    }

    fn go_on(&mut self, task: u64) {
        let Some(began) = self.tasks.began(task) else { return };
        {
            let mut state = self.sim.state();
            (state.task, state.task_began, state.resume_at) = (task, began, None);
        }
        match self.tasks.poll(task) {
            Some(done) => self.finished(done),
            None => {
                let mut state = self.sim.state();
                if let Some(at) = state.resume_at.take() {
                    state.agenda.add(at, Due::Task(task));
                }
            }
        }
    }

    fn finished(&mut self, done: Done) {
        match done {
            Done::Request { request, outcome } => self.answered(request, outcome),
            Done::Sync { instance, number, sent_at, outcome } => {
                self.agent_answered(instance, number, sent_at, outcome);
            }
            Done::Repetition | Done::Visit => {}
            Done::Hint { function, target, receipt, outcome } => match outcome {
                Ok(()) => self.sim.state().hint_done(function, &target, receipt),
                Err(error) => {
                    self.note(|| format!("hint for {:?} failed: {}", target, error.chain()))
                }
            },
            Done::Notice { instance, seconds, tries, failed } => {
                if failed && tries < 3 {
                    self.notice(instance, seconds, tries + 1, 2000);
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
