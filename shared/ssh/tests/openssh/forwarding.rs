//! `ssh -L`.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{Node, text};

/// Answers every request with its own first line, and slow ones later.
async fn http_server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = vec![0; 1024];
                let length = stream.read(&mut request).await.unwrap();
                let request = text(&request[..length]);
                if request.contains("/slow") {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                let body = request.lines().next().unwrap_or_default();
                let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    port
}

async fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_port_is_forwarded_to_a_server_of_the_node() {
    let node = Node::start().await;
    let client = node.admit("one");
    let server = http_server().await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let local = free.local_addr().unwrap().port();
    drop(free);
    let tunnel = format!("{local}:localhost:{server}");
    let options = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", &tunnel];
    let _ssh = client.ssh(&options).spawn().unwrap();
    let opened = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, local)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), opened).await.unwrap();
    let requests: Vec<_> = (0..20)
        .map(|number| tokio::spawn(async move { get(local, &format!("/{number}")).await }))
        .collect();
    for (number, request) in requests.into_iter().enumerate() {
        let answer = request.await.unwrap();
        assert!(answer.ends_with(&format!("\r\n\r\nGET /{number} HTTP/1.1")), "{answer}");
    }
}

#[tokio::test]
async fn other_addresses_and_closed_ports_are_refused() {
    let node = Node::start().await;
    let client = node.admit("one");
    for (target, reason) in [
        ("192.0.2.1:80", "administratively prohibited"),
        ("169.254.169.254:80", "administratively prohibited"),
        ("127.0.0.1:1", "connect failed"),
        ("name.invalid:80", "connect failed"),
    ] {
        let output = client.ssh(&["-W", target]).output();
        let output = tokio::time::timeout(Duration::from_secs(40), output).await.unwrap().unwrap();
        let errors = text(&output.stderr);
        assert!(errors.contains(reason), "{target}: {errors}");
        assert_ne!(output.status.code(), Some(0));
    }
}

/// The answer arrives although the client has said that it has no more to send.
#[tokio::test]
async fn each_direction_ends_by_itself() {
    let node = Node::start().await;
    let client = node.admit("one");
    let server = http_server().await;
    let line =
        format!("printf 'GET /slow HTTP/1.1\\r\\n\\r\\n' | exec \"$@\" -W 127.0.0.1:{server}");
    let ssh = client.ssh(&[]);
    let mut command = client.program("sh");
    command.args(["-c", &line, "sh"]);
    command.args(ssh.as_std().get_args());
    let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await;
    let answer = text(&output.unwrap().unwrap().stdout);
    assert!(answer.ends_with("GET /slow HTTP/1.1"), "{answer}");
}
