//! Many clients, and clients that do not log in.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::fixture::{Node, eventually, is_alive, pid_in, text};
use crate::signals::connect_to;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_connect_at_once() {
    let node = Node::start().await;
    let client = node.admit("one");
    let clients: Vec<_> = (0..100)
        .map(|number| {
            // Waits for all of them, for a minute.
            let wait = "for _ in {1..300}; do set -- *; [ $# = 100 ] && break; sleep 0.2; done";
            let line = format!("touch {number}; {wait}; echo {number} $#");
            client.ssh(&[]).arg(line).spawn().unwrap()
        })
        .collect();
    for (number, child) in clients.into_iter().enumerate() {
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(text(&output.stdout), format!("{number} 100\n"), "{}", text(&output.stderr));
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

/// A connection through which nothing passes any more, as when a node has lost its network.
#[tokio::test]
async fn a_client_that_vanishes_is_noticed() {
    let node = Node::start().await;
    node.admit("one");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), node.server.address());
    let cut = Arc::new(Notify::new());
    let waiting = Arc::clone(&cut);
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(server).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = waiting.notified() => std::future::pending().await,
        }
    });
    let session = connect_to(address, "one").await;
    let channel = session.channel_open_session().await.unwrap();
    channel.exec(true, "echo $$ > pid; sleep 1000; :").await.unwrap();
    let pid = pid_in(&node.path("one").join("pid")).await;
    cut.notify_one();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // From here on the clock leaps.
    tokio::time::pause();
    let begun = Instant::now();
    eventually("the program has ended", || !is_alive(pid)).await;
    let minutes = begun.elapsed().as_secs() / 60;
    assert!((10..13).contains(&minutes), "{minutes}");
}
