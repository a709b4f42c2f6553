"""What each function's role, and the role of nodes, is allowed to do.

    python template_roles.py                 prints the table as JSON
    python template_roles.py --check FILE    compares it with recorded calls

The table: role (`api`, ..., `node`) -> list of statements, each with `sid`, `by` (`function`, or
`lambda` for what the Lambda service does on its behalf), `effect`, `actions`, `resources` (an ARN,
or the logical id of a resource of the stack) and `condition`.

FILE is a JSON object: role -> list of API operations, as `service:Operation` with the service's
prefix in IAM (`dynamodb:TransactWriteItems`). A call that no statement allows is an error; allowed
actions of functions that no call needs are printed.
"""

import argparse
import json
import pathlib
import sys

import template_load

# Operations that are authorized as other actions (Service Authorization Reference).
AUTHORIZED_AS = {
    "dynamodb:TransactGetItems": ["dynamodb:GetItem"],
    "dynamodb:TransactWriteItems": [
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ],
    "ec2:CreateFleet": [
        "ec2:CreateFleet",
        "ec2:CreateTags",
        "ec2:RunInstances",
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
        # Images are named by public parameters, which EC2 reads for the caller.
        "ssm:GetParameters",
    ],
    "ec2:CreateLaunchTemplate": ["ec2:CreateLaunchTemplate", "ec2:CreateTags"],
    "ec2:RunInstances": ["ec2:CreateTags", "ec2:RunInstances", "iam:PassRole"],
    "elasticfilesystem:CreateAccessPoint": [
        "elasticfilesystem:CreateAccessPoint",
        "elasticfilesystem:TagResource",
    ],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    # The second for objects that do not exist: 404 instead of 403.
    "s3:HeadObject": ["s3:GetObject", "s3:ListBucket"],
    "s3:ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListParts": ["s3:ListMultipartUploadParts"],
    "s3:UploadPart": ["s3:PutObject"],
    "sqs:SendMessageBatch": ["sqs:SendMessage"],
}


def as_list(value):
    return value if isinstance(value, list) else [value]


def name_of(resource):
    """A readable form of a resource of a statement."""
    if not isinstance(resource, dict):
        return resource
    (function, argument), = resource.items()
    if function == "Fn::GetAtt":
        return argument[0] if argument[1] == "Arn" else ".".join(argument)
    return argument


def documents(template):
    """(role's name, its logical id, the resource with the document, the document)"""
    functions = template_load.functions(template)
    roles = {it["Properties"]["Role"]["Fn::GetAtt"][0]: name for name, (_, it) in functions.items()}
    roles["NodeRole"] = "node"
    for name, role in template_load.resources(template, "AWS::IAM::Role").items():
        for policy in role["Properties"].get("Policies", []):
            yield roles.get(name, name), name, role, policy["PolicyDocument"]
    for policy in template_load.resources(template, "AWS::IAM::Policy").values():
        for role in policy["Properties"]["Roles"]:
            name = role["Ref"]
            yield roles.get(name, name), name, policy, policy["Properties"]["PolicyDocument"]


def table(template):
    result = {}
    for role, _, _, document in documents(template):
        for statement in document["Statement"]:
            result.setdefault(role, []).append({
                "sid": statement["Sid"],
                "by": "lambda" if statement["Sid"].startswith("Lambda") else "function",
                "effect": statement["Effect"],
                "actions": as_list(statement["Action"]),
                "resources": [name_of(it) for it in as_list(statement["Resource"])],
                "condition": statement.get("Condition", {}),
            })
    return result


def compare(roles, recorded):
    """(calls that are not allowed, allowed actions that no call needs)"""
    denied, unused = [], []
    for role, calls in recorded.items():
        allowed = {
            action
            for statement in roles.get(role, [])
            if statement["effect"] == "Allow" and statement["by"] == "function"
            for action in statement["actions"]
        }
        needed = {action for call in calls for action in AUTHORIZED_AS.get(call, [call])}
        called = {call for call in calls if not set(AUTHORIZED_AS.get(call, [call])) <= allowed}
        denied += [f"{role} calls {call}, which its role does not allow" for call in sorted(called)]
        unused += [f"{role} never needs {action}" for action in sorted(allowed - needed)]
    return denied, unused


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", type=pathlib.Path)
    file = arguments.parse_args().check
    template = template_load.source()
    values = template_load.parameters(template)
    roles = table(template_load.effective(template_load.transformed(template, values), values))
    if file is None:
        print(json.dumps(roles, indent=1))
        return
    denied, unused = compare(roles, json.loads(file.read_text()))
    print("\n".join(denied + unused))
    sys.exit(bool(denied))


if __name__ == "__main__":
    main()
