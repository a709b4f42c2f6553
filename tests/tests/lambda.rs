//! The Lambda functions as separate binaries under the Runtime API, with their table behind a socket
//! and their queues on SQS (moto). The tests act as the AWS services between them (HTTP API, event
//! source mapping, schedule), with the events that AWS sends.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

#[path = "lambda/files.rs"]
mod files;
#[path = "lambda/node.rs"]
mod node;

use node::TestNode;
use protocol::{Desired, End, NodePhase, Progress};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::binaries;
use tests::lambda_api::{self, Api, Caller, JOB};
use tests::lambda_events;
use tests::lambda_stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_the_api_through_the_queue_to_a_node() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    let mut dispatcher = stack.function("dispatcher").await;
    api.create_cluster("c").await;
    let node = TestNode::preparing(&stack, "c").await;

    let desired = node.sync(&mut api, NodePhase::Preparing, None).await;
    assert!(matches!(desired, Desired::Prepare { .. }), "expected set-up, got {desired:?}");
    let desired = node.sync(&mut api, NodePhase::Ready, None).await;
    assert_eq!(desired, Desired::Idle, "there is no job yet");
    stack.discard(&stack.urls.dispatcher).await;

    api.submit("j", "c").await;
    assert_eq!(api.job_state("j").await, "running", "a node is idle and the queue is empty");
    assert!(stack.receive(&stack.urls.dispatcher).await.is_empty(), "there is no work left");
    api.submit("k", "c").await;
    assert_eq!(api.job_state("k").await, "queued");
    let messages = stack.receive(&stack.urls.dispatcher).await;
    assert_eq!(messages.len(), 1, "one hint per job: {messages:?}");
    assert_eq!(messages[0]["attributes"]["MessageGroupId"], node.cluster.uid.as_str());
    let answer = dispatcher.invoke(json!({"Records": messages})).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    stack.delete(&stack.urls.dispatcher, &messages).await;
    assert_eq!(api.job_state("k").await, "queued", "there is no node for it yet");

    let desired = node.sync(&mut api, NodePhase::Ready, None).await;
    let Desired::Run { key, start, assignment: Some(assignment) } = desired else {
        panic!("expected the job to run, got {desired:?}");
    };
    assert!(start, "a single node starts at once");
    assert_eq!(assignment.command_line, "python train.py");
    assert_eq!(assignment.secrets[0].value, "hunter2", "only the node receives the secret");

    let running = node.sync(&mut api, NodePhase::Ready, Some((&key, Progress::Running))).await;
    assert!(
        matches!(running, Desired::Run { assignment: None, .. }),
        "the node has the assignment: {running:?}"
    );
    let ended = Progress::Ended { end: End::Exited { exit_code: 0 } };
    let desired = node.sync(&mut api, NodePhase::Ready, Some((&key, ended))).await;
    let Desired::Run { key: next, assignment: Some(_), .. } = desired else {
        panic!("expected the next job, got {desired:?}");
    };
    assert_eq!(next.job_name, "k");
    let job = api.get(JOB, "j").await;
    assert_eq!(job["properties"]["executionState"], "succeeded");
    assert_eq!(job["properties"]["executionInfo"]["exitCode"], 0);

    for log in [api.function.log(), dispatcher.log()] {
        assert!(!log.contains("hunter2"), "a secret is in a log:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failed_messages_of_a_batch_are_returned() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    let mut dispatcher = stack.function("dispatcher").await;
    api.create_cluster("good").await;
    api.create_cluster("damaged").await;
    let (good, damaged) = (stack.cluster("good").await, stack.cluster("damaged").await);
    api.submit("j", "good").await;
    TestNode::idle(&stack, "good").await;
    stack.damage(&damaged).await;
    stack.discard(&stack.urls.dispatcher).await;

    let cluster = |it: &model::Cluster| json!({"kind": "cluster", "cluster": it.reference()});
    // Valid, but it must not overtake the failed message before it in its group.
    let behind = json!({"kind": "experiment", "workspace": damaged.workspace, "name": "e", "uid": damaged.uid});
    stack.send("unreadable", "this is not JSON").await;
    stack.send(damaged.uid.as_str(), &cluster(&damaged).to_string()).await;
    stack.send(damaged.uid.as_str(), &behind.to_string()).await;
    stack.send(good.uid.as_str(), &cluster(&good).to_string()).await;
    let messages = stack.receive(&stack.urls.dispatcher).await;
    assert_eq!(messages.len(), 4, "{messages:?}");
    let answer = dispatcher.invoke(json!({"Records": messages})).await.unwrap();

    let of_damaged = |it: &&Value| it["attributes"]["MessageGroupId"] == damaged.uid.as_str();
    let expected: Vec<Value> = messages
        .iter()
        .filter(of_damaged)
        .map(|it| json!({"itemIdentifier": it["messageId"]}))
        .collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(answer, json!({"batchItemFailures": expected}), "{}", dispatcher.log());
    assert_eq!(api.job_state("j").await, "running", "the other cluster was reconciled");

    let missing = json!({"nonsense": true});
    let error = dispatcher.invoke(missing).await.expect_err("an unknown event");
    assert!(!error.kind.is_empty(), "{error}");
    let answer = dispatcher.invoke(json!({"Records": []})).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}), "the function works after a failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_answers_the_schedule() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    api.create_cluster("c").await;
    for name in ["recovery", "autoscaler", "dispatcher", "provisioner"] {
        let mut function = stack.function(name).await;
        let answer = function.invoke(lambda_events::schedule()).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}), "{name}");
    }
    let mut recovery = stack.function("recovery").await;
    let answer = recovery.invoke(lambda_events::interruption("i-0123456789abcdef0")).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}), "an instance that is not ours");
}

