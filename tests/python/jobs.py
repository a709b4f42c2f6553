"""Jobs that run to their end: what they get, what they leave, how they fail."""

from azure.mgmt.batchai import models
from scenarios import (
    EXPERIMENT, GROUP, NFS, SECRET, WORKSPACE, client, files, job, job_in, last, names, plain,
    prepare, submit, text)


def everything_is_made():
    prepare()


def a_job_runs_and_succeeds():
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


def a_failing_job_has_its_exit_code():
    submit("fails", "echo before; exit 3; echo after")
    ended = job_in("fails", "failed")
    info = last()["properties"]["executionInfo"]
    assert info["exitCode"] == 3, info
    assert info["errors"] == [
        {"code": "JobFailed", "message": "Job failed with non-zero exit code"}], info
    assert ended.execution_info.errors[0].code == "JobFailed"
    assert text("fails", "stdout.txt") == "before\n"


def a_killed_job_has_the_code_of_its_signal():
    submit("killed", "kill -9 $$")
    assert job_in("killed", "failed").execution_info.exit_code == 137, last()


def directories_variables_and_secrets_reach_the_job():
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
    import hashlib
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


def a_failed_preparation_ends_the_job():
    submit("unprepared", "echo never",
           job_preparation=models.JobPreparation(command_line="echo trying; exit 9"))
    job_in("unprepared", "failed")
    info = last()["properties"]["executionInfo"]
    assert info["exitCode"] == 9, info
    assert info["errors"] == [{
        "code": "JobPreparationFailed",
        "message": "Job preparation task failed with non-zero exit code"}], info
    assert text("unprepared", "stdout-job_prep.txt") == "trying\n"
    assert "stdout.txt" not in names(files("unprepared")), "the command never ran"


def time_is_limited():
    limit = models.JobBasePropertiesConstraints(max_wall_clock_time="PT1S")
    submit("slow", "echo begun; sleep 60", constraints=limit)
    assert last()["properties"]["constraints"] == {"maxWallClockTime": "PT1S"}, last()
    job_in("slow", "failed")
    info = last()["properties"]["executionInfo"]
    assert info["errors"][0]["code"] == "JobMaxWallClockTimeExceeded", info
    assert "exitCode" not in info, info
    assert text("slow", "stdout.txt") == "begun\n"


def a_file_server_can_be_mounted_by_a_job():
    server = client.file_servers.get(GROUP, WORKSPACE, "nfs")
    mounts = models.MountVolumes(file_servers=[models.FileServerReference(
        file_server=models.ResourceId(id=server.id), relative_mount_path="mine",
        source_directory="data")])
    submit("mounts", "cat $AZ_BATCHAI_JOB_MOUNT_ROOT/mine/number", mount_volumes=mounts)
    job_in("mounts", "succeeded")
    assert text("mounts", "stdout.txt") == "42\n", "the directory that an earlier job filled"
    submit("after", "ls $(dirname $AZ_BATCHAI_JOB_TEMP)/mounts/mounts/mine/number")
    assert job_in("after", "failed").execution_info.exit_code == 2, "mounts go with their job"


def a_name_is_used_once():
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


def ended_jobs_are_deleted_and_names_come_free():
    segment = job("first").job_output_directory_path_segment
    client.jobs.delete(GROUP, WORKSPACE, EXPERIMENT, "first").result()
    listed = names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT))
    assert "first" not in listed, listed
    submit("first", f"cat {NFS}/{segment}/stdouterr/stdout.txt")
    job_in("first", "succeeded")
    assert job("first").job_output_directory_path_segment != segment, "a new place for output"
    assert text("first", "stdout.txt") == "hi\n", "files are the user's: they stay"


SCENARIOS = [
    everything_is_made,
    a_job_runs_and_succeeds,
    a_failing_job_has_its_exit_code,
    a_killed_job_has_the_code_of_its_signal,
    directories_variables_and_secrets_reach_the_job,
    a_failed_preparation_ends_the_job,
    time_is_limited,
    a_file_server_can_be_mounted_by_a_job,
    a_name_is_used_once,
    ended_jobs_are_deleted_and_names_come_free,
]
