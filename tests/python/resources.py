"""Workspaces, file servers, clusters, experiments: their lives, and what is refused."""

import re

import requests
from azure.mgmt.batchai import models
from msrestazure.azure_exceptions import CloudError
from scenarios import (
    EXPERIMENT, GROUP, TOKEN, VERSION, WORKSPACE, auto_scale, client, cluster_parameters, connect,
    file_server_parameters, job_parameters, last, manual, missing, names, plain, refused, url)

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$")


def workspaces_are_made_once_and_listed():
    workspace = client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    wire = last()
    assert "tags" not in wire, f"no tags were given: {wire}"
    assert wire["type"] == "Microsoft.BatchAI/workspaces", wire
    assert wire["location"] == "eastus", wire
    assert set(wire["properties"]) == {
        "provisioningState", "provisioningStateTransitionTime", "creationTime"}, wire
    assert wire["properties"]["provisioningState"] == "succeeded", wire
    assert TIME.match(wire["properties"]["creationTime"]), wire
    again = client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    assert again.creation_time == workspace.creation_time, "a repeated PUT changes nothing"
    client.workspaces.create(GROUP, "other", "eastus", tags={"a": "b"}).result()
    assert names(client.workspaces.list_by_resource_group(GROUP)) == ["other", WORKSPACE]
    assert sorted(names(client.workspaces.list())) == ["other", WORKSPACE]
    assert names(client.workspaces.list_by_resource_group("empty")) == []
    assert last() == {"value": []}, f"an empty list has no nextLink: {last()}"
    updated = client.workspaces.update(GROUP, "other", tags={"c": "d"})
    assert updated.tags == {"c": "d"}, "PATCH replaces the tags"
    client.workspaces.delete(GROUP, "other").result()
    missing("WorkspaceNotFound", "other", lambda: client.workspaces.get(GROUP, "other"))
    assert names(client.workspaces.list_by_resource_group(GROUP)) == [WORKSPACE]


def file_servers_are_usable_when_their_operation_ends():
    server = client.file_servers.create(
        GROUP, WORKSPACE, "nfs", file_server_parameters()).result()
    wire = last()
    assert "/fileservers/nfs" in server.id and wire["type"].endswith("/fileservers"), wire
    assert "location" not in wire, f"children have no location: {wire}"
    assert server.provisioning_state == "succeeded", wire
    settings = wire["properties"]["mountSettings"]
    for field in ("mountPoint", "fileServerPublicIP", "fileServerInternalIP"):
        assert settings[field], f"the CLI needs {field}: {wire}"
    assert wire["properties"]["dataDisks"]["cachingType"] == "none", wire
    account = wire["properties"]["sshConfiguration"]["userAccountSettings"]
    assert account == {"adminUserName": "demoUser"}, f"no password: {wire}"
    assert names(client.file_servers.list_by_workspace(GROUP, WORKSPACE)) == ["nfs"]


def clusters_are_there_before_their_nodes():
    parameters = cluster_parameters(auto_scale(0, 2))
    client.clusters.create(GROUP, WORKSPACE, "cluster", parameters).result()
    wire = last()
    properties = wire["properties"]
    assert wire["type"] == "Microsoft.BatchAI/workspaces/clusters", wire
    assert properties["vmPriority"] == "lowpriority", wire
    assert properties["vmSize"] == "STANDARD_D1", wire
    assert properties["scaleSettings"]["autoScale"]["initialNodeCount"] == 0, wire
    image = properties["virtualMachineConfiguration"]["imageReference"]
    assert image["publisher"] == "Canonical", wire
    assert properties["userAccountSettings"] == {"adminUserName": "demoUser"}, wire
    assert "errors" not in properties, f"no errors, no field: {wire}"
    counts = properties["nodeStateCounts"]
    assert sum(counts.values()) == properties["currentNodeCount"] == 0, wire
    mount = properties["nodeSetup"]["mountVolumes"]["fileServers"][0]
    assert mount["relativeMountPath"] == "nfs" and mount["mountOptions"] == "rw", wire
    assert names(client.clusters.list_by_workspace(GROUP, WORKSPACE)) == ["cluster"]
    logins = list(client.clusters.list_remote_login_information(GROUP, WORKSPACE, "cluster"))
    assert logins == [] and last() == {"value": []}, "no nodes, no logins"


def experiments_need_no_body():
    experiment = client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    again = client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    assert again.creation_time == experiment.creation_time
    assert names(client.experiments.list_by_workspace(GROUP, WORKSPACE)) == [EXPERIMENT]
    assert names(client.jobs.list_by_experiment(GROUP, WORKSPACE, EXPERIMENT)) == []


