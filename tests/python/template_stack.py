"""Creates the stack of template.yaml in moto's CloudFormation.

    python template_stack.py                    in this process
    python template_stack.py --endpoint URL     in a running server of moto
        --parameter NAME=VALUE                  another value of a parameter

Prints a JSON object: `environment` (function -> variable -> value, as Lambda would set it),
`outputs` of the stack, `cors` of the function `files`, and `absent`: the types of resources that moto cannot
create. References to those have the values of `PLACEHOLDERS`.
"""

import argparse
import contextlib
import copy
import io
import ipaddress
import json
import zipfile

import boto3
import moto.cloudformation.parsing
import template_load

# Resources that moto does not have, and their attributes.
PLACEHOLDERS = {
    "HttpApi": "a1b2c3d4e5",
    "HttpApi.ApiEndpoint": "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
    "ApiFunctionUrl.FunctionUrl": "https://n1o2d3.lambda-url.eu-west-1.on.aws/",
    "FilesFunctionUrl.FunctionUrl": "https://f1g2h3.lambda-url.eu-west-1.on.aws/",
}

# Attributes that moto does not know of resources that it has.
ARN = "arn:aws:elasticfilesystem:${AWS::Region}:${AWS::AccountId}:"
ATTRIBUTES = {
    "FileSystem.Arn": {"Fn::Sub": ARN + "file-system/${FileSystem}"},
    "FunctionAccessPoint.Arn": {"Fn::Sub": ARN + "access-point/${FunctionAccessPoint}"},
}

# `SubnetN.AvailabilityZone`, which moto does not know either: those that its `Fn::GetAZs` gives, in whichever region.
ZONES = {
    f"${{Subnet{number}.AvailabilityZone}}": "us-east-1" + letter
    for number, letter in enumerate("abcdef", start=1)
}

# Moto checks that the gateway exists, which it cannot create.
REMOVED = ["Ipv6Route"]


def supported():
    """The types that this version of moto can create."""
    return set(moto.cloudformation.parsing.get_model_map())


def for_moto(template, values):
    """The template without what moto lacks, and the types that were removed."""
    template = copy.deepcopy(template)
    absent = {
        name: it["Type"]
        for name, it in template["Resources"].items()
        if it["Type"] not in supported()
    }
    for name in [*absent, *REMOVED]:
        del template["Resources"][name]
    blocks = subnets(values["VpcCidr"])
    template["Resources"] = substitute(template["Resources"], absent, blocks)
    template["Outputs"] = substitute(template["Outputs"], absent, blocks)
    for resource in template["Resources"].values():
        keep_only_present(resource, template["Resources"])
        # Its pools of IPv6 addresses differ, and nothing in the tests needs them.
        resource.get("Properties", {}).pop("Ipv6CidrBlock", None)
        # The language extensions: no stack of a test is deleted.
        resource.pop("DeletionPolicy", None)
        resource.pop("UpdateReplacePolicy", None)
    return template, sorted(set(absent.values()))


def keep_only_present(resource, present):
    needed = resource.pop("DependsOn", [])
    needed = [needed] if isinstance(needed, str) else needed
    needed = [name for name in needed if name in present]
    if needed:
        resource["DependsOn"] = needed


def subnets(block):
    """What `Fn::Cidr` makes of the VPC's addresses."""
    return [str(it) for it in ipaddress.ip_network(block).subnets(new_prefix=19)]


def substitute(value, absent, blocks):
    """Replaces references to absent resources, and the functions that moto lacks."""
    again = lambda inner: substitute(inner, absent, blocks)
    if isinstance(value, list):
        return [again(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        function, argument = next(iter(value.items()))
        if function == "Ref" and argument in absent:
            return PLACEHOLDERS.get(argument, argument)
        if function == "Fn::GetAtt" and argument[0] in absent:
            return PLACEHOLDERS.get(".".join(argument), ".".join(argument))
        if function == "Fn::GetAtt" and ".".join(argument) in ATTRIBUTES:
            return ATTRIBUTES[".".join(argument)]
        if function == "Fn::Cidr":
            return blocks
        if function == "Fn::Sub" and isinstance(argument, str):
            for name in absent:
                for full in (name, *(it for it in PLACEHOLDERS if it.startswith(name + "."))):
                    argument = argument.replace("${" + full + "}", PLACEHOLDERS.get(full, full))
            for reference, zone in ZONES.items():
                argument = argument.replace(reference, zone)
            return {function: argument}
    return {key: again(inner) for key, inner in value.items()}


def create(template, values, client=boto3.client):
    """Creates the stack; returns the types that moto lacks."""
    upload_code(template, client("s3"))
    template, absent = for_moto(template, values)
    client("cloudformation").create_stack(
        StackName=template_load.STACK,
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in values.items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    return absent


def upload_code(template, s3):
    place = {"LocationConstraint": template_load.REGION}
    s3.create_bucket(Bucket=template_load.CODE_BUCKET, CreateBucketConfiguration=place)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as it:
        it.writestr("bootstrap", "")
    for function in template_load.resources(template, "AWS::Lambda::Function"):
        s3.put_object(
            Bucket=template_load.CODE_BUCKET, Key=f"{function}.zip", Body=archive.getvalue()
        )


def described(client=boto3.client):
    """Environment and outputs of the stack that was created."""
    stack = client("cloudformation").describe_stacks(StackName=template_load.STACK)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatus"]
    functions = client("lambda").list_functions()["Functions"]
    prefix = template_load.STACK + "-"
    return {
        "environment": {
            it["FunctionName"].removeprefix(prefix): {
                # Moto joins `AWS::NoValue` as None; CloudFormation leaves it out.
                name: str(value).replace(",None", "")
                for name, value in it["Environment"]["Variables"].items()
            }
            for it in functions
        },
        "outputs": {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]},
    }


def cors(template, values):
    """What pages of other origins may do at the URL of the function `files`."""
    urls = template_load.resources(template_load.effective(template, values), "AWS::Lambda::Url")
    found = [it["Properties"].get("Cors") for it in urls.values()]
    return next((it for it in found if it), None)


def clients(endpoint=None):
    """A function like `boto3.client`, for moto at this address or in this process."""
    session = boto3.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=template_load.REGION
    )
    return lambda service: session.client(service, endpoint_url=endpoint)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--endpoint")
    arguments.add_argument("--parameter", action="append", default=[])
    given = arguments.parse_args()
    endpoint = given.endpoint
    template = template_load.source()
    overrides = dict(it.split("=", 1) for it in given.parameter)
    values = template_load.parameters(template, **overrides)
    template = template_load.transformed(template, values)
    with contextlib.nullcontext() if endpoint else moto.mock_aws():
        client = clients(endpoint)
        absent = create(template, values, client)
        shown = {**described(client), "cors": cors(template, values), "absent": absent}
        print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
