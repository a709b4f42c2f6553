//! What must hold for whatever bytes a request has: it is accepted as something that can be stored,
//! or refused with a short reason.

use model::Uid;
use serde_json::{Value, json};
use wire::Violations;

/// The first byte says which parser the rest is for.
pub fn check(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind {
        b'w' => answered(wire::parse_workspace_create(body)),
        b'u' => answered(wire::parse_workspace_update(body)),
        b'c' => cluster(body),
        b'p' => answered(wire::parse_cluster_update(body)),
        b'f' => file_server(body),
        b'j' => job(body),
        b'g' => answered(wire::parse_resource_group(body)),
        b'r' => answered(wire::parse_role_assignment(body)),
        b't' => answered(wire::parse_token(body)),
        b'q' => answered(wire::parse_output_files_query(&pairs(body))),
        _ => {}
    }
}

fn answered<T>(outcome: Result<T, Violations>) {
    if let Err(violations) = outcome {
        refused(&violations);
    }
}

/// A refusal has a code, says something, and stays short however long the body was.
fn refused(violations: &Violations) {
    let error = violations.body().error;
    assert!(!error.code.is_empty() && !error.message.is_empty());
    assert!(error.details.len() <= 20);
    assert!(error.message.is_ascii(), "it may become a reason phrase: {}", error.message);
}

fn uid() -> Uid {
    Uid::from_bytes([7; 16])
}

/// A stored value is read back unchanged.
fn kept(spec: &Value, again: &Value) {
    assert_eq!(spec, again);
    assert!(!spec.to_string().contains("\"plain"), "a secret is kept as it was sent");
}

fn cluster(body: &[u8]) {
    let request = match wire::parse_cluster_create(body) {
        Ok(request) => request,
        Err(violations) => return refused(&violations),
    };
    match request.into_spec(|_| "sealed".to_owned(), |_| Some(uid()), "suffix".to_owned()) {
        Ok((spec, scale)) => {
            let stored = json!(spec);
            let again: model::ClusterSpec = serde_json::from_value(stored.clone()).expect("a spec");
            kept(&stored, &json!(again));
            assert!(scale.ceiling() <= model::limits::MAX_NODES_PER_CLUSTER);
        }
        Err(violations) => refused(&violations),
    }
}

fn job(body: &[u8]) {
    let request = match wire::parse_job_create(body) {
        Ok(request) => request,
        Err(violations) => return refused(&violations),
    };
    match request.into_spec(|_| "sealed".to_owned(), |_| Some(uid())) {
        Ok(spec) => {
            let stored = json!(spec);
            let again: model::JobSpec = serde_json::from_value(stored.clone()).expect("a spec");
            kept(&stored, &json!(again));
            assert!((1..=model::limits::MAX_GANG_NODES).contains(&spec.node_count));
        }
        Err(violations) => refused(&violations),
    }
}

fn file_server(body: &[u8]) {
    match wire::parse_file_server_create(body) {
        Ok(spec) => {
            let stored = json!(spec);
            let again: model::FileServerSpec =
                serde_json::from_value(stored.clone()).expect("a spec");
            kept(&stored, &json!(again));
        }
        Err(violations) => refused(&violations),
    }
}

/// `name=value&name=value`.
fn pairs(query: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(query);
    let pair = |it: &str| {
        let (name, value) = it.split_once('=').unwrap_or((it, ""));
        (name.to_owned(), value.to_owned())
    };
    text.split('&').map(pair).collect()
}
