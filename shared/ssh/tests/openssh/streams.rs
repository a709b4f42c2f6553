//! Large inputs and outputs, and processes and clients that do not read them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::fixture::{Client, Node, eventually, is_alive, pid_in, text};

const MEGABYTE: usize = 1 << 20;

/// Bytes of this process in memory: the server is part of it.
fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Numbers, so that what is missing or twice changes the sum.
fn numbers(node: &Node, bytes: usize) -> File {
    let path = node.path("input").join("numbers");
    // The memory of this process is measured.
    let mut file = BufWriter::new(File::create(&path).unwrap());
    for number in 0..bytes / 10 {
        writeln!(file, "{number:09}").unwrap();
    }
    file.flush().unwrap();
    File::open(path).unwrap()
}

async fn checksum(client: &Client, line: &str, input: File) -> String {
    let mut command = client.ssh(&[]);
    command.arg(format!("{line} | sha256sum")).stdin(input);
    text(&command.output().await.unwrap().stdout)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_pass_through_in_little_memory() {
    let node = Node::start().await;
    let client = node.admit("one");
    let input = numbers(&node, 100 * MEGABYTE);
    let path = node.path("input").join("numbers");
    let expected = client.run(&format!("sha256sum < {}", path.display())).await.1;
    let before = resident_bytes();
    let begun = Instant::now();
    let mut child = client.ssh(&[]).arg("cat").stdin(input).spawn().unwrap();
    let sum = piped(&mut child, "sha256sum");
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(resident_bytes());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let sum = text(&sum.wait_with_output().await.unwrap().stdout);
    let grown = most.saturating_sub(before) / MEGABYTE;
    eprintln!("100 MB there and back in {:?}, {grown} MiB more memory", begun.elapsed());
    assert_eq!(sum, expected);
    // Of the tests that run at the same time, too.
    assert!(grown < 50, "{grown} MiB");
}

/// A program that reads what a client writes.
fn piped(client: &mut Child, program: &str) -> Child {
    let output: Stdio = client.stdout.take().unwrap().try_into().unwrap();
    let mut command = Command::new(program);
    command.stdin(output).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

/// The output is what the program waits for, while its input is more than it reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_may_write_more_than_it_reads() {
    let node = Node::start().await;
    let client = node.admit("one");
    let input = numbers(&node, 16 * MEGABYTE);
    let mut child = client.ssh(&[]).arg("od -v -An -tx1").stdin(input).spawn().unwrap();
    let counted = piped(&mut child, "wc").wait_with_output();
    let counted = tokio::time::timeout(Duration::from_secs(120), counted).await;
    let counted = text(&counted.expect("neither side waits for the other").unwrap().stdout);
    // Three characters for each byte, and a line break for sixteen of them.
    let expected = (16 * MEGABYTE / 10 * 10) * 49 / 16 + 1;
    assert_eq!(counted.split_whitespace().last(), Some(&*expected.to_string()));
}

#[tokio::test]
async fn a_program_that_reads_late_gets_everything() {
    let node = Node::start().await;
    let client = node.admit("one");
    let input = numbers(&node, 20 * MEGABYTE);
    let path = node.path("input").join("numbers");
    let expected = client.run(&format!("sha256sum < {}", path.display())).await.1;
    assert_eq!(checksum(&client, "sleep 2; cat", input).await, expected);
}

#[tokio::test]
async fn the_end_of_the_input_ends_the_program() {
    let node = Node::start().await;
    let client = node.admit("one");
    assert_eq!(client.run("cat; echo end").await, (0, "end\n".into()));
}

/// A session with endless input that nobody reads, and its connection, which others use.
async fn stuck(node: &Node, client: &Client) -> (Child, String, i32) {
    let socket = format!("ControlPath={}", node.path("input").join("socket").display());
    let mut command = client.ssh(&["-o", "ControlMaster=auto", "-o", &socket]);
    let zeros = File::open("/dev/zero").unwrap();
    let child = command.arg("echo $$ > pid; sleep 1000; :").stdin(zeros).spawn().unwrap();
    let pid = pid_in(&node.path("one").join("pid")).await;
    // The queue is full by now, or soon.
    tokio::time::sleep(Duration::from_millis(500)).await;
    (child, socket, pid)
}

#[tokio::test]
async fn a_program_that_does_not_read_holds_up_no_other_session_of_the_connection() {
    let node = Node::start().await;
    let client = node.admit("one");
    let (mut child, socket, pid) = stuck(&node, &client).await;
    let begun = Instant::now();
    let mut other = client.ssh(&["-o", "ControlMaster=no", "-o", &socket]);
    let output = other.arg("echo $SSH_CONNECTION; head -c 5000000 /dev/zero | wc -c").output();
    let output = tokio::time::timeout(Duration::from_secs(20), output).await.unwrap().unwrap();
    let port = |text: String| text.split(' ').nth(1).unwrap().to_owned();
    let (used, own) = (text(&output.stdout), client.run("echo $SSH_CONNECTION").await.1);
    assert!(used.ends_with("\n5000000\n"), "{used}");
    assert_ne!(port(used), port(own), "the other session used the stuck connection");
    assert!(is_alive(pid));
    eprintln!("another session of a stuck connection took {:?}", begun.elapsed());
    child.kill().await.unwrap();
    eventually("a client that is killed ends a program that does not read", || !is_alive(pid))
        .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_can_be_revoked() {
    let node = Node::start().await;
    let (one, two) = (node.admit("one"), node.admit("two"));
    let before = resident_bytes();
    let mut child = one.ssh(&[]).arg("echo $$ > pid; exec yes").spawn().unwrap();
    let pid = pid_in(&node.path("one").join("pid")).await;
    let client = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(client, rustix::process::Signal::STOP).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(two.run("echo here").await, (0, "here\n".into()));
    assert!(is_alive(pid));
    let grown = resident_bytes().saturating_sub(before) / MEGABYTE;
    assert!(grown < 50, "{grown} MiB");
    node.policy.revoke("one");
    eventually("the program is ended although its client is stopped", || !is_alive(pid)).await;
    child.kill().await.unwrap();
}
