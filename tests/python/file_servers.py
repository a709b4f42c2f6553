"""File servers: usable after their operation, shared by clusters, not deletable while mounted."""

from azure.mgmt.batchai import models
from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, NFS, WORKSPACE, answers, auto_scale, client, cluster_parameters, enqueue,
    equal,
    file_server_parameters, job_in, last, missing, names, refused, text, workspace_id)


@scenario("FileServers_Create", "FileServers_Get")
def they_are_usable_when_their_operation_ends():
    """Creates a file server and waits. `mountSettings` and defaults are filled in; no password."""
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    answers.clear()
    server = client.file_servers.create(GROUP, WORKSPACE, "nfs", file_server_parameters()).result()
    assert answers[0].status_code == 202 and answers[0].content == b"", answers[0]
    wire = last()
    equal(server.id, f"{workspace_id()}/fileservers/nfs", "lower case in the id")
    equal(wire["type"], "Microsoft.BatchAI/workspaces/fileservers", "and in the type")
    equal(set(wire), {"id", "name", "type", "properties"}, "a child has no location")
    properties = wire["properties"]
    equal(set(properties), {
        "provisioningState", "creationTime", "provisioningStateTransitionTime", "vmSize",
        "sshConfiguration", "dataDisks", "subnet", "mountSettings",
        "extensions"}, "its fields")
    equal(properties["provisioningState"], "succeeded", "it is usable")
    for field in ("mountPoint", "fileServerPublicIP", "fileServerInternalIP"):
        assert properties["mountSettings"][field], f"the CLI needs {field}: {wire}"
    equal(properties["mountSettings"]["mountPoint"], "/data", "where the server keeps its files")
    equal(properties["dataDisks"], {
        "diskSizeInGB": 10, "cachingType": "none", "diskCount": 2,
        "storageAccountType": "Standard_LRS"}, "the disks, with the default of their cache")
    equal(properties["sshConfiguration"], {"userAccountSettings": {"adminUserName": "demoUser"}},
          "the account, without its password")
    assert "/virtualNetworks/" in properties["subnet"]["id"], "one was made for it"
    equal(client.file_servers.get(GROUP, WORKSPACE, "NFS").name, "nfs", "it is found in any case")
    equal(last(), wire, "it reads as it was answered")


@scenario("FileServers_ListByWorkspace")
def they_are_made_once_and_listed():
    """Repeats the PUT with the same body (200) and another (409), then lists in pages."""
    created = last()["properties"]["creationTime"]
    answers.clear()
    client.file_servers.create(GROUP, WORKSPACE, "nfs", file_server_parameters()).result()
    equal([answer.status_code for answer in answers], [200], "the same again is fine")
    equal(last()["properties"]["creationTime"], created, "and changes nothing")
    refused(409, "FileServerExists", lambda: client.file_servers.create(
        GROUP, WORKSPACE, "nfs", file_server_parameters(size=20)).result())
    server = client.file_servers.get(GROUP, WORKSPACE, "nfs")
    equal(server.data_disks.disk_size_in_gb, 10, "a refused PUT changes nothing")
    client.file_servers.create(GROUP, WORKSPACE, "second", file_server_parameters()).result()
    equal(names(client.file_servers.list_by_workspace(GROUP, WORKSPACE)), ["nfs", "second"], "all")
    one = models.FileServersListByWorkspaceOptions(max_results=1)
    pages = client.file_servers.list_by_workspace(GROUP, WORKSPACE, one)
    equal(names(pages), ["nfs", "second"], "each once over the pages")


@scenario()
def clusters_share_its_files():
    """Two clusters mount a file server. A job of one reads what a job of the other wrote."""
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    pollers = [client.clusters.create(GROUP, WORKSPACE, name, cluster_parameters(auto_scale(0, 1)))
               for name in ("writes", "reads")]
    for poller in pollers:
        cluster = poller.result()
        server = client.file_servers.get(GROUP, WORKSPACE, "nfs")
        equal(cluster.subnet, server.subnet, "a cluster is in the subnet of what it mounts")
    enqueue("reader", f"until [ -s {NFS}/data/file ]; do sleep 0.05; done; cat {NFS}/data/file",
            cluster="reads")
    enqueue("writer", f"mkdir {NFS}/data && echo written > {NFS}/data/file", cluster="writes")
    job_in("writer", "succeeded"), job_in("reader", "succeeded")
    equal(text("reader", "stdout.txt"), "written\n", "the same files on both")


@scenario("FileServers_Delete")
def one_that_is_mounted_is_not_deleted():
    """Deletes a mounted file server: 409, until the last cluster that mounts it is deleted."""
    delete = lambda: client.file_servers.delete(GROUP, WORKSPACE, "nfs").result()
    assert "cluster" in refused(409, "FileServerInUse", delete), "it says what uses it"
    equal(client.file_servers.get(GROUP, WORKSPACE, "nfs").provisioning_state, "succeeded", "stays")
    client.clusters.delete(GROUP, WORKSPACE, "writes").result()
    refused(409, "FileServerInUse", delete)
    client.clusters.delete(GROUP, WORKSPACE, "reads").result()
    delete()
    missing("FileServerNotFound", "nfs", lambda: client.file_servers.get(GROUP, WORKSPACE, "nfs"))
    equal(names(client.file_servers.list_by_workspace(GROUP, WORKSPACE)), ["second"], "it is gone")
    # Deleting a missing file server succeeds.
    delete()


@scenario()
def a_mount_from_another_workspace_counts_too():
    """A cluster of another workspace mounts a file server by id, which then cannot be deleted."""
    client.workspaces.create(GROUP, "far", "eastus").result()
    parameters = cluster_parameters(auto_scale(0, 1), server="second")
    client.clusters.create(GROUP, "far", "mounts", parameters).result()
    delete = lambda: client.file_servers.delete(GROUP, WORKSPACE, "second").result()
    refused(409, "FileServerInUse", delete)
    client.clusters.delete(GROUP, "far", "mounts").result()
    delete()
