"""Shared by all scenarios: a client of the official SDK, and a check of every answer.

`_observe` checks all answers, to the SDK and to plain requests: fields without a value are absent
(there is no null), errors have a code and a message, and values of secrets are never returned.
"""

import json
import os
import time

import operations
import requests
from azure.mgmt.batchai import BatchAIManagementClient, models
from msrest.authentication import BasicTokenAuthentication
from msrestazure.azure_exceptions import CloudError

# Without a service, the scenarios can only be listed.
ENDPOINT = os.environ.get("BATCHAI_TEST_ENDPOINT", "http://127.0.0.1:0")
TOKEN = os.environ.get("BATCHAI_TEST_TOKEN", "none")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP, WORKSPACE, EXPERIMENT = "group", "work", "exp"
VERSION = "2018-05-01"

# The value of all secrets and passwords.
SECRET = "planted-secret-4c7b19"

TIMEOUT_SECONDS = 40

NFS = "$AZ_BATCHAI_MOUNT_ROOT/nfs"

answers = []


def _observe(response):
    text = response.content.decode("utf-8", "replace")
    answers.append(response)
    operations.observe(response)
    assert SECRET not in text, f"a secret in the answer to {response.request.url}: {text}"
    assert SECRET not in str(response.headers), f"a secret in a header of {response.request.url}"
    if text and "json" in response.headers.get("Content-Type", ""):
        body = json.loads(text)
        _refuse_nulls(body, response.request.url)
        if response.status_code >= 400:
            error = body["error"]
            assert error["code"] and error["message"], f"an error has code and message: {text}"
    return response


def _refuse_nulls(value, where):
    assert value is not None, f"null in the answer to {where}"
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_nulls(item, f"{where} {key}")
    elif isinstance(value, list):
        for item in value:
            _refuse_nulls(item, where)


_send = requests.Session.send
requests.Session.send = lambda self, request, **options: _observe(_send(self, request, **options))


def credentials(token=TOKEN):
    return BasicTokenAuthentication({"access_token": token})


def connect(token=TOKEN):
    return BatchAIManagementClient(credentials(token), SUBSCRIPTION, base_url=ENDPOINT)


client = connect()


def last():
    """The body of the last answer."""
    return answers[-1].json()


def describe(answer):
    """One line that describes an exchange."""
    request = answer.request
    sent = f" {request.body}" if request.body else ""
    got = answer.content.decode("utf-8", "replace")
    if len(got) > 1600:
        got = f"{got[:800]} ... {got[-800:]}"
    return f"{request.method} {request.url}{sent[:600]}\n  -> {answer.status_code} {got}"


def workspace_id(workspace=WORKSPACE, group=GROUP):
    return (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
            f"/providers/Microsoft.BatchAI/workspaces/{workspace}")


def url(path):
    """`path` below the workspace."""
    return f"{ENDPOINT}{workspace_id()}{path}?api-version={VERSION}"


def plain(method, path, **options):
    """A request without the SDK, with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
    return requests.request(method, url(path), headers=headers, timeout=TIMEOUT_SECONDS, **options)


def equal(found, expected, what):
    assert found == expected, f"{what}: expected {expected!r}, got {found!r}"


def until(what, look, pause=0.05):
    """Repeats a check until its result is true."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(pause)


def refused(status, code, call):
    """Expects `call` to fail with this error; returns the message."""
    try:
        result = call()
    except CloudError as error:
        got = (error.status_code, error.error.error)
        assert got == (status, code), f"expected {status} {code}, got {got}: {error.message}"
        assert error.message, "a refusal says why"
        return error.message
    raise AssertionError(f"expected {status} {code}, got {result}")


def missing(code, name, call):
    message = refused(404, code, call)
    expected = f"The specified {code_noun(code)} {name} is not found"
    assert message.startswith(expected), f"expected '{expected}', got '{message}'"


def code_noun(code):
    nouns = {"WorkspaceNotFound": "workspace", "ExperimentNotFound": "experiment",
             "JobNotFound": "job", "ClusterNotFound": "cluster",
             "FileServerNotFound": "file server"}
    return nouns[code]


