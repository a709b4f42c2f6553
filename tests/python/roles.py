"""Role assignments with the roles of Azure, through `azure-mgmt-authorization`."""

import uuid

import requests
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.v2018_09_01_preview.models import RoleAssignmentCreateParameters
from operations import scenario
from scenarios import (
    ENDPOINT, EXPERIMENT, GROUP, TIMEOUT_SECONDS, SUBSCRIPTION, TOKEN, WORKSPACE, answers, client,
    cluster_parameters, connect, credentials, equal, file_server_parameters, last, manual, names,
    refused, workspace_id)

authorization = AuthorizationManagementClient(credentials(), SUBSCRIPTION, base_url=ENDPOINT)
assignments = authorization.role_assignments

DENIED = (403, "AuthorizationFailed")

people = {}


def tokens(method, path="", token=TOKEN, **body):
    return requests.request(
        method, f"{ENDPOINT}/local/v1/tokens{path}", timeout=TIMEOUT_SECONDS,
        headers={"Authorization": f"Bearer {token}"}, json=body or None)


def person(name):
    """A user with a token, and a client that sends it."""
    if name not in people:
        answer = tokens("POST", name=name)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["token"] and made["token"] != TOKEN, "a token of their own"
        people[name] = (made["principalId"], made["token"], connect(made["token"]))
    return people[name]


def grant(role, principal, scope, by=assignments):
    """Assigns a role; returns the name of the assignment."""
    role = next(it for it in authorization.role_definitions.list(
        f"/subscriptions/{SUBSCRIPTION}", filter=f"roleName eq '{role}'"))
    name = str(uuid.uuid4())
    made = by.create(scope, name, RoleAssignmentCreateParameters(
        role_definition_id=role.id, principal_id=principal))
    equal((made.name, made.scope), (name, scope), "the assignment")
    equal((made.principal_id, made.role_definition_id), (principal, role.id), "who and what")
    equal(made.type, "Microsoft.Authorization/roleAssignments", "its type")
    return name


@scenario()
def everything_is_made():
    """Creates two workspaces with an experiment each, and a token for a reader."""
    for workspace in (WORKSPACE, "other"):
        client.workspaces.create(GROUP, workspace, "eastus").result()
        client.experiments.create(GROUP, workspace, EXPERIMENT).result()
    principal, _, _ = person("reader")
    equal([it["name"] for it in tokens("GET").json()["value"]], ["reader"], "tokens are listed")
    listed = last()["value"][0]
    equal(listed["principalId"], principal, "with whom they identify")
    assert "token" not in listed, "the token itself is told once"
    equal(tokens("POST", name="reader").status_code, 409, "a name is used once")


@scenario("Workspaces_Get", "Workspaces_ListByResourceGroup", "Workspaces_Update")
def a_stranger_may_nothing():
    """Uses a token without a role: everything is 403, whether it exists or not."""
    _, token, reader = person("reader")
    for call in (
        lambda: reader.workspaces.get(GROUP, WORKSPACE),
        lambda: reader.workspaces.get(GROUP, "never"),
        lambda: list(reader.workspaces.list_by_resource_group(GROUP)),
        lambda: reader.workspaces.create(GROUP, "mine", "eastus").result(),
        lambda: reader.workspaces.update(GROUP, WORKSPACE, tags={}),
        lambda: list(reader.usages.list("eastus")),
    ):
        refused(*DENIED, call)
    equal(tokens("GET", token=token).status_code, 403, "tokens are for the service's own token")
    # The same calls by the owner: nothing was created.
    client.workspaces.get(GROUP, WORKSPACE)
    client.workspaces.update(GROUP, WORKSPACE, tags={"a": "b"})
    equal(names(client.workspaces.list_by_resource_group(GROUP)), ["other", WORKSPACE], "as before")


