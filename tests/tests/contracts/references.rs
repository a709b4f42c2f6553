//! Ids in request bodies: each is authorized like a path, and a refusal does not tell whether the
//! name exists.

use super::roles::{Caller, caller, code};
use http::{Method, StatusCode};
use model::{Name, Role, Scope, Uid, WorkspaceNames};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::api::{Api, SERVICE_TOKEN};
use tests::harness::{Harness, auto, names};
use wire::RoleAssignmentRequest;

/// Every field of a request that names something by an id, and what the service does with it. The
/// first three are authorized; the service stores and returns the others but never resolves them.
const ID_FIELDS: [&str; 17] = [
    // Authorized: the job runs there, or the file server is mounted.
    "ClusterCreateParameters.properties.nodeSetup.mountVolumes.fileServers[].fileServer.id",
    "JobCreateParameters.properties.cluster.id",
    "JobCreateParameters.properties.mountVolumes.fileServers[].fileServer.id",
    // Only the GUID of the role at its end counts, which is the same in every subscription.
    "RoleAssignmentCreateParameters.properties.roleDefinitionId",
    // Any UUID: principals are not looked up.
    "RoleAssignmentCreateParameters.properties.principalId",
    // Resources of Azure that do not exist here: stored and returned.
    "ClusterCreateParameters.properties.nodeSetup.performanceCountersSettings.appInsightsReference.component.id",
    "ClusterCreateParameters.properties.nodeSetup.performanceCountersSettings.appInsightsReference.instrumentationKeySecretReference.sourceVault.id",
    "ClusterCreateParameters.properties.nodeSetup.mountVolumes.azureBlobFileSystems[].credentials.accountKeySecretReference.sourceVault.id",
    "ClusterCreateParameters.properties.nodeSetup.mountVolumes.azureFileShares[].credentials.accountKeySecretReference.sourceVault.id",
    "ClusterCreateParameters.properties.nodeSetup.setupTask.secrets[].valueSecretReference.sourceVault.id",
    "ClusterCreateParameters.properties.subnet.id",
    "ClusterCreateParameters.properties.virtualMachineConfiguration.imageReference.virtualMachineImageId",
    "FileServerCreateParameters.properties.subnet.id",
    "JobCreateParameters.properties.containerSettings.imageSourceRegistry.credentials.passwordSecretReference.sourceVault.id",
    "JobCreateParameters.properties.mountVolumes.azureBlobFileSystems[].credentials.accountKeySecretReference.sourceVault.id",
    "JobCreateParameters.properties.mountVolumes.azureFileShares[].credentials.accountKeySecretReference.sourceVault.id",
    "JobCreateParameters.properties.secrets[].valueSecretReference.sourceVault.id",
];

/// Adds the path of every property of `schema` whose name says that it is an id.
fn id_fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if property["type"] == "string" && (name == "id" || name.ends_with("Id")) {
            found.insert(path.clone());
        }
        id_fields(property, &path, found);
    }
    if schema["items"].is_object() {
        id_fields(&schema["items"], &format!("{path}[]"), found);
    }
}

/// A new field with an id fails this test until its authorization is decided.
#[test]
fn every_field_with_an_id_is_known() {
    let mut found = BTreeSet::new();
    for (component, schema) in wire::schema::requests() {
        id_fields(&schema, component, &mut found);
    }
    // Entries of directories have ids of their own, which name nothing else.
    found.retain(|path| !path.ends_with("Directories[].id"));
    assert_eq!(found, ID_FIELDS.map(str::to_owned).into());
}

fn workspace(subscription: &str, resource_group: &str, workspace: &str) -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new(subscription),
        resource_group: Name::new(resource_group),
        workspace: Name::new(workspace),
    }
}

fn account() -> Value {
    json!({"adminUserName": "u", "adminUserPassword": "p"})
}

fn file_server() -> Value {
    json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {"userAccountSettings": account()},
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }})
}

/// `mountVolumes` of these file servers.
fn mounts(ids: &[String]) -> Value {
    let mount = |(index, id): (usize, &String)| json!({"fileServer": {"id": id}, "relativeMountPath": format!("nfs{index}")});
    json!({"fileServers": ids.iter().enumerate().map(mount).collect::<Vec<_>>()})
}

fn cluster(servers: &[String]) -> Value {
    json!({"properties": {
        "vmSize": "STANDARD_NC6",
        "scaleSettings": auto(0, 1),
        "userAccountSettings": account(),
        "nodeSetup": {"mountVolumes": mounts(servers)},
    }})
}

