//! A minimal HTTP client: one connection, one request at a time. It shares the cores with the measured
//! service, so it uses little CPU.

use crate::processes;
use crate::samples::percentile;
use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The address and the token of the service.
#[derive(Clone)]
pub struct Access {
    pub address: SocketAddr,
    pub token: String,
}

/// One request of a measurement.
pub struct Call {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
}

impl Call {
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Bytes::new() }
    }

    pub fn put(path: String, body: Bytes) -> Self {
        Self { method: Method::PUT, path, body }
    }
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

impl Connection {
    pub async fn open(access: &Access) -> Result<Self> {
        let stream = TcpStream::connect(access.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender, or with an error that the sender reports too.
        tokio::spawn(connection);
        let host = access.address.to_string();
        Ok(Self { sender, host, authorization: format!("Bearer {}", access.token) })
    }

    /// The body of a successful answer; any other answer is an error.
    pub async fn send(&mut self, call: Call) -> Result<Bytes> {
        let request = Request::builder()
            .method(call.method)
            .uri(&call.path)
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(call.body))?;
        self.sender.ready().await.context("the service closed the connection")?;
        let response = self.sender.send_request(request).await.context("no answer")?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let text = || String::from_utf8_lossy(&body).into_owned();
        ensure!(status.is_success(), "{}: {status} {}", call.path, text());
        Ok(body)
    }

    /// Like [`Self::send`], with the answer as JSON.
    pub async fn ask(&mut self, call: Call) -> Result<Value> {
        let body = self.send(call).await?;
        Ok(if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? })
    }
}

/// The rate and latency of requests of one kind.
pub struct Pace {
    pub per_second: f64,
    pub p99_millis: f64,
    /// The CPU time of this process per request.
    pub client_cpu_millis_per_request: f64,
}

/// Sends `count` requests over several connections, one request at a time on each.
pub async fn pace(
    access: &Access,
    connections: usize,
    count: usize,
    call: impl Fn(usize) -> Call + Send + Sync + 'static,
) -> Result<Pace> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(access).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let call = Arc::new(call);
    let cpu_before = processes::own_cpu_seconds()?;
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for mut connection in open {
        let (next, call) = (Arc::clone(&next), Arc::clone(&call));
        clients.spawn(async move {
            let mut millis = Vec::with_capacity(count);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(millis);
                }
                let begin = Instant::now();
                connection.send(call(number)).await?;
                millis.push(begin.elapsed().as_secs_f64() * 1000.0);
            }
        });
    }
    let mut millis = Vec::with_capacity(count);
    while let Some(measured) = clients.join_next().await {
        millis.extend(measured??);
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = processes::own_cpu_seconds()? - cpu_before;
    millis.sort_by(f64::total_cmp);
    Ok(Pace {
        per_second: count as f64 / seconds,
        p99_millis: percentile(&millis, 99),
        client_cpu_millis_per_request: cpu_seconds * 1000.0 / count as f64,
    })
}
