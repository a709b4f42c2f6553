"""Hooks for schemathesis. Most requests get the names of existing resources, so that they do not
end with 404; existing resources are not deleted. The exceptions from its checks have their reasons here."""

import json
import os
from pathlib import Path

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

KNOWN = json.loads(os.environ["BATCHAI_TEST_KNOWN"])

# Operations that the service carried out at least once, for `accepted.json`.
ACCEPTED = set()

# Requests that fit the document and are refused: code of the error, part of its message, reason.
REFUSED_THOUGH_VALID = [
    ("InvalidSkipToken", "", "continuation tokens are signed; no schema describes them"),
    ("QuotaExceeded", "", "limits are settings of the service"),
    ("LocationNotAvailableForResourceType", "", "locations are a setting of the service"),
    ("NoRegisteredProviderFound", "", "locations are a setting of the service"),
    ("InvalidParameter", "must be the id of a", "ids match in any case, which no pattern expresses"),
    ("InvalidParameter", "must be a VM size", "the series of the table have certain sizes only"),
    ("InvalidParameter", "must not be STANDARD_A0", "some sizes are not for clusters"),
    ("InvalidParameter", "above its maximumNodeCount", "no schema compares two fields"),
    ("InvalidParameter", "of another ", "no schema requires one field of all items to differ"),
]

# A body beyond the size limit is refused before its other violations are found.
TOO_LARGE = 413


@schemathesis.check
def valid_requests_are_accepted(ctx, response, case):
    """`positive_data_acceptance`, but for the exceptions above."""
    if response.status_code == 400 and response.content:
        error = response.json()["error"]
        for code, message, _ in REFUSED_THOUGH_VALID:
            if error["code"] == code and message in error["message"]:
                return None
    return positive_data_acceptance(ctx, response, case)


@schemathesis.check
def invalid_requests_are_refused(ctx, response, case):
    """`negative_data_rejection`, but for the exception above."""
    if response.status_code == TOO_LARGE:
        return None
    return negative_data_rejection(ctx, response, case)


# One of this many requests keeps its random names.
STRAY = 5


def strays(value):
    return sum(map(ord, str(value))) % STRAY == 0


@schemathesis.hook
def before_call(context, case, kwargs):
    """Called before each request is sent. What is invalid on purpose stays as it is."""
    invalid = invalid_parts(case)
    if isinstance(case.path_parameters, dict) and "path" not in invalid:
        lead_path(case)
    if isinstance(case.query, dict) and "query" not in invalid:
        lead_query(case.query)
    if "body" not in invalid:
        lead_body(case.body)


def invalid_parts(case):
    """The parts of the request that violate the document on purpose."""
    components = case.meta.components if case.meta else {}
    return {part.value for part, info in components.items() if info.mode.is_negative}


def lead_path(case):
    """Replaces random names by existing ones, except for PUT and DELETE."""
    names = [part[1:-1] for part in case.operation.path.split("/") if part.startswith("{")]
    given = case.path_parameters
    for name in names[:-1] if case.method.upper() == "PUT" else names:
        if name in KNOWN and name in given and not strays(given[name]):
            given[name] = KNOWN[name]
    if case.method.upper() == "DELETE" and names and names[-1] in KNOWN:
        given[names[-1]] = f"other-{len(str(given.get(names[-1])))}"


def lead_query(query):
    """Sets output directories of the existing job; removes random continuation tokens."""
    if "outputdirectoryid" in query and not strays(query["outputdirectoryid"]):
        query["outputdirectoryid"] = KNOWN["outputdirectoryid"]
    if "$skiptoken" in query and not strays(query["$skiptoken"]):
        del query["$skiptoken"]


def lead_body(body):
    """Replaces references by the existing cluster and file server."""
    properties = body.get("properties") if isinstance(body, dict) else None
    if isinstance(properties, dict):
        cluster = properties.get("cluster")
        if isinstance(cluster, dict) and not strays(cluster.get("id")):
            cluster["id"] = KNOWN["cluster"]
        lead_mounts(properties)


def lead_mounts(value):
    """Every reference to a file server below `value`."""
    if isinstance(value, list):
        for item in value:
            lead_mounts(item)
    elif isinstance(value, dict):
        server = value.get("fileServer")
        if isinstance(server, dict) and not strays(server.get("id")):
            server["id"] = KNOWN["fileServer"]
        for item in value.values():
            lead_mounts(item)


@schemathesis.hook
def after_call(context, case, response):
    """Records the operations that the service carried out."""
    if response.status_code < 300:
        ACCEPTED.add(f"{case.method.upper()} {case.operation.path}")
        Path("accepted.json").write_text(json.dumps(sorted(ACCEPTED)))