@scenario("Experiments_Get")
def a_reader_reads_one_workspace():
    """Assigns Reader at a workspace. Reads succeed only there; writes are 403."""
    principal, _, reader = person("reader")
    scope = workspace_id()
    name = grant("Reader", principal, scope)
    equal(assignments.get(scope, name).principal_id, principal, "it can be read")
    for listed in (assignments.list_for_scope(scope), assignments.list(),
                   assignments.list_for_resource_group(GROUP),
                   assignments.list_for_scope(scope, filter="atScope()"),
                   assignments.list_for_scope(scope, filter=f"principalId eq '{principal}'")):
        equal(names(listed), [name], "it is listed")
    equal(names(assignments.list_for_scope(workspace_id("other"))), [], "not there")
    nobody = f"principalId eq '{uuid.uuid4()}'"
    equal(names(assignments.list_for_scope(scope, filter=nobody)), [], "not of others")

    equal(reader.workspaces.get(GROUP, WORKSPACE).name, WORKSPACE, "it reads")
    equal(reader.workspaces.get(GROUP.upper(), WORKSPACE.upper()).name, WORKSPACE, "in any case")
    equal(reader.experiments.get(GROUP, WORKSPACE, EXPERIMENT).name, EXPERIMENT, "and below")
    equal(names(reader.experiments.list_by_workspace(GROUP, WORKSPACE)), [EXPERIMENT], "lists")
    refused(404, "ClusterNotFound", lambda: reader.clusters.get(GROUP, WORKSPACE, "no"))
    cluster = cluster_parameters(manual(0), server=None)
    for call in (
        lambda: reader.experiments.create(GROUP, WORKSPACE, "mine").result(),
        lambda: reader.clusters.create(GROUP, WORKSPACE, "mine", cluster).result(),
        lambda: reader.experiments.delete(GROUP, WORKSPACE, EXPERIMENT).result(),
        lambda: reader.workspaces.update(GROUP, WORKSPACE, tags={}),
        lambda: reader.workspaces.get(GROUP, "other"),
        lambda: list(reader.experiments.list_by_workspace(GROUP, "other")),
        lambda: list(reader.workspaces.list_by_resource_group(GROUP)),
        lambda: list(reader.workspaces.list()),
    ):
        refused(*DENIED, call)
    equal(names(client.experiments.list_by_workspace(GROUP, WORKSPACE)), [EXPERIMENT], "as before")

    equal(assignments.delete(scope, name).name, name, "it is taken back")
    refused(*DENIED, lambda: reader.workspaces.get(GROUP, WORKSPACE))
    refused(404, "RoleAssignmentNotFound", lambda: assignments.get(scope, name))
    equal(names(assignments.list()), [], "nothing is left")


@scenario("FileServers_Create", "Experiments_Create")
def a_contributor_writes_but_does_not_grant():
    """Assigns Contributor at a group. It may write in all workspaces of the group, but not assign roles."""
    principal, token, contributor = person("contributor")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    grant("Contributor", principal, scope)
    for workspace in (WORKSPACE, "other"):
        contributor.experiments.create(GROUP, workspace, "theirs").result()
    server = contributor.file_servers.create(
        GROUP, WORKSPACE, "theirs", file_server_parameters()).result()
    equal(server.provisioning_state, "succeeded", "it could follow the operation, too")
    contributor.workspaces.create(GROUP, "third", "eastus").result()
    refused(*DENIED, lambda: contributor.workspaces.create("elsewhere", "w", "eastus").result())
    theirs = AuthorizationManagementClient(credentials(token), SUBSCRIPTION, base_url=ENDPOINT)
    reader, _, _ = person("reader")
    refused(*DENIED, lambda: grant("Reader", reader, scope, by=theirs.role_assignments))
    own = names(theirs.role_assignments.list_for_scope(scope))
    equal(len(own), 1, "it reads who may what")
    refused(*DENIED, lambda: theirs.role_assignments.delete(scope, own[0]))


@scenario()
def an_owner_grants():
    """Assigns Owner at a workspace. It may assign roles there, but not at the group."""
    principal, token, _ = person("owner")
    grant("Owner", principal, workspace_id())
    theirs = AuthorizationManagementClient(
        credentials(token), SUBSCRIPTION, base_url=ENDPOINT).role_assignments
    guest, _, as_guest = person("guest")
    name = grant("Reader", guest, workspace_id(), by=theirs)
    equal(as_guest.workspaces.get(GROUP, WORKSPACE).name, WORKSPACE, "the guest reads")
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    refused(*DENIED, lambda: grant("Reader", guest, group, by=theirs))
    refused(409, "RoleAssignmentExists", lambda: grant("Reader", guest, workspace_id(), by=theirs))
    theirs.delete(workspace_id(), name)
    refused(*DENIED, lambda: as_guest.workspaces.get(GROUP, WORKSPACE))


@scenario("Workspaces_Delete")
def what_is_deleted_leaves_no_grant_behind():
    """Deletes and recreates a workspace with a reader. The reader must be assigned again."""
    principal, _, reader = person("reader")
    grant("Reader", principal, workspace_id("third"))
    reader.workspaces.get(GROUP, "third")
    client.workspaces.delete(GROUP, "third").result()
    client.workspaces.create(GROUP, "third", "eastus").result()
    refused(*DENIED, lambda: reader.workspaces.get(GROUP, "third"))


@scenario()
def a_revoked_token_is_nobody():
    """Revokes a token. It then gets 401, and its assignments are deleted."""
    principal, _, contributor = person("contributor")
    contributor.workspaces.get(GROUP, WORKSPACE)
    equal(tokens("DELETE", "/contributor").status_code, 204, "it is revoked")
    refused(401, "AuthenticationFailed", lambda: contributor.workspaces.get(GROUP, WORKSPACE))
    mine = f"principalId eq '{principal}'"
    equal(names(assignments.list(filter=mine)), [], "its assignments are gone")
    equal(answers[-1].status_code, 200, "for the others nothing changes")