/// EC2 reports the end of an instance long before its node has been silent for a lease.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_instance_is_a_hint_for_its_cluster() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    api.create_cluster("c").await;
    let node = TestNode::preparing(&stack, "c").await;
    node.sync(&mut api, NodePhase::Preparing, None).await;
    stack.discard(&stack.urls.recovery).await;
    let mut recovery = stack.function("recovery").await;
    for (event, hints) in [
        (lambda_events::state_change(&node.instance, "running"), 0),
        (lambda_events::state_change("i-0123456789abcdef0", "terminated"), 0),
        (lambda_events::state_change(&node.instance, "shutting-down"), 1),
        (lambda_events::state_change(&node.instance, "stopped"), 1),
    ] {
        recovery.invoke(event.clone()).await.unwrap();
        let received = stack.receive(&stack.urls.recovery).await;
        assert_eq!(received.len(), hints, "{event}: {received:?}");
        stack.delete(&stack.urls.recovery, &received).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_requires_a_verified_sender_and_explains_errors() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    let path = lambda_api::path("workspaces", "w");
    let answer = api.call("GET", &path, &Caller::Nobody, None).await;
    assert_eq!(answer["statusCode"], 401);
    let answer = api.call("GET", &path, &Caller::User, None).await;
    assert_eq!(answer["statusCode"], 404);
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "WorkspaceNotFound", "{body}");
}

/// An authorizer lets a request pass; its sender decides what it may do.
#[tokio::test(flavor = "multi_thread")]
async fn people_and_instances_speak_for_themselves_only() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    api.create_cluster("c").await;
    let node = TestNode::preparing(&stack, "c").await;
    let workspace = lambda_api::path("workspaces", "w");
    let role = |name, session| Caller::Role { name, session };
    let instance = || Caller::Instance(node.instance.clone());
    let stranger = || Caller::Person("auth0|stranger");
    let body = node.report(NodePhase::Preparing, None);
    for (method, path, caller, expected) in [
        ("GET", &workspace, Caller::User, 200),
        ("GET", &workspace, stranger(), 403),
        ("GET", &workspace, instance(), 401),
        ("GET", &workspace, Caller::Nobody, 401),
        ("POST", &node.path, instance(), 200),
        ("POST", &node.path, Caller::Instance("i-0another".to_owned()), 403),
        ("POST", &node.path, role("stack-NodeRole", "alice"), 401),
        ("POST", &node.path, role("another-NodeRole", "i-0123"), 401),
        ("POST", &node.path, Caller::User, 401),
        ("POST", &node.path, Caller::Nobody, 401),
    ] {
        let sent = (method == "POST").then_some(&body);
        let answer = api.call(method, path, &caller, sent).await;
        assert_eq!(answer["statusCode"], expected, "{method} {path} of {caller:?}: {answer}");
    }
    let id = web::VerifiedPerson("auth0|stranger".to_owned()).id();
    let assignment = json!({"properties": {
        "principalId": id.as_str(),
        "roleDefinitionId": format!(
            "{}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
            lambda_api::subscription()
        ),
    }});
    let path = format!(
        "{workspace}/providers/Microsoft.Authorization/roleAssignments/0a9f1ff0-d5b5-41cb-8b15-6956d969ad41"
    );
    let answer = api.call("PUT", &path, &Caller::User, Some(&assignment)).await;
    assert_eq!(answer["statusCode"], 201, "{answer}");
    let answer = api.call("GET", &workspace, &stranger(), None).await;
    assert_eq!(answer["statusCode"], 200, "a reader now: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_names_a_missing_setting() {
    let stack = Stack::start().await;
    let mut function = stack.function_without("dispatcher", "TABLE_NAME").await;
    let error = function.invoke(lambda_events::schedule()).await.expect_err("it cannot start");
    assert!(error.to_string().contains("TABLE_NAME"), "{error}");
}

