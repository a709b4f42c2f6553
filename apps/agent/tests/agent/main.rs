//! The agent as a whole: the real program, real processes, and a control plane that follows a script.

#![expect(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

mod container_gangs;
mod containers;
mod dead_mounts;
mod efs;
mod ends;
mod engines;
mod exits;
mod failures;
mod gangs;
mod gpus;
mod instances;
mod interruptions;
mod jobs;
mod lines;
mod logins;
mod metrics;
mod pace;
mod pauses;
mod restarts;
mod setups;
mod shortages;
mod sign_ins;
mod ssh;
mod support;
mod toolkits;
mod volumes;
