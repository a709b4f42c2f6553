//! Which processes the kernel kills first when memory runs out: those of jobs, before the agent, its keeper, the service
//! and whatever else runs on the machine.

use std::fs;

/// What is added to the score of a process of a job (`oom_score_adj`), in thousandths of the memory of the machine: more
/// than any process of half that size has.
pub const OF_JOBS: i32 = 500;

const OWN: &str = "/proc/self/oom_score_adj";

/// Runs `start` while this process, and so every process that it starts, has the score of a job. To raise it takes no
/// privileges, nor does to set it back to what it was.
pub fn raised<T>(start: impl FnOnce() -> T) -> T {
    let own = fs::read_to_string(OWN).ok();
    let own = own.filter(|own| own.trim().parse().is_ok_and(|own: i32| own < OF_JOBS));
    let is_raised = own.is_some() && fs::write(OWN, OF_JOBS.to_string()).is_ok();
    let started = start();
    if let Some(own) = own.filter(|_| is_raised)
        && let Err(error) = fs::write(OWN, own.trim())
    {
        eprintln!("batchai supervise: the score of this process stays that of a job: {error}");
    }
    started
}
