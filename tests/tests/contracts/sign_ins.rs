//! The sign-in of instances over HTTP: who may ask, and what is answered.

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use model::{ClusterRef, LaunchId, NodeState};
use serde_json::{Value, json};
use tests::api::Api;
use tests::harness::{Harness, manual, names};
use web::{AgentAccess, VerifiedInstance};

/// A cluster that launches two nodes, whose answer was lost.
async fn launching() -> (Harness, ClusterRef, LaunchId) {
    let harness = Harness::new(1).await;
    {
        let mut state = harness.environment.machines.state();
        (state.is_fleet, state.loses_answers) = (true, true);
    }
    harness.put_cluster("c", &manual(2, "requeue")).await;
    harness.environment.deliver_all().await;
    let control = &harness.environment.control;
    let cluster = control.clusters.get(&names(), &model::Name::new("c")).await.unwrap().0;
    let nodes = control.clusters.nodes(&cluster).await.unwrap();
    assert!(nodes.iter().all(|it| matches!(it.state, NodeState::Launching { .. })));
    let launch = nodes[0].launch.clone();
    (harness, cluster.reference(), launch)
}

struct Caller<'a> {
    api: &'a Api,
    cluster: &'a ClusterRef,
    token: Option<String>,
    verified: Option<&'a str>,
    /// Of the protocol.
    version: Option<&'a str>,
}

impl Caller<'_> {
    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let ClusterRef { workspace, name, uid } = self.cluster;
        let path = path.replacen('@', &format!("v1/{workspace}/{name}/{uid}"), 1);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(verified) = self.verified {
            request = request.extension(VerifiedInstance(verified.to_owned()));
        }
        if let Some(version) = self.version {
            request = request.header(protocol::VERSION_HEADER, version);
        }
        let answer = self.api.send(request, Body::from(body.to_string())).await;
        assert_eq!(answer.headers()[protocol::VERSION_HEADER], "1", "{:?}", answer.status());
        (answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    async fn sign_in(&self, launch: &LaunchId, instance: &str) -> (StatusCode, Value) {
        let body = json!({"address": "10.0.0.9"});
        self.post(&format!("/instances/@/{launch}/{instance}/sign-in"), &body).await
    }

    async fn sync(&self, node: &str, instance: &str) -> (StatusCode, Value) {
        let phase = json!({"kind": "preparing"});
        let body = json!({"instance": instance, "address": "10.0.0.9", "phase": phase});
        self.post(&format!("/nodes/@/{node}/sync"), &body).await
    }
}

#[tokio::test]
async fn with_the_token_of_its_launch_an_instance_gets_the_token_of_its_node() {
    let (harness, cluster, launch) = launching().await;
    let api = Api::new(&harness.environment);
    let keys = &harness.environment.control.context.keys;
    let caller = |token: Option<String>| Caller {
        api: &api,
        cluster: &cluster,
        token,
        verified: None,
        version: None,
    };
    for wrong in [None, Some("other".into()), Some(keys.launch_token(&cluster, &cluster.uid))] {
        assert_eq!(caller(wrong).sign_in(&launch, "i-1").await.0, StatusCode::UNAUTHORIZED);
    }
    let agent = caller(Some(keys.launch_token(&cluster, &launch)));
    let (status, first) = agent.sign_in(&launch, "i-1").await;
    assert_eq!((status, &first["kind"]), (StatusCode::OK, &json!("node")), "{first}");
    assert_eq!(agent.sign_in(&launch, "i-1").await.1, first, "the same answer");
    let (_, second) = agent.sign_in(&launch, "i-2").await;
    assert_ne!(second["nodeId"], first["nodeId"]);
    assert_eq!(agent.sign_in(&launch, "i-3").await.1, json!({"kind": "leave"}));
    assert_eq!(agent.sign_in(&launch, "i-1").await.1, first, "the launch is settled");

    let node = caller(Some(first["token"].as_str().unwrap().to_owned()));
    let id = first["nodeId"].as_str().unwrap();
    assert_eq!(node.sync(id, "i-1").await.0, StatusCode::OK);
    let (status, body) = node.sync(id, "i-2").await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::FORBIDDEN, &json!("NodeNotFound")));
    let other = second["nodeId"].as_str().unwrap();
    assert_eq!(node.sync(other, "i-2").await.0, StatusCode::UNAUTHORIZED);

    let unknown = harness.environment.control.context.new_uid();
    let stranger = caller(Some(keys.launch_token(&cluster, &unknown)));
    assert_eq!(stranger.sign_in(&unknown, "i-9").await.1, json!({"kind": "leave"}));
    assert_eq!(
        stranger.sign_in(&unknown, "i-1").await.1,
        json!({"kind": "leave"}),
        "of another launch"
    );
    for (instance, address) in [("i%2F1", "10.0.0.9"), ("i-1", "elsewhere")] {
        let path = format!("/instances/@/{launch}/{instance}/sign-in");
        assert_eq!(
            agent.post(&path, &json!({"address": address})).await.0,
            StatusCode::BAD_REQUEST
        );
    }
}

