"""A notebook of the recipes, from its first cell to its last, like their helpers: create everything,
submit, and print the log while polling the state of the job."""

import os
import time

import requests
from azure.mgmt.batchai import models
from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, NFS, TIMEOUT_SECONDS, WORKSPACE, auto_scale, client, cluster_parameters,
    equal, file_server_parameters, files, last, manual, missing, names)

POLLING_INTERVAL_SECONDS = 0.2

# Prints for three seconds. Each line is written in two parts, split inside a character.
TRAIN = """
import sys, time
for step in range(60):
    line = f"step {step}: loss żółć ≤ {1 / (step + 1):.3f} 😀\\n".encode()
    for piece in (line[:-3], line[-3:]):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        time.sleep(0.025)
with open(sys.argv[1] + "/model.txt", "w") as model:
    model.write("trained")
"""


class OutputStreamer:
    """Follows an output file, like `tail -f`."""

    def __init__(self, job_name, directory, file_name):
        self.where = (GROUP, WORKSPACE, EXPERIMENT, job_name)
        self.options = models.JobsListOutputFilesOptions(outputdirectoryid=directory)
        self.file_name = file_name
        self.url = None
        self.downloaded = 0
        self.chunks = []

    def process_output(self):
        """Reads the next part; returns whether there was one."""
        if self.url is None:
            found = client.jobs.list_output_files(*self.where, self.options)
            self.url = next((f.download_url for f in found if f.name == self.file_name), None)
            if self.url is None:
                return False
        answer = requests.get(self.url, headers={"Range": f"bytes={self.downloaded}-"},
                              timeout=TIMEOUT_SECONDS)
        assert "Authorization" not in answer.request.headers, "the link is the permission"
        if answer.status_code == 416:
            return False
        equal(answer.status_code, 206, "a range is never ignored")
        self.downloaded += len(answer.content)
        # Decoded separately: no part may end inside a character.
        self.chunks.append(answer.content.decode("utf-8"))
        return bool(answer.content)


def wait_for_job_completion(name, file_name="stdout.txt"):
    """Reads the file, then the state; after the final state, reads the rest of the file, which must
    be complete. Returns the job, the text, and the states in which text arrived."""
    streamer, states = OutputStreamer(name, "stdouterr", file_name), []
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        came = streamer.process_output()
        job = client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, name)
        if came:
            states.append(job.execution_state)
        if job.execution_state in ("succeeded", "failed"):
            break
        assert time.monotonic() < deadline, f"{name} does not end: {last()}"
        time.sleep(POLLING_INTERVAL_SECONDS)
    streamer.process_output()
    return job, streamer, states


@scenario("Workspaces_Create", "FileServers_Create", "Clusters_Create", "Clusters_Get")
def compute_and_storage_are_made():
    """Creates workspace, file server and a cluster of one node, and polls until the node is idle."""
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    server = client.file_servers.create(
        GROUP, WORKSPACE, "nfs", file_server_parameters()).result()
    assert server.mount_settings.mount_point and server.mount_settings.file_server_public_ip, last()
    client.clusters.create(GROUP, WORKSPACE, "cluster", cluster_parameters(manual(1))).result()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        cluster = client.clusters.get(GROUP, WORKSPACE, "cluster")
        assert not cluster.errors, f"the notebook prints errors and stops: {last()}"
        counts = cluster.node_state_counts
        if cluster.allocation_state == "steady" and counts.idle_node_count == 1:
            break
        assert time.monotonic() < deadline, f"the node does not come: {last()}"
        time.sleep(POLLING_INTERVAL_SECONDS)


