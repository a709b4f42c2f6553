//! The locks of the queue. The test under `shuttle` compiles the queue with its own.

pub use std::sync::{Mutex, MutexGuard, PoisonError};
