//! What really happened, as only the simulated machines know: which processes ran where, and what
//! they ended with. The records of the service are checked against this.

use protocol::{AttemptKey, End};
use std::collections::{BTreeMap, BTreeSet};

/// Job uid and number.
pub type AttemptId = (String, u32);

#[derive(Debug, Default)]
pub struct Oracle {
    pub attempts: BTreeMap<AttemptId, Truth>,
    /// Numbers of the attempts of each job of which processes exist, with the instances.
    live: BTreeMap<String, BTreeSet<(u32, usize)>>,
    /// Instances of which the service knows that they cannot run jobs.
    pub failed: BTreeSet<usize>,
    /// The first rule that was broken.
    pub violation: Option<String>,
}

/// One attempt.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// When the command started, on the master.
    pub started_at: Option<i64>,
    /// What a process gave that ended by itself.
    pub exit_code: Option<i32>,
    /// Somebody asked it to stop before it ended by itself.
    pub stopped: bool,
    pub exceeded: bool,
    /// What the service acknowledged to a member.
    pub acknowledged: Vec<End>,
}

pub fn attempt_id(key: &AttemptKey) -> AttemptId {
    (key.job_uid.clone(), key.number)
}

impl Oracle {
    /// The first process of a member is about to run.
    pub fn begun(&mut self, key: &AttemptKey, instance: usize) {
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
        let truth = self.attempts.entry(attempt_id(key)).or_default();
        if truth.started_at.replace(now).is_some() {
            let violation = format!(
                "attempt {} of {} started twice, on i-{instance}",
                key.number, key.job_name
            );
            self.violation.get_or_insert(violation);
        }
        if self.attempts.contains_key(&later) {
            let violation = format!("attempt {} of {} started late", key.number, key.job_name);
            self.violation.get_or_insert(violation);
        }
    }

    pub fn exited(&mut self, key: &AttemptKey, _instance: usize, exit_code: i32) {
        let truth = self.attempts.entry(attempt_id(key)).or_default();
        truth.exit_code.get_or_insert(exit_code);
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

    /// Nothing of the attempt runs on that instance any more.
    pub fn gone(&mut self, key: &AttemptKey, instance: usize) {
        if let Some(live) = self.live.get_mut(&key.job_uid) {
            live.remove(&(key.number, instance));
        }
    }

    /// Whether processes of the attempt exist on that instance.
    pub fn is_live(&self, job: &str, number: u32, instance: usize) -> bool {
        self.live.get(job).is_some_and(|live| live.contains(&(number, instance)))
    }

    pub fn truth(&self, job: &str, number: u32) -> Option<&Truth> {
        self.attempts.get(&(job.to_owned(), number))
    }
}
