"""Jobs that run to completion: environment, output, failures."""

import hashlib

from azure.mgmt.batchai import models
from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, NFS, SECRET, WORKSPACE, answers, client, enqueue, equal, files, job, job_in,
    last, names, plain, prepare, submit, text)


@scenario()
def everything_is_made():
    """Creates workspace, file server, a cluster of up to two nodes, and an experiment."""
    prepare()


@scenario("Jobs_Create", "Jobs_Get", "Jobs_ListOutputFiles")
def a_job_runs_and_succeeds():
    """Runs a job. Defaults are filled in, other fields are absent, the exit code is 0, and its output is
    in its standard output directory."""
    created = submit("first", "echo hi | tee $AZ_BATCHAI_STDOUTERR_DIR/copy; echo oops >&2")
    wire = last()["properties"]
    assert created.name == "first", last()
    assert last()["type"] == "Microsoft.BatchAI/workspaces/experiments/jobs", last()
    assert wire["experimentName"] == EXPERIMENT, wire
    assert wire["schedulingPriority"] == "normal" and wire["toolType"] == "custom", wire
    assert wire["constraints"] == {"maxWallClockTime": "P7D"}, wire
    assert wire["provisioningState"] == "succeeded", "an accepted job is provisioned"
    assert wire["jobOutputDirectoryPathSegment"].startswith(
        f"{client.config.subscription_id}/{GROUP}/workspaces/{WORKSPACE}"
        f"/experiments/{EXPERIMENT}/jobs/first/"), wire
    for absent in ("mountVolumes", "containerSettings", "jobPreparation", "inputDirectories",
                   "outputDirectories", "environmentVariables", "secrets"):
        assert absent not in wire, f"{absent} was not given: {wire}"
    if wire["executionState"] == "queued":
        assert "executionInfo" not in wire, wire
        assert wire["executionStateTransitionTime"] == wire["creationTime"], wire
    ended = job_in("first", "succeeded")
    wire = last()["properties"]
    info = wire["executionInfo"]
    assert info["exitCode"] == 0 and "errors" not in info, info
    assert wire["executionStateTransitionTime"] == info["endTime"], wire
    assert ended.execution_info.start_time <= ended.execution_info.end_time
    assert text("first", "stdout.txt") == "hi\n"
    assert text("first", "copy") == "hi\n"
    assert text("first", "stderr.txt") == "oops\n"
    listed = names(files("first"))
    assert listed == ["copy", "execution.log", "stderr.txt", "stdout.txt"], listed
    assert names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT)) == ["first"]


@scenario()
def a_failing_job_has_its_exit_code():
    """Runs a command that exits with 3. The job fails with this exit code and an error."""
    enqueue("fails", "echo before; exit 3; echo after")
    ended = job_in("fails", "failed")
    info = last()["properties"]["executionInfo"]
    assert info["exitCode"] == 3, info
    assert info["errors"] == [
        {"code": "JobFailed", "message": "Job failed with non-zero exit code"}], info
    assert ended.execution_info.errors[0].code == "JobFailed"
    assert text("fails", "stdout.txt") == "before\n"


@scenario()
def a_killed_job_has_the_code_of_its_signal():
    """Runs a command that is killed. The exit code is 128 + signal, as in a shell."""
    enqueue("killed", "kill -9 $$")
    assert job_in("killed", "failed").execution_info.exit_code == 137, last()