@scenario("Experiments_Create", "Jobs_Create", "Jobs_Get", "Jobs_ListOutputFiles")
def a_log_is_streamed_while_the_job_runs():
    """Copies a script to the file server, submits it, and reads its log in ranges while it runs. Text
    arrives before the end, each part is valid text, and together the parts are the file."""
    client.file_servers.get(GROUP, WORKSPACE, "nfs")
    share = last()["properties"]["extensions"]["localPath"]
    os.mkdir(f"{share}/scripts")
    with open(f"{share}/scripts/train.py", "w") as script:
        script.write(TRAIN)
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    parameters = models.JobCreateParameters(
        cluster=models.ResourceId(id=client.clusters.get(GROUP, WORKSPACE, "cluster").id),
        node_count=1,
        std_out_err_path_prefix=NFS,
        input_directories=[models.InputDirectory(id="SCRIPT", path=f"{NFS}/scripts")],
        output_directories=[models.OutputDirectory(
            id="MODEL", path_prefix=NFS, path_suffix="Models")],
        custom_toolkit_settings=models.CustomToolkitSettings(
            command_line="python3 $AZ_BATCHAI_INPUT_SCRIPT/train.py $AZ_BATCHAI_OUTPUT_MODEL"))
    client.jobs.create(GROUP, WORKSPACE, EXPERIMENT, "train", parameters).result()
    job, streamer, states = wait_for_job_completion("train")
    equal((job.execution_state, job.execution_info.exit_code), ("succeeded", 0), "its end")
    equal(job.execution_info.errors, None, "no errors")
    assert states.count("running") >= 5, f"chunks came while it ran: {states}"
    whole = requests.get(streamer.url, timeout=TIMEOUT_SECONDS)
    equal(whole.status_code, 200, "the whole file")
    equal("".join(streamer.chunks), whole.content.decode(), "everything came, and once")
    equal(whole.content.decode().count("😀\n"), 60, "lines")


@scenario()
def the_model_is_downloaded():
    """Lists the output directory and downloads the model, without a token."""
    found = files("train", "MODEL")
    equal(names(found), ["model.txt"], "what it left")
    equal(found[0].content_length, 7, "its size")
    answer = requests.get(found[0].download_url, timeout=TIMEOUT_SECONDS)
    equal((answer.status_code, answer.content), (200, b"trained"), "the model")


@scenario("Jobs_Terminate")
def a_failed_job_always_says_why():
    """Waits for jobs that fail and that are terminated. The helper iterates over `errors`
    without a check, so the field must be present."""
    parameters = models.JobCreateParameters(
        node_count=1, std_out_err_path_prefix=NFS,
        cluster=models.ResourceId(id=client.clusters.get(GROUP, WORKSPACE, "cluster").id),
        custom_toolkit_settings=models.CustomToolkitSettings(command_line="echo ä; exit 7"))
    client.jobs.create(GROUP, WORKSPACE, EXPERIMENT, "fails", parameters, polling=False)
    job, streamer, _ = wait_for_job_completion("fails")
    equal([error.code for error in job.execution_info.errors], ["JobFailed"], "why")
    equal((job.execution_info.exit_code, "".join(streamer.chunks)), (7, "ä\n"), "how it ended")
    parameters.custom_toolkit_settings.command_line = "sleep 600"
    client.jobs.create(GROUP, WORKSPACE, EXPERIMENT, "ended", parameters, polling=False)
    client.jobs.terminate(GROUP, WORKSPACE, EXPERIMENT, "ended").result()
    job, _, _ = wait_for_job_completion("ended")
    equal([error.code for error in job.execution_info.errors], ["JobTerminated"], "why")


@scenario("Clusters_Update", "Jobs_Delete", "Clusters_Delete", "FileServers_Delete",
          "Workspaces_Delete")
def everything_is_cleaned_up():
    """The last cells: delete the job, scale down, delete cluster, file server and workspace."""
    client.jobs.delete(GROUP, WORKSPACE, EXPERIMENT, "train").result()
    missing("JobNotFound", "train",
            lambda: client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, "train"))
    client.clusters.update(GROUP, WORKSPACE, "cluster", scale_settings=auto_scale(0, 1))
    client.clusters.delete(GROUP, WORKSPACE, "cluster").result()
    client.file_servers.delete(GROUP, WORKSPACE, "nfs").result()
    client.workspaces.delete(GROUP, WORKSPACE).result()
    equal(names(client.workspaces.list()), [], "nothing is left")
