"""Workspaces and experiments: create, list, tag, separate, delete with their content."""

import re

from azure.mgmt.batchai import models
from operations import scenario
from scenarios import (
    EXPERIMENT, GROUP, WORKSPACE, answers, client, cluster_parameters, equal, job_parameters, last,
    manual, missing, names, workspace_id)

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$")
RECORD = {"provisioningState", "provisioningStateTransitionTime", "creationTime"}


@scenario("Workspaces_Create", "Workspaces_Get")
def workspaces_are_made_once():
    """Creates a workspace, twice. 200 at once; the second PUT changes neither time nor ETag."""
    missing("WorkspaceNotFound", WORKSPACE, lambda: client.workspaces.get(GROUP, WORKSPACE))
    answers.clear()
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    equal([answer.status_code for answer in answers], [200], "no operation follows")
    made, wire = answers[-1].headers["ETag"], last()
    equal({key: wire[key] for key in wire if key != "properties"}, {
        "id": workspace_id(), "name": WORKSPACE, "type": "Microsoft.BatchAI/workspaces",
        "location": "eastus"}, "the workspace, without the tags that were not given")
    equal(set(wire["properties"]), RECORD, "what it says of itself")
    equal(wire["properties"]["provisioningState"], "succeeded", "it is usable at once")
    assert TIME.match(wire["properties"]["creationTime"]), wire
    client.workspaces.create(GROUP, WORKSPACE, "eastus").result()
    equal((last(), answers[-1].headers["ETag"]), (wire, made), "a repeated PUT changes nothing")
    equal(client.workspaces.get(GROUP, WORKSPACE).name, WORKSPACE, "it can be read")
    equal((last(), answers[-1].headers["ETag"]), (wire, made), "it reads as it was answered")


@scenario("Workspaces_List", "Workspaces_ListByResourceGroup")
def workspaces_are_listed():
    """Lists two groups and the whole subscription, also page by page."""
    client.workspaces.create(GROUP, "other", "eastus", tags={"a": "b"}).result()
    client.workspaces.create("second", "elsewhere", "westus").result()
    listed = client.workspaces.list_by_resource_group
    equal(names(listed(GROUP)), ["other", WORKSPACE], "those of the group, by name")
    equal(names(listed("second")), ["elsewhere"], "those of the other group")
    equal(names(listed("SECOND")), ["elsewhere"], "the case does not matter")
    equal((names(listed("empty")), last()), ([], {"value": []}), "an empty list has no nextLink")
    everything = sorted(["elsewhere", "other", WORKSPACE])
    equal(sorted(names(client.workspaces.list())), everything, "all of the subscription")
    one = models.WorkspacesListOptions(max_results=1)
    answers.clear()
    equal(sorted(names(client.workspaces.list(one))), everything, "each once over the pages")
    assert len(answers) >= 3, "pages have the size that was asked for"
    one = models.WorkspacesListByResourceGroupOptions(max_results=1)
    equal(names(listed(GROUP, one)), ["other", WORKSPACE], "the group, over two pages")


@scenario("Workspaces_Update")
def tags_are_replaced():
    """PATCHes the tags. The old tags are removed; only tags and ETag change."""
    before, etag = client.workspaces.get(GROUP, "other") and last(), answers[-1].headers["ETag"]
    updated = client.workspaces.update(GROUP, "other", tags={"c": "d", "e": ""})
    equal(updated.tags, {"c": "d", "e": ""}, "PATCH replaces the tags")
    equal(last(), {**before, "tags": {"c": "d", "e": ""}}, "and nothing else")
    assert answers[-1].headers["ETag"] != etag, "a write changes the entity tag"
    equal(client.workspaces.get(GROUP, "other").tags, {"c": "d", "e": ""}, "they stay")
    missing("WorkspaceNotFound", "no", lambda: client.workspaces.update(GROUP, "no", tags={}))


@scenario("Experiments_Create", "Experiments_Get", "Experiments_ListByWorkspace")
def experiments_are_made_once_and_listed():
    """Creates experiments, without a body as the SDK does it, and lists them in pages."""
    answers.clear()
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    equal([answer.status_code for answer in answers], [200], "no operation follows")
    made, wire = answers[-1].headers["ETag"], last()
    equal(wire["id"], f"{workspace_id()}/experiments/{EXPERIMENT}", "its id")
    equal(wire["type"], "Microsoft.BatchAI/workspaces/experiments", "its type")
    equal(set(wire), {"id", "name", "type", "properties"}, "a child has no location")
    equal(set(wire["properties"]), RECORD, "what it says of itself")
    client.experiments.create(GROUP, WORKSPACE, EXPERIMENT).result()
    equal((last(), answers[-1].headers["ETag"]), (wire, made), "a repeated PUT changes nothing")
    equal(client.experiments.get(GROUP, WORKSPACE, EXPERIMENT).name, EXPERIMENT, "it can be read")
    for number in range(4):
        client.experiments.create(GROUP, WORKSPACE, f"page{number}").result()
    expected = sorted([EXPERIMENT] + [f"page{number}" for number in range(4)])
    equal(names(client.experiments.list_by_workspace(GROUP, WORKSPACE)), expected, "all of them")
    two = models.ExperimentsListByWorkspaceOptions(max_results=2)
    answers.clear()
    pages = client.experiments.list_by_workspace(GROUP, WORKSPACE, two)
    equal(names(pages), expected, "each once, in order, over the pages")
    equal([len(answer.json()["value"]) for answer in answers], [2, 2, 1], "three pages")