/// Hints that an invocation has no time for are sent anew: SQS would deliver a failed message only
/// after the visibility timeout.
#[tokio::test(flavor = "multi_thread")]
async fn hints_without_time_are_handed_over() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    let mut dispatcher = stack.function("dispatcher").await;
    api.create_cluster("c").await;
    api.submit("j", "c").await;
    TestNode::idle(&stack, "c").await;
    let messages = stack.receive(&stack.urls.dispatcher).await;
    let event = json!({"Records": messages});
    let answer = dispatcher.invoke_within(event, Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    stack.delete(&stack.urls.dispatcher, &messages).await;
    assert_eq!(api.job_state("j").await, "queued", "too late to start it");
    let again = stack.receive(&stack.urls.dispatcher).await;
    assert_eq!(again[0]["body"], messages[0]["body"], "{again:?}");
    dispatcher.invoke(json!({"Records": again})).await.unwrap();
    assert_eq!(api.job_state("j").await, "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_name_request_and_cluster_and_carry_metrics() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    let mut dispatcher = stack.function("dispatcher").await;
    api.create_cluster("c").await;
    let cluster = stack.cluster("c").await;
    api.submit("j", "c").await;
    TestNode::idle(&stack, "c").await;
    let messages = stack.receive(&stack.urls.dispatcher).await;
    dispatcher.invoke(json!({"Records": messages})).await.unwrap();
    assert_eq!(api.job_state("j").await, "running");
    let text = dispatcher.log();
    let lines: Vec<Value> =
        text.lines().map(|it| serde_json::from_str(it).expect("every line is JSON")).collect();
    let started = lines.iter().find(|it| it["fields"]["message"] == "started");
    let started = started.unwrap_or_else(|| panic!("no line for the start:\n{text}"));
    assert_eq!(started["fields"]["job"], "j");
    let spans = started["spans"].as_array().unwrap();
    assert!(spans.iter().any(|it| it["requestId"].is_string()), "{started}");
    let hint = spans.iter().find(|it| it["name"] == "hint").unwrap();
    assert_eq!(hint["target"], cluster.uid.as_str());
    assert_eq!(hint["cluster"], "c");
    let metric = lines.iter().find(|it| it.get("DispatchLatency").is_some());
    let metric = metric.unwrap_or_else(|| panic!("no metric:\n{text}"));
    assert_eq!(metric["Stack"], "stack");
    let waited = metric["DispatchLatency"].as_u64().unwrap();
    assert!((1..60_000).contains(&waited), "{waited} ms");
    assert_eq!(metric["_aws"]["CloudWatchMetrics"][0]["Namespace"], "batchai");
}

/// Connections are accepted and nothing is answered. The invocation must end before its timeout, which `invoke_within`
/// enforces: Lambda would stop the function without a word in its log.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_answer_is_an_error_before_the_timeout() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    api.create_cluster("c").await;
    api.submit("j", "c").await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let messages = stack.receive(&stack.urls.dispatcher).await;
    let changes = [("AWS_ENDPOINT_URL_DYNAMODB", endpoint.as_str())];
    let mut dispatcher = stack.function_with("dispatcher", &changes).await;
    let event = json!({"Records": [messages[0].clone()]});
    let answer = dispatcher.invoke_within(event, Duration::from_secs(25)).await.unwrap();
    let failed = json!({"batchItemFailures": [{"itemIdentifier": messages[0]["messageId"]}]});
    assert_eq!(answer, failed, "{}", dispatcher.log());
}

/// The benchmark is run with the binaries of the tests, so its figures mean nothing here.
#[test]
fn the_benchmark_measures_every_function_of_the_template() {
    let binaries = binaries::build("api");
    let output = Command::new(binaries::build("benchmark-functions"))
        .arg(binaries.parent().unwrap())
        .args(["--rounds", "2", "--invocations", "3", "-o", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let measured = report["functions"].as_array().unwrap();
    let names: BTreeSet<&str> =
        measured.iter().map(|it| it["function"].as_str().unwrap()).collect();
    let manifests = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions"));
    let functions = manifests.unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let functions: BTreeSet<String> = functions.chain(["hello".to_owned()]).collect();
    assert_eq!(names, functions.iter().map(String::as_str).collect());
    for function in measured {
        for figure in [
            "/binaryBytes",
            "/peakResidentBytes",
            "/startMillis/median",
            "/startCpuMillis/median",
            "/firstInvocationMillis/median",
            "/invocationMillis/median",
            "/invocationCpuMillis",
            "/startOverHello",
        ] {
            let value = function.pointer(figure).and_then(Value::as_f64);
            assert!(value.is_some_and(|it| it > 0.0), "{figure} of {function}");
        }
    }
}
