"""Resources outside of workspaces: operations, usages, resource groups, subscriptions, providers.

Resource Manager's own part is driven by its own official client, `azure-mgmt-resource`.
"""

from azure.mgmt.resource import ResourceManagementClient, SubscriptionClient
from azure.mgmt.resource.resources import models as resources
from operations import scenario
from scenarios import (
    ENDPOINT, EXPERIMENT, GROUP, SUBSCRIPTION, WORKSPACE, answers, client, cluster_parameters,
    credentials, enqueue, equal, files, last, manual, missing, names, prepare, refused, text, until)

# In the spelling of the original service.
OPERATION_NAMES = [f"Microsoft.BatchAI/{name}" for name in """
workspaces/read workspaces/write workspaces/delete
workspaces/experiments/read workspaces/experiments/write workspaces/experiments/delete
clusters/read workspaces/clusters/read workspaces/clusters/write workspaces/clusters/delete
workspaces/clusters/remoteLoginInformation/action
workspaces/experiments/jobs/read workspaces/experiments/jobs/write
workspaces/experiments/jobs/delete workspaces/experiments/jobs/terminate/action
workspaces/experiments/jobs/remoteLoginInformation/action
workspaces/experiments/jobs/listoutputfiles/action
fileservers/read workspaces/fileservers/read workspaces/fileservers/write
workspaces/fileservers/delete locations/usages/read register/action unregister/action
locations/operationresults/read locations/operationstatuses/read
""".split()]

FAMILIES = ["D", "Dv2", "NC", "NCv2", "NCv3", "ND", "NV"]

manager = ResourceManagementClient(credentials(), SUBSCRIPTION, base_url=ENDPOINT)
groups = manager.resource_groups


@scenario("Operations_List")
def the_provider_lists_its_operations():
    """Lists the operations that roles refer to: 26 rows, each with a description."""
    rows = list(client.operations.list())
    equal([row.name for row in rows], OPERATION_NAMES, "the rows")
    for row in rows:
        equal(row.display.provider, "Microsoft Batch AI", f"provider of {row.name}")
        assert row.display.operation and row.display.resource and row.display.description, row


def usages(location="eastus"):
    found = {}
    for row in client.usages.list(location):
        equal(row.unit, "Count", f"unit of {row.name.value}")
        found[row.name.value] = row.current_value
    return found


def used(location="eastus"):
    return {name: count for name, count in usages(location).items() if count}


@scenario("Usages_List")
def usages_go_up_and_down_with_nodes():
    """Lists the usages of a region while a cluster has a node: one cluster and, in the total and
    in its family, the cores of its priority. The deletion of the cluster releases them."""
    rows = ["Clusters"]
    for priority in ("Dedicated", "LowPriority"):
        rows.append(f"Total Cluster {priority} Regional vCPUs")
        rows += [f"Standard {family} Family Cluster {priority} vCPUs" for family in FAMILIES]
    equal(list(usages()), rows, "the rows")
    limits = {row["name"]["value"]: row["limit"] for row in last()["value"]}
    assert limits["Clusters"] > 0 and limits["Total Cluster LowPriority Regional vCPUs"] > 0, limits
    localized = {row["name"]["localizedValue"] for row in last()["value"]}
    assert "Total Cluster Low Priority Regional vCPUs" in localized, localized
    equal(used(), {}, "nothing is there yet")
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    parameters = cluster_parameters(manual(0), server=None)
    client.clusters.create(GROUP, WORKSPACE, "counted", parameters).result()
    equal(used(), {"Clusters": 1}, "a cluster without nodes")
    client.clusters.update(GROUP, WORKSPACE, "counted", scale_settings=manual(2))
    total = "Total Cluster LowPriority Regional vCPUs"
    family = "Standard D Family Cluster LowPriority vCPUs"
    until("two nodes count", lambda: used() == {"Clusters": 1, total: 2, family: 2})
    equal(used("EastUS"), {"Clusters": 1, total: 2, family: 2}, "a region in another case")
    equal(used("westus"), {}, "another region")
    client.clusters.update(GROUP, WORKSPACE, "counted", scale_settings=manual(1))
    until("one node counts", lambda: used() == {"Clusters": 1, total: 1, family: 1})
    client.clusters.delete(GROUP, WORKSPACE, "counted").result()
    equal(used(), {}, "nothing is left")


