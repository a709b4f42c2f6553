"""Checks of the data, the network, the nodes, and what people see of the stack."""

import json
import re

from template_load import ROOT, functions, resources
from template_subject import ABSENT_IN_MOTO, RECONCILERS, arn, check, dead_letter_queues

# ------------------------------------------------------------------------------------------ data


@check
def table(subject):
    it = subject.template["Resources"]["Table"]["Properties"]
    code = (ROOT / "shared/dynamo/src/attributes.rs").read_text()
    constant = lambda name: re.search(rf'const {name}: &str = "(\w+)"', code)[1]
    keys = {key["KeyType"]: key["AttributeName"] for key in it["KeySchema"]}
    if keys != {"HASH": constant("PARTITION"), "RANGE": constant("SORT")}:
        yield f"the keys of the table are {keys}"
    expiry = {"AttributeName": constant("EXPIRES_AT"), "Enabled": True}
    if it.get("TimeToLiveSpecification") != expiry:
        yield "items of the table do not expire"
    if it.get("BillingMode") != "PAY_PER_REQUEST":
        yield "the table is not on demand"
    if it.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
        yield "the table cannot be restored"


@check
def kept_data(subject):
    for keep, policy in (("true", "Retain"), ("false", "Delete")):
        template = subject.with_values(KeepData=keep)
        for name in ("Table", "FileSystem", "ArtifactBucket", "Key"):
            it = template["Resources"][name]
            found = it.get("DeletionPolicy"), it.get("UpdateReplacePolicy")
            if found != (policy, policy):
                yield f"with KeepData={keep}, the policies of {name} are {found}"
        # Without a change of a property, an update that changes only policies is refused.
        protected = template["Resources"]["Table"]["Properties"]["DeletionProtectionEnabled"]
        if protected != (keep == "true"):
            yield f"with KeepData={keep}, the protection of the table is {protected}"


@check
def encryption(subject):
    found = subject.template["Resources"]
    file_system = found["FileSystem"]["Properties"]
    if file_system.get("Encrypted") is not True:
        yield "the file system is not encrypted"
    if {"TransitionToIA": "AFTER_30_DAYS"} not in file_system["LifecyclePolicies"]:
        yield "files are never moved to infrequent access"
    denials = {it["Sid"]: it for it in file_system["FileSystemPolicy"]["Statement"]}
    if set(denials) != {"OnlyTls", "OnlyThroughAccessPoints"} or any(
        it["Effect"] != "Deny" for it in denials.values()
    ):
        yield f"the file system policy is {sorted(denials)}"
    bucket = found["ArtifactBucket"]["Properties"]
    if len(bucket["PublicAccessBlockConfiguration"]) != 4 or not all(
        bucket["PublicAccessBlockConfiguration"].values()
    ):
        yield "the bucket can be public"
    for name, queue in resources(subject.template, "AWS::SQS::Queue").items():
        if queue["Properties"].get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"
    if found["Key"]["Properties"].get("EnableKeyRotation") is not True:
        yield "the key is not rotated"


# --------------------------------------------------------------------------------------- network


@check
def nothing_that_costs_when_idle(subject):
    paid = ("AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::Instance", "AWS::RDS::DBInstance")
    for kind in paid:
        for name in resources(subject.template, kind):
            yield f"{name} ({kind}) costs something while nothing runs"
    for name, it in resources(subject.template, "AWS::EC2::VPCEndpoint").items():
        if it["Properties"]["VpcEndpointType"] != "Gateway":
            yield f"{name} costs something while nothing runs"
    for name, (_, it) in functions(subject.template).items():
        if "ProvisionedConcurrencyConfig" in it["Properties"]:
            yield f"{name} has provisioned concurrency"
    if not resources(subject.with_values(NatGateway="true"), "AWS::EC2::NatGateway"):
        yield "the parameter NatGateway makes no NAT gateway"


