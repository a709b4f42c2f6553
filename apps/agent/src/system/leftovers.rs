//! Finding and killing the processes of a command whose supervisor was killed.
//!
//! The kernel has made them children of this agent (it is a subreaper) or, if it was restarted meanwhile, of
//! the keeper. They are found by what they cannot easily change: the marker in their environment, the
//! supervisor's session, their descent.

use std::thread::sleep;

use rustix::process::{Pid, Signal, WaitOptions, getpid, waitpid};

use super::processes::{self, KillPace, Process};
use super::slot::Claim;
use crate::host::{Host, MARKER};

/// Kills everything that carries `marker` or was begun under `claim`. Returns when nothing of it is left,
/// however long that takes: until then the attempt has not ended.
pub fn kill(host: &Host, marker: &str, claim: Option<&Claim>) {
    let claim = claim.filter(|claim| claim.is_of_this_boot());
    let own = getpid().as_raw_nonzero().get();
    let parents = [Some(own), host.keeper];
    let mut pace = KillPace::start();
    loop {
        let all = processes::all();
        let found = processes::with_descendants(&all, |process| {
            process.pid != own && belongs(process, parents, marker, claim)
        });
        for process in &found {
            process.signal(Signal::KILL);
        }
        reap(&found, own);
        if !found.iter().any(Process::is_alive) {
            return;
        }
        if pace.is_newly_stuck() {
            tracing::error!(marker, left = found.len(), "processes cannot be killed; trying again");
        }
        sleep(pace.next_pause());
    }
}

fn belongs(
    process: &Process,
    parents: [Option<i32>; 2],
    marker: &str,
    claim: Option<&Claim>,
) -> bool {
    let value = processes::variable_of(process.pid, MARKER);
    if value.is_some() {
        return value.as_deref() == Some(marker);
    }
    // No marker: it has changed its environment. Nothing else becomes a child of the agent or its keeper after a
    // command was begun: mounts are made before, and the services of the setup task carry their marker.
    claim.is_some_and(|claim| {
        process.started >= claim.begun
            && (process.session == claim.supervisor.pid || parents.contains(&Some(process.parent)))
    })
}

/// Reaps the processes among `found` that have ended and have become children of this agent.
fn reap(found: &[Process], own: i32) {
    for process in found.iter().filter(|process| process.parent == own) {
        let _ = waitpid(Pid::from_raw(process.pid), WaitOptions::NOHANG);
    }
}

/// Reaps all processes that have ended and have become children of this agent, such as the daemons of file systems
/// that were unmounted. To be called only when no other code waits for a child.
pub fn reap_all() {
    let own = getpid().as_raw_nonzero().get();
    let children: Vec<Process> =
        processes::all().into_iter().filter(|process| process.parent == own).collect();
    reap(&children, own);
}