def what_is_missing_is_named():
    missing("WorkspaceNotFound", "no", lambda: client.workspaces.get(GROUP, "no"))
    missing("WorkspaceNotFound", "no", lambda: list(client.clusters.list_by_workspace(GROUP, "no")))
    missing("ClusterNotFound", "no", lambda: client.clusters.get(GROUP, WORKSPACE, "no"))
    missing("FileServerNotFound", "no", lambda: client.file_servers.get(GROUP, WORKSPACE, "no"))
    missing("ExperimentNotFound", "no", lambda: client.experiments.get(GROUP, WORKSPACE, "no"))
    missing("ExperimentNotFound", "no", lambda: client.jobs.get(GROUP, WORKSPACE, "no", "j"))
    missing("JobNotFound", "no", lambda: client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, "no"))
    missing("JobNotFound", "no",
            lambda: client.jobs.terminate(GROUP, WORKSPACE, EXPERIMENT, "no").result())
    # Deleting what is not there is done already.
    client.jobs.delete(GROUP, WORKSPACE, EXPERIMENT, "no").result()
    client.clusters.delete(GROUP, WORKSPACE, "no").result()


def a_client_that_first_looks_whether_a_name_is_free():
    """As `az batchai` does before every create: 404 is free, 200 taken, anything else fatal."""
    def is_free(get):
        try:
            get()
        except CloudError as error:
            assert error.status_code == 404, f"only 404 says that a name is free: {error}"
            return True
        return False
    assert is_free(lambda: client.clusters.get(GROUP, WORKSPACE, "second"))
    client.clusters.create(GROUP, WORKSPACE, "second", cluster_parameters(manual(0))).result()
    assert not is_free(lambda: client.clusters.get(GROUP, WORKSPACE, "second"))
    assert not is_free(lambda: client.clusters.get(GROUP, WORKSPACE, "SECOND")), "any case"


def a_different_put_is_a_conflict():
    same = client.clusters.create(GROUP, WORKSPACE, "second", cluster_parameters(manual(0)))
    assert same.result().name == "second", "the same again is fine"
    refused(409, "ClusterExists", lambda: client.clusters.create(
        GROUP, WORKSPACE, "second", cluster_parameters(manual(1))).result())
    refused(409, "FileServerExists", lambda: client.file_servers.create(
        GROUP, WORKSPACE, "nfs", file_server_parameters(size=20)).result())
    wire = client.clusters.get(GROUP, WORKSPACE, "second")
    assert wire.scale_settings.manual.target_node_count == 0, "a refused PUT changes nothing"


