"""Termination and deletion of jobs, and the order in which they start."""

from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, NFS, WORKSPACE, answers, auto_scale, client, enqueue, equal, files, job,
    job_in, last, missing, names, prepare, submit, text, until)


@scenario()
def everything_is_made():
    """Creates workspace, file server, a cluster of one node, and an experiment."""
    prepare(auto_scale(0, 1))


def terminate(name):
    return client.jobs.terminate(GROUP, WORKSPACE, EXPERIMENT, name).result()


def delete(name):
    return client.jobs.delete(GROUP, WORKSPACE, EXPERIMENT, name).result()


def ended_by_the_user(name):
    wire = client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, name) and last()["properties"]
    assert wire["executionState"] == "failed", f"when the operation ends, so has the job: {wire}"
    info = wire["executionInfo"]
    assert "exitCode" not in info, info
    assert info["errors"] == [{
        "code": "JobTerminated",
        "message": "The specified job has been terminated by the user"}], info
    assert info["startTime"] <= info["endTime"], info


@scenario("Jobs_Terminate")
def a_running_job_is_terminated():
    """Terminates a running job. It writes a last line; after the operation, it has failed."""
    enqueue("running", "trap 'echo bye; exit 0' TERM; echo begun; while :; do sleep 0.05; done")
    until("it runs", lambda: "stdout.txt" in names(files("running"))
          and text("running", "stdout.txt") == "begun\n")
    wire = job("running") and last()["properties"]
    assert set(wire["executionInfo"]) == {"startTime"}, wire
    assert wire["executionStateTransitionTime"] == wire["executionInfo"]["startTime"], wire
    terminate("running")
    ended_by_the_user("running")
    assert text("running", "stdout.txt") == "begun\nbye\n", "it could say a last word"


@scenario()
def a_queued_job_is_terminated():
    """Terminates a queued job. It has failed, with a start and an end, and never ran."""
    enqueue("blocks", f"until [ -e {NFS}/go ]; do sleep 0.05; done")
    job_in("blocks", "running")
    enqueue("queued", "echo never")
    wire = job("queued") and last()["properties"]
    assert wire["executionState"] == "queued" and "executionInfo" not in wire, wire
    assert wire["extensions"]["waitingReason"], "it says what it waits for"
    terminate("queued")
    ended_by_the_user("queued")
    assert files("queued") == [], "it never ran"


@scenario("Jobs_Delete")
def a_queued_job_is_deleted():
    """Deletes a queued job. It is removed."""
    enqueue("forgotten", "echo never")
    delete("forgotten")
    missing("JobNotFound", "forgotten", lambda: job("forgotten"))


@scenario()
def priority_goes_before_age():
    """Fills the queue of a busy node. The jobs start by priority, then by age."""
    """Submits while the only node is busy; each job then writes its start time."""
    for name, priority in [("old-low", "low"), ("old-normal", "normal"), ("new-normal", "normal"),
                           ("new-high", "high")]:
        enqueue(name, f"echo {name} >> {NFS}/order", scheduling_priority=priority)
    for name in ("old-low", "old-normal", "new-normal", "new-high"):
        assert job(name).execution_state == "queued", last()
    terminate("blocks")
    for name in ("old-low", "old-normal", "new-normal", "new-high"):
        job_in(name, "succeeded")
    submit("reads", f"cat {NFS}/order")
    job_in("reads", "succeeded")
    order = text("reads", "stdout.txt").split()
    assert order == ["new-high", "old-normal", "new-normal", "old-low"], order


@scenario()
def a_finished_job_is_terminated_without_effect():
    """Terminates a job that has ended: 200, no operation, nothing changes."""
    before = job("reads") and last()
    answers.clear()
    terminate("reads")
    assert [answer.status_code for answer in answers] == [200], "no operation follows"
    assert answers[0].content == b"" and "Azure-AsyncOperation" not in answers[0].headers
    assert (job("reads") and last()) == before, "state and times are the same"


@scenario()
def a_running_job_is_deleted_with_its_processes():
    """Deletes a running job. After the operation, its processes have ended."""
    enqueue("doomed", f"echo $$ > {NFS}/pid; echo noted; sleep 600")
    until("it runs", lambda: "stdout.txt" in names(files("doomed"))
          and text("doomed", "stdout.txt") == "noted\n")
    delete("doomed")
    missing("JobNotFound", "doomed", lambda: job("doomed"))
    enqueue("looks", f"kill -0 $(cat {NFS}/pid)")
    equal(job_in("looks", "failed").execution_info.exit_code, 1, "kill, as its process is gone")


@scenario("Experiments_Delete")
def an_experiment_goes_with_its_jobs():
    """Deletes an experiment with a running and a queued job. The cluster is unchanged."""
    enqueue("last", "sleep 600")
    job_in("last", "running")
    enqueue("behind", "sleep 600")
    client.experiments.delete(GROUP, WORKSPACE, EXPERIMENT).result()
    missing("ExperimentNotFound", EXPERIMENT, lambda: job("last"))
    assert client.clusters.get(GROUP, WORKSPACE, "cluster").provisioning_state == "succeeded"
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    assert names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT)) == []


@scenario("Workspaces_Delete")
def a_workspace_goes_with_all_it_holds():
    """Deletes a workspace with a running and a queued job. Nothing is left of it."""
    enqueue("last", "sleep 600")
    job_in("last", "running")
    enqueue("behind", "sleep 600")
    client.workspaces.delete(GROUP, WORKSPACE).result()
    missing("WorkspaceNotFound", WORKSPACE, lambda: client.workspaces.get(GROUP, WORKSPACE))
    assert names(client.workspaces.list()) == []

