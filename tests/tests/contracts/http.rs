//! HTTP as RFC 9110 has it, whatever the operation.

use http::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, LOCATION, WWW_AUTHENTICATE};
use http::{Method, Request, StatusCode, request};
use model::limits::MAX_BODY_BYTES;
use serde_json::{Value, json};
use tests::api::{Api, SERVICE_TOKEN};
use tests::harness::{Harness, manual};

const VERSION: &str = "?api-version=2018-05-01";
const CLUSTER: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c";

async fn api() -> (Harness, Api) {
    let harness = Harness::new(1).await;
    harness.put_cluster("c", &manual(0, "requeue")).await;
    let api = Api::new(&harness.environment);
    (harness, api)
}

fn request(method: Method, path: &str) -> request::Builder {
    let request = Request::builder().method(method).uri(format!("{path}{VERSION}"));
    request.header(AUTHORIZATION, format!("Bearer {SERVICE_TOKEN}"))
}

#[tokio::test]
async fn what_a_path_does_not_take_is_answered_with_what_it_takes() {
    let (_stage, api) = api().await;
    let answer = api.send(request(Method::POST, CLUSTER), "{}").await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()[ALLOW], "PUT, PATCH, DELETE, GET, HEAD");
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["error"]["code"], "MethodNotAllowed");
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let (_stage, api) = api().await;
    let get = api.send(request(Method::GET, CLUSTER), "").await;
    let head = api.send(request(Method::HEAD, CLUSTER), "").await;
    assert_eq!((get.status(), head.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(head.headers()[CONTENT_LENGTH], get.body().len().to_string());
    assert!(head.body().is_empty(), "{:?}", head.body());
    let missing = api.send(request(Method::HEAD, &format!("{CLUSTER}x")), "").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_may_have_its_greatest_size_and_no_byte_more() {
    let (_stage, api) = api().await;
    let padded = |length| {
        let body = r#"{"properties":{}}"#;
        body.to_owned() + &" ".repeat(length - body.len())
    };
    let fits = api.send(request(Method::PATCH, CLUSTER), padded(MAX_BODY_BYTES)).await;
    assert_eq!(fits.status(), StatusCode::BAD_REQUEST, "read, and refused for what it says");
    let answer = api.send(request(Method::PATCH, CLUSTER), padded(MAX_BODY_BYTES + 1)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["error"]["code"], "RequestTooLarge");
}

#[tokio::test]
async fn without_a_token_the_scheme_is_named() {
    let (_stage, api) = api().await;
    let anonymous = Request::builder().uri(format!("{CLUSTER}{VERSION}"));
    let answer = api.send(anonymous, "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn links_have_the_scheme_of_http_whatever_a_proxy_is_said_to_have() {
    let (_stage, api) = api().await;
    for (written, expected) in
        [("https", "https://"), ("http", "http://"), ("javascript", "http://"), ("", "http://")]
    {
        let path = format!("{CLUSTER}{written}x");
        let request = request(Method::PUT, &path).header("x-forwarded-proto", written);
        let body = json!({"properties": {
            "vmSize": "STANDARD_D1",
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
        }});
        let answer = api.send(request, body.to_string()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{:?}", answer.body());
        let location = answer.headers()[LOCATION].to_str().unwrap();
        assert!(location.starts_with(expected), "{written}: {location}");
    }
}