pub(crate) fn job(cluster: &str, servers: &[String]) -> Value {
    json!({"properties": {
        "cluster": {"id": cluster},
        "nodeCount": 1,
        "stdOutErrPathPrefix": "/var/output",
        "customToolkitSettings": {"commandLine": "true"},
        "mountVolumes": mounts(servers),
    }})
}

/// The workspace in which the callers create things.
fn own() -> WorkspaceNames {
    WorkspaceNames { workspace: Name::new("own"), ..names() }
}

/// Workspaces other than the callers' own: in the same group, another group, another subscription.
fn foreign() -> [WorkspaceNames; 3] {
    [names(), workspace("s", "g2", "w"), workspace("s2", "g", "w")]
}

/// All workspaces exist, each with a cluster `c`, a file server `nfs` and an experiment `e`.
struct Fixture {
    harness: Harness,
    api: Api,
}

impl Fixture {
    async fn new(seed: u64) -> Self {
        let harness = Harness::new(seed).await;
        let api = Api::new(&harness.environment);
        let fixture = Self { harness, api };
        let location = json!({"location": "here"});
        for workspace in foreign().iter().chain([&own()]) {
            for (path, body) in [
                ("", &location),
                ("/experiments/e", &json!({})),
                ("/fileServers/nfs", &file_server()),
                ("/clusters/c", &cluster(&[])),
            ] {
                let (status, answer) = fixture.put(workspace, path, SERVICE_TOKEN, body).await;
                assert!(status.is_success(), "{path}: {answer}");
                fixture.harness.environment.deliver_all().await;
            }
        }
        fixture
    }

    async fn put(
        &self,
        workspace: &WorkspaceNames,
        path: &str,
        token: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let path = format!("{}{path}?api-version=2018-05-01", wire::workspace_id(workspace));
        self.api.call(Method::PUT, &path, Some(token), &body.to_string()).await
    }

    /// A caller with these roles beside that of a Contributor of [`own`].
    async fn caller(&self, name: &str, roles: &[(Role, WorkspaceNames)]) -> Caller {
        let control = &self.harness.environment.control;
        let caller =
            caller(&self.harness, name, Some(Role::Contributor), Scope::from(&own())).await;
        let principal = control.tokens.principal_of(&caller.token).await.unwrap().unwrap();
        for (index, (role, workspace)) in roles.iter().enumerate() {
            let request = RoleAssignmentRequest { role: *role, principal: principal.clone() };
            let id = Uid::from_bytes([index as u8 + 1; 16]);
            control.roles.put(&Scope::from(workspace), &id, &request).await.unwrap();
        }
        caller
    }
}

/// Requests that name a cluster or file server of that name in that workspace, in each field.
fn requests(
    workspace: &WorkspaceNames,
    cluster_name: &str,
    server: &str,
) -> Vec<(&'static str, Value)> {
    let own_cluster = wire::cluster_id(&own(), &Name::new("c"));
    let own_server = wire::file_server_id(&own(), &Name::new("nfs"));
    let foreign_cluster = wire::cluster_id(workspace, &Name::new(cluster_name));
    let foreign_server = wire::file_server_id(workspace, &Name::new(server));
    vec![
        ("/clusters/new", cluster(std::slice::from_ref(&foreign_server))),
        ("/clusters/new", cluster(&[own_server.clone(), foreign_server.clone()])),
        ("/experiments/e/jobs/new", job(&foreign_cluster, &[])),
        ("/experiments/e/jobs/new", job(&foreign_cluster.to_ascii_uppercase(), &[])),
        ("/experiments/e/jobs/new", job(&own_cluster, std::slice::from_ref(&foreign_server))),
        ("/experiments/e/jobs/new", job(&own_cluster, &[own_server, foreign_server])),
    ]
}

#[tokio::test]
async fn a_foreign_id_is_refused_alike_whether_it_exists_or_not() {
    let fixture = Fixture::new(4).await;
    let readers = foreign().map(|workspace| (Role::Reader, workspace));
    let callers = [fixture.caller("stranger", &[]).await, fixture.caller("reader", &readers).await];
    let missing =
        [workspace("s", "g", "none"), workspace("s", "none", "w"), workspace("none", "g", "w")];
    let mut answers = BTreeSet::new();
    for caller in &callers {
        for workspace in foreign().iter().chain(&missing) {
            for name in ["c", "nfs", "missing"] {
                for (path, body) in requests(workspace, name, name) {
                    let (status, answer) = fixture.put(&own(), path, &caller.token, &body).await;
                    assert_eq!(status, StatusCode::FORBIDDEN, "{body}: {answer}");
                    assert_eq!(code(&answer), "LinkedAuthorizationFailed", "{body}");
                    let scope = wire::workspace_id(workspace).to_ascii_lowercase();
                    answers
                        .insert(answer.to_string().to_ascii_lowercase().replace(&scope, "SCOPE"));
                }
            }
        }
    }
    assert_eq!(
        answers.len(),
        1,
        "the answers differ by more than the id that was sent: {answers:?}"
    );
    // Nothing was created.
    let workspace = fixture.harness.environment.control.workspaces.get(&own()).await.unwrap();
    let clusters =
        fixture.harness.environment.table().clusters(&workspace.uid, None, 9).await.unwrap();
    assert_eq!(clusters.items.len(), 1);
}

