"""Clusters: scaling, set-up of nodes, and jobs on removed nodes."""

import os

from azure.mgmt.batchai import models
from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, NFS, SECRET, WORKSPACE, answers, auto_scale, client, cluster_parameters,
    enqueue, equal, file_server_parameters, files, job, job_in, last, manual, missing, names,
    refused, text, until, workspace_id)


def set_up(secret=SECRET, command="echo set up; echo $WHO $(echo -n $HIDDEN | wc -c)"):
    """A cluster whose setup task prints a line and writes a file on each node."""
    return cluster_parameters(auto_scale(0, 2), models.SetupTask(
        command_line=f"{command} > {NFS}/setup-$AZ_BATCHAI_NODE_ID",
        std_out_err_path_prefix=NFS,
        environment_variables=[models.EnvironmentVariable(name="WHO", value="me")],
        secrets=[models.EnvironmentVariableWithSecretValue(name="HIDDEN", value=secret)]))


@scenario("Clusters_Create", "Clusters_Get", "Clusters_ListByWorkspace",
          "Clusters_ListRemoteLoginInformation")
def clusters_are_there_before_their_nodes():
    """Creates a cluster without nodes, with setup task, secrets and a mounted file server. Defaults are
    filled in, secrets are returned by name, credentials are not returned."""
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    client.file_servers.create(GROUP, WORKSPACE, "nfs", file_server_parameters()).result()
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    answers.clear()
    client.clusters.create(GROUP, WORKSPACE, "cluster", set_up()).result()
    sent = [answer for answer in answers if answer.request.method == "PUT"]
    assert [answer.status_code for answer in sent] == [202] and sent[0].content == b"", sent
    wire = last()
    equal(client.clusters.get(GROUP, WORKSPACE, "CLUSTER").name, "cluster", "found in any case")
    equal(wire["id"], f"{workspace_id()}/clusters/cluster", "its id")
    equal(wire["type"], "Microsoft.BatchAI/workspaces/clusters", "its type")
    equal(set(wire), {"id", "name", "type", "properties"}, "a child has no location")
    properties = wire["properties"]
    absent = {"errors", "extensions"} & set(properties)
    assert not absent, f"what is empty is absent: {absent}"
    equal((properties["vmSize"], properties["vmPriority"]), ("STANDARD_D1", "lowpriority"), "nodes")
    equal(properties["scaleSettings"], {"autoScale": {
        "minimumNodeCount": 0, "maximumNodeCount": 2, "initialNodeCount": 0}}, "how many")
    equal(properties["virtualMachineConfiguration"], {"imageReference": {
        "publisher": "Canonical", "offer": "UbuntuServer", "sku": "16.04-LTS",
        "version": "latest"}}, "the default image")
    equal(properties["userAccountSettings"], {"adminUserName": "demoUser"}, "without its password")
    counts = properties["nodeStateCounts"]
    equal((set(counts.values()), len(counts), properties["currentNodeCount"]), ({0}, 5, 0), "nodes")
    equal(properties["nodeSetup"]["mountVolumes"], {"fileServers": [{
        "fileServer": {"id": f"{workspace_id()}/fileservers/nfs"}, "relativeMountPath": "nfs",
        "mountOptions": "rw"}]}, "what is mounted")
    task = properties["nodeSetup"]["setupTask"]
    equal(task["secrets"], [{"name": "HIDDEN"}], "a secret has a name only")
    equal(task["environmentVariables"], [{"name": "WHO", "value": "me"}], "variables in full")
    suffix = f"{client.config.subscription_id}/{GROUP}/workspaces/{WORKSPACE}/clusters/cluster/"
    assert task["stdOutErrPathSuffix"].startswith(suffix), task
    equal(names(client.clusters.list_by_workspace(GROUP, WORKSPACE)), ["cluster"], "it is listed")
    logins = list(client.clusters.list_remote_login_information(GROUP, WORKSPACE, "cluster"))
    equal((logins, last()), ([], {"value": []}), "no nodes, no logins")