/// The edge verifies instances: each can only sign in as itself, and speak for its own node.
#[tokio::test]
async fn a_verified_instance_speaks_only_for_itself() {
    let (harness, cluster, launch) = launching().await;
    let api = Api::with_agents(&harness.environment, AgentAccess::VerifiedInstances);
    let keys = &harness.environment.control.context.keys;
    let token = Some(keys.launch_token(&cluster, &launch));
    let caller = |verified| Caller {
        api: &api,
        cluster: &cluster,
        token: token.clone(),
        verified,
        version: None,
    };
    assert_eq!(caller(None).sign_in(&launch, "i-1").await.0, StatusCode::UNAUTHORIZED);
    let (one, two) = (caller(Some("i-1")), caller(Some("i-2")));
    assert_eq!(one.sign_in(&launch, "i-2").await.0, StatusCode::FORBIDDEN);
    let waiting = {
        let nodes = harness.environment.table().nodes(&cluster).await.unwrap();
        nodes[0].id.to_string()
    };
    assert_eq!(one.sync(&waiting, "i-1").await.0, StatusCode::FORBIDDEN, "it signs in first");
    let (_, node) = one.sign_in(&launch, "i-1").await;
    assert!(node["token"].is_null(), "{node}");
    let id = node["nodeId"].as_str().unwrap();
    assert_eq!(one.sync(id, "i-1").await.0, StatusCode::OK);
    two.sign_in(&launch, "i-2").await;
    for (caller, instance) in [(&two, "i-1"), (&two, "i-2"), (&one, "i-2")] {
        assert_eq!(caller.sync(id, instance).await.0, StatusCode::FORBIDDEN, "{instance}");
    }
    assert_eq!(caller(None).sync(id, "i-1").await.0, StatusCode::UNAUTHORIZED);
}

/// An agent without a version is one of the first release. One of a later version is refused with
/// the version that the service has, so that it can use that, and with what a person has to do.
#[tokio::test]
async fn the_version_of_the_protocol_is_checked_first() {
    let (harness, cluster, launch) = launching().await;
    let api = Api::new(&harness.environment);
    let token = harness.environment.control.context.keys.launch_token(&cluster, &launch);
    let caller = |version| {
        let token = Some(token.clone());
        Caller { api: &api, cluster: &cluster, token, verified: None, version }
    };
    let (_, first) = caller(None).sign_in(&launch, "i-1").await;
    assert_eq!(first["kind"], "node");
    assert_eq!(caller(Some("1")).sign_in(&launch, "i-1").await.1, first);
    let later = caller(Some("2"));
    let path = format!("/instances/@/{launch}/i-1/sign-in");
    let (status, body) = later.post(&path, &json!({"of": "a later release"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error"]["code"], "UnsupportedProtocol", "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("version 2") && message.contains("1 to 1"), "{message}");
    let node = first["nodeId"].as_str().unwrap();
    assert_eq!(later.sync(node, "i-1").await.1["error"]["code"], "UnsupportedProtocol");
}
