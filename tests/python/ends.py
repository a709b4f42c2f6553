"""Ending jobs from outside, and the order in which they begin."""

from scenarios import (
    EXPERIMENT, GROUP, NFS, WORKSPACE, answers, auto_scale, client, files, job, job_in, last,
    missing, names, prepare, submit, text, until)


def everything_is_made():
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


def a_running_job_is_terminated():
    submit("running", "trap 'echo bye; exit 0' TERM; echo begun; while :; do sleep 0.05; done")
    until("it runs", lambda: "stdout.txt" in names(files("running"))
          and text("running", "stdout.txt") == "begun\n")
    wire = job("running") and last()["properties"]
    assert set(wire["executionInfo"]) == {"startTime"}, wire
    assert wire["executionStateTransitionTime"] == wire["executionInfo"]["startTime"], wire
    terminate("running")
    ended_by_the_user("running")
    assert text("running", "stdout.txt") == "begun\nbye\n", "it could say a last word"


def a_queued_job_is_terminated():
    submit("blocks", f"until [ -e {NFS}/go ]; do sleep 0.05; done")
    job_in("blocks", "running")
    submit("queued", "echo never")
    wire = job("queued") and last()["properties"]
    assert wire["executionState"] == "queued" and "executionInfo" not in wire, wire
    assert wire["extensions"]["waitingReason"], "it says what it waits for"
    terminate("queued")
    ended_by_the_user("queued")
    assert files("queued") == [], "it never ran"


def a_queued_job_is_deleted():
    submit("forgotten", "echo never")
    delete("forgotten")
    missing("JobNotFound", "forgotten", lambda: job("forgotten"))


def priority_goes_before_age():
    """While the one node is busy; then each notes when it begins."""
    for name, priority in [("old-low", "low"), ("old-normal", "normal"), ("new-normal", "normal"),
                           ("new-high", "high")]:
        submit(name, f"echo {name} >> {NFS}/order", scheduling_priority=priority)
    for name in ("old-low", "old-normal", "new-normal", "new-high"):
        assert job(name).execution_state == "queued", last()
    submit("opens", "true", scheduling_priority="low")
    path = job("blocks").job_output_directory_path_segment
    assert path
    terminate("blocks")
    for name in ("old-low", "old-normal", "new-normal", "new-high", "opens"):
        job_in(name, "succeeded")
    submit("reads", f"cat {NFS}/order")
    job_in("reads", "succeeded")
    order = text("reads", "stdout.txt").split()
    assert order == ["new-high", "old-normal", "new-normal", "old-low"], order


def a_finished_job_is_terminated_without_effect():
    before = job("reads") and last()
    answers.clear()
    terminate("reads")
    assert [answer.status_code for answer in answers] == [200], "no operation follows"
    assert answers[0].content == b"" and "Azure-AsyncOperation" not in answers[0].headers
    assert (job("reads") and last()) == before, "state and times are the same"


def a_running_job_is_deleted_with_its_processes():
    submit("doomed", f"echo $$ > {NFS}/pid; sleep 600")
    job_in("doomed", "running")
    until("it runs", lambda: names(files("doomed")).count("stdout.txt"))
    delete("doomed")
    missing("JobNotFound", "doomed", lambda: job("doomed"))
    submit("looks", f"kill -0 $(cat {NFS}/pid)")
    assert job_in("looks", "failed").execution_info.exit_code == 1, "its process is gone"


def an_experiment_goes_with_its_jobs():
    submit("last", "sleep 600")
    job_in("last", "running")
    submit("behind", "sleep 600")
    client.experiments.delete(GROUP, WORKSPACE, EXPERIMENT).result()
    missing("ExperimentNotFound", EXPERIMENT, lambda: job("last"))
    assert client.clusters.get(GROUP, WORKSPACE, "cluster").provisioning_state == "succeeded"
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    assert names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT)) == []


def a_workspace_goes_with_all_it_holds():
    submit("last", "sleep 600")
    job_in("last", "running")
    submit("behind", "sleep 600")
    client.workspaces.delete(GROUP, WORKSPACE).result()
    missing("WorkspaceNotFound", WORKSPACE, lambda: client.workspaces.get(GROUP, WORKSPACE))
    assert names(client.workspaces.list()) == []


SCENARIOS = [
    everything_is_made,
    a_running_job_is_terminated,
    a_queued_job_is_terminated,
    a_queued_job_is_deleted,
    priority_goes_before_age,
    a_finished_job_is_terminated_without_effect,
    a_running_job_is_deleted_with_its_processes,
    an_experiment_goes_with_its_jobs,
    a_workspace_goes_with_all_it_holds,
]
