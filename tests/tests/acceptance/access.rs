//! Access to the service. Loopback is not a security boundary: every request except a signed link
//! needs the token, and every request must name a loopback host.

use super::api::{VERSION, WORKSPACE};
use super::service::Service;
use reqwest::Method;
use serde_json::json;

/// Paths below the workspace and elsewhere.
fn paths() -> Vec<(Method, String)> {
    let below = [
        (Method::GET, ""),
        (Method::PUT, ""),
        (Method::DELETE, ""),
        (Method::GET, "/clusters"),
        (Method::PATCH, "/clusters/c"),
        (Method::POST, "/clusters/c/listRemoteLoginInformation"),
        (Method::GET, "/fileServers/nfs"),
        (Method::DELETE, "/experiments/e"),
        (Method::PUT, "/experiments/e/jobs/k"),
        (Method::GET, "/experiments/e/jobs/j"),
        (Method::POST, "/experiments/e/jobs/j/terminate"),
        (Method::POST, "/experiments/e/jobs/j/listOutputFiles"),
    ];
    let below = below.map(|(method, path)| (method, format!("{WORKSPACE}{path}?{VERSION}")));
    let elsewhere = [
        (Method::GET, "/"),
        (Method::GET, "/nothing/here"),
        (Method::POST, "/local/v1/nodes/n/interrupt"),
        (Method::GET, "/subscriptions/s/providers/Microsoft.BatchAI/workspaces"),
        (
            Method::POST,
            "/nodes/v1/00000000-0000-4000-8000-000000000000/c/00000000-0000-4000-8000-000000000000/tvm-25bf7531753a4076-p/sync",
        ),
    ];
    below.into_iter().chain(elsewhere.map(|(method, path)| (method, path.to_owned()))).collect()
}

#[tokio::test]
async fn every_path_requires_the_token() {
    let service = Service::start();
    service.prepare(1).await;
    service.submit("j", "echo text", json!({})).await;
    service.job_in("j", "succeeded").await;
    let (most, last) = service.token.split_at(service.token.len() - 1);
    let almost = format!("{most}{}", if last == "0" { "1" } else { "0" });
    let headers =
        [None, Some(String::new()), Some("wrong".into()), Some(almost), Some("a b".into())];
    for (method, path) in paths() {
        for token in &headers {
            let url = format!("{}{path}", service.endpoint);
            let mut request = service.http.request(method.clone(), url).json(&json!({}));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = service.send(request).await;
            let refused = [401, 403].contains(&answer.status);
            assert!(refused, "{method} {path} with {token:?}: {} {}", answer.status, answer.text);
            if !path.starts_with("/nodes/") {
                let (code, message) = answer.error(401);
                assert_eq!(code, "AuthenticationFailed");
                assert!(
                    message.contains("Authorization: Bearer"),
                    "the message names the header: {message}"
                );
            }
        }
    }
    assert_eq!(service.get("/experiments/e/jobs").await["value"].as_array().unwrap().len(), 1);
    // A signed link needs no token.
    assert_eq!(service.output("j", ".", "stdout.txt").await, "text\n");
}

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let service = Service::start();
    service.prepare(1).await;
    service.submit("j", "echo text", json!({})).await;
    service.job_in("j", "succeeded").await;
    let files = service.files("j", "stdouterr", ".").await;
    let file = files.iter().find(|file| file["name"] == "stdout.txt").unwrap();
    let link = file["downloadUrl"].as_str().unwrap();
    let workspace = format!("{}{WORKSPACE}?{VERSION}", service.endpoint);
    let port = service.endpoint.rsplit_once(':').unwrap().1;
    // DNS rebinding: the name of a web page resolves to this address. The token makes no difference.
    let others =
        ["example.org".to_owned(), format!("127.0.0.1.example.org:{port}"), "10.0.0.1".into()];
    for host in others {
        for url in [&*workspace, link] {
            let request = service.http.get(url).bearer_auth(&service.token).header("Host", &host);
            let (code, _) = service.send(request).await.error(403);
            assert_eq!(code, "HostNotAllowed", "{url} as {host}");
        }
    }
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        for url in [&*workspace, link] {
            let request = service.http.get(url).bearer_auth(&service.token).header("Host", &host);
            assert_eq!(service.send(request).await.status, 200, "{url} as {host}");
        }
    }
}

#[tokio::test]
async fn key_and_token_are_readable_only_by_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let service = Service::start();
    let mode = |file: &str| {
        std::fs::metadata(service.data_dir().join(file)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("token"), mode("key"), mode(".")), (0o600, 0o600, 0o700));
}

/// Some operations require the service's own token.
#[tokio::test]
async fn only_the_service_token_can_interrupt_nodes() {
    let service = Service::start();
    service.prepare(1).await;
    let created = service.batchai(&["token", "create", "alice", "-o", "quiet"]);
    let token = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let url = format!("{}/local/v1/nodes/tvm-0/interrupt", service.endpoint);
    let ask = |token: &str| service.http.post(&url).bearer_auth(token).json(&json!({}));
    let (code, _) = service.send(ask(&token)).await.error(403);
    assert_eq!(code, "AuthorizationFailed");
    let (code, _) = service.send(ask(&service.token)).await.error(404);
    assert_eq!(code, "NodeNotFound");
}
