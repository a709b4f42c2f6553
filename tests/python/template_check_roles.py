"""Checks of the roles: what each may do, and only on this stack."""

import re

import template_roles
from template_load import resources, walk
from template_subject import QUEUE_URLS, RECONCILERS, VARIABLES, check


def names_the_stack(value, template):
    """Whether a resource or condition of a statement is limited to this stack."""
    for it in walk(value):
        if it.get("Ref") == "AWS::StackName" or it.get("Ref") in template["Resources"]:
            return True
        if "Fn::GetAtt" in it and it["Fn::GetAtt"][0] in template["Resources"]:
            return True
        for name in re.findall(r"\$\{([\w:]+)[.}]", str(it.get("Fn::Sub", ""))):
            if name == "AWS::StackName" or name in template["Resources"]:
                return True
    return False


@check
def wildcards(subject):
    template = subject.with_values(Tracing="Active")
    for role, _, resource, document in template_roles.documents(template):
        reasons = dict(resource.get("Metadata", {}).get("Wildcards", {}))
        for statement in document["Statement"]:
            places = template_roles.as_list(statement["Resource"])
            scoped = all(names_the_stack(it, template) for it in places)
            scoped |= names_the_stack(statement.get("Condition", {}), template)
            scoped &= "*" not in places
            reason = reasons.pop(statement["Sid"], None)
            if not scoped and not reason:
                yield f"{role}: {statement['Sid']} is not limited to the stack, without a reason"
            if scoped and reason:
                yield f"{role}: {statement['Sid']} has a reason for a wildcard that it has not"
            for action in template_roles.as_list(statement["Action"]):
                if "*" in action and statement["Effect"] == "Allow":
                    yield f"{role}: {statement['Sid']} allows {action}"
        for sid in reasons:
            yield f"{role} has a reason for {sid}, which it has not"


@check
def roles(subject):
    table = template_roles.table(subject.template)
    if set(table) != set(VARIABLES) | {"node"}:
        yield f"roles are {sorted(table)}"
    for name, it in resources(subject.template, "AWS::IAM::Role").items():
        if "ManagedPolicyArns" in it["Properties"]:
            yield f"{name} has policies that are not in the template"
        statement, = it["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        service = "ec2" if name == "NodeRole" else "lambda"
        if statement["Principal"] != {"Service": f"{service}.amazonaws.com"}:
            yield f"{name} can be assumed by {statement['Principal']}"
    actions = lambda role: {it for entry in table[role] for it in entry["actions"]}
    for role in sorted(table):
        if any(it.startswith("dynamodb:") for it in actions(role)) != (role != "node"):
            yield f"{role} has the wrong access to the table"
        if ("ec2:RunInstances" in actions(role)) != (role == "autoscaler"):
            yield f"{role} has the wrong right to launch"
        if ("ec2:TerminateInstances" in actions(role)) != (role in ("autoscaler", "recovery")):
            yield f"{role} has the wrong right to terminate"
        writes_files = "elasticfilesystem:ClientWrite" in actions(role)
        if writes_files != (role in ("files", "provisioner", "node")):
            yield f"{role} has the wrong right to write files"
        if ("kms:Decrypt" in actions(role)) != (role in ("api", "files")):
            yield f"{role} has the wrong access to secrets"
    for entry in [entry for role in table.values() for entry in role]:
        if "ec2:TerminateInstances" in entry["actions"] and entry["condition"] != {
            "StringEquals": {"aws:ResourceTag/batchai:stack": {"Ref": "AWS::StackName"}}
        }:
            yield "instances of others could be terminated"


@check
def nodes(subject):
    """A node invokes only the API and only through its URL: an event of its own could name any sender."""
    table = template_roles.table(subject.template)
    allowed = [it for it in table["node"] if any("lambda:" in action for action in it["actions"])]
    expected = {
        "lambda:InvokeFunctionUrl": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
        "lambda:InvokeFunction": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
    }
    found = {action: it["condition"] for it in allowed for action in it["actions"]}
    if found != expected:
        yield f"nodes invoke functions under {found}"


@check
def receivers(subject):
    """A function can receive from its queue, send hints to all, and use what its variables name."""
    table = template_roles.table(subject.template)
    for name in RECONCILERS:
        own = [it for it in table[name] if "sqs:ReceiveMessage" in it["actions"]]
        if [it["resources"] for it in own] != [[f"{name.capitalize()}Queue"]]:
            yield f"{name} receives from {own}"
    for name, variables in VARIABLES.items():
        if not QUEUE_URLS <= variables:
            continue
        sends = {
            queue
            for it in table[name]
            if "sqs:SendMessage" in it["actions"] and it["by"] == "function"
            for queue in it["resources"]
        }
        if sends != {f"{it.capitalize()}Queue" for it in RECONCILERS}:
            yield f"{name} sends to {sorted(sends)}"
