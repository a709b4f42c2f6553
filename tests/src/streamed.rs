//! Streamed responses of functions (AWS Lambda Developer Guide, "Response streaming" and "Building a custom
//! runtime"): the function sends its answer in chunks. For a function URL it begins with status and headers as
//! JSON, and eight zero bytes; trailers report an error after the beginning.

use axum::body::Body;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// Of a streamed response (AWS Lambda Developer Guide, "Lambda quotas").
const MAX_BYTES: usize = 200 << 20;

/// Between status and headers, and the body.
const SEPARATOR: [u8; 8] = [0; 8];

/// The answer in the form that a function returns which does not stream. Else type and message of the error.
pub async fn read(body: Body) -> Result<Value, (String, String)> {
    let broken = |message: String| ("Runtime.InvalidResponse".to_owned(), message);
    let collected = body.collect().await.map_err(|error| broken(error.to_string()))?;
    if let Some(trailers) = collected.trailers() {
        check_trailers(trailers)?;
    }
    let bytes = collected.to_bytes();
    if bytes.len() > MAX_BYTES {
        return Err(("Function.ResponseSizeTooLarge".to_owned(), format!("{} bytes", bytes.len())));
    }
    let end = bytes.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let end = end.ok_or_else(|| broken("the separator is missing".to_owned()))?;
    let mut answer: Value =
        serde_json::from_slice(&bytes[..end]).map_err(|error| broken(error.to_string()))?;
    answer["body"] = json!(BASE64.encode(&bytes[end + SEPARATOR.len()..]));
    answer["isBase64Encoded"] = json!(true);
    Ok(answer)
}

fn check_trailers(trailers: &HeaderMap) -> Result<(), (String, String)> {
    let text = |name: &str| {
        let value = trailers.get(name).map(|value| value.as_bytes());
        value.map(|value| String::from_utf8_lossy(value).into_owned())
    };
    match text("lambda-runtime-function-error-type") {
        None => Ok(()),
        Some(kind) => {
            let body = text("lambda-runtime-function-error-body").unwrap_or_default();
            let body = BASE64.decode(&body).unwrap_or_default();
            Err((kind, String::from_utf8_lossy(&body).into_owned()))
        }
    }
}