@scenario()
def directories_variables_and_secrets_reach_the_job():
    """Runs a job with preparation, directories, variables and secrets. It sees all of
    them; secrets are returned by name, and outputs are in their directories."""
    command = " && ".join([
        "cat $AZ_BATCHAI_INPUT_DATA/number",
        "echo $GREETING, $PLACE",
        "echo -n $HIDDEN | sha256sum | cut -c1-8",
        "echo model > $AZ_BATCHAI_OUTPUT_MODEL/model.txt",
        "mkdir $AZ_BATCHAI_OUTPUT_MODEL/deep && echo 1 > $AZ_BATCHAI_OUTPUT_MODEL/deep/er",
        "cat prepared",
    ])
    preparation = ("mkdir -p $AZ_BATCHAI_INPUT_DATA && echo 42 > $AZ_BATCHAI_INPUT_DATA/number"
                   " && test -d $AZ_BATCHAI_OUTPUT_MODEL && echo $GREETING $HIDDEN | wc -c"
                   " && echo prepared > prepared")
    submit(
        "full", command,
        job_preparation=models.JobPreparation(command_line=preparation),
        input_directories=[models.InputDirectory(id="DATA", path=NFS + "/data")],
        output_directories=[models.OutputDirectory(
            id="MODEL", path_prefix=NFS, path_suffix="models")],
        environment_variables=[
            models.EnvironmentVariable(name="GREETING", value="hello"),
            models.EnvironmentVariable(name="PLACE", value="$AZ_BATCHAI_NUM_GPUS gpus")],
        secrets=[models.EnvironmentVariableWithSecretValue(name="HIDDEN", value=SECRET)])
    wire = last()["properties"]
    assert wire["secrets"] == [{"name": "HIDDEN"}], "a secret has a name only"
    assert wire["environmentVariables"][0] == {"name": "GREETING", "value": "hello"}, wire
    assert wire["inputDirectories"] == [{"id": "DATA", "path": NFS + "/data"}], wire
    job_in("full", "succeeded")
    digest = hashlib.sha256(SECRET.encode()).hexdigest()[:8]
    lines = text("full", "stdout.txt").splitlines()
    assert lines[0] == "42" and lines[1].startswith("hello, ") and lines[2] == digest, lines
    assert lines[1].endswith("gpus") and "$" not in lines[1], "service variables are replaced"
    assert lines[3] == "prepared", f"preparation and job share a working directory: {lines}"
    expected = str(len(f"hello {SECRET}\n"))
    assert text("full", "stdout-job_prep.txt").strip() == expected, "the preparation has both"
    outputs = files("full", "MODEL")
    assert names(outputs) == ["deep", "model.txt"], names(outputs)
    assert outputs[0].file_type == "directory", outputs[0]
    directory = last()["value"][0]
    assert set(directory) == {"name", "fileType"}, directory
    file = last()["value"][1]
    assert set(file) == {"name", "fileType", "downloadUrl", "properties"}, file
    assert file["properties"]["contentLength"] == 6 and "." not in (
        file["properties"]["lastModified"]), f"whole seconds: {file}"
    assert text("full", "er", "MODEL", "deep") == "1\n"


@scenario()
def a_failed_preparation_ends_the_job():
    """Runs a job whose preparation fails. It has that exit code, and the command never ran."""
    enqueue("unprepared", "echo never",
           job_preparation=models.JobPreparation(command_line="echo trying; exit 9"))
    job_in("unprepared", "failed")
    info = last()["properties"]["executionInfo"]
    assert info["exitCode"] == 9, info
    assert info["errors"] == [{
        "code": "JobPreparationFailed",
        "message": "Job preparation task failed with non-zero exit code"}], info
    assert text("unprepared", "stdout-job_prep.txt") == "trying\n"
    assert "stdout.txt" not in names(files("unprepared")), "the command never ran"


@scenario()
def time_is_limited():
    """Runs a job beyond its wall clock time. It fails without an exit code."""
    limit = models.JobBasePropertiesConstraints(max_wall_clock_time="PT1S")
    submit("slow", "echo begun; sleep 60", constraints=limit)
    assert last()["properties"]["constraints"] == {"maxWallClockTime": "PT1S"}, last()
    job_in("slow", "failed")
    info = last()["properties"]["executionInfo"]
    assert info["errors"][0]["code"] == "JobMaxWallClockTimeExceeded", info
    assert "exitCode" not in info, info
    assert text("slow", "stdout.txt") == "begun\n"


@scenario()
def a_file_server_can_be_mounted_by_a_job():
    """Runs a job with a mount of its own. The mount exists for this job, but not for the next one."""
    server = client.file_servers.get(GROUP, WORKSPACE, "nfs")
    mounts = models.MountVolumes(file_servers=[models.FileServerReference(
        file_server=models.ResourceId(id=server.id), relative_mount_path="mine",
        source_directory="data")])
    enqueue("mounts", "cat $AZ_BATCHAI_JOB_MOUNT_ROOT/mine/number", mount_volumes=mounts)
    job_in("mounts", "succeeded")
    assert text("mounts", "stdout.txt") == "42\n", "the directory that an earlier job filled"
    enqueue("after", "ls $(dirname $AZ_BATCHAI_JOB_TEMP)/mounts/mounts/mine/number")
    assert job_in("after", "failed").execution_info.exit_code == 2, "mounts go with their job"


