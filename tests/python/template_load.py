"""Reads template.yaml, and transforms it as the SAM transform of CloudFormation does."""

import copy
import json
import logging
import pathlib

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform

# The transform complains that nobody collects its metrics.
logging.getLogger("samtranslator.metrics.metrics").setLevel(logging.ERROR)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REGION = "eu-west-1"
STACK = "lab"
CODE_BUCKET = "code"

# Values for the parameters that have no default.
PARAMETERS = {
    "JwtIssuer": "https://issuer.example.org/",
    "JwtAudience": "batchai",
    "OwnerPrincipal": "the-first-owner",
    "AgentSha256": "a" * 64,
}


class _NoManagedPolicies:
    """The template names no managed policy; a lookup would need an account."""

    def load(self):
        return {}


def source():
    """The template as written, with intrinsic functions in their long form."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def parameters(template, **overrides):
    """Every parameter with its value: an override, a value of `PARAMETERS`, or its default."""
    given = {**PARAMETERS, **overrides}
    declared = template["Parameters"]
    unknown = set(given) - set(declared)
    assert not unknown, f"the template has no parameters {sorted(unknown)}"
    return {name: str(given.get(name, it.get("Default"))) for name, it in declared.items()}


def transformed(template, values):
    """The template that CloudFormation creates resources from. `template` stays as it is."""
    template = copy.deepcopy(template)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            # What `sam package` does with the directory of a function.
            resource["Properties"]["CodeUri"] = f"s3://{CODE_BUCKET}/{name}.zip"
    Parser.validate_datatypes(template)
    result = transform(template, dict(values), _NoManagedPolicies())
    # The language extensions were resolved before the SAM transform.
    result.pop("Transform", None)
    return result


def effective(template, values):
    """The template without conditions: what these values of the parameters create."""
    conditions = template.get("Conditions", {})

    def holds(condition):
        (function, arguments), = condition.items()
        if function == "Condition":
            return holds(conditions[arguments])
        if function == "Fn::Equals":
            return len({operand(it) for it in arguments}) == 1
        if function == "Fn::Not":
            return not holds(arguments[0])
        if function == "Fn::Or":
            return any(holds(it) for it in arguments)
        raise ValueError(f"unknown condition {function}")

    def operand(value):
        return values[value["Ref"]] if isinstance(value, dict) else str(value)

    absent = object()

    def resolve(value):
        if isinstance(value, list):
            return [it for it in map(resolve, value) if it is not absent]
        if not isinstance(value, dict):
            return value
        if value == {"Ref": "AWS::NoValue"}:
            return absent
        if len(value) == 1 and "Fn::If" in value:
            name, then, otherwise = value["Fn::If"]
            return resolve(then if holds(conditions[name]) else otherwise)
        resolved = {name: resolve(it) for name, it in value.items()}
        return {name: it for name, it in resolved.items() if it is not absent}

    result = dict(template)
    result["Resources"] = resolve({
        name: it
        for name, it in template["Resources"].items()
        if "Condition" not in it or holds(conditions[it["Condition"]])
    })
    return result


def resources(template, kind):
    """The resources of a type, by logical id."""
    found = template["Resources"].items()
    return {name: it for name, it in found if it["Type"] == kind}


def functions(template):
    """The Lambda functions of a transformed template by the last part of their name (`api`)."""
    by_name = {}
    for name, function in resources(template, "AWS::Lambda::Function").items():
        full = function["Properties"]["FunctionName"]["Fn::Sub"]
        by_name[full.removeprefix("${AWS::StackName}-")] = (name, function)
    return by_name


def walk(value):
    """Every dictionary below a value, and the value itself if it is one."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from walk(item)


def main():
    """Prints the transformed template with the defaults of its parameters."""
    template = source()
    values = parameters(template)
    print(json.dumps(effective(transformed(template, values), values), indent=1))


if __name__ == "__main__":
    main()
