//! Signals in both directions. The OpenSSH client sends none, so another one does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, Sig};

use crate::fixture::{Node, eventually, is_alive, key_of, pid_in, text};

pub struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn connect(node: &Node, name: &str) -> Handle<Anybody> {
    connect_to(node.server.address(), name).await
}

pub async fn connect_to(address: SocketAddr, name: &str) -> Handle<Anybody> {
    let config = Arc::new(client::Config::default());
    let mut session = client::connect(config, address, Anybody).await.unwrap();
    let key = PrivateKey::from_openssh(key_of(name).private_key().unwrap()).unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    assert!(session.authenticate_publickey("any", key).await.unwrap().success());
    session
}

/// What a program has written, and the messages about its end, within half a minute.
async fn follow(channel: &mut Channel<Msg>, until: &str) -> (String, Vec<ChannelMsg>) {
    let followed = tokio::time::timeout(Duration::from_secs(30), follow_to(channel, until)).await;
    followed.unwrap_or_else(|_| panic!("{until:?} does not come"))
}

async fn follow_to(channel: &mut Channel<Msg>, until: &str) -> (String, Vec<ChannelMsg>) {
    let (mut output, mut others) = (String::new(), Vec::new());
    while until.is_empty() || !output.contains(until) {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => output.push_str(&text(&data)),
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            Some(other) => others.push(other),
            None => break,
        }
    }
    (output, others)
}

#[tokio::test]
async fn a_signal_of_the_client_reaches_the_program_and_ends_it() {
    let node = Node::start().await;
    node.admit("one");
    let session = connect(&node, "one").await;
    let mut channel = session.channel_open_session().await.unwrap();
    let line = "trap 'echo got it' USR1; echo ready; while :; do sleep 0.1; done";
    channel.exec(true, line).await.unwrap();
    follow(&mut channel, "ready").await;
    channel.signal(Sig::USR1).await.unwrap();
    follow(&mut channel, "got it").await;
    channel.signal(Sig::TERM).await.unwrap();
    let (_, messages) = follow(&mut channel, "").await;
    let signalled = messages.iter().any(|message| {
        matches!(message, ChannelMsg::ExitSignal { signal_name: Sig::TERM, core_dumped: false, .. })
    });
    assert!(signalled, "{messages:?}");
    assert!(messages.iter().any(|message| matches!(message, ChannelMsg::Eof)), "{messages:?}");
}

#[tokio::test]
async fn closing_a_channel_ends_its_program_and_no_other() {
    let node = Node::start().await;
    node.admit("one");
    let session = connect(&node, "one").await;
    let first = session.channel_open_session().await.unwrap();
    first.exec(true, "echo $$ > first; sleep 1000; :").await.unwrap();
    let second = session.channel_open_session().await.unwrap();
    second.exec(true, "echo $$ > second; sleep 1000; :").await.unwrap();
    let directory = node.path("one");
    let pids = (pid_in(&directory.join("first")).await, pid_in(&directory.join("second")).await);
    first.close().await.unwrap();
    eventually("its program has ended", || !is_alive(pids.0)).await;
    assert!(is_alive(pids.1));
    session.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    eventually("the other one has ended with the connection", || !is_alive(pids.1)).await;
}

#[tokio::test]
async fn a_session_has_one_program() {
    let node = Node::start().await;
    node.admit("one");
    let session = connect(&node, "one").await;
    let mut channel = session.channel_open_session().await.unwrap();
    channel.exec(true, "cat").await.unwrap();
    channel.exec(true, "echo second > second").await.unwrap();
    channel.eof().await.unwrap();
    let (_, messages) = follow(&mut channel, "").await;
    assert!(matches!(messages[..2], [ChannelMsg::Success, ChannelMsg::Failure]), "{messages:?}");
    assert!(!node.path("one").join("second").exists());
}

/// Channels that were closed free their places.
#[tokio::test]
async fn a_connection_has_a_limited_number_of_channels_at_a_time() {
    let node = Node::start().await;
    node.admit("one");
    let session = connect(&node, "one").await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(session.channel_open_session().await.unwrap());
    }
    assert!(session.channel_open_session().await.is_err());
    let mut channel = open.pop().unwrap();
    channel.exec(true, "echo here").await.unwrap();
    assert_eq!(follow(&mut channel, "").await.0, "here\n");
    for _ in 0..100 {
        let mut channel = session.channel_open_session().await.unwrap();
        channel.exec(false, "true").await.unwrap();
        follow(&mut channel, "").await;
    }
}