@scenario("Jobs_ListRemoteLoginInformation")
def a_gang_runs_on_all_its_nodes():
    """Runs a job on two nodes. The preparation runs on both, the command once; host list and host
    file name both nodes, and each node has a login and a log."""
    enqueue("gang", "echo $AZ_BATCH_HOST_LIST; cat $AZ_BATCHAI_MPI_HOST_FILE", node_count=2,
           job_preparation=models.JobPreparation(command_line="echo $AZ_BATCHAI_NODE_ID"))
    job_in("gang", "succeeded")
    logins = list(client.jobs.list_remote_login_information(
        GROUP, WORKSPACE, EXPERIMENT, "gang"))
    assert all(login.ip_address and login.port for login in logins), last()
    nodes = [login.node_id for login in logins]
    equal(len(set(nodes)), 2, f"the nodes that ran it: {nodes}")
    listed = names(files("gang"))
    expected = sorted([f"execution-{node}.log" for node in nodes]
                      + [f"stdout-job_prep-{node}.txt" for node in nodes]
                      + [f"stderr-job_prep-{node}.txt" for node in nodes]
                      + ["stdout.txt", "stderr.txt"])
    equal(listed, expected, "a log of each node, one standard output")
    for node in nodes:
        equal(text("gang", f"stdout-job_prep-{node}.txt"), f"{node}\n", "the preparation on it")
    lines = text("gang", "stdout.txt").splitlines()
    hosts = lines[0].split(",")
    equal(len(set(hosts)), 2, f"the host list: {lines}")
    equal([line.split()[0] for line in lines[1:]], hosts, "the host file has the same hosts")


@scenario("Jobs_ListByExperiment")
def jobs_are_listed_in_pages():
    """Lists the jobs, all at once and in pages of two. The SDK follows `nextLink`."""
    everything = names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT))
    assert len(everything) > 4, everything
    equal(everything, sorted(everything), "in order")
    assert "nextLink" not in last(), last()
    two = models.JobsListByExperimentOptions(max_results=2)
    answers.clear()
    found = list(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT, two))
    equal(names(found), everything, "each once, in order, over the pages")
    assert all(1 <= len(answer.json()["value"]) <= 2 for answer in answers), "pages of two"
    assert len(answers) >= len(everything) / 2, "pages of two"
    for answer in answers[:-1]:
        link = answer.json()["nextLink"]
        assert link.startswith("http") and "api-version=2018-05-01" in link, link
    single = next(item for item in found if item.name == "fails")
    equal(single.execution_info.exit_code, 3, "a list has the whole records")


@scenario()
def a_name_is_used_once():
    """Repeats the PUT of a job that has ended: the same body gets 200, another gets 409."""
    first = job("fails").creation_time
    again = plain("GET", f"/experiments/{EXPERIMENT}/jobs/fails").json()["properties"]
    body = {"properties": {
        "cluster": again["cluster"], "nodeCount": 1, "stdOutErrPathPrefix": NFS,
        "customToolkitSettings": {"commandLine": "echo other"}}}
    path = f"/experiments/{EXPERIMENT}/jobs/fails"
    answer = plain("PUT", path, json=body)
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"]["code"] == "JobExists", answer.text
    body["properties"]["customToolkitSettings"] = again["customToolkitSettings"]
    answer = plain("PUT", path, json=body)
    assert answer.status_code == 200, f"the same again is fine: {answer.text}"
    assert job("fails").creation_time == first and job("fails").execution_state == "failed"


@scenario("Jobs_Delete")
def ended_jobs_are_deleted_and_names_come_free():
    """Deletes a job and creates one with its name, which has a new directory; the old files stay."""
    segment = job("first").job_output_directory_path_segment
    client.jobs.delete(GROUP, WORKSPACE, EXPERIMENT, "first").result()
    listed = names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT))
    assert "first" not in listed, listed
    submit("first", f"cat {NFS}/{segment}/stdouterr/stdout.txt")
    job_in("first", "succeeded")
    assert job("first").job_output_directory_path_segment != segment, "a new place for output"
    assert text("first", "stdout.txt") == "hi\n", "files are the user's: they stay"