@check
def subnets(subject):
    for zones in range(2, 7):
        template = subject.with_values(Zones=str(zones))
        subnet_zones = set()
        for name, it in resources(template, "AWS::EC2::Subnet").items():
            subnet_zones.add(it["Properties"]["AvailabilityZone"]["Fn::Select"][0])
            if it["Properties"].get("MapPublicIpOnLaunch") is not True:
                yield f"nodes in {name} have no way out"
            for kind in ("AWS::EC2::SubnetRouteTableAssociation", "AWS::EFS::MountTarget"):
                others = resources(template, kind).values()
                if [it["Properties"]["SubnetId"] for it in others].count({"Ref": name}) != 1:
                    yield f"{name} has no {kind}"
        if subnet_zones != set(range(zones)):
            yield f"with {zones} zones, subnets are in {sorted(subnet_zones)}"
        parts = functions(template)["autoscaler"][1]["Properties"]["Environment"]["Variables"]
        if len(parts["SUBNETS"]["Fn::Join"][1]) != zones:
            yield f"with {zones} zones, the autoscaler has other subnets"
    blocks = [it["CidrBlock"] for it in subject.stack()["subnets"]]
    if len(set(blocks)) != 3:
        yield f"the subnets in moto are {blocks}"
    hidden = subject.with_values(NatGateway="true")
    for name, it in resources(hidden, "AWS::EC2::Subnet").items():
        if it["Properties"].get("MapPublicIpOnLaunch"):
            yield f"with a NAT gateway, nodes in {name} have public addresses"
    services = {
        it["Properties"]["ServiceName"]["Fn::Sub"].rsplit(".", 1)[1]
        for it in resources(subject.template, "AWS::EC2::VPCEndpoint").values()
    }
    if services != {"s3", "dynamodb"}:
        yield f"the gateway endpoints are {sorted(services)}"
    ways = {
        tuple(sorted(set(it["Properties"]) - {"RouteTableId"}))
        for it in resources(subject.template, "AWS::EC2::Route").values()
    }
    if ways != {
        ("DestinationCidrBlock", "GatewayId"),
        ("DestinationIpv6CidrBlock", "EgressOnlyInternetGatewayId"),
    }:
        yield f"the routes are {sorted(ways)}"


@check
def ingress(subject):
    groups = resources(subject.template, "AWS::EC2::SecurityGroup")
    allowed = [
        (name, rule)
        for name, group in groups.items()
        for rule in group["Properties"].get("SecurityGroupIngress", [])
    ]
    allowed += [
        (it["Properties"]["GroupId"]["Ref"], it["Properties"])
        for it in resources(subject.template, "AWS::EC2::SecurityGroupIngress").values()
    ]
    for group, rule in allowed:
        origin = rule.get("SourceSecurityGroupId", {}).get("Ref")
        if "CidrIp" in rule or "CidrIpv6" in rule or origin not in groups:
            yield f"{group} accepts connections from outside: {rule}"
        elif group != "FileSystemSecurityGroup" and origin != group:
            yield f"{group} accepts connections of {origin}"


# What `shared/ec2/src/templates.rs` copies for clusters with security groups or a capacity reservation.
COPIED = {
    "": {
        "BlockDeviceMappings", "IamInstanceProfile", "MetadataOptions", "SecurityGroupIds",
        "TagSpecifications", "UserData",
    },
    "MetadataOptions": {
        "HttpEndpoint", "HttpPutResponseHopLimit", "HttpTokens", "InstanceMetadataTags",
    },
    "BlockDeviceMappings": {"DeviceName", "Ebs"},
    "Ebs": {"DeleteOnTermination", "Encrypted", "VolumeSize", "VolumeType"},
}


