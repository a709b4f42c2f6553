//! A control plane in memory. The test advances the clock, delivers the hints, and can end instances;
//! ids come from a seed.

use crate::fleet::machines::FakeMachines;
use async_trait::async_trait;
use control::directories::DiskDirectories;
use control::files::MountedFiles;
use control::keys::Keys;
use control::ports::{Clock, Hints, Ids, PortError};
use control::secrets::NoSecretStore;
use control::uptime::Uptime;
use control::{Context, Control, Function, Parts, Provider, Settings, schedule};
use model::{NodeId, Quota, Target, Timestamp, Uid};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use table::{Memory, Table};

/// How long idle nodes beyond demand are kept.
pub const IDLE_SECONDS: u64 = 30;

/// The maximum number of nodes of the service.
pub const MAX_NODES: u32 = 6;

/// The cores of STANDARD_NC6, the machine size of all clusters.
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
        Uid::from_bytes(self.0.lock().expect("not poisoned").random())
    }
}

/// Hints that the test delivers or drops.
#[derive(Default)]
pub struct PendingHints {
    pub pending: Mutex<BTreeSet<(Function, Target)>>,
    sent: AtomicU32,
}

impl PendingHints {
    pub fn clear(&self) {
        self.pending.lock().expect("not poisoned").clear();
    }

    /// Number of hints so far.
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Hints for PendingHints {
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.pending.lock().expect("not poisoned");
        waiting.insert((function, target.clone()));
        Ok(())
    }

    fn notify_node(&self, _node: &NodeId) {}
}

pub struct Environment {
    pub control: Control,
    pub clock: Arc<FakeClock>,
    pub hints: Arc<PendingHints>,
    pub machines: Arc<FakeMachines>,
    pub memory: Arc<Memory>,
    /// The directory of the file servers.
    _directory: tempfile::TempDir,
}

impl Environment {
    pub fn new(seed: u64) -> Self {
        Self::with_nodes(seed, MAX_NODES)
    }

    /// One that runs so many nodes at most.
    pub fn with_nodes(seed: u64, max_nodes: u32) -> Self {
        // An arbitrary day in 2018.
        let clock = Arc::new(FakeClock(AtomicI64::new(1_530_000_000_000)));
        let hints = Arc::new(PendingHints::default());
        let machines = Arc::new(FakeMachines::new(seed, max_nodes));
        let memory = Arc::new(Memory::new());
        let directory = tempfile::tempdir().expect("a directory can be created");
        let control = Control::new(Context::new(Parts {
            table: Table::new(Arc::clone(&memory) as _),
            machines: Arc::clone(&machines) as _,
            file_shares: Arc::new(DiskDirectories { root: directory.path().to_owned() }),
            shared_files: Arc::new(MountedFiles { root: directory.path().to_owned() }),
            secret_store: Arc::new(NoSecretStore),
            hints: Arc::clone(&hints) as _,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(SeededIds(Mutex::new(StdRng::seed_from_u64(seed)))),
            keys: Arc::new(Keys::derive(&[7; 32])),
            settings: Settings {
                quota: Quota {
                    clusters: 200,
                    cores: max_nodes * CORES_PER_NODE,
                    total_cores: max_nodes * CORES_PER_NODE,
                },
                locations: "here,there".parse().expect("a list"),
                idle_seconds: IDLE_SECONDS,
                max_nodes,
                file_server_root: Some(directory.path().to_owned()),
                provider: Provider::Processes,
                shows_local_paths: false,
            },
            uptime: Arc::new(Uptime::always()),
        }));
        Self { control, clock, hints, machines, memory, _directory: directory }
    }

    pub fn table(&self) -> &Table {
        &self.control.context.table
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Delivers all hints, including those that the handlers send, until none is left.
    pub async fn deliver_all(&self) {
        for _ in 0..1000 {
            let next = self.hints.pending.lock().expect("not poisoned").pop_first();
            let Some((function, target)) = next else { return };
            // The schedule repeats a failed pass.
            let _ = self.control.reconcile(function, &target).await;
        }
        panic!("the handlers send hints without end");
    }

    /// Runs the schedule of every function once.
    pub async fn run_schedule(&self) {
        for function in Function::ALL {
            schedule::visit(&self.control.context, function).await.expect("the list can be read");
            self.deliver_all().await;
        }
    }
}