def bad_bodies_are_refused_with_the_reason():
    for body, words in [
        (b"", ["body"]),
        (b"{", ["body", "JSON"]),
        (b"[]", ["object"]),
        (b"{}", ["properties", "required"]),
        (b'{"properties": {"vmSize": 3}}', ["properties.vmSize", "properties.userAccountSettings"]),
    ]:
        answer = plain("PUT", "/clusters/bad", data=body,
                       headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, f"{body}: {answer.status_code} {answer.text}"
        message = answer.json()["error"]["message"]
        for word in words:
            assert word.lower() in message.lower(), f"{body}: '{word}' is not in '{message}'"
    missing("ClusterNotFound", "bad", lambda: client.clusters.get(GROUP, WORKSPACE, "bad"))

    parameters = job_parameters("true", node_count=0)
    code = "InvalidParameter"
    create = lambda: client.jobs.create(GROUP, WORKSPACE, EXPERIMENT, "bad", parameters).result()
    message = refused(400, code, create)
    assert "properties.nodeCount" in message, message
    parameters = job_parameters("true")
    parameters.cluster.id += "x"
    refused(404, "ClusterNotFound", create)
    parameters = job_parameters("true", constraints=models.JobBasePropertiesConstraints(
        max_wall_clock_time="P8D"))
    assert "P7D" in refused(400, code, create), "it says what is allowed"
    parameters = job_parameters("true", environment_variables=[
        models.EnvironmentVariable(name="A=B", value="1")])
    assert "environmentVariables" in refused(400, code, create)
    parameters = cluster_parameters(auto_scale(2, 1))
    message = refused(400, code, lambda: client.clusters.create(
        GROUP, WORKSPACE, "bad", parameters).result())
    assert "NodeCount" in message, message
    reply = plain("PUT", "/experiments/" + "x" * 65, json={})
    assert reply.status_code == 400, f"names have 64 characters: {reply.text}"
    for version in ("", "?api-version=2017-09-01-preview"):
        answer = requests.get(url("").split("?")[0] + version, timeout=10,
                              headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 400 and VERSION in answer.json()["error"]["message"]
    answer = plain("POST", "/clusters/cluster", json={})
    assert answer.status_code == 405, f"{answer.status_code} {answer.text}"


def strangers_are_sent_away():
    stranger = connect(token="wrong")
    refused(401, "AuthenticationFailed", lambda: stranger.workspaces.get(GROUP, WORKSPACE))
    answer = requests.get(url(""), timeout=10)
    assert answer.status_code == 401, answer.text


def answers_look_like_those_of_the_service():
    answer = plain("GET", "/clusters/cluster")
    headers = answer.headers
    assert headers["Content-Type"] == "application/json; charset=utf-8", headers
    assert headers["Cache-Control"] == "no-cache" and headers["Pragma"] == "no-cache", headers
    assert headers["X-Content-Type-Options"] == "nosniff", headers
    assert headers["ETag"] and headers["Last-Modified"] and headers["request-id"], headers
    assert "ETag" not in plain("GET", "/clusters").headers, "on single resources only"
    etag = headers["ETag"]
    assert plain("GET", "/CLUSTERS/Cluster").headers["ETag"] == etag, "the case does not matter"
    body = {"properties": {"scaleSettings": {"manual": {"targetNodeCount": 0}}}}
    assert plain("PATCH", "/clusters/cluster", json=body).headers["ETag"] != etag


def long_operations_say_where_to_ask():
    answer = plain("DELETE", "/clusters/second")
    assert answer.status_code == 202 and answer.content == b"", f"{answer} {answer.text}"
    operation, location = answer.headers["Azure-AsyncOperation"], answer.headers["Location"]
    base = f"/locations/eastus/"
    assert base + "operationresults/" in operation and operation.startswith("http"), operation
    assert base + "operationstatuses/" in location, location
    assert operation.split("/")[-1] == location.split("/")[-1], "one id"
    assert answer.headers["Retry-After"].isdigit(), answer.headers
    poll = requests.get(operation, timeout=10, headers={"Authorization": f"Bearer {TOKEN}"})
    body = poll.json()
    assert poll.status_code == 200 and poll.headers["Retry-After"].isdigit()
    assert body["name"] == operation.split("/")[-1].split("?")[0], body
    assert body["id"] == operation.split("?")[0], body
    assert body["status"] in ("InProgress", "Succeeded") and TIME.match(body["startTime"]), body


def lists_come_in_pages():
    for number in range(5):
        client.experiments.create(GROUP, WORKSPACE, f"page{number}").result()
    options = models.ExperimentsListByWorkspaceOptions(max_results=2)
    pages = client.experiments.list_by_workspace(GROUP, WORKSPACE, options)
    expected = sorted([EXPERIMENT] + [f"page{number}" for number in range(5)])
    assert names(pages) == expected, "each once, in order, over several pages"
    first = plain("GET", "/experiments", params={"maxresults": 2}).json()
    assert len(first["value"]) == 2 and first["nextLink"].startswith("http"), first
    assert "api-version" in first["nextLink"], first


def everything_is_deleted():
    client.experiments.delete(GROUP, WORKSPACE, "page0").result()
    missing("ExperimentNotFound", "page0",
            lambda: client.experiments.get(GROUP, WORKSPACE, "page0"))
    message = refused(409, "FileServerInUse", lambda: client.file_servers.delete(
        GROUP, WORKSPACE, "nfs").result())
    assert "cluster" in message, f"it says what uses it: {message}"
    client.clusters.delete(GROUP, WORKSPACE, "cluster").result()
    missing("ClusterNotFound", "cluster",
            lambda: client.clusters.get(GROUP, WORKSPACE, "cluster"))
    client.file_servers.delete(GROUP, WORKSPACE, "nfs").result()
    missing("FileServerNotFound", "nfs",
            lambda: client.file_servers.get(GROUP, WORKSPACE, "nfs"))
    # The rest goes with the workspace.
    client.workspaces.delete(GROUP, WORKSPACE).result()
    missing("WorkspaceNotFound", WORKSPACE,
            lambda: client.experiments.get(GROUP, WORKSPACE, EXPERIMENT))
    assert names(client.workspaces.list()) == []


SCENARIOS = [
    workspaces_are_made_once_and_listed,
    file_servers_are_usable_when_their_operation_ends,
    clusters_are_there_before_their_nodes,
    experiments_need_no_body,
    what_is_missing_is_named,
    a_client_that_first_looks_whether_a_name_is_free,
    a_different_put_is_a_conflict,
    bad_bodies_are_refused_with_the_reason,
    strangers_are_sent_away,
    answers_look_like_those_of_the_service,
    long_operations_say_where_to_ask,
    lists_come_in_pages,
    everything_is_deleted,
]
