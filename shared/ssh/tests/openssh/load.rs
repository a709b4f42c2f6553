//! Many clients, and clients that do not log in.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::fixture::{Node, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_connect_at_once() {
    let node = Node::start().await;
    let client = node.admit("one");
    let clients: Vec<_> = (0..100)
        .map(|number| {
            // All of them before the first one has ended.
            let line =
                format!("touch {number}; until [ -e 99 ]; do sleep 0.2; done; echo {number}");
            client.ssh(&[]).arg(line).spawn().unwrap()
        })
        .collect();
    for (number, child) in clients.into_iter().enumerate() {
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(text(&output.stdout), format!("{number}\n"), "{}", text(&output.stderr));
    }
}

/// The clock stands still while anything happens, and leaps otherwise.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_logs_in_is_dropped() {
    let node = Node::start().await;
    let mut silent = TcpStream::connect(node.server.address()).await.unwrap();
    let mut greeting = TcpStream::connect(node.server.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut greeting, b"SSH-2.0-x\r\n").await.unwrap();
    let begun = Instant::now();
    for stream in [&mut silent, &mut greeting] {
        let mut received = Vec::new();
        // It may be a reset.
        let _ = stream.read_to_end(&mut received).await;
        assert!(received.starts_with(b"SSH-2.0-batchai\r\n"));
    }
    let seconds = begun.elapsed().as_secs();
    assert!((30..33).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn clients_that_do_not_log_in_keep_nobody_out() {
    let node = Node::start().await;
    let client = node.admit("one");
    let mut strangers = Vec::new();
    for _ in 0..300 {
        strangers.push(TcpStream::connect(node.server.address()).await.unwrap());
    }
    assert_eq!(client.run("echo in").await, (0, "in\n".into()));
    let mut oldest = strangers.swap_remove(0);
    let mut received = Vec::new();
    let closed = oldest.read_to_end(&mut received);
    let closed = tokio::time::timeout(Duration::from_secs(5), closed).await;
    assert!(closed.is_ok(), "the oldest connection was not closed");
}
