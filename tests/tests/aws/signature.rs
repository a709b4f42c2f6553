//! Signature Version 4 from the side that verifies (AWS Identity and Access Management User Guide, "Create a signed
//! AWS API request").

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Uri};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const REGION: &str = "eu-west-1";
const SERVICE: &str = "execute-api";

/// The access key of the role session of an instance. It contains the id of the instance, which real ones do not.
pub fn access_key(instance: &str) -> String {
    format!("ASIA{}", instance.trim_start_matches("i-").to_uppercase())
}

/// Its secret.
pub fn secret_key(access_key: &str) -> String {
    hex::encode(Sha256::digest(access_key.as_bytes()))
}

/// Its session token.
pub fn session_token(access_key: &str) -> String {
    format!("session-of-{access_key}")
}

/// The instance that signed the request, if the signature is right.
pub fn verified_instance(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let fields: BTreeMap<&str, &str> =
        header.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let (access_key, scope) = fields.get("Credential")?.split_once('/')?;
    let [date, region, service, end] = scope.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    let time = headers.get("x-amz-date")?.to_str().ok()?;
    let token = headers.get("x-amz-security-token")?.to_str().ok()?;
    let names: Vec<&str> = fields.get("SignedHeaders")?.split(';').collect();
    let needed = ["host", "x-amz-date", "x-amz-security-token"];
    let is_for_us = (region, service, end) == (REGION, SERVICE, "aws4_request")
        && time.starts_with(date)
        && token == session_token(access_key)
        && needed.iter().all(|it| names.contains(it));
    if !is_for_us {
        return None;
    }
    let mut canonical = format!("{method}\n{}\n{}\n", uri.path(), uri.query().unwrap_or_default());
    for name in &names {
        let value = headers.get(*name)?.to_str().ok()?.trim();
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    let digest = hex::encode(Sha256::digest(body));
    canonical.push_str(&format!("\n{}\n{digest}", names.join(";")));
    let hashed = hex::encode(Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{}", secret_key(access_key)).into_bytes();
    for part in [date, region, service, end] {
        key = mac(&key, part.as_bytes());
    }
    let expected = hex::encode(mac(&key, text.as_bytes()));
    let id = access_key.strip_prefix("ASIA")?.to_lowercase();
    (*fields.get("Signature")? == expected).then(|| format!("i-{id}"))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}
