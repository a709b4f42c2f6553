//! A control plane whose world is made up: the clock stands until it is moved, ids come from a
//! seed, hints and machines are where a test can see and lose them.

use crate::faults::{Faults, FaultyEngine};
use crate::simulation::machines::SimMachines;
use async_trait::async_trait;
use control::keys::Keys;
use control::ports::{Clock, Function, Hints, Ids, PortError};
use control::usages::Quota;
use control::{Control, Settings};
use local::engine::{Engine, client};
use model::{NodeId, Timestamp, Uid, Wake};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

const TABLE: &str = "batchai";

/// Idle nodes beyond demand stay for so long in these worlds.
pub const IDLE_SECONDS: u64 = 30;

/// Nodes that these worlds may have.
pub const MAX_NODES: u32 = 6;

/// Of STANDARD_NC6, of which all clusters in these worlds are.
pub const CORES_PER_NODE: u32 = 6;

pub struct FakeClock(AtomicI64);

impl FakeClock {
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub struct SeededIds(Mutex<StdRng>);

impl Ids for SeededIds {
    fn uid(&self) -> Uid {
        Uid::from_bytes(self.0.lock().expect("nobody panics while drawing").random())
    }
}

/// Hints that wait until the test delivers, repeats or loses them.
#[derive(Default)]
pub struct HeldHints {
    pub waiting: Mutex<BTreeSet<(Function, Wake)>>,
}

#[async_trait]
impl Hints for HeldHints {
    async fn send(&self, function: Function, wake: &Wake) -> Result<(), PortError> {
        let mut waiting = self.waiting.lock().expect("nobody panics while holding it");
        waiting.insert((function, wake.clone()));
        Ok(())
    }

    fn wake_node(&self, _node: &NodeId) {}
}

pub struct World {
    /// Behind faults.
    pub control: Control,
    /// The same table, without faults: for looking.
    pub table: dynamo::Table,
    pub clock: Arc<FakeClock>,
    pub hints: Arc<HeldHints>,
    pub machines: Arc<SimMachines>,
    pub faults: Arc<Faults>,
    /// Where file servers are.
    _directory: tempfile::TempDir,
}

impl World {
    pub async fn new(seed: u64) -> anyhow::Result<Self> {
        let engine = Engine::in_memory()?;
        let plain = engine.client();
        dynamo::create_table_if_missing(&plain, TABLE).await?;
        let faults = Arc::new(Faults::new(seed));
        let faulty = client(FaultyEngine::new(engine, Arc::clone(&faults)));
        // A day in 2018, as good as any.
        let clock = Arc::new(FakeClock(AtomicI64::new(1_530_000_000_000)));
        let hints = Arc::new(HeldHints::default());
        let machines = Arc::new(SimMachines::new(seed, MAX_NODES, Arc::clone(&faults)));
        let directory = tempfile::tempdir()?;
        let control = Control {
            table: dynamo::Table::new(faulty, TABLE),
            machines: Arc::clone(&machines) as _,
            hints: Arc::clone(&hints) as _,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(SeededIds(Mutex::new(StdRng::seed_from_u64(seed)))),
            keys: Arc::new(Keys::derive(&[7; 32])),
            settings: Arc::new(Settings {
                quota: Quota { clusters: 200, cores: MAX_NODES * CORES_PER_NODE },
                idle_seconds: IDLE_SECONDS,
                max_nodes: MAX_NODES,
                file_server_root: directory.path().to_owned(),
                shows_local_paths: false,
                listening_since: Timestamp(0),
            }),
        };
        let table = dynamo::Table::new(plain, TABLE);
        Ok(Self { control, table, clock, hints, machines, faults, _directory: directory })
    }

    /// The control plane without faults, for looking.
    pub fn quiet_control(&self) -> Control {
        Control { table: self.table.clone(), ..self.control.clone() }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Delivers every hint, and what follows from it, until none is left.
    pub async fn deliver_all(&self) {
        for _ in 0..1000 {
            let next = self.hints.waiting.lock().expect("not poisoned").pop_first();
            let Some((function, wake)) = next else { return };
            local::queue::deliver(&self.control, function, &wake).await;
        }
        panic!("hints beget hints without end");
    }

    /// One look of the schedule by every function.
    pub async fn tick(&self) {
        for function in [Function::Recovery, Function::Autoscaler, Function::Dispatcher] {
            let event = Box::new(local::schedule::scheduled_event());
            let trigger = control::trigger::Trigger::Event(event);
            // A failed look is repeated by the next one.
            let _ = local::queue::call(&self.control, function, trigger).await;
        }
    }
}
