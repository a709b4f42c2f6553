//! The oracle: which processes ran on which instance, and their exit codes. The records of the service
//! are checked against it.

use protocol::{AttemptKey, End};
use std::collections::{BTreeMap, BTreeSet};

/// Job uid and number.
pub type AttemptId = (String, u32);

#[derive(Debug, Default)]
pub struct Oracle {
    pub attempts: BTreeMap<AttemptId, ActualAttempt>,
    /// By job uid: the attempts that have processes, as number and instance.
    live: BTreeMap<String, BTreeSet<(u32, usize)>>,
    /// Instances for which the service acknowledged that they cannot run jobs.
    pub failed: BTreeSet<usize>,
    /// The first invariant that was violated.
    pub violation: Option<String>,
}

/// What happened to one attempt.
#[derive(Clone, Debug, Default)]
pub struct ActualAttempt {
    /// When the command started, on the master.
    pub started_at: Option<i64>,
    /// The exit codes of processes that ended by themselves.
    pub exit_codes: Vec<i32>,
    /// Whether it was asked to stop before it ended by itself.
    pub stopped: bool,
    /// Whether it exceeded its wall clock time.
    pub exceeded: bool,
    /// The ends of members that the service acknowledged.
    pub acknowledged: Vec<End>,
    /// The last step for which its command reported metrics, on the first node.
    pub last_step: Option<u64>,
}

pub fn attempt_id(key: &AttemptKey) -> AttemptId {
    (key.job_uid.clone(), key.number)
}

impl Oracle {
    /// A member is about to start its first process.
    pub fn member_started(&mut self, key: &AttemptKey, instance: usize) {
        let live = self.live.entry(key.job_uid.clone()).or_default();
        let other = live.iter().find(|(number, _)| *number != key.number);
        if let Some((number, other)) = other {
            let violation = format!(
                "job {} runs twice at the same time: attempt {} on i-{instance}, attempt {number} on i-{other}",
                key.job_name, key.number
            );
            self.violation.get_or_insert(violation);
        }
        live.insert((key.number, instance));
        self.attempts.entry(attempt_id(key)).or_default();
    }

    /// The command of an attempt starts on its master.
    pub fn started(&mut self, key: &AttemptKey, instance: usize, now: i64) {
        let later = (key.job_uid.clone(), key.number + 1);
        let actual = self.attempts.entry(attempt_id(key)).or_default();
        if actual.started_at.replace(now).is_some() {
            let violation = format!(
                "attempt {} of {} was started twice, on i-{instance}",
                key.number, key.job_name
            );
            self.violation.get_or_insert(violation);
        }
        if self.attempts.contains_key(&later) {
            let violation =
                format!("attempt {} of {} was started after a later one", key.number, key.job_name);
            self.violation.get_or_insert(violation);
        }
    }

    pub fn exited(&mut self, key: &AttemptKey, _instance: usize, exit_code: i32) {
        let actual = self.attempts.entry(attempt_id(key)).or_default();
        actual.exit_codes.push(exit_code);
    }

    pub fn last_step(&mut self, key: &AttemptKey, step: u64) {
        self.attempts.entry(attempt_id(key)).or_default().last_step = Some(step);
    }

    pub fn asked_to_stop(&mut self, key: &AttemptKey) {
        self.attempts.entry(attempt_id(key)).or_default().stopped = true;
    }

    pub fn exceeded(&mut self, key: &AttemptKey) {
        self.attempts.entry(attempt_id(key)).or_default().exceeded = true;
    }

    pub fn acknowledged(&mut self, key: &AttemptKey, instance: usize, end: End) {
        if matches!(end, End::NodeFailed { .. }) {
            self.failed.insert(instance);
        }
        self.attempts.entry(attempt_id(key)).or_default().acknowledged.push(end);
    }

    /// No process of the attempt is left on the instance.
    pub fn member_ended(&mut self, key: &AttemptKey, instance: usize) {
        if let Some(live) = self.live.get_mut(&key.job_uid) {
            live.remove(&(key.number, instance));
        }
    }

    /// Whether the attempt has processes on the instance.
    pub fn is_live(&self, job: &str, number: u32, instance: usize) -> bool {
        self.live.get(job).is_some_and(|live| live.contains(&(number, instance)))
    }

    pub fn actual(&self, job: &str, number: u32) -> Option<&ActualAttempt> {
        self.attempts.get(&(job.to_owned(), number))
    }
}