@scenario()
def the_same_again_is_fine_and_another_is_a_conflict():
    """Repeats the PUT: the same body gets 200 and changes nothing, another body gets 409."""
    before = client.clusters.get(GROUP, WORKSPACE, "cluster") and last()
    answers.clear()
    client.clusters.create(GROUP, WORKSPACE, "cluster", set_up()).result()
    equal([answer.status_code for answer in answers if answer.request.method == "PUT"], [200],
          "no operation follows")
    client.clusters.create(GROUP, WORKSPACE, "cluster", set_up(secret="other-" + SECRET)).result()
    other = set_up()
    other.vm_size = "STANDARD_D2"
    for parameters in (other, set_up(command="true"), cluster_parameters(auto_scale(0, 2)),
                       cluster_parameters(auto_scale(0, 1))):
        refused(409, "ClusterExists", lambda: client.clusters.create(
            GROUP, WORKSPACE, "cluster", parameters).result())
    after = client.clusters.get(GROUP, WORKSPACE, "cluster") and last()
    for wire in (before, after):
        # The autoscaler may have run in between.
        wire["properties"].pop("allocationState"), wire["properties"].pop(
            "allocationStateTransitionTime")
    equal(after, before, "nothing has changed")


def cluster():
    """The cluster as JSON, after a check of its node counts."""
    client.clusters.get(GROUP, WORKSPACE, "cluster")
    wire = last()["properties"]
    assert sum(wire["nodeStateCounts"].values()) == wire["currentNodeCount"], wire
    return wire


def last_attempt_of(name):
    return (job(name) and last()["properties"])["extensions"]["attempts"][-1]


def steady_with(nodes, **counts):
    def look():
        wire = cluster()
        states = wire["nodeStateCounts"]
        matches = all(states[f"{state}NodeCount"] == count for state, count in counts.items())
        return matches and wire["currentNodeCount"] == nodes and (
            wire["allocationState"] == "steady")
    until(f"{nodes} nodes, steady, {counts}", look)


def share():
    """The directory of the file server on this machine."""
    client.file_servers.get(GROUP, WORKSPACE, "nfs")
    return last()["properties"]["extensions"]["localPath"]


def resize(settings):
    return client.clusters.update(GROUP, WORKSPACE, "cluster", scale_settings=settings)


@scenario()
def a_job_brings_up_a_node_and_it_leaves_afterwards():
    """Submits a job to a cluster without nodes. A node is launched, set up with the secret, runs
    the job, and is removed."""
    steady_with(0)
    enqueue("first", f"cat {NFS}/setup-$AZ_BATCHAI_NODE_ID")
    job_in("first", "succeeded")
    expected = f"me {len(SECRET)}\n"
    equal(text("first", "stdout.txt"), expected, "the setup task ran before, with its secret")
    task = cluster()["nodeSetup"]["setupTask"]
    logs = os.path.join(share(), task["stdOutErrPathSuffix"])
    node = last_attempt_of("first")["nodes"][0]
    with open(os.path.join(logs, f"stdout-{node}.txt")) as log:
        equal(log.read(), "set up\n", "what the setup task said, on this node")
    assert os.path.exists(os.path.join(logs, f"stderr-{node}.txt")), os.listdir(logs)
    steady_with(0)


@scenario("Clusters_Update")
def a_cluster_is_resized_by_hand():
    """PATCHes autoScale to manual and scales down. The old settings are removed, the node count follows,
    and each node has a login."""
    updated = resize(manual(2))
    wire = last()["properties"]
    equal(wire["scaleSettings"], {"manual": {
        "targetNodeCount": 2, "nodeDeallocationOption": "requeue"}}, "autoScale is gone")
    equal(updated.current_node_count, 0, "the new nodes come later")
    steady_with(2, idle=2)
    logins = list(client.clusters.list_remote_login_information(GROUP, WORKSPACE, "cluster"))
    assert len({login.node_id for login in logins}) == 2, last()
    assert all(login.ip_address and login.port for login in logins), last()
    assert all(login.node_id.endswith("-p") for login in logins), "low priority shows in the name"
    resize(manual(1))
    steady_with(1, idle=1)


@scenario()
def a_job_that_needs_more_nodes_waits_and_says_why():
    """Submits a job for two nodes to a cluster of one. It is queued and states what it waits
    for, until the cluster grows."""
    enqueue("wide", "true", node_count=2)
    waiting = until("it says why", lambda: (job("wide") and last()["properties"]).get(
        "extensions", {}).get("waitingReason"))
    equal(set(waiting), {"code", "message", "since"}, "what it says")
    assert "2 node" in waiting["message"] and "targetNodeCount" in waiting["message"], waiting
    equal(job("wide").execution_state, "queued", "it waits")
    resize(manual(2))
    job_in("wide", "succeeded")


