"""The format of requests and answers, without the SDK: errors, headers, operations, pages."""

import re

import requests
from azure.mgmt.batchai import models
from msrestazure.azure_exceptions import CloudError
from operations import scenario
from scenarios import (
    ENDPOINT, EXPERIMENT, GROUP, TIMEOUT_SECONDS, TOKEN, VERSION, WORKSPACE, auto_scale, client,
    cluster_parameters, connect, equal, job_parameters, manual, missing, names, plain,
    prepare, refused, until, url)

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$")


@scenario()
def everything_is_made():
    """Creates workspace, file server, a cluster without nodes, and an experiment."""
    prepare()


@scenario()
def what_is_missing_is_named():
    """Gets missing resources: 404, with code and name. Deleting them succeeds."""
    missing("WorkspaceNotFound", "no", lambda: client.workspaces.get(GROUP, "no"))
    missing("WorkspaceNotFound", "no", lambda: list(client.clusters.list_by_workspace(GROUP, "no")))
    missing("ClusterNotFound", "no", lambda: client.clusters.get(GROUP, WORKSPACE, "no"))
    missing("FileServerNotFound", "no", lambda: client.file_servers.get(GROUP, WORKSPACE, "no"))
    missing("ExperimentNotFound", "no", lambda: client.experiments.get(GROUP, WORKSPACE, "no"))
    missing("ExperimentNotFound", "no", lambda: client.jobs.get(GROUP, WORKSPACE, "no", "j"))
    missing("JobNotFound", "no", lambda: client.jobs.get(GROUP, WORKSPACE, EXPERIMENT, "no"))
    missing("JobNotFound", "no",
            lambda: client.jobs.terminate(GROUP, WORKSPACE, EXPERIMENT, "no").result())
    # Deleting a missing resource succeeds.
    client.jobs.delete(GROUP, WORKSPACE, EXPERIMENT, "no").result()
    client.clusters.delete(GROUP, WORKSPACE, "no").result()


@scenario()
def a_client_that_first_looks_whether_a_name_is_free():
    """Checks a name like `az batchai` before a create: 404 is free, 200 is taken, others are errors."""
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


@scenario()
def bad_bodies_are_refused_with_the_reason():
    """Sends invalid bodies: 400, with field and reason; nothing is created."""
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


@scenario()
def strangers_are_sent_away():
    """Sends requests with a wrong token and with none: 401."""
    stranger = connect(token="wrong")
    refused(401, "AuthenticationFailed", lambda: stranger.workspaces.get(GROUP, WORKSPACE))
    answer = requests.get(url(""), timeout=10)
    assert answer.status_code == 401, answer.text


@scenario()
def answers_look_like_those_of_the_service():
    """Compares the headers of an answer with the recordings. The ETag changes on writes."""
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


@scenario()
def long_operations_say_where_to_ask():
    """Starts an operation without the SDK: 202, two absolute URLs with one id, which can be polled."""
    answer = plain("DELETE", "/clusters/second")
    assert answer.status_code == 202 and answer.content == b"", f"{answer} {answer.text}"
    operation, location = answer.headers["Azure-AsyncOperation"], answer.headers["Location"]
    base = "/locations/eastus/"
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
    def look():
        return requests.get(operation, timeout=TIMEOUT_SECONDS,
                            headers={"Authorization": f"Bearer {TOKEN}"}).json()
    ended = until("it ends", lambda: (found := look())["status"] != "InProgress" and found)
    equal(set(ended), {"id", "name", "status", "startTime", "endTime", "properties"}, "its end")
    equal(ended["properties"]["resourceId"],
          f"{client.config.subscription_id}${GROUP}${WORKSPACE}$second", "an internal key")


@scenario("Clusters_ListByWorkspace")
def links_of_pages_are_whole():
    """Lists two clusters one by one. `nextLink` is absolute and has the version; it is valid only
    for its list, and sizes beyond the limits are refused."""
    client.clusters.create(GROUP, WORKSPACE, "another", cluster_parameters(manual(0))).result()
    one = models.ClustersListByWorkspaceOptions(max_results=1)
    found = names(client.clusters.list_by_workspace(GROUP, WORKSPACE, one))
    equal(found, ["another", "cluster"], "each once, in order")
    first = plain("GET", "/clusters", params={"maxresults": 1}).json()
    equal(names_of(first), ["another"], "the first page")
    link = first["nextLink"]
    assert link.startswith(ENDPOINT) and f"api-version={VERSION}" in link, link
    authorized = {"Authorization": f"Bearer {TOKEN}"}
    second = requests.get(link, headers=authorized, timeout=TIMEOUT_SECONDS).json()
    equal(names_of(second), ["cluster"], "the second page")
    assert "nextLink" not in second, second
    equal(requests.get(link, timeout=TIMEOUT_SECONDS).status_code, 401, "without the token")
    for size in (0, 1001, "x"):
        answer = plain("GET", "/clusters", params={"maxresults": size})
        equal(answer.status_code, 400, f"pages of {size}")


def names_of(page):
    return [item["name"] for item in page["value"]]
