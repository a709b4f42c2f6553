//! The control plane in a simulated environment.
//!
//! One seed is one history: users, agents, machines and the functions of the service, played on the
//! real handlers and the real table code by an executor that decides at every call who goes on. The
//! rules of this crate: everything follows from the seed (no clock, no thread, no order of a hash);
//! what the environment does is never worse than what the real one may do; the table is checked
//! after every commit; when faults stop, everything comes to its rest.

mod agenda;
mod agent;
mod attempt;
mod calls;
mod choices;
mod cloud;
mod describe;
mod directories;
mod executor;
mod faults;
mod happenings;
mod heartbeats;
mod hints;
mod history;
mod oracle;
mod requests;
mod run;
pub mod scenario;
mod script;
pub mod shrink;
mod sim;
mod storage;
mod trace;
mod users;
mod watch;

pub use run::{Failure, Played, play, play_all, play_scenario};
pub use scenario::{Options, Scenario};
