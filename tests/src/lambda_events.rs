//! The events that functions get, and their answers, as AWS documents them.

use aws_sdk_sqs::types::Message;
use axum::body::Body;
use axum::http::header::{COOKIE, HeaderName, SET_COOKIE};
use axum::http::{HeaderMap, Method, Response, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// A request in payload format 2.0, through an HTTP API or a function URL (API Gateway Developer Guide, "Create
/// Lambda integrations for HTTP APIs"; AWS Lambda Developer Guide, "Invoking Lambda function URLs").
pub fn http_request(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    authorizer: &Value,
) -> Value {
    let texts = |name: &HeaderName| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|text| text.split("; ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let cookies = texts(&COOKIE);
    let sent: Map<String, Value> = headers
        .iter()
        .filter(|(name, _)| **name != COOKIE)
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let domain = sent.get("host").and_then(Value::as_str).unwrap_or("id.example").to_owned();
    let domain_prefix = domain.split('.').next().unwrap_or_default();
    // A body that is no text comes as base64.
    let text = std::str::from_utf8(body).ok().map(str::to_owned);
    let is_text = text.is_some();
    let body = text.unwrap_or_else(|| STANDARD.encode(body));
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": sent,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": domain_prefix,
            "authorizer": authorizer,
            "domainName": domain,
            "domainPrefix": domain_prefix,
            "http": {
                "method": method.as_str(),
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:01:00:00 +0000",
            "timeEpoch": 1_795_222_800_000_u64,
        },
        "body": (!body.is_empty()).then_some(body),
        "isBase64Encoded": !is_text,
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    event
}

/// The response that a function answered with.
///
/// # Panics
/// When the answer is not in payload format 2.0.
pub fn http_response(answer: &Value) -> Response<Body> {
    let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
    let mut response = Response::builder().status(status.expect("a status"));
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().expect("a text"));
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        response = response.header(SET_COOKIE, cookie.as_str().expect("a text"));
    }
    let text = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"] == true {
        true => STANDARD.decode(text).expect("base64"),
        false => text.as_bytes().to_vec(),
    };
    response.body(Body::from(body)).expect("valid headers")
}

/// A batch of messages (AWS Lambda Developer Guide, "Using Lambda with Amazon SQS").
pub fn batch(messages: &[Message]) -> Value {
    json!({"Records": messages.iter().map(message).collect::<Vec<_>>()})
}

/// A message of a batch.
pub fn message(message: &Message) -> Value {
    let attributes: Map<String, Value> = message
        .attributes()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str().to_owned(), Value::from(value.as_str())))
        .collect();
    json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body(),
        "attributes": attributes,
        "messageAttributes": {},
        "md5OfBody": message.md5_of_body(),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:queue.fifo",
        "awsRegion": "eu-west-1",
    })
}

/// The event of a rule with a schedule (EventBridge user guide, "Scheduled events").
pub fn schedule() -> Value {
    let rule = "arn:aws:events:eu-west-1:123456789012:rule/schedule";
    event("aws.events", "Scheduled Event", rule, &json!({}))
}

/// The event that EC2 sends two minutes before it interrupts a spot instance.
pub fn interruption(instance: &str) -> Value {
    let detail = json!({"instance-id": instance, "instance-action": "terminate"});
    of_instance("EC2 Spot Instance Interruption Warning", instance, &detail)
}

/// The event that EC2 sends when an instance changes its state.
pub fn state_change(instance: &str, state: &str) -> Value {
    let detail = json!({"instance-id": instance, "state": state});
    of_instance("EC2 Instance State-change Notification", instance, &detail)
}

fn of_instance(kind: &str, instance: &str, detail: &Value) -> Value {
    event("aws.ec2", kind, &format!("arn:aws:ec2:eu-west-1a:instance/{instance}"), detail)
}

/// An event of EventBridge (Amazon EventBridge User Guide, "Event structure reference").
fn event(source: &str, kind: &str, resource: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": kind,
        "source": source,
        "account": "123456789012",
        "time": "2026-11-21T01:00:00Z",
        "region": "eu-west-1",
        "resources": [resource],
        "detail": detail,
    })
}
