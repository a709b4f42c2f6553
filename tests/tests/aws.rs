//! The whole stack on this machine: the resources of template.yaml in moto, the functions as processes under the
//! Runtime API with the environment that the template gives them, agents as instances. The test plays the AWS
//! services in between: the HTTP API, the event source mappings, the schedules, EventBridge and instance metadata.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

#[path = "aws/deliveries.rs"]
mod deliveries;
#[path = "aws/functions.rs"]
mod functions;
#[path = "aws/gateway.rs"]
mod gateway;
#[path = "aws/region.rs"]
mod region;
#[path = "aws/signature.rs"]
mod signature;

use gateway::OWNER_TOKEN;
use region::Region;
use serde_json::{Value, json};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

/// The client of a person.
struct Person {
    http: reqwest::Client,
    endpoint: String,
}

impl Person {
    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}?api-version=2018-05-01", self.endpoint);
        let mut request = self.http.request(method, url).bearer_auth(OWNER_TOKEN);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn put(&self, path: &str, body: &Value) {
        let (status, answer) = self.call(reqwest::Method::PUT, path, Some(body)).await;
        assert!((200..300).contains(&status), "PUT {path}: {status} {answer}");
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call(reqwest::Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }
}

fn resource(path: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w{path}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_of_the_template_serves_requests() {
    let region = Region::start().await;
    let person = Person {
        http: tls::Servers::WithoutTls.client().build().unwrap(),
        endpoint: region.endpoint.clone(),
    };
    let answer = person.http.get(format!("{}/subscriptions", region.endpoint)).send().await;
    assert_eq!(answer.unwrap().status(), 401, "no token");
    person.put(&resource(""), &json!({"location": "eu-west-1"})).await;
    person.put(&resource("/experiments/e"), &json!({})).await;
    assert_eq!(person.get(&resource("/experiments/e")).await["name"], "e");
}
