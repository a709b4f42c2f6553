//! The locks of held requests. The test under `shuttle` compiles them with its own.

pub use std::sync::{Mutex, MutexGuard, PoisonError};
