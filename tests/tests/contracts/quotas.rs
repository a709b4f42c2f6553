//! Quotas cannot be escaped by a name: locations are a list, subscriptions are made by the service's
//! own token only, and one limit of cores stands above all of them.

use super::roles::{Caller, caller, code};
use http::{Method, StatusCode};
use model::{Name, NodeState, Role, Scope, WorkspaceNames};
use serde_json::{Value, json};
use tests::api::{Api, SERVICE_TOKEN};
use tests::environment::{CORES_PER_NODE, MAX_NODES};
use tests::harness::{Harness, names};

async fn put(api: &Api, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    let path = format!("{path}?api-version=2018-05-01");
    api.call(Method::PUT, &path, Some(token), &body.to_string()).await
}

async fn get(api: &Api, path: &str, token: &str) -> (StatusCode, Value) {
    api.call(Method::GET, &format!("{path}?api-version=2018-05-01"), Some(token), "").await
}

fn workspace(subscription: &str) -> WorkspaceNames {
    WorkspaceNames { subscription: Name::new(subscription), ..names() }
}

#[tokio::test]
async fn unknown_locations_are_refused_with_the_list() {
    let harness = Harness::new(1).await;
    let api = Api::new(&harness.environment);
    let in_group = wire::workspace_id(&WorkspaceNames { workspace: Name::new("new"), ..names() });
    for path in [in_group.as_str(), "/subscriptions/s/resourceGroups/new"] {
        for location in ["mars", "m-a-r-s", "her", "there."] {
            let (status, answer) =
                put(&api, path, SERVICE_TOKEN, &json!({"location": location})).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{location}: {answer}");
            assert_eq!(code(&answer), "LocationNotAvailableForResourceType");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains("'here,there'"), "{message}");
        }
        let (status, answer) = put(&api, path, SERVICE_TOKEN, &json!({"location": "HERE"})).await;
        assert!(status.is_success(), "{answer}");
    }
    let usages = "/subscriptions/s/providers/Microsoft.BatchAI/locations/mars/usages";
    let (status, answer) = get(&api, usages, SERVICE_TOKEN).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "NoRegisteredProviderFound"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("'here,there'"), "{answer}");
}

/// Its location may have left the list since it was created.
#[tokio::test]
async fn an_existing_workspace_is_answered_whatever_the_list_says() {
    let harness = Harness::new(2).await;
    let api = Api::new(&harness.environment);
    let (status, answer) =
        put(&api, &wire::workspace_id(&names()), SERVICE_TOKEN, &json!({"location": "mars"})).await;
    assert_eq!((status, &answer["location"]), (StatusCode::OK, &json!("here")));
}

#[tokio::test]
async fn a_provider_lists_the_locations() {
    let harness = Harness::new(3).await;
    let path = "/subscriptions/s/providers/Microsoft.BatchAI";
    let (_, provider) = get(&Api::new(&harness.environment), path, SERVICE_TOKEN).await;
    assert_eq!(provider["resourceTypes"][0]["locations"], json!(["here", "there"]));
}

/// The answer to a Contributor who names this subscription in a path, without the name itself.
async fn answer_to(api: &Api, caller: &Caller, subscription: &str) -> Vec<(StatusCode, String)> {
    let location = json!({"location": "here"});
    let subscription_path = format!("/subscriptions/{subscription}");
    let group = format!("{subscription_path}/resourceGroups/new");
    let answers = [
        put(api, &group, &caller.token, &location).await,
        put(api, &wire::workspace_id(&workspace(subscription)), &caller.token, &location).await,
        get(api, &subscription_path, &caller.token).await,
    ];
    let without_name = |(status, body): (StatusCode, Value)| {
        (status, body.to_string().replace(subscription, "SUBSCRIPTION"))
    };
    answers.map(without_name).into()
}

#[tokio::test]
async fn a_contributor_of_one_subscription_learns_nothing_of_others() {
    let harness = Harness::new(4).await;
    let api = Api::new(&harness.environment);
    let scope = Scope::subscription(Name::new("s"));
    let contributor = caller(&harness, "contributor", Some(Role::Contributor), scope).await;
    let (path, location) = (wire::workspace_id(&workspace("known")), json!({"location": "here"}));
    let (status, _) = put(&api, &path, SERVICE_TOKEN, &location).await;
    assert_eq!(status, StatusCode::OK);
    let answers = answer_to(&api, &contributor, "known").await;
    assert_eq!(answers, answer_to(&api, &contributor, "unheard-of").await);
    assert_eq!(answers[0].0, StatusCode::FORBIDDEN);
    assert_eq!(answers[2].0, StatusCode::NOT_FOUND);
    let (_, listed) = get(&api, "/subscriptions", &contributor.token).await;
    let ids: Vec<&Value> =
        listed["value"].as_array().unwrap().iter().map(|it| &it["subscriptionId"]).collect();
    assert_eq!(ids, [&json!("s")]);
}