@scenario()
def names_have_the_case_of_their_creation():
    """Gets resources in another case. The same resources are found, in the case of their creation."""
    client.workspaces.create(GROUP, "CamelCase", "eastus").result()
    client.experiments.create(GROUP, "camelcase", "MixedOne").result()
    client.clusters.create(GROUP, "CAMELCASE", "OneCluster",
                           cluster_parameters(manual(0), server=None)).result()
    place = workspace_id("CamelCase")
    for group, workspace in [(GROUP, "CamelCase"), (GROUP.upper(), "camelCASE")]:
        equal(client.workspaces.get(group, workspace).id, place, "the id of the creation")
        found = client.experiments.get(group, workspace, "MIXEDONE")
        equal((found.name, found.id), ("MixedOne", f"{place}/experiments/MixedOne"), "experiment")
        found = client.clusters.get(group, workspace, "oneCLUSTER")
        equal((found.name, found.id), ("OneCluster", f"{place}/clusters/OneCluster"), "cluster")
    again = client.workspaces.create(GROUP, "CAMELcase", "eastus").result()
    equal(again.id, place, "a PUT in another case is of the same workspace")
    again = client.experiments.create(GROUP, "CamelCase", "mixedone").result()
    equal(again.name, "MixedOne", "a PUT in another case is of the same experiment")
    equal(names(client.experiments.list_by_workspace(GROUP, "CamelCase")), ["MixedOne"], "one")
    equal(names(client.workspaces.list_by_resource_group(GROUP)),
          sorted(["CamelCase", "other", WORKSPACE], key=str.lower), "one")


def fill(workspace):
    """Creates the same in each workspace: a cluster and an experiment with a queued job."""
    client.workspaces.create(GROUP, workspace, "eastus").result()
    client.experiments.create(GROUP, workspace, "same").result()
    client.clusters.create(GROUP, workspace, "same",
                           cluster_parameters(manual(0), server=None)).result()


@scenario("Workspaces_Delete")
def workspaces_are_isolated():
    """The same names in two workspaces, one of them deleted. The other is as it was."""
    fill("one"), fill("two")
    parameters = job_parameters("true", cluster="same", workspace="one",
                                std_out_err_path_prefix="$AZ_BATCHAI_JOB_TEMP_DIR")
    client.jobs.create(GROUP, "one", "same", "waits", parameters).result()
    equal(client.jobs.get(GROUP, "one", "same", "waits").execution_state, "queued", "no node")
    missing("JobNotFound", "waits", lambda: client.jobs.get(GROUP, "two", "same", "waits"))
    client.experiments.create(GROUP, "two", "own").result()
    for workspace, expected in [("one", ["same"]), ("two", ["own", "same"])]:
        found = list(client.experiments.list_by_workspace(GROUP, workspace))
        equal(names(found), expected, f"experiments of {workspace}")
        assert all(workspace_id(workspace) in item.id for item in found), last()
        found = list(client.clusters.list_by_workspace(GROUP, workspace))
        equal([item.id for item in found], [f"{workspace_id(workspace)}/clusters/same"], "clusters")
    client.workspaces.delete(GROUP, "one").result()
    missing("WorkspaceNotFound", "one", lambda: client.workspaces.get(GROUP, "one"))
    missing("WorkspaceNotFound", "one", lambda: client.clusters.get(GROUP, "one", "same"))
    missing("WorkspaceNotFound", "one", lambda: client.jobs.get(GROUP, "one", "same", "waits"))
    equal(names(client.experiments.list_by_workspace(GROUP, "two")), ["own", "same"], "it stays")
    equal(client.clusters.get(GROUP, "two", "same").provisioning_state, "succeeded", "it stays")
    assert "one" not in names(client.workspaces.list_by_resource_group(GROUP)), last()
    # A new one of that name begins empty.
    client.workspaces.create(GROUP, "one", "eastus").result()
    equal(names(client.experiments.list_by_workspace(GROUP, "one")), [], "nothing came back")


@scenario("Experiments_Delete")
def an_experiment_is_deleted_with_its_jobs():
    """Deletes an experiment with a queued job. Both are gone, cluster and other ones stay."""
    parameters = job_parameters("true", cluster="same", workspace="two",
                                std_out_err_path_prefix="$AZ_BATCHAI_JOB_TEMP_DIR")
    client.jobs.create(GROUP, "two", "same", "waits", parameters).result()
    client.experiments.delete(GROUP, "two", "same").result()
    missing("ExperimentNotFound", "same", lambda: client.experiments.get(GROUP, "two", "same"))
    missing("ExperimentNotFound", "same", lambda: client.jobs.get(GROUP, "two", "same", "waits"))
    equal(names(client.experiments.list_by_workspace(GROUP, "two")), ["own"], "the other stays")
    equal(client.clusters.get(GROUP, "two", "same").provisioning_state, "succeeded", "it stays")
    client.experiments.create(GROUP, "two", "same").result()
    equal(names(client.jobs.list_by_experiment(GROUP, "two", "same")), [], "nothing came back")
    # What is not there is deleted already.
    client.experiments.delete(GROUP, "two", "never").result()
    client.workspaces.delete(GROUP, "never").result()
