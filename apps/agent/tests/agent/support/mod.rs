//! The vocabulary of these tests: a control plane, a node with its agent, a job.

pub mod containers;
pub mod control_plane;
pub mod ec2;
pub mod gang;
pub mod job;
pub mod mounting;
pub mod node;
pub mod small_disk;

use std::time::{Duration, Instant};

pub use control_plane::ControlPlane;
pub use gang::Gang;
pub use job::Job;
pub use node::Node;
pub use small_disk::SmallDisk;

/// Far more than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// Checks again and again until there is a result.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what} did not happen within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
