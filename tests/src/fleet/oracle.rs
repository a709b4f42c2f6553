//! The oracle: which processes ran on which instance, and their exit codes. The records of the service
//! are checked against it.

use protocol::AttemptKey;
use std::collections::BTreeMap;

/// Job uid and number.
pub type AttemptId = (String, u32);

#[derive(Debug, Default)]
pub struct Oracle {
    pub commands: BTreeMap<AttemptId, Command>,
    /// The first invariant that was violated.
    pub violation: Option<String>,
}

/// The command of an attempt, on its master.
#[derive(Clone, Debug)]
pub struct Command {
    pub instance: String,
    pub running: bool,
    /// The exit code, if the process ended by itself.
    pub exit_code: Option<i32>,
}

pub fn attempt_id(key: &AttemptKey) -> AttemptId {
    (key.job_uid.clone(), key.number)
}

impl Oracle {
    pub fn started(&mut self, key: &AttemptKey, instance: &str) {
        let id = attempt_id(key);
        if self.commands.contains_key(&id) {
            self.report_violation(format!("attempt {id:?} was started twice"));
        }
        let same_job =
            |(other, command): (&AttemptId, &Command)| other.0 == id.0 && command.running;
        if self.commands.iter().any(same_job) {
            self.report_violation(format!("job {} is running twice at the same time", id.0));
        }
        let later = self.commands.keys().any(|other| other.0 == id.0 && other.1 > id.1);
        if later {
            self.report_violation(format!("attempt {id:?} was started after a later one"));
        }
        let command = Command { instance: instance.to_owned(), running: true, exit_code: None };
        self.commands.insert(id, command);
    }

    pub fn ended(&mut self, key: &AttemptKey, exit_code: Option<i32>) {
        if let Some(command) = self.commands.get_mut(&attempt_id(key)) {
            command.running = false;
            command.exit_code = exit_code;
        }
    }

    /// All processes of the instance have ended.
    pub fn machine_ended(&mut self, instance: &str) {
        for command in self.commands.values_mut().filter(|it| it.instance == instance) {
            command.running = false;
        }
    }

    pub fn report_violation(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }
}
