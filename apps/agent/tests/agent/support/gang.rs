//! Two nodes that run one job.

use std::process::Command;

use protocol::{End, Progress};

use super::job::setup;
use super::{ControlPlane, Job, Node};

const HOSTS: [&str; 2] = ["127.0.1.1", "127.0.1.2"];

pub struct Gang {
    pub control: ControlPlane,
    pub master: Node,
    pub member: Node,
}

impl Gang {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With a change of the commands that start the agents.
    pub fn with(change: impl Fn(&mut Command)) -> Self {
        let control = ControlPlane::start();
        let mut master = Node::new(&control, "a", |_| {});
        let mut member = Node::new(&control, "b", |_| {});
        // Both mount the file server of the first.
        member.file_server = master.file_server.clone();
        control.change("b", |script| script.setup = setup(&master.file_server));
        for node in [&mut master, &mut member] {
            node.start_agent_as(&control, &change);
            control.wait_until_idle(&node.id);
        }
        Self { control, master, member }
    }

    pub fn begin(&mut self, job: &Job) -> (Job, Job) {
        let jobs = (job.on("a", 0, &HOSTS), job.on("b", 1, &HOSTS));
        self.master.owns(job);
        self.member.owns(job);
        self.control.desire("a", jobs.0.run_when(false));
        self.control.desire("b", jobs.1.run_when(false));
        self.control.wait_for_progress("a", &job.key(), &Progress::Prepared);
        self.control.wait_for_progress("b", &job.key(), &Progress::Prepared);
        jobs
    }

    /// From the gang's preparation to its end.
    pub fn run(&mut self, job: &Job) -> (End, End) {
        let (on_master, on_member) = self.begin(job);
        self.control.desire("b", on_member.run());
        self.control.wait_for_progress("b", &job.key(), &Progress::Running);
        self.control.desire("a", on_master.run());
        let end = self.control.end_of("a", &job.key());
        let member_end = self.member.stop(&self.control, &on_member, 10);
        self.control.wait_until_idle("a");
        self.control.wait_until_idle("b");
        (end, member_end)
    }
}