@scenario()
def a_busy_node_is_given_up_as_the_settings_say():
    """Shrinks a cluster whose nodes are all busy. One job is requeued and runs again."""
    command = "[ $AZ_BATCHAI_ATTEMPT -gt 1 ] || sleep 600"
    enqueue("a", command), enqueue("b", command)
    job_in("a", "running"), job_in("b", "running")
    steady_with(2, running=2)
    resize(manual(1))
    requeued = until("one goes back into the queue", lambda: next(
        (name for name in ("a", "b") if job(name).execution_state == "queued"), None))
    stays = {"a": "b", "b": "a"}[requeued]
    assert job(stays).execution_state == "running", "the other one runs on"
    client.jobs.terminate(GROUP, WORKSPACE, EXPERIMENT, stays).result()
    job_in(requeued, "succeeded")
    attempts = last()["properties"]["extensions"]["attempts"]
    assert [attempt["number"] for attempt in attempts] == [1, 2], attempts
    steady_with(1, idle=1)


@scenario()
def back_to_automatic():
    """PATCHes manual to autoScale. manual is removed, nodes are removed, and launched for a job."""
    resize(auto_scale(0, 2))
    equal(last()["properties"]["scaleSettings"], {"autoScale": {
        "minimumNodeCount": 0, "maximumNodeCount": 2, "initialNodeCount": 0}}, "manual is gone")
    steady_with(0)
    enqueue("again", "true", node_count=2)
    job_in("again", "succeeded")
    steady_with(0)


@scenario()
def a_failing_setup_task_shows_on_the_cluster():
    """Creates a cluster whose setup task fails. The cluster has an error, and no node is idle."""
    setup = models.SetupTask(command_line="echo broken; exit 5", std_out_err_path_prefix=NFS)
    parameters = cluster_parameters(manual(1), setup)
    client.clusters.create(GROUP, WORKSPACE, "broken", parameters).result()
    def look():
        found = client.clusters.get(GROUP, WORKSPACE, "broken")
        return found if found.errors else None
    found = until("the failure shows", look)
    assert found.errors[0].code == "SetupTaskFailed", last()
    assert found.node_state_counts.idle_node_count == 0, last()
    client.clusters.delete(GROUP, WORKSPACE, "broken").result()


@scenario("Clusters_Delete")
def a_cluster_is_deleted_and_its_jobs_fail():
    """Deletes a cluster with a running and a queued job. It is `deleting`, then removed; both
    jobs fail with a reason, and their output can still be read."""
    resize(manual(1))
    command = "trap 'echo bye; sleep 1; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    enqueue("runs", command)
    until("it runs", lambda: "stdout.txt" in names(files("runs"))
          and text("runs", "stdout.txt") == "begun\n")
    enqueue("waits", "echo never")
    equal(job("waits").execution_state, "queued", "there is one node")
    poller = client.clusters.delete(GROUP, WORKSPACE, "cluster")
    equal(cluster()["provisioningState"], "deleting", "while its nodes end")
    listed = {item.name: item for item in client.clusters.list_by_workspace(GROUP, WORKSPACE)}
    equal(listed["cluster"].provisioning_state, "deleting", "it is listed as long")
    poller.result()
    missing("ClusterNotFound", "cluster",
            lambda: client.clusters.get(GROUP, WORKSPACE, "cluster"))
    equal(names(client.clusters.list_by_workspace(GROUP, WORKSPACE)), [], "it is gone")
    for name in ("runs", "waits"):
        ended = job(name)
        equal(ended.execution_state, "failed", f"{name}, when the operation has ended")
        info = last()["properties"]["executionInfo"]
        assert "exitCode" not in info and info["startTime"] <= info["endTime"], info
        equal([error["code"] for error in info["errors"]], ["ClusterDeleted"], f"{name} says why")
    equal(text("runs", "stdout.txt"), "begun\nbye\n", "files are the user's: they stay")
    # Deleting a missing cluster succeeds.
    client.clusters.delete(GROUP, WORKSPACE, "cluster").result()
