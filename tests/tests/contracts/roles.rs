//! Every operation there is, called by everybody: the table of operations says who may.

use http::{Method, StatusCode};
use model::{Name, Role, Scope, Uid};
use serde_json::Value;
use tests::api::{Api, SERVICE_TOKEN};
use tests::harness::{Harness, names};
use web::{OPERATIONS, OperationRow, RequiredAccess};
use wire::RoleAssignmentRequest;

/// A caller with one role in one scope, or none.
pub(crate) struct Caller {
    who: String,
    pub(crate) token: String,
    role: Option<Role>,
    scope: Scope,
}

pub(crate) async fn caller(
    harness: &Harness,
    who: &str,
    role: Option<Role>,
    scope: Scope,
) -> Caller {
    let control = &harness.environment.control;
    let (record, token) = control.tokens.create(who, None).await.unwrap();
    if let Some(role) = role {
        let request = RoleAssignmentRequest { role, principal: record.principal };
        let id = Uid::from_bytes(std::array::from_fn(|index| who.as_bytes()[index % who.len()]));
        control.roles.put(&scope, &id, &request).await.unwrap();
    }
    Caller { who: who.to_owned(), token, role, scope }
}

/// One for each role in each kind of scope, and strangers.
async fn callers(harness: &Harness) -> Vec<Caller> {
    let names = names();
    let scopes = [
        ("subscription", Scope::subscription(names.subscription.clone())),
        ("group", Scope::resource_group(names.subscription.clone(), names.resource_group.clone())),
        ("workspace", Scope::from(&names)),
    ];
    let mut callers = vec![caller(harness, "stranger", None, Scope::from(&names)).await];
    for (kind, scope) in scopes {
        for role in Role::ALL {
            let who = format!("{kind}-{}", role.name());
            callers.push(caller(harness, &who, Some(role), scope.clone()).await);
        }
    }
    let mut elsewhere = names.clone();
    elsewhere.workspace = Name::new("other");
    let elsewhere = Scope::from(&elsewhere);
    callers.push(caller(harness, "neighbour", Some(Role::Owner), elsewhere).await);
    callers
}

/// The path of an operation on what these callers have roles for.
fn path(row: &OperationRow) -> String {
    let filled = row
        .path
        .replace("{subscriptionId}", "s")
        .replace("{resourceGroupName}", "g")
        .replace("{workspaceName}", "w")
        .replace("{operationId}", "00000000-0000-4000-8000-000000000000")
        .replace("{roleAssignmentName}", "00000000-0000-4000-8000-000000000000")
        .replace("{providerNamespace}", "Microsoft.BatchAI");
    let segments = filled.split('/').map(|it| if it.starts_with('{') { "x" } else { it });
    format!("{}?api-version=2018-05-01", segments.collect::<Vec<_>>().join("/"))
}

/// The scope that an operation's path is about.
fn scope_of(row: &OperationRow) -> Scope {
    let names = names();
    if row.path.contains("{workspaceName}") {
        Scope::from(&names)
    } else if row.path.contains("{resourceGroupName}") {
        Scope::resource_group(names.subscription, names.resource_group)
    } else {
        Scope::subscription(names.subscription)
    }
}

fn is_allowed(row: &OperationRow, caller: &Caller) -> bool {
    match row.requires {
        RequiredAccess::Token => true,
        RequiredAccess::Service => false,
        RequiredAccess::Role(needed) => {
            caller.role.is_some_and(|role| role >= needed) && caller.scope.covers(&scope_of(row))
        }
    }
}

pub(crate) fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

/// What deletes comes last, so that the others find something.
fn in_order() -> Vec<&'static OperationRow> {
    let mut rows: Vec<&OperationRow> = OPERATIONS.iter().collect();
    rows.sort_by_key(|row| (row.method == Method::DELETE, !row.path.contains("workspaceName")));
    rows
}

#[tokio::test]
async fn every_operation_takes_the_role_of_its_row() {
    let harness = Harness::new(1).await;
    let api = Api::new(&harness.environment);
    let callers = callers(&harness).await;
    let mut allowed_calls = 0;
    for row in in_order() {
        let path = path(row);
        let ask =
            async |token: Option<&str>| api.call(row.method.clone(), &path, token, "{}").await;
        for nobody in [None, Some("bai_unknown")] {
            let (status, body) = ask(nobody).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {nobody:?}", row.id);
            if row.method != Method::HEAD {
                assert_eq!(code(&body), "AuthenticationFailed", "{}", row.id);
            }
        }
        for caller in &callers {
            let (status, body) = ask(Some(&caller.token)).await;
            let refused = status == StatusCode::FORBIDDEN;
            assert!(status != StatusCode::UNAUTHORIZED, "{} by {}", row.id, caller.who);
            assert!(!status.is_server_error(), "{} by {}: {body}", row.id, caller.who);
            let allowed = is_allowed(row, caller);
            assert_eq!(refused, !allowed, "{} by {}: {status} {body}", row.id, caller.who);
            if refused && row.method != Method::HEAD {
                assert_eq!(code(&body), "AuthorizationFailed", "{}", row.id);
            }
            allowed_calls += usize::from(allowed);
        }
        let (status, body) = ask(Some(SERVICE_TOKEN)).await;
        assert!(status != StatusCode::FORBIDDEN, "{} by the service: {body}", row.id);
    }
    assert!(allowed_calls > OPERATIONS.len(), "the callers may do something");
}

/// A later workspace of the same name must not inherit who could use the first one.
#[tokio::test]
async fn a_grant_ends_with_what_it_was_for() {
    let harness = Harness::new(2).await;
    let control = &harness.environment.control;
    let owner = caller(&harness, "owner", Some(Role::Owner), Scope::from(&names())).await;
    let api = Api::new(&harness.environment);
    let workspace = "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w?api-version=2018-05-01";
    let (status, _) = api.call(Method::DELETE, workspace, Some(&owner.token), "").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    for _ in 0..20 {
        harness.environment.deliver_all().await;
        harness.environment.run_schedule().await;
    }
    let again = wire::parse_workspace_create(br#"{"location":"here"}"#).unwrap();
    control.workspaces.put(&names(), &again).await.unwrap();
    let (status, body) = api.call(Method::GET, workspace, Some(&owner.token), "").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
}

#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let harness = Harness::new(3).await;
    let (_, token) = harness.environment.control.tokens.create("brief", Some(60)).await.unwrap();
    let api = Api::new(&harness.environment);
    let path = "/tenants?api-version=2020-01-01";
    let (status, _) = api.call(Method::GET, path, Some(&token), "").await;
    assert_eq!(status, StatusCode::OK);
    harness.environment.clock.advance_millis(60_000);
    let (status, _) = api.call(Method::GET, path, Some(&token), "").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
