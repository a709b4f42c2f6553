"""Nodes: how many there are, how they are set up, and jobs that need several."""

from azure.mgmt.batchai import models
from scenarios import (
    EXPERIMENT, GROUP, NFS, SECRET, WORKSPACE, auto_scale, client, cluster_parameters, files, job,
    job_in, last, manual, names, prepare, submit, text, until)


def everything_is_made():
    setup = models.SetupTask(
        command_line=f"echo $WHO $(echo -n $HIDDEN | wc -c) > {NFS}/setup-$AZ_BATCHAI_NODE_ID",
        std_out_err_path_prefix=NFS,
        environment_variables=[models.EnvironmentVariable(name="WHO", value="me")],
        secrets=[models.EnvironmentVariableWithSecretValue(name="HIDDEN", value=SECRET)])
    prepare(auto_scale(0, 2), setup)
    task = last() and client.clusters.get(GROUP, WORKSPACE, "cluster") and last()
    task = task["properties"]["nodeSetup"]["setupTask"]
    assert task["secrets"] == [{"name": "HIDDEN"}], task
    assert task["stdOutErrPathSuffix"].startswith(
        f"{client.config.subscription_id}/{GROUP}/workspaces/{WORKSPACE}/clusters/cluster/"), task


def cluster():
    """As it is on the wire, with the rule of the counts checked."""
    client.clusters.get(GROUP, WORKSPACE, "cluster")
    wire = last()["properties"]
    assert sum(wire["nodeStateCounts"].values()) == wire["currentNodeCount"], wire
    return wire


def steady_with(nodes, **counts):
    def look():
        wire = cluster()
        states = wire["nodeStateCounts"]
        matches = all(states[f"{state}NodeCount"] == count for state, count in counts.items())
        return matches and wire["currentNodeCount"] == nodes and (
            wire["allocationState"] == "steady")
    until(f"{nodes} nodes, steady, {counts}", look)


def resize(settings):
    return client.clusters.update(GROUP, WORKSPACE, "cluster", scale_settings=settings)


def a_job_brings_up_a_node_and_it_leaves_afterwards():
    steady_with(0)
    submit("first", f"cat {NFS}/setup-$AZ_BATCHAI_NODE_ID")
    job_in("first", "succeeded")
    expected = f"me {len(SECRET)}\n"
    assert text("first", "stdout.txt") == expected, "the setup task ran before, with its secret"
    steady_with(0)


def a_cluster_is_resized_by_hand():
    updated = resize(manual(2))
    wire = last()["properties"]
    assert wire["scaleSettings"] == {"manual": {
        "targetNodeCount": 2, "nodeDeallocationOption": "requeue"}}, "autoScale is gone"
    assert updated.current_node_count == 0, "the new nodes come later"
    steady_with(2, idle=2)
    logins = list(client.clusters.list_remote_login_information(GROUP, WORKSPACE, "cluster"))
    assert len({login.node_id for login in logins}) == 2, last()
    assert all(login.ip_address and login.port for login in logins), last()
    assert all(login.node_id.endswith("-p") for login in logins), "low priority shows in the name"
    resize(manual(1))
    steady_with(1, idle=1)


def a_job_that_needs_more_nodes_waits_and_says_why():
    submit("gang", "echo $AZ_BATCH_HOST_LIST; cat $AZ_BATCHAI_MPI_HOST_FILE", node_count=2,
           job_preparation=models.JobPreparation(command_line="echo $AZ_BATCHAI_NODE_ID"))
    waiting = until("it says why", lambda: (job("gang") and last()["properties"]).get(
        "extensions", {}).get("waitingReason"))
    assert "2 node" in waiting and "targetNodeCount" in waiting, waiting
    assert job("gang").execution_state == "queued"
    resize(manual(2))


def a_gang_runs_on_all_its_nodes():
    job_in("gang", "succeeded")
    nodes = [login.node_id for login in client.jobs.list_remote_login_information(
        GROUP, WORKSPACE, EXPERIMENT, "gang")]
    assert len(set(nodes)) == 2, nodes
    listed = names(files("gang"))
    expected = sorted([f"execution-{node}.log" for node in nodes]
                      + [f"stdout-job_prep-{node}.txt" for node in nodes]
                      + [f"stderr-job_prep-{node}.txt" for node in nodes]
                      + ["stdout.txt", "stderr.txt"])
    assert listed == expected, f"a log of each node, one standard output: {listed}"
    for node in nodes:
        assert text("gang", f"stdout-job_prep-{node}.txt") == f"{node}\n"
    lines = text("gang", "stdout.txt").splitlines()
    hosts = lines[0].split(",")
    assert len(set(hosts)) == 2, lines
    assert [line.split()[0] for line in lines[1:]] == hosts, "the host file has the same hosts"


def a_busy_node_is_given_up_as_the_settings_say():
    submit("a", "[ $AZ_BATCHAI_ATTEMPT -gt 1 ] || sleep 600")
    submit("b", "[ $AZ_BATCHAI_ATTEMPT -gt 1 ] || sleep 600")
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


def back_to_automatic():
    updated = resize(auto_scale(0, 2))
    assert updated.scale_settings.manual is None, last()
    steady_with(0)
    submit("again", "true", node_count=2)
    job_in("again", "succeeded")
    steady_with(0)


def a_failing_setup_task_shows_on_the_cluster():
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


SCENARIOS = [
    everything_is_made,
    a_job_brings_up_a_node_and_it_leaves_afterwards,
    a_cluster_is_resized_by_hand,
    a_job_that_needs_more_nodes_waits_and_says_why,
    a_gang_runs_on_all_its_nodes,
    a_busy_node_is_given_up_as_the_settings_say,
    back_to_automatic,
    a_failing_setup_task_shows_on_the_cluster,
]
