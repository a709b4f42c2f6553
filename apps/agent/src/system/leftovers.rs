//! The last resort: finding and killing the processes of a command whose supervisor is gone.
//!
//! The kernel has handed them to this agent (it is a subreaper) or, if it was restarted meanwhile, to
//! someone else. So they are known by what they cannot easily shed: the marker in their environment,
//! the supervisor's session, their descent.

use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, waitpid};

use super::processes::{self, Process};
use super::slot::Claim;
use crate::clock::Countdown;
use crate::host::MARKER;

/// Uninterruptible processes (a dead NFS server) cannot be killed; waiting longer does not help.
const LONGEST: Duration = Duration::from_secs(10);

/// Kills everything that carries `marker` or was begun under `claim`. False when something is left.
pub fn kill(marker: &str, claim: Option<&Claim>) -> bool {
    let claim = claim.filter(|claim| claim.is_of_this_boot());
    let own = getpid().as_raw_nonzero().get();
    let mut countdown = Countdown::new(LONGEST);
    loop {
        let all = processes::all();
        let found = processes::with_descendants(&all, |process| {
            process.pid != own && belongs(process, own, marker, claim)
        });
        for process in &found {
            process.signal(Signal::KILL);
        }
        bury(&found, own);
        if !found.iter().any(Process::is_alive) {
            return true;
        }
        if countdown.is_over() {
            tracing::error!(marker, left = found.len(), "processes cannot be killed");
            return false;
        }
        sleep(Duration::from_millis(5));
    }
}

fn belongs(process: &Process, own: i32, marker: &str, claim: Option<&Claim>) -> bool {
    let value = processes::variable_of(process.pid, MARKER);
    if value.is_some() {
        return value.as_deref() == Some(marker);
    }
    // No marker: it has changed its environment. Nothing else becomes this agent's child after a
    // command was begun: mounts are made before, and the setup's services carry their marker.
    claim.is_some_and(|claim| {
        process.started >= claim.begun
            && (process.session == claim.supervisor.pid || process.parent == own)
    })
}

/// Zombies among `found` whose parent is this agent by inheritance.
fn bury(found: &[Process], own: i32) {
    for process in found.iter().filter(|process| process.parent == own) {
        let _ = waitpid(Pid::from_raw(process.pid), WaitOptions::NOHANG);
    }
}

/// Buries whatever has ended among the processes that this agent inherited, such as the daemons of
/// file systems that are no longer mounted. Only for moments in which it has no child of its own
/// whose end someone waits for.
pub fn bury_all() {
    let own = getpid().as_raw_nonzero().get();
    let children: Vec<Process> =
        processes::all().into_iter().filter(|process| process.parent == own).collect();
    bury(&children, own);
}