def user():
    return models.UserAccountSettings(admin_user_name="demoUser", admin_user_password=SECRET)


def file_server_parameters(size=10):
    return models.FileServerCreateParameters(
        vm_size="STANDARD_D1",
        ssh_configuration=models.SshConfiguration(user_account_settings=user()),
        data_disks=models.DataDisks(
            disk_size_in_gb=size, disk_count=2, storage_account_type="Standard_LRS"))


def auto_scale(minimum, maximum):
    return models.ScaleSettings(auto_scale=models.AutoScaleSettings(
        minimum_node_count=minimum, maximum_node_count=maximum))


def manual(target):
    return models.ScaleSettings(manual=models.ManualScaleSettings(target_node_count=target))


def cluster_parameters(scale, setup_task=None, server="nfs"):
    """A cluster with one core per node, which mounts the file server, if any, as `nfs`."""
    mounts = None
    if server:
        server_id = client.file_servers.get(GROUP, WORKSPACE, server).id
        mounts = models.MountVolumes(file_servers=[models.FileServerReference(
            file_server=models.ResourceId(id=server_id), relative_mount_path="nfs",
            mount_options="rw")])
    needs_setup = mounts or setup_task
    setup = needs_setup and models.NodeSetup(mount_volumes=mounts, setup_task=setup_task)
    return models.ClusterCreateParameters(
        vm_size="STANDARD_D1", vm_priority="lowpriority", user_account_settings=user(),
        scale_settings=scale, node_setup=setup)


def prepare(scale=None, setup_task=None):
    """Creates workspace, file server, cluster and experiment."""
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    client.file_servers.create(GROUP, WORKSPACE, "nfs", file_server_parameters()).result()
    parameters = cluster_parameters(scale or auto_scale(0, 2), setup_task)
    client.clusters.create(GROUP, WORKSPACE, "cluster", parameters).result()
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()


def job_parameters(command, cluster="cluster", workspace=WORKSPACE, **more):
    cluster_id = client.clusters.get(GROUP, workspace, cluster).id
    more.setdefault("node_count", 1)
    more.setdefault("std_out_err_path_prefix", NFS)
    return models.JobCreateParameters(
        cluster=models.ResourceId(id=cluster_id),
        custom_toolkit_settings=models.CustomToolkitSettings(command_line=command), **more)


def submit(name, command, **more):
    """Waits for the operation, which takes at least a second with the SDK."""
    parameters = job_parameters(command, **more)
    return client.jobs.create(GROUP, WORKSPACE, EXPERIMENT, name, parameters).result()


def enqueue(name, command, **more):
    """Does not wait: a job is queued when its PUT is answered."""
    parameters = job_parameters(command, **more)
    client.jobs.create(GROUP, WORKSPACE, EXPERIMENT, name, parameters, polling=False)


def job(name):
    return client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, name)


def job_in(name, state):
    def look():
        current = job(name)
        ended = current.execution_state in ("succeeded", "failed")
        assert not ended or current.execution_state == state, (
            f"{name} is to be {state}: {last()}")
        return current if current.execution_state == state else None
    return until(f"{name} is {state}", look)


def files(name, directory="stdouterr", path="."):
    options = models.JobsListOutputFilesOptions(outputdirectoryid=directory, directory=path)
    return list(client.jobs.list_output_files(GROUP, WORKSPACE, EXPERIMENT, name, options))


def text(name, file, directory="stdouterr", path="."):
    """The content of an output file, downloaded without a token."""
    found = {entry.name: entry for entry in files(name, directory, path)}
    assert file in found, f"{name} has {sorted(found)} in {directory}, not {file}"
    response = requests.get(found[file].download_url, timeout=TIMEOUT_SECONDS)
    assert response.status_code == 200, f"{file} of {name}: {response.status_code}"
    assert "Authorization" not in response.request.headers
    return response.content.decode()


def names(resources):
    return [resource.name for resource in resources]
