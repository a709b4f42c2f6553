//! The locks of held requests. The `shuttle` test compiles `held_requests` with its own locks.

pub use std::sync::{Mutex, MutexGuard, PoisonError};
