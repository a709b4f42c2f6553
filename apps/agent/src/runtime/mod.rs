//! Where the programs of an attempt run: a new kind is a new file, and a variant here.
//!
//! Whatever the runtime, programs are descendants of their supervisor and have the marker of their attempt. So signals,
//! exit codes, leftovers and restarts of the agent are the same everywhere.

mod binds;
mod container;
mod credentials;
mod engine;
mod entry;
mod error;
mod pull;
mod stand_in;

use std::collections::BTreeMap;

use processes::Identity;
use protocol::Assignment;

use crate::environment::JobEnvironment;
use crate::execution_log::ExecutionLog;
use crate::host::Host;
use crate::supervisor::Program;
use container::Container;

pub use container::remove_abandoned;
pub use engine::ContainerOptions;
pub use entry::{Entry, main as enter_main};
pub use error::ContainerError;

use crate::attempt::AttemptLayout;

/// Where the programs of an attempt run.
pub enum Runtime {
    /// Directly on the node.
    Host,
    /// In a container.
    Container(Box<Container>),
}

/// The container of an attempt has ended while the attempt has not.
#[derive(Clone, Copy, Debug)]
pub struct ContainerEnded;

impl Runtime {
    /// The runtime of an attempt, as an earlier agent process may have left it.
    pub fn of(host: &Host, assignment: &Assignment) -> Self {
        match &assignment.container {
            None => Self::Host,
            Some(settings) => {
                Self::Container(Box::new(Container::find(host, assignment, settings)))
            }
        }
    }

    /// Makes what programs need. Directories, mounts and logs of the job are there already. May be repeated.
    pub fn provide(
        &mut self,
        host: &Host,
        layout: &AttemptLayout,
        log: &mut ExecutionLog,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ContainerError> {
        match self {
            Self::Host => Ok(()),
            Self::Container(container) => container.provide(host, layout, log, is_cancelled),
        }
    }

    /// What programs are started with, now.
    pub fn open(&self, host: &Host, layout: &AttemptLayout) -> Result<Inside, ContainerEnded> {
        let mut inside = match self {
            Self::Host => Inside { variables: layout.environment.on_host(), entry: None },
            Self::Container(container) => container.open(host, layout)?,
        };
        if let Some(ssh) = &layout.ssh {
            JobEnvironment::put_first(&mut inside.variables, &ssh.programs());
        }
        Ok(inside)
    }

    /// Removes it. No program of the attempt runs any more.
    pub fn remove(&mut self, host: &Host, log: &mut ExecutionLog) {
        match self {
            Self::Host => {}
            Self::Container(container) => container.remove(host, log),
        }
    }

    /// Whether processes of it become children of the agent.
    pub fn leaves_children(&self) -> bool {
        match self {
            Self::Host => false,
            Self::Container(_) => true,
        }
    }
}

/// How programs are started in a runtime. Holds secrets: never printed, hence no `Debug`.
pub struct Inside {
    /// The environment of the job.
    pub variables: BTreeMap<String, String>,
    /// Into the container, where there is one.
    pub entry: Option<Entry>,
}

impl Inside {
    /// The process that programs depend on.
    pub fn process(&self) -> Option<Identity> {
        self.entry.as_ref().map(|entry| entry.process)
    }

    /// `program`, as the supervisor starts it.
    pub fn program(&self, program: Program) -> Program {
        match &self.entry {
            Some(entry) => Program { arguments: entry.wrap(program.arguments), ..program },
            None => program,
        }
    }
}
