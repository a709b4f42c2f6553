//! The locks of the queue. The test with `shuttle` compiles the queue with the locks of `shuttle`.

pub use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