/// A role in a subscription that nobody has made does not make it.
#[tokio::test]
async fn only_the_service_makes_a_subscription() {
    let harness = Harness::new(5).await;
    let api = Api::new(&harness.environment);
    // Recorded without a request, as by a version that made no subscription for a grant.
    let scope = Scope::subscription(Name::new("new"));
    let owner = caller(&harness, "owner", Some(Role::Owner), scope).await;
    let location = json!({"location": "here"});
    let reader = wire::role_definition_id(&Name::new("new"), Role::Reader);
    let principal = "02020202-0202-4202-8202-020202020202";
    let grant = json!({"properties": {"roleDefinitionId": reader, "principalId": principal}});
    let requests = [
        ("/subscriptions/new/resourceGroups/g".to_owned(), &location),
        (wire::workspace_id(&workspace("new")), &location),
        (
            format!(
                "/subscriptions/new/providers/Microsoft.Authorization/roleAssignments/{principal}"
            ),
            &grant,
        ),
    ];
    for (path, body) in &requests {
        let (status, answer) = put(&api, path, &owner.token, body).await;
        assert_eq!(
            (status, code(&answer)),
            (StatusCode::NOT_FOUND, "SubscriptionNotFound"),
            "{path}"
        );
    }
    assert!(harness.environment.table().subscription(&Name::new("new")).await.unwrap().is_none());
    // A grant by the service makes it; from then on its owner can use it.
    let (status, _) = put(&api, &requests[2].0, SERVICE_TOKEN, &grant).await;
    assert_eq!(status, StatusCode::CREATED);
    for (path, body) in &requests[..2] {
        let (status, answer) = put(&api, path, &owner.token, body).await;
        assert!(status.is_success(), "{path}: {answer}");
    }
}

/// A cluster of machines with twice the cores of the others.
fn cluster(nodes: u32) -> Value {
    json!({"properties": {
        "vmSize": "STANDARD_NC12",
        "scaleSettings": {"manual": {"targetNodeCount": nodes}},
        "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
    }})
}

async fn launched(harness: &Harness, subscription: &str) -> u32 {
    let names = workspace(subscription);
    let found = harness.environment.control.clusters.get(&names, &Name::new("large")).await;
    let Ok((cluster, _)) = found else { return 0 };
    let nodes = harness.environment.table().nodes(&cluster.reference()).await.unwrap();
    nodes.iter().filter(|it| !matches!(it.state, NodeState::Leaving { .. })).count() as u32
}

#[tokio::test]
async fn one_limit_of_cores_stands_above_all_subscriptions() {
    let harness = Harness::new(6).await;
    let api = Api::new(&harness.environment);
    let total = MAX_NODES * CORES_PER_NODE;
    let node = 2 * CORES_PER_NODE;
    for (subscription, nodes) in [("s", 2), ("s2", 2)] {
        let workspace = wire::workspace_id(&workspace(subscription));
        put(&api, &workspace, SERVICE_TOKEN, &json!({"location": "here"})).await;
        let path = format!("{workspace}/clusters/large");
        let (status, answer) = put(&api, &path, SERVICE_TOKEN, &cluster(nodes)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        harness.environment.deliver_all().await;
    }
    // Each has a quota of its own that would allow both nodes.
    assert_eq!((launched(&harness, "s").await, launched(&harness, "s2").await), (2, 1));
    assert_eq!(harness.environment.table().total_cores().await.unwrap(), total);
    assert_eq!(total, 3 * node, "the limit is reached");
    harness.environment.run_schedule().await;
    let (waiting, _) = harness
        .environment
        .control
        .clusters
        .get(&workspace("s2"), &Name::new("large"))
        .await
        .unwrap();
    assert_eq!(waiting.errors[0].code, "AccountCoreQuotaReached");

    let path = format!("{}/clusters/large", wire::workspace_id(&workspace("s")));
    let url = format!("{path}?api-version=2018-05-01");
    api.call(Method::DELETE, &url, Some(SERVICE_TOKEN), "").await;
    for _ in 0..20 {
        harness.environment.clock.advance_millis(10_000);
        harness.environment.run_schedule().await;
    }
    assert_eq!((launched(&harness, "s").await, launched(&harness, "s2").await), (0, 2));
    assert_eq!(harness.environment.table().total_cores().await.unwrap(), 2 * node);
}
