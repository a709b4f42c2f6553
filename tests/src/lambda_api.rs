//! The API's function behind an API Gateway HTTP API (payload format 2.0).

use crate::lambda_events;
use crate::lambda_runtime::Function;
use crate::lambda_stack::{OWNER, SUBSCRIPTION};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

const HOST: &str = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
pub const JOB: &str = "workspaces/w/experiments/e/jobs";

/// The sender of a request.
#[derive(Debug)]
pub enum Caller {
    /// The owner of the service.
    User,
    /// Anybody else with a valid identity token.
    Person(&'static str),
    /// An instance of the stack.
    Instance(String),
    /// The session of any role.
    Role {
        name: &'static str,
        session: &'static str,
    },
    Nobody,
}

/// What the authorizer of a route tells the function (API Gateway Developer Guide, "Create Lambda integrations for
/// HTTP APIs").
fn authorizer(caller: &Caller) -> Value {
    match caller {
        Caller::User => person(OWNER),
        Caller::Person(subject) => person(subject),
        Caller::Instance(instance) => session("stack-NodeRole", instance),
        Caller::Role { name, session: name_of_session } => session(name, name_of_session),
        Caller::Nobody => Value::Null,
    }
}

fn person(subject: &str) -> Value {
    json!({"jwt": {"claims": {"iss": "https://issuer.example", "sub": subject}, "scopes": null}})
}

fn session(role: &str, session: &str) -> Value {
    json!({"iam": {
        "accessKey": "ASIAIOSFODNN7EXAMPLE",
        "accountId": "123456789012",
        "callerId": format!("AROACKCEVSQ6C2EXAMPLE:{session}"),
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}"),
        "userId": format!("AROACKCEVSQ6C2EXAMPLE:{session}"),
    }})
}

pub struct Api {
    pub function: Function,
}

pub fn subscription() -> String {
    format!("/subscriptions/{SUBSCRIPTION}")
}

pub fn path(kind: &str, name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.BatchAI/{kind}/{name}"
    )
}

impl Api {
    pub fn new(function: Function) -> Self {
        Self { function }
    }

    /// Sends a request; returns the answer as API Gateway receives it.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        caller: &Caller,
        body: Option<&Value>,
    ) -> Value {
        self.call_with(method, path, &[], caller, body).await
    }

    /// As [`Self::call`], with further parameters in the query.
    pub async fn call_with(
        &mut self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        caller: &Caller,
        body: Option<&Value>,
    ) -> Value {
        let mut event = event(method, path, caller, body);
        for (name, value) in query {
            let before = event["rawQueryString"].as_str().expect("a text");
            event["rawQueryString"] = json!(format!("{before}&{name}={value}"));
            event["queryStringParameters"][*name] = json!(value);
        }
        self.function.invoke(event).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub async fn get(&mut self, kind: &str, name: &str) -> Value {
        let answer = self.call("GET", &path(kind, name), &Caller::User, None).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        serde_json::from_str(answer["body"].as_str().expect("a text")).expect("JSON")
    }

    pub async fn job_state(&mut self, name: &str) -> String {
        let job = self.get(JOB, name).await;
        job["properties"]["executionState"].as_str().expect("a text").to_owned()
    }

    pub async fn put(&mut self, kind: &str, name: &str, body: &Value, expected: u16) -> Value {
        let answer = self.call("PUT", &path(kind, name), &Caller::User, Some(body)).await;
        assert_eq!(answer["statusCode"], expected, "PUT {kind}/{name}: {answer}");
        answer
    }

    /// Creates a cluster and its workspace and experiment.
    pub async fn create_cluster(&mut self, name: &str) {
        self.put("workspaces", "w", &json!({"location": "eu-west-1"}), 200).await;
        self.put("workspaces/w/experiments", "e", &json!({}), 200).await;
        let body = json!({"properties": {
            "vmSize": "STANDARD_NC6",
            "scaleSettings": {"autoScale": {"minimumNodeCount": 0, "maximumNodeCount": 1}},
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
        }});
        self.put("workspaces/w/clusters", name, &body, 202).await;
    }

    /// Submits a job; checks the URLs that the official clients poll.
    pub async fn submit(&mut self, name: &str, cluster: &str) {
        let body = json!({"properties": {
            "cluster": {"id": path("workspaces/w/clusters", cluster)},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
            "customToolkitSettings": {"commandLine": "python train.py"},
            "secrets": [{"name": "PASSWORD", "value": "hunter2"}],
        }});
        let answer = self.put(JOB, name, &body, 202).await;
        for header in ["location", "azure-asyncoperation"] {
            let url = answer["headers"][header].as_str().unwrap_or_default();
            assert!(
                url.starts_with(&format!("https://{HOST}/subscriptions/")),
                "{header}: {answer}"
            );
        }
        // The operation of a submission has ended when the answer is sent.
        assert_eq!(answer["headers"]["retry-after"], "0", "{answer}");
    }
}

/// The event of a request.
pub fn event(method: &str, path: &str, caller: &Caller, body: Option<&Value>) -> Value {
    let headers = [
        ("host", HOST),
        ("content-type", "application/json; charset=utf-8"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
    ];
    let headers = headers
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let uri = format!("{path}?api-version=2018-05-01").parse().expect("a path");
    let method = method.parse().expect("a method");
    let body = body.map(ToString::to_string).unwrap_or_default();
    let headers = HeaderMap::from_iter(headers);
    lambda_events::http_request(&method, &uri, &headers, body.as_bytes(), &authorizer(caller))
}
