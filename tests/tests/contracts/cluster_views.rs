//! What a reader sees of a cluster: its nodes, its queue, and the permissions of the caller. Jobs of workspaces that the
//! caller may not read are left out.

use super::references::job;
use super::roles::{Caller, caller, code};
use http::{Method, StatusCode};
use model::{Name, Role, Scope, Uid, WorkspaceNames};
use serde_json::{Value, json};
use table::Writes;
use tests::api::{Api, SERVICE_TOKEN};
use tests::fleet::agent::command_line;
use tests::harness::{Harness, JobSpec, cluster_id, manual, names, path};
use wire::RoleAssignmentRequest;

/// How long the commands of jobs run.
const RUN_MILLIS: u64 = 600_000;

fn other() -> WorkspaceNames {
    WorkspaceNames { workspace: Name::new("other"), ..names() }
}

fn url(below_the_workspace: &str) -> String {
    let workspace = wire::workspace_id(&names());
    format!("{workspace}{below_the_workspace}?api-version=2018-05-01")
}

/// The workspace with the cluster `c` of manual scale, and another one with an experiment `e`.
async fn harness(seed: u64, nodes: u32) -> Harness {
    let harness = Harness::new(seed).await;
    let control = &harness.environment.control;
    let location = wire::parse_workspace_create(br#"{"location":"here"}"#).unwrap();
    control.workspaces.put(&other(), &location).await.unwrap();
    control.experiments.put(&other(), &Name::new("e")).await.unwrap();
    harness.put_cluster("c", &manual(nodes, "requeue")).await;
    harness
}

/// Submits a job of the other workspace to the cluster.
async fn submit_from_the_other_workspace(harness: &Harness, name: &str) {
    let mut body = job(&cluster_id("c"), &[]);
    body["properties"]["customToolkitSettings"]["commandLine"] = json!(command_line(0, RUN_MILLIS));
    let request = wire::parse_job_create(body.to_string().as_bytes()).unwrap();
    let mut experiment = path();
    experiment.workspace = other();
    let jobs = &harness.environment.control.jobs;
    jobs.put(&experiment, &Name::new(name), &request).await.unwrap();
}

/// A reader of the cluster's workspace, one of both workspaces, and the service itself.
async fn readers(harness: &Harness) -> [(&'static str, String, bool); 3] {
    let one = reader(harness, "one").await;
    let both = reader(harness, "both").await;
    let control = &harness.environment.control;
    let principal = control.tokens.principal_of(&both.token).await.unwrap().unwrap();
    let request = RoleAssignmentRequest { role: Role::Reader, principal };
    control.roles.put(&Scope::from(&other()), &Uid::from_bytes([7; 16]), &request).await.unwrap();
    [
        ("a reader of one", one.token, false),
        ("a reader of both", both.token, true),
        ("the service", SERVICE_TOKEN.to_owned(), true),
    ]
}

async fn reader(harness: &Harness, name: &str) -> Caller {
    caller(harness, name, Some(Role::Reader), Scope::from(&names())).await
}

async fn get(api: &Api, path: &str, token: &str) -> Value {
    let (status, body) = api.call(Method::GET, path, Some(token), "").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

fn names_on(page: &Value) -> Vec<&str> {
    let jobs = page["value"].as_array().unwrap();
    jobs.iter().map(|job| job["name"].as_str().unwrap()).collect()
}

/// The strings of a list at this pointer of each entry, sorted; `-` where an entry has none.
fn sorted<'a>(list: &'a Value, pointer: &str) -> Vec<&'a str> {
    let entries = list["value"].as_array().unwrap().iter();
    let mut found: Vec<&str> =
        entries.map(|it| it.pointer(pointer).and_then(Value::as_str).unwrap_or("-")).collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn nodes_show_the_jobs_that_the_caller_may_read() {
    let harness = harness(1, 3).await;
    harness.run(60).await;
    harness.submit(&JobSpec { millis: RUN_MILLIS, ..JobSpec::new("own", "c") }).await.unwrap();
    submit_from_the_other_workspace(&harness, "foreign").await;
    harness.run(2).await;
    let api = Api::new(&harness.environment);
    let own = wire::job_id(&harness.job("own").await.names);
    for (who, token, sees_all) in readers(&harness).await {
        let list = get(&api, &url("/clusters/c/nodes"), &token).await;
        assert_eq!(sorted(&list, "/state"), ["idle", "running", "running"], "{who}: {list:#}");
        let foreign = own.replace("/w/", "/other/").replace("/own", "/foreign");
        let expected = match sees_all {
            true => ["-", &foreign, &own],
            false => ["-", "-", &own],
        };
        assert_eq!(sorted(&list, "/job/id"), expected, "{who}");
        let nodes = list["value"].as_array().unwrap();
        for node in nodes {
            assert_eq!(node.get("attempt").is_some(), node.get("job").is_some(), "{who}: {node}");
        }
        // Only a contributor may log in.
        let text = list.to_string();
        let address =
            harness.environment.machines.state().machines.values().next().unwrap().address.clone();
        for hidden in ["ipAddress", "port", "instance", &address] {
            assert!(!text.contains(hidden), "{who}: {hidden} in {text}");
        }
    }
}

#[tokio::test]
async fn the_queue_is_listed_in_its_order_without_jobs_that_the_caller_may_not_read() {
    let harness = harness(2, 0).await;
    for (name, priority) in [("a", "low"), ("b", "normal"), ("c", "high"), ("d", "normal")] {
        harness.environment.clock.advance_millis(1000);
        harness.submit(&JobSpec { priority, ..JobSpec::new(name, "c") }).await.unwrap();
        if name == "b" {
            harness.environment.clock.advance_millis(1000);
            submit_from_the_other_workspace(&harness, "foreign").await;
        }
    }
    let api = Api::new(&harness.environment);
    for (who, token, sees_all) in readers(&harness).await {
        let queue = get(&api, &url("/clusters/c/queuedJobs"), &token).await;
        let expected: &[&str] =
            if sees_all { &["c", "b", "foreign", "d", "a"] } else { &["c", "b", "d", "a"] };
        assert_eq!(names_on(&queue), expected, "{who}");
        assert_eq!(queue.to_string().contains("foreign"), sees_all, "{who}");
        for job in queue["value"].as_array().unwrap() {
            let waiting = &job["properties"]["extensions"]["waitingReason"]["code"];
            assert_eq!(waiting, "WaitsForSetting", "{who}: {job}");
        }
        // Page by page: a page may be empty, as the others' jobs count.
        let mut paged = Vec::new();
        let mut next = Some(format!("{}&maxresults=1", url("/clusters/c/queuedJobs")));
        let mut pages = 0;
        while let Some(link) = next {
            let page = get(&api, &link, &token).await;
            paged.extend(names_on(&page).into_iter().map(str::to_owned));
            next = page["nextLink"].as_str().map(str::to_owned);
            pages += 1;
        }
        assert_eq!(
            (paged.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), pages),
            (expected, 5),
            "{who}"
        );
    }
}

/// The queue is read, not the experiments: other jobs of theirs cost nothing.
#[tokio::test]
async fn the_cost_of_the_queue_does_not_depend_on_other_jobs() {
    let harness = harness(3, 0).await;
    for name in ["a", "b"] {
        harness.environment.clock.advance_millis(1000);
        harness.submit(&JobSpec::new(name, "c")).await.unwrap();
    }
    let api = Api::new(&harness.environment);
    let units = || harness.environment.table().consumed().read_units;
    let cost = async || {
        let before = units();
        let queue = get(&api, &url("/clusters/c/queuedJobs"), SERVICE_TOKEN).await;
        assert_eq!(names_on(&queue), ["a", "b"]);
        units() - before
    };
    let alone = cost().await;
    let job = harness.job("a").await;
    let mut writes = Writes::default();
    for number in 0..90 {
        let mut copy = job.clone();
        copy.names.job = Name::new(format!("n{number}"));
        copy.uid = harness.environment.control.context.new_uid();
        copy.version = 1;
        writes.create(&copy);
    }
    harness.environment.table().commit(writes).await.unwrap();
    assert_eq!(cost().await, alone);
}

/// Page by page, from the newest, with the reason of each; gone after a week, or with the cluster.
#[tokio::test]
async fn removed_nodes_are_listed_for_a_week() {
    let harness = harness(6, 3).await;
    harness.run(60).await;
    let running = harness.environment.control.clusters.get(&names(), &Name::new("c")).await;
    let cluster = running.unwrap().0.reference();
    let interrupted = harness.environment.table().nodes(&cluster).await.unwrap().remove(0);
    let instance = interrupted.instance().unwrap().id.clone();
    harness.environment.control.handle_interruption(&instance, 120).await.unwrap();
    harness.run(180).await;
    harness.scale("c", &manual(0, "requeue")).await.unwrap();
    harness.run(180).await;
    let api = Api::new(&harness.environment);
    let reader = reader(&harness, "reader").await;
    let list = get(&api, &url("/clusters/c/endedNodes"), &reader.token).await;
    let ended = list["value"].as_array().unwrap();
    let reasons: Vec<&str> = ended.iter().map(|it| it["endReason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["shrink", "shrink", "shrink", "interrupted"], "{list:#}");
    assert_eq!(ended[3]["nodeIds"], json!([interrupted.id]));
    for node in ended {
        // Without the zone, a time without a fraction is the prefix of one with it.
        let time = |name: &str| node[name].as_str().unwrap().trim_end_matches('Z');
        assert!(time("creationTime") <= time("readyTime"), "{node}");
        assert!(time("readyTime") <= time("removalTime"), "{node}");
        assert!(!node.to_string().contains(&instance), "{node}");
    }
    let mut paged = Vec::new();
    let mut next = Some(format!("{}&maxresults=3", url("/clusters/c/endedNodes")));
    while let Some(link) = next {
        let page = get(&api, &link, &reader.token).await;
        paged.extend(page["value"].as_array().unwrap().iter().cloned());
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(paged, *ended);
    // A storage may delete expired items late.
    harness.environment.clock.advance_millis(7 * 24 * 3_600_000);
    let list = get(&api, &url("/clusters/c/endedNodes"), SERVICE_TOKEN).await;
    assert_eq!(list["value"], json!([]));
}

#[tokio::test]
async fn nodes_and_queue_require_a_role() {
    let harness = harness(4, 0).await;
    let stranger = caller(&harness, "stranger", Some(Role::Owner), Scope::from(&other())).await;
    let reader = reader(&harness, "reader").await;
    let api = Api::new(&harness.environment);
    for below in ["nodes", "endedNodes", "queuedJobs"] {
        for (cluster, found) in [("c", StatusCode::OK), ("missing", StatusCode::NOT_FOUND)] {
            let path = url(&format!("/clusters/{cluster}/{below}"));
            let (status, body) = api.call(Method::GET, &path, Some(&stranger.token), "").await;
            assert_eq!((status, code(&body)), (StatusCode::FORBIDDEN, "AuthorizationFailed"));
            let (status, body) = api.call(Method::GET, &path, Some(&reader.token), "").await;
            assert_eq!(status, found, "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn permissions_are_those_of_the_highest_role() {
    let harness = harness(5, 0).await;
    let api = Api::new(&harness.environment);
    let group = Scope::resource_group(names().subscription, names().resource_group);
    let here = Scope::from(&names());
    let callers = [
        (caller(&harness, "nobody", None, here.clone()).await, json!([])),
        (caller(&harness, "elsewhere", Some(Role::Owner), Scope::from(&other())).await, json!([])),
        (reader(&harness, "reader").await, json!([{"actions": ["*/read"], "notActions": []}])),
        (
            caller(&harness, "contributor", Some(Role::Contributor), here.clone()).await,
            json!([{"actions": ["*"], "notActions": [
                "Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write",
            ]}]),
        ),
        (
            caller(&harness, "owner", Some(Role::Owner), group).await,
            json!([{"actions": ["*"], "notActions": []}]),
        ),
    ];
    let path = url("/providers/Microsoft.Authorization/permissions");
    for (caller, expected) in &callers {
        assert_eq!(get(&api, &path, &caller.token).await["value"], *expected);
    }
    let all = json!([{"actions": ["*"], "notActions": []}]);
    assert_eq!(get(&api, &path, SERVICE_TOKEN).await["value"], all);
    // A lower role in addition changes nothing.
    let (owner, _) = &callers[4];
    let control = &harness.environment.control;
    let principal = control.tokens.principal_of(&owner.token).await.unwrap().unwrap();
    let request = RoleAssignmentRequest { role: Role::Reader, principal };
    control.roles.put(&here, &Uid::from_bytes([8; 16]), &request).await.unwrap();
    assert_eq!(get(&api, &path, &owner.token).await["value"], all);
}