@scenario()
def resource_groups_are_made_tagged_and_listed():
    """Creates, updates, gets and lists resource groups with the client of Resource Manager."""
    equal(groups.check_existence("fresh"), False, "it is not there")
    refused(404, "ResourceGroupNotFound", lambda: groups.get("fresh"))
    made = groups.create_or_update("fresh", resources.ResourceGroup(
        location="westus", tags={"a": "b"}))
    equal(answers[-1].status_code, 201, "it is new")
    equal(made.id, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/fresh", "its id")
    equal((made.name, made.type), ("fresh", "Microsoft.Resources/resourceGroups"), "what it is")
    equal((made.location, made.tags), ("westus", {"a": "b"}), "as it was asked for")
    equal(made.properties.provisioning_state, "Succeeded", "it is usable at once")
    equal(groups.check_existence("FRESH"), True, "it is there, in any case")
    again = groups.create_or_update("fresh", resources.ResourceGroup(
        location="westus", tags={"c": "d"}))
    equal((answers[-1].status_code, again.tags), (200, {"c": "d"}), "a PUT replaces the tags")
    refused(409, "InvalidResourceGroupLocation", lambda: groups.create_or_update(
        "fresh", resources.ResourceGroup(location="eastus")))
    updated = groups.update("fresh", resources.ResourceGroupPatchable(tags={"e": "f"}))
    equal((updated.tags, updated.location), ({"e": "f"}, "westus"), "PATCH replaces the tags")
    equal(groups.get("fresh").tags, {"e": "f"}, "they stay")
    refused(404, "ResourceGroupNotFound",
            lambda: groups.update("no", resources.ResourceGroupPatchable(tags={})))
    assert {"fresh", GROUP} <= set(names(groups.list())), last()


@scenario("Workspaces_Create")
def a_workspace_makes_its_group():
    """Creates a workspace in a missing group, which is created in the region of the workspace."""
    equal(groups.check_existence("byitself"), False, "it is not there")
    client.workspaces.create("byitself", "first", "northeurope").result()
    made = groups.get("byitself")
    equal((made.location, made.tags), ("northeurope", None), "as the workspace asked for")
    assert "byitself" in names(groups.list()), last()
    client.workspaces.create("fresh", "second", "northeurope").result()
    equal(groups.get("fresh").location, "westus", "a group that is there stays as it is")


@scenario()
def a_group_is_deleted_with_all_it_holds():
    """Deletes a group with two workspaces, a cluster, a running and a queued job. After
    the operation nothing is left of it, and the other groups are unchanged."""
    prepare(manual(1))
    client.workspaces.create(GROUP, "empty", "eastus").result()
    enqueue("runs", "trap 'sleep 1; exit 0' TERM; echo begun; while :; do sleep 0.05; done")
    until("it runs", lambda: "stdout.txt" in names(files("runs"))
          and text("runs", "stdout.txt") == "begun\n")
    enqueue("waits", "sleep 600")
    poller = groups.delete(GROUP)
    equal(groups.get(GROUP).properties.provisioning_state, "Deleting", "while it is cleared")
    refused(409, "ResourceBeingDeleted",
            lambda: client.workspaces.create(GROUP, "late", "eastus").result())
    poller.result()
    equal(groups.check_existence(GROUP), False, "it is gone")
    missing("WorkspaceNotFound", WORKSPACE, lambda: client.workspaces.get(GROUP, WORKSPACE))
    missing("WorkspaceNotFound", WORKSPACE,
            lambda: client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, "runs"))
    equal(sorted(names(client.workspaces.list())), ["first", "second"], "those of other groups")
    equal(sorted(names(groups.list())), ["byitself", "fresh"], "the other groups")
    equal(used(), {}, "nothing is counted any more")
    refused(404, "ResourceGroupNotFound", lambda: groups.delete(GROUP).result())


@scenario()
def subscriptions_and_tenants_are_known():
    """Lists and gets the subscription that has resources, and the only tenant."""
    subscriptions = SubscriptionClient(credentials(), base_url=ENDPOINT)
    listed = list(subscriptions.subscriptions.list())
    equal([it.subscription_id for it in listed], [SUBSCRIPTION], "in which something was made")
    found = subscriptions.subscriptions.get(SUBSCRIPTION)
    equal(found.id, f"/subscriptions/{SUBSCRIPTION}", "its id")
    assert found.display_name and found.state.value == "Enabled", found
    tenants = list(subscriptions.tenants.list())
    equal(len(tenants), 1, "tenants")
    assert tenants[0].tenant_id and tenants[0].tenant_id in tenants[0].id, tenants[0]


@scenario()
def the_provider_is_registered():
    """Gets, lists and registers the provider, as clients do before its first use."""
    def check(provider):
        equal((provider.namespace, provider.registration_state),
              ("Microsoft.BatchAI", "Registered"), "it is there")
        types = {kind.resource_type: kind for kind in provider.resource_types}
        assert "2018-05-01" in types["workspaces"].api_versions, types["workspaces"]
    check(manager.providers.get("Microsoft.BatchAI"))
    check(manager.providers.register("microsoft.batchai"))
    assert "Microsoft.BatchAI" in [it.namespace for it in manager.providers.list()], last()
    refused(404, "InvalidResourceNamespace", lambda: manager.providers.get("Microsoft.Nothing"))