#[tokio::test]
async fn a_contributor_of_both_workspaces_may_refer_from_one_to_the_other() {
    let fixture = Fixture::new(5).await;
    let both = foreign().map(|workspace| (Role::Contributor, workspace));
    let both = fixture.caller("both", &both).await;
    for workspace in foreign() {
        for (path, body) in requests(&workspace, "c", "nfs") {
            let (status, answer) = fixture.put(&own(), path, &both.token, &body).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{body}: {answer}");
            let url = format!("{}{path}?api-version=2018-05-01", wire::workspace_id(&own()));
            fixture.api.call(Method::DELETE, &url, Some(&both.token), "").await;
            fixture.harness.environment.run_schedule().await;
        }
        for (path, body) in requests(&workspace, "missing", "missing") {
            let (status, answer) = fixture.put(&own(), path, &both.token, &body).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{body}: {answer}");
        }
    }
}

/// Ids that are only stored tell nothing either: existing and missing resources are answered alike.
#[tokio::test]
async fn ids_that_are_not_resolved_are_only_stored() {
    let fixture = Fixture::new(6).await;
    let stranger = fixture.caller("stranger", &[]).await;
    for (index, server) in ["nfs", "missing"].into_iter().enumerate() {
        let id = wire::file_server_id(&names(), &Name::new(server));
        let mut body = cluster(&[]);
        body["properties"]["subnet"] = json!({"id": id});
        body["properties"]["virtualMachineConfiguration"] = json!({"imageReference": {
            "publisher": "p", "offer": "o", "sku": "s", "virtualMachineImageId": id,
        }});
        let path = format!("/clusters/stored{index}");
        let (status, answer) = fixture.put(&own(), &path, &stranger.token, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        let url = format!("{}{path}?api-version=2018-05-01", wire::workspace_id(&own()));
        let (_, stored) = fixture.api.call(Method::GET, &url, Some(&stranger.token), "").await;
        assert_eq!(stored["properties"]["subnet"]["id"], id);
    }
    let owner = caller(&fixture.harness, "owner", Some(Role::Owner), Scope::from(&own())).await;
    let control = &fixture.harness.environment.control;
    let known = control.tokens.principal_of(&stranger.token).await.unwrap().unwrap();
    for (index, principal) in [known, Uid::from_bytes([77; 16])].into_iter().enumerate() {
        let id = Uid::from_bytes([100 + index as u8; 16]);
        let role = wire::role_definition_id(&Name::new("s2"), Role::Reader);
        let body = json!({"properties": {"roleDefinitionId": role, "principalId": principal}});
        let path = format!("/providers/Microsoft.Authorization/roleAssignments/{id}");
        let (status, answer) = fixture.put(&own(), &path, &owner.token, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }
}

/// A file server in use names its cluster only to those who may read that cluster.
#[tokio::test]
async fn a_refused_deletion_hides_a_cluster_of_another_workspace() {
    let fixture = Fixture::new(7).await;
    let server = wire::file_server_id(&own(), &Name::new("nfs"));
    let user = names();
    let (status, _) = fixture
        .put(&user, "/clusters/secretive", SERVICE_TOKEN, &cluster(std::slice::from_ref(&server)))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let stranger = fixture.caller("stranger", &[]).await;
    let reader = fixture.caller("reader", &[(Role::Reader, user)]).await;
    for (token, is_named) in [(&stranger.token, false), (&reader.token, true)] {
        let url = format!("{server}?api-version=2018-05-01");
        let (status, answer) = fixture.api.call(Method::DELETE, &url, Some(token), "").await;
        assert_eq!((status, code(&answer)), (StatusCode::CONFLICT, "FileServerInUse"));
        assert_eq!(answer.to_string().contains("secretive"), is_named, "{answer}");
    }
}
