//! The control plane in a simulated environment.
//!
//! A seed determines a history: users, agents, instances and the functions of the service run on the
//! real handlers and the real table code, and an executor decides at every call which task continues.
//! The rules of this crate: everything follows from the seed (no clock, no thread, no hash order); the
//! environment has only faults that the real one may have; the table is checked after every commit;
//! when faults end, the environment must settle.

mod agent;
mod attempt;
mod calls;
mod choices;
mod cloud;
mod describe;
mod directories;
mod event_queue;
mod events;
mod executor;
mod faults;
mod heartbeats;
mod hints;
mod history;
mod job_metrics;
mod oracle;
mod pools;
mod requests;
mod run;
pub mod scenario;
mod script;
pub mod shrink;
mod sim;
mod storage;
mod toolkits;
mod trace;
mod user_requests;
mod watch;

pub use run::{Failure, RunResult, run_scenario, run_seed, run_seeds};
pub use scenario::{Options, Scenario};
