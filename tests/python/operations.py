"""The operations of the API, those that a scenario declares, and those that it called.

An operation counts as called when a method of the official SDK was called for it, and the service
answered such a request of the SDK with success.
"""

import functools
import inspect
import re

from azure.mgmt.batchai import operations as sdk

# The operationIds of the swagger of API 2018-05-01. All of them must be called.
OPERATIONS = """
Operations_List Usages_List
Workspaces_List Workspaces_ListByResourceGroup Workspaces_Create Workspaces_Update
Workspaces_Delete Workspaces_Get
Experiments_ListByWorkspace Experiments_Create Experiments_Delete Experiments_Get
Jobs_ListByExperiment Jobs_Create Jobs_Delete Jobs_Get Jobs_ListOutputFiles
Jobs_ListRemoteLoginInformation Jobs_Terminate
FileServers_Create FileServers_Delete FileServers_Get FileServers_ListByWorkspace
Clusters_Create Clusters_Update Clusters_Delete Clusters_Get
Clusters_ListRemoteLoginInformation Clusters_ListByWorkspace
""".split()

VERBS = {"create": "PUT", "update": "PATCH", "delete": "DELETE", "terminate": "POST",
         "list_output_files": "POST", "list_remote_login_information": "POST"}

# Of the current scenario: methods of the SDK, and successful requests.
_methods, _answers = set(), set()


def scenario(*ids):
    """Marks a function as a scenario. The runner checks that it calls its declared operations."""
    def mark(function):
        unknown = set(ids) - set(OPERATIONS)
        assert not unknown, f"{function.__name__} names {unknown}, which the swagger does not have"
        function.operations = ids
        return function
    return mark


def scenarios_of(module):
    """The scenarios of a module in their order in the file."""
    functions = filter(inspect.isfunction, vars(module).values())
    return [function for function in functions if hasattr(function, "operations")]


def forget():
    _methods.clear(), _answers.clear()


def called():
    return _methods & _answers


def observe(response):
    """Records the operation of a successful request of the SDK."""
    request = response.request
    if "azure-mgmt-batchai" in request.headers.get("User-Agent", "") and response.ok:
        path = request.path_url.split("?")[0]
        _answers.update(operation for operation, (method, pattern) in _routes.items()
                        if method == request.method and pattern.fullmatch(path))


def _camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def _watch(group, name, operation):
    method = getattr(group, name)

    @functools.wraps(method)
    def watched(*arguments, **named):
        _methods.add(operation)
        return method(*arguments, **named)

    setattr(group, name, watched)


def _watch_all():
    """Every method of the SDK, with the verb and the path of its operation."""
    routes = {}
    for class_name, group in inspect.getmembers(sdk, inspect.isclass):
        noun = class_name[:-len("Operations")] or class_name
        for name, method in inspect.getmembers(group, inspect.isfunction):
            if name.startswith("_"):
                continue
            operation = f"{noun}_{_camel(name)}"
            parts = re.split(r"\{\w+\}", method.metadata["url"])
            pattern = re.compile("[^/]+".join(map(re.escape, parts)), re.IGNORECASE)
            routes[operation] = (VERBS.get(name, "GET"), pattern)
            _watch(group, name, operation)
    return routes


_routes = _watch_all()
assert sorted(_routes) == sorted(OPERATIONS), "the SDK has a method for each operation"