@check
def copied_launch_template(subject):
    it = subject.template["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    disks = it["BlockDeviceMappings"]
    places = [("", it), ("MetadataOptions", it["MetadataOptions"])]
    places += [("BlockDeviceMappings", disk) for disk in disks]
    places += [("Ebs", disk["Ebs"]) for disk in disks]
    for name, values in places:
        if lost := set(values) - COPIED[name]:
            yield f"copies of the launch template lose {sorted(lost)} of {name or 'its parameters'}"


@check
def launch_template(subject):
    it = subject.template["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    metadata = it["MetadataOptions"]
    if metadata["HttpTokens"] != "required" or metadata["HttpPutResponseHopLimit"] != 1:
        yield f"the metadata service of nodes is open: {metadata}"
    for disk in it["BlockDeviceMappings"]:
        if disk["Ebs"].get("Encrypted") is not True or not disk["Ebs"].get("DeleteOnTermination"):
            yield f"the disk is {disk}"
    if "KeyName" in it:
        yield "nodes have an SSH key"
    if it["SecurityGroupIds"] != [{"Ref": "NodeSecurityGroup"}]:
        yield "nodes have another security group"
    if it["IamInstanceProfile"] != {"Arn": arn("NodeInstanceProfile")}:
        yield "nodes have another role"
    for kind in ("instance", "volume"):
        own = {"Key": "batchai:stack", "Value": {"Ref": "AWS::StackName"}}
        tagged = [spec["ResourceType"] for spec in it["TagSpecifications"] if own in spec["Tags"]]
        if kind not in tagged:
            yield f"{kind}s have no tag of the stack"


@check
def user_data(subject):
    it = subject.template["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    header, body = it["UserData"]["Fn::Base64"]["Fn::Join"][1]
    script = (ROOT / "infra/user-data.sh").read_text()
    if body != script:
        yield "the user data is not infra/user-data.sh: run infra/embed.py"
    given = set(re.findall(r"^(BATCHAI_\w+)='", header["Fn::Sub"], re.MULTILINE))
    needed = set(re.findall(r"\$\{(BATCHAI_\w+):?[?=]\}?", script.split("# Tests set")[0]))
    if given != needed:
        yield f"the header sets {sorted(given)}, the script needs {sorted(needed)}"
    if not header["Fn::Sub"].startswith("#!/bin/bash\n"):
        yield "the user data is no script"
    if len(header["Fn::Sub"]) + len(body) > 12_000:
        yield "the user data is near its limit of 16 KB"


@check
def dashboard(subject):
    it = subject.template["Resources"]["Dashboard"]["Properties"]
    text = it["DashboardBody"]["Fn::Sub"]
    if text != (ROOT / "infra/dashboard.json").read_text():
        yield "the dashboard is not infra/dashboard.json: run infra/embed.py"
    shown = set()
    for widget in json.loads(text)["widgets"]:
        shown |= {str(it) for metric in widget["properties"]["metrics"] for it in metric}
    dead = set(dead_letter_queues(subject.template))
    for queue in dead:
        if "${" + queue + ".QueueName}" not in shown:
            yield f"the dashboard does not show {queue}"
    for alarm in resources(subject.template, "AWS::CloudWatch::Alarm").values():
        properties = alarm["Properties"]
        if properties["Namespace"] == "batchai" and properties["MetricName"] not in shown:
            yield f"the dashboard does not show {properties['MetricName']}"


# ------------------------------------------------------------------------------------------ moto


@check
def created_by_moto(subject):
    absent = set(subject.stack()["absent"])
    if absent != ABSENT_IN_MOTO:
        yield f"moto has now, or has no longer: {sorted(absent ^ ABSENT_IN_MOTO)}"


@check
def outputs(subject):
    used = {
        "Endpoint", "FilesUrl", "JwtIssuer", "JwtAudience", "TableName", "DeadLetterQueueUrls",
        "ArtifactBucket", "FileSystemId", "KeyArn", "LaunchTemplateId", "NodeRoleArn",
        "NodeSecurityGroup", "VpcId", "AlarmTopicArn",
    } | {f"{it.capitalize()}QueueUrl" for it in RECONCILERS}
    found = subject.stack()["outputs"]
    for name in sorted(used ^ set(found)):
        yield f"the output {name} is missing or not listed here"
    dead = {it.rsplit("/", 1)[1] for it in found["DeadLetterQueueUrls"].split(",")}
    queues = {it for it in subject.stack()["queues"] if "-dead" in it}
    if dead != queues:
        yield f"the output DeadLetterQueueUrls is {sorted(dead)}"


@check
def parameters(subject):
    required = {"JwtIssuer", "JwtAudience", "OwnerPrincipal", "AgentSha256"}
    for name, it in subject.source["Parameters"].items():
        if not it.get("Description", "").endswith("."):
            yield f"{name} has no description"
        if ("Default" not in it) != (name in required):
            yield f"{name} has the wrong default"
    groups = subject.source["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in groups for name in group["Parameters"]]
    if sorted(listed) != sorted(subject.source["Parameters"]):
        yield "the groups do not list every parameter once"
