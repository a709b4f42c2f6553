//! How much a trivial job costs, and an idle agent. Prints, and asserts nothing about time:
//! `cargo test --release -p agent --test agent -- --ignored --nocapture pace`

use std::fs;
use std::time::Instant;

use crate::support::{ControlPlane, Job, Node};

const JOBS: usize = 300;
/// `USER_HZ`, in which the kernel reports processor time.
const TICKS_PER_SECOND: f64 = 100.0;

#[test]
#[ignore = "a measurement"]
fn pace_of_trivial_jobs() {
    let control = ControlPlane::start();
    let mut node = Node::ready(&control);
    println!("idle agent: {}", memory(&node));
    measure(&control, &mut node, "of one name", |_| "job".into());
    measure(&control, &mut node, "of different names", |number| format!("job-{number}"));
    println!("agent afterwards: {}", memory(&node));
}

fn measure(control: &ControlPlane, node: &mut Node, which: &str, name: impl Fn(usize) -> String) {
    let jobs: Vec<Job> =
        (0..JOBS).map(|number| Job::new("true").with(|job| job.job = name(number))).collect();
    jobs.iter().for_each(|job| node.owns(job));
    let node: &Node = node;
    control.change(&node.id, |script| script.requests.clear());
    let before = processor(node);
    let begun = Instant::now();
    control.change(&node.id, |script| script.queue = jobs.iter().skip(1).map(Job::run).collect());
    control.desire(&node.id, jobs[0].run());
    control.end_of(&node.id, &jobs[JOBS - 1].key());
    let wall = begun.elapsed().as_secs_f64();
    let after = processor(node);
    let each = |index: usize| (after[index] - before[index]) / JOBS as f64 * 1000.0;
    println!("{JOBS} jobs {which}, one after the other, per job:");
    control.change(&node.id, |script| {
        println!("  requests    {:.2}", script.requests.len() as f64 / JOBS as f64);
    });
    println!("  wall        {:.2} ms", wall / JOBS as f64 * 1000.0);
    for (index, who) in ["agent", "supervisor", "bash"].iter().enumerate() {
        let (user, system) = (each(2 * index), each(2 * index + 1));
        println!("  {who:<10}  {user:.2} ms user, {system:.2} ms system");
    }
}

/// Seconds of the agent, of its supervisor, and of what ran under it: user and system of each.
fn processor(node: &Node) -> [f64; 6] {
    let agent = node.agent_pid();
    let supervisor = processes::all().into_iter().find(|process| process.parent == agent);
    let [user, system, _, _] = times(agent);
    let [own_user, own_system, below_user, below_system] =
        supervisor.map_or([0.0; 4], |it| times(it.pid));
    [user, system, own_user, own_system, below_user, below_system]
}

/// User and system time of a process, and of those that it has waited for.
fn times(pid: i32) -> [f64; 4] {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    [11, 12, 13, 14].map(|index| fields[index].parse::<f64>().unwrap() / TICKS_PER_SECOND)
}

fn memory(node: &Node) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", node.agent_pid())).unwrap();
    let lines =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"));
    lines.collect::<Vec<_>>().join(", ").replace('\t', " ")
}
