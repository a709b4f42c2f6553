//! What must hold for whatever bytes a request has: it is accepted as something that can be stored,
//! or refused with a short reason.

use model::Uid;
use serde::Serialize;
use serde_json::{Value, json};
use wire::{ClusterRequest, JobRequest, Violations};

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

/// What is stored does not depend on the text of a secret: of the same body with other secrets the same
/// is kept. (That it does not contain a secret would be too much: the same text may stand elsewhere.)
fn secrets_are_not_kept<T: Serialize>(body: &[u8], spec: impl Fn(&[u8]) -> Option<T>) {
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return };
    // Printed anew both times: of a repeated field one is left.
    let stored = |body: &Value| spec(body.to_string().as_bytes()).map(|spec| json!(spec));
    let Some(before) = stored(&body) else { return };
    change_secrets(&mut body);
    if let Some(after) = stored(&body) {
        assert_eq!(before, after, "a secret is kept as it was sent");
    }
}

fn change_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "adminUserPassword" | "password" | "accountKey" | "instrumentationKey" => {
                        change_text(value);
                    }
                    "secrets" => change_variables(value),
                    _ => change_secrets(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(change_secrets),
        _ => {}
    }
}

fn change_variables(secrets: &mut Value) {
    for variable in secrets.as_array_mut().into_iter().flatten() {
        if let Some(value) = variable.get_mut("value") {
            change_text(value);
        }
    }
}

/// Of the same length and with the same kinds of characters, so that it is as valid as before.
fn change_text(value: &mut Value) {
    let Value::String(text) = value else { return };
    *text = text
        .chars()
        .map(|character| match character {
            'z' => 'a',
            'Z' => 'A',
            '9' => '0',
            'a'..='y' | 'A'..='Y' | '0'..='8' => char::from(character as u8 + 1),
            other => other,
        })
        .collect();
}

fn cluster_spec(
    request: ClusterRequest,
) -> Result<(model::ClusterSpec, model::ScaleSettings), Violations> {
    request.into_spec(
        |_| "sealed".to_owned(),
        Some("hashed".to_owned()),
        |_| Some(uid()),
        "suffix".to_owned(),
    )
}

fn cluster(body: &[u8]) {
    let request = match wire::parse_cluster_create(body) {
        Ok(request) => request,
        Err(violations) => return refused(&violations),
    };
    match cluster_spec(request) {
        Ok((spec, scale)) => {
            let stored = json!(spec);
            let again: model::ClusterSpec = serde_json::from_value(stored.clone()).expect("a spec");
            assert_eq!(stored, json!(again), "read back unchanged");
            assert!(scale.ceiling() <= model::limits::MAX_NODES_PER_CLUSTER);
            secrets_are_not_kept(body, |body| {
                cluster_spec(wire::parse_cluster_create(body).ok()?).ok()
            });
        }
        Err(violations) => refused(&violations),
    }
}

fn job_spec(request: JobRequest) -> Result<model::JobSpec, Violations> {
    request.into_spec(|_| "sealed".to_owned(), |_| Some(uid()))
}

fn job(body: &[u8]) {
    let request = match wire::parse_job_create(body) {
        Ok(request) => request,
        Err(violations) => return refused(&violations),
    };
    match job_spec(request) {
        Ok(spec) => {
            let stored = json!(spec);
            let again: model::JobSpec = serde_json::from_value(stored.clone()).expect("a spec");
            assert_eq!(stored, json!(again), "read back unchanged");
            assert!((1..=model::limits::MAX_GANG_NODES).contains(&spec.node_count));
            secrets_are_not_kept(body, |body| job_spec(wire::parse_job_create(body).ok()?).ok());
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
            assert_eq!(stored, json!(again), "read back unchanged");
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
