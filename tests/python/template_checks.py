"""Checks of template.yaml: the transformed template, and the stack that moto creates from it.

    python template_checks.py                 runs every check
    python template_checks.py --mutations     breaks the template once for each check

A check is a function that yields what is wrong. `template_mutations.py` has a change for each check
that it must report, so a check that cannot fail is itself reported.
"""

import argparse
import functools
import json
import re
import sys

import moto
import template_load
import template_roles
import template_stack
from template_load import ROOT, functions, resources, walk

RECONCILERS = ["dispatcher", "autoscaler", "recovery", "provisioner"]
CHECKS = []

QUEUE_URLS = {f"{name.upper()}_QUEUE_URL" for name in RECONCILERS}
LIMITS = {"IDLE_SECONDS", "MAX_NODES", "MAX_CORES", "MAX_CLUSTERS", "MAX_TOTAL_CORES", "LOCATIONS"}
EVERY = {"STACK_NAME", "TABLE_NAME"}
# All functions that decide have the same limits: two with different ones would work against each
# other.
DECIDES = EVERY | QUEUE_URLS | LIMITS
VARIABLES = {
    "api": DECIDES | {"KMS_KEY_ARN", "OWNER_PRINCIPAL", "FILES_URL", "NODE_ROLE_ARN"},
    "files": EVERY
    | {"KMS_KEY_ARN", "ARTIFACT_BUCKET", "FILE_SYSTEM_ROOT", "AWS_USE_DUALSTACK_ENDPOINT"},
    "dispatcher": DECIDES,
    "autoscaler": DECIDES | {"LAUNCH_TEMPLATE_ID", "SUBNET_IDS", "ON_DEMAND_FALLBACK"},
    "recovery": DECIDES,
    "provisioner": DECIDES | {"FILE_SYSTEM_ID", "FILE_SYSTEM_ROOT", "AWS_USE_DUALSTACK_ENDPOINT"},
}

# What moto cannot create; the checks below read these in the template.
ABSENT_IN_MOTO = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::VPCCidrBlock",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Url",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
}


class Subject:
    """A template to check, with everything that is derived from it, made once."""

    def __init__(self, source):
        self.source = source

    @functools.cache
    def transformed(self):
        return template_load.transformed(self.source, template_load.parameters(self.source))

    @functools.cache
    def with_values(self, **overrides):
        """What these parameters create."""
        values = template_load.parameters(self.source, **overrides)
        return template_load.effective(self.transformed(), values)

    @property
    def template(self):
        return self.with_values()

    @functools.cache
    def stack(self):
        """The stack in moto: environment, outputs, absent types, and the clients' answers."""
        with moto.mock_aws():
            values = template_load.parameters(self.source)
            client = template_stack.clients()
            absent = template_stack.create(self.with_values(), values, client)
            ec2, sqs = client("ec2"), client("sqs")
            described = template_stack.described(client)
            queues = [
                sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
                for url in sqs.list_queues()["QueueUrls"]
            ]
            return {
                **described,
                "absent": absent,
                "queues": {it["QueueArn"].rsplit(":", 1)[1]: it for it in queues},
                "subnets": ec2.describe_subnets(
                    Filters=[{"Name": "vpc-id", "Values": [described["outputs"]["VpcId"]]}]
                )["Subnets"],
            }


def check(function):
    CHECKS.append(function)
    return function


def arn(name):
    return {"Fn::GetAtt": [name, "Arn"]}


# ------------------------------------------------------------------------------------------- API


@check
def routes(subject):
    api, = resources(subject.template, "AWS::ApiGatewayV2::Api").values()
    body = api["Properties"]["Body"]
    expected = {
        "$default": "Jwt",
        "/nodes/{proxy+}": "AWS_IAM",
        "/instances/{proxy+}": "AWS_IAM",
    }
    found = set(body["paths"])
    if found != set(expected):
        yield f"routes are {sorted(found)}"
    for path, authorizer in expected.items():
        methods = body["paths"].get(path, {})
        if set(methods) != {"x-amazon-apigateway-any-method"}:
            yield f"{path} has the methods {sorted(methods)}"
            continue
        method, = methods.values()
        if method.get("security") != [{authorizer: []}]:
            yield f"{path} is authorized by {method.get('security')}"
        integration = method["x-amazon-apigateway-integration"]
        if "${ApiFunction.Arn}" not in integration["uri"]["Fn::Sub"]:
            yield f"{path} does not lead to the function api"
        if integration["payloadFormatVersion"] != "2.0":
            yield f"{path} has another payload format"


@check
def authorizers(subject):
    api, = resources(subject.template, "AWS::ApiGatewayV2::Api").values()
    schemes = api["Properties"]["Body"]["components"]["securitySchemes"]
    jwt = schemes["Jwt"]["x-amazon-apigateway-authorizer"]
    expected = {"issuer": {"Ref": "JwtIssuer"}, "audience": {"Ref": "JwtAudience"}}
    if jwt["type"] != "jwt" or jwt["jwtConfiguration"] != expected:
        yield f"the JWT authorizer is {jwt}"
    if schemes["AWS_IAM"]["x-amazon-apigateway-authtype"] != "awsSigv4":
        yield f"the authorizer of nodes is {schemes['AWS_IAM']}"


@check
def public_access(subject):
    url, = resources(subject.template, "AWS::Lambda::Url").values()
    if url["Properties"] != {
        "TargetFunctionArn": {"Ref": "FilesFunction"},
        "AuthType": "NONE",
        "InvokeMode": "RESPONSE_STREAM",
    }:
        yield f"the function URL is {url['Properties']}"
    public = []
    for name, it in resources(subject.template, "AWS::Lambda::Permission").items():
        if it["Properties"]["Principal"] == "*":
            public.append(it["Properties"])
        elif "SourceArn" not in it["Properties"]:
            yield f"{name} does not name who may invoke"
    # Function URLs need both permissions; the second one only through the URL.
    actions = sorted(it["Action"] for it in public)
    if actions != ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]:
        yield f"anyone may call {actions}"
    for it in public:
        if it["FunctionName"] != {"Ref": "FilesFunction"}:
            yield f"anyone may invoke {it['FunctionName']}"
        if it.get("FunctionUrlAuthType") != "NONE" and it.get("InvokedViaFunctionUrl") is not True:
            yield "anyone may invoke a function without its URL"


# ------------------------------------------------------------------------------ queues and events


@check
def queues(subject):
    found = functions(subject.template)
    mappings = resources(subject.template, "AWS::Lambda::EventSourceMapping").values()
    by_function = {it["Properties"]["FunctionName"]["Ref"]: it["Properties"] for it in mappings}
    if len(by_function) != len(RECONCILERS) or len(mappings) != len(RECONCILERS):
        yield f"{len(mappings)} queues lead to functions"
    for name in RECONCILERS:
        logical, function = found[name]
        mapping = by_function.get(logical)
        if mapping is None:
            yield f"{name} has no queue"
            continue
        queue = mapping["EventSourceArn"]["Fn::GetAtt"][0]
        if queue != name.capitalize() + "Queue":
            yield f"{name} receives from {queue}"
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} does not report batch item failures"
        it = subject.stack()["queues"].get(f"{template_load.STACK}-{name}.fifo")
        if it is None:
            yield f"moto has no FIFO queue of {name}"
            continue
        visible, timeout = int(it["VisibilityTimeout"]), function["Properties"]["Timeout"]
        if visible < 6 * timeout:
            yield f"the queue of {name} hides messages for {visible} s, the timeout is {timeout} s"
        if (it["DeduplicationScope"], it["FifoThroughputLimit"]) != (
            "messageGroup",
            "perMessageGroupId",
        ):
            yield f"the queue of {name} has not the high throughput of FIFO queues"
        redrive = json.loads(it.get("RedrivePolicy", "{}"))
        if not redrive.get("deadLetterTargetArn", "").endswith(f"-{name}-dead.fifo"):
            yield f"the queue of {name} has no dead-letter queue"


def dead_letter_queues(template):
    """Logical ids of all queues in which messages end."""
    keys = ("deadLetterTargetArn", "DeadLetterConfig", "Destination")
    for it in walk(template["Resources"]):
        for key in keys:
            target = it.get(key)
            if key == "DeadLetterConfig" and target:
                target = target["Arn"]
            if isinstance(target, dict) and "Fn::GetAtt" in target:
                yield target["Fn::GetAtt"][0]


@check
def dead_letters(subject):
    dead = set(dead_letter_queues(subject.template))
    watched = {}
    for it in resources(subject.template, "AWS::CloudWatch::Alarm").values():
        properties = it["Properties"]
        if properties["MetricName"] == "ApproximateNumberOfMessagesVisible":
            dimension, = properties["Dimensions"]
            watched[dimension["Value"]["Fn::GetAtt"][0]] = properties
    for queue in sorted(dead):
        if queue not in watched:
            yield f"{queue} has no alarm"
        elif watched[queue]["Threshold"] != 0:
            yield f"the alarm of {queue} has the threshold {watched[queue]['Threshold']}"
    for name, queue in resources(subject.template, "AWS::SQS::Queue").items():
        if name not in dead and "RedrivePolicy" not in queue["Properties"]:
            yield f"{name} has no dead-letter queue"


@check
def alarms(subject):
    for name, it in resources(subject.template, "AWS::CloudWatch::Alarm").items():
        if it["Properties"].get("AlarmActions") != [{"Ref": "AlarmTopic"}]:
            yield f"{name} notifies nobody"
    subscription = subject.with_values(AlarmEmail="a@example.org")["Resources"].get(
        "AlarmSubscription"
    )
    if subscription is None or subscription["Properties"]["Endpoint"] != {"Ref": "AlarmEmail"}:
        yield "the address for alarms is not subscribed"
    budget, = resources(subject.template, "AWS::Budgets::Budget").values()
    for it in budget["Properties"]["NotificationsWithSubscribers"]:
        if it["Subscribers"] != [{"SubscriptionType": "SNS", "Address": {"Ref": "AlarmTopic"}}]:
            yield "the budget notifies somebody else"


def rules(subject):
    for name, it in resources(subject.template, "AWS::Events::Rule").items():
        target, = it["Properties"]["Targets"]
        yield name, it["Properties"], target


def problems_of_target(subject, name, target):
    if target.get("DeadLetterConfig") != {"Arn": arn("EventDeadLetters")}:
        yield f"{name} has no dead-letter queue"
    permitted = [
        it["Properties"]
        for it in resources(subject.template, "AWS::Lambda::Permission").values()
        if it["Properties"].get("SourceArn") == arn(name)
    ]
    function = target["Arn"]["Fn::GetAtt"][0]
    if [it["FunctionName"] for it in permitted] != [{"Ref": function}]:
        yield f"{name} may not invoke {function}"


@check
def schedules(subject):
    found = {}
    for name, rule, target in rules(subject):
        if "ScheduleExpression" in rule:
            found[target["Arn"]["Fn::GetAtt"][0]] = rule["ScheduleExpression"]
            yield from problems_of_target(subject, name, target)
            if rule.get("State", "ENABLED") != "ENABLED" or "Input" in target:
                yield f"{name} is disabled, or sends another event"
    expected = {f"{name.capitalize()}Function": "rate(1 minute)" for name in RECONCILERS}
    if found != expected:
        yield f"the schedules are {found}"


@check
def events(subject):
    expected = {
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "EC2 Instance State-change Notification",
    }
    found = set()
    for name, rule, target in rules(subject):
        if "EventPattern" not in rule:
            continue
        pattern = rule["EventPattern"]
        found |= set(pattern["detail-type"])
        yield from problems_of_target(subject, name, target)
        if pattern["source"] != ["aws.ec2"]:
            yield f"{name} has events of {pattern['source']}"
        if target["Arn"] != arn("RecoveryFunction"):
            yield f"{name} does not lead to recovery"
        states = pattern.get("detail", {}).get("state")
        if states and not {"shutting-down", "terminated", "stopped"} <= set(states):
            yield f"{name} has only the states {states}"
    if found != expected:
        yield f"events are {sorted(found)}"
    for name in RECONCILERS:
        config = subject.template["Resources"].get(f"{name.capitalize()}FunctionEventInvokeConfig")
        destination = config and config["Properties"]["DestinationConfig"]["OnFailure"]
        if destination != {"Destination": arn("EventDeadLetters")}:
            yield f"failed invocations of {name} are lost"


# ------------------------------------------------------------------------------------- functions


@check
def environments(subject):
    stack = subject.stack()
    if set(stack["environment"]) != set(VARIABLES):
        yield f"functions are {sorted(stack['environment'])}"
    for name, expected in VARIABLES.items():
        found = stack["environment"].get(name, {})
        for variable in sorted(set(found) ^ expected):
            verb = "has" if variable in found else "lacks"
            yield f"{name} {verb} the variable {variable}"
        for variable, value in found.items():
            if not value:
                yield f"{variable} of {name} is empty"
    outputs = stack["outputs"]
    same = {
        "STACK_NAME": template_load.STACK,
        "TABLE_NAME": outputs["TableName"],
        "KMS_KEY_ARN": outputs["KeyArn"],
        "FILE_SYSTEM_ID": outputs["FileSystemId"],
        "ARTIFACT_BUCKET": outputs["ArtifactBucket"],
        "LAUNCH_TEMPLATE_ID": outputs["LaunchTemplateId"],
        "FILES_URL": outputs["FilesUrl"],
        "NODE_ROLE_ARN": outputs["NodeRoleArn"],
        "LOCATIONS": template_load.REGION,
        "SUBNET_IDS": ",".join(
            it["SubnetId"] for it in sorted(stack["subnets"], key=lambda it: it["CidrBlock"])
        ),
        **{f"{it.upper()}_QUEUE_URL": outputs[f"{it.capitalize()}QueueUrl"] for it in RECONCILERS},
    }
    for name, found in stack["environment"].items():
        for variable, value in same.items():
            if found.get(variable, value) != value:
                yield f"{variable} of {name} is {found[variable]}, not {value}"


@check
def function_settings(subject):
    roles = set()
    for name, (logical, function) in functions(subject.template).items():
        properties = function["Properties"]
        source = subject.source["Resources"][logical]
        if source["Properties"]["CodeUri"] != f"functions/{name}":
            yield f"the code of {name} is in {source['Properties']['CodeUri']}"
        if source.get("Metadata", {}).get("BuildMethod") != "rust-cargolambda":
            yield f"{name} has another build method"
        if properties["Runtime"] != "provided.al2023" or properties["Handler"] != "bootstrap":
            yield f"{name} has another runtime"
        if properties["Architectures"] != [{"Ref": "Architecture"}]:
            yield f"the architecture of {name} is not the parameter"
        roles.add(properties["Role"]["Fn::GetAtt"][0])
        mounts = "FILE_SYSTEM_ROOT" in properties["Environment"]["Variables"]
        if mounts != ("FileSystemConfigs" in properties) or mounts != ("VpcConfig" in properties):
            yield f"{name} mounts no file system, or needs none"
        if mounts and not properties["VpcConfig"].get("Ipv6AllowedForDualStack"):
            yield f"{name} has no way out of its VPC"
        if mounts and not {"MountTarget1", "MountTarget2"} <= set(function.get("DependsOn", [])):
            yield f"{name} may be created before it can mount"
    if len(roles) != len(VARIABLES):
        yield f"there are {len(roles)} roles for {len(VARIABLES)} functions"
    crates = {it.name for it in (ROOT / "functions").iterdir() if (it / "Cargo.toml").exists()}
    for name in crates - set(functions(subject.template)):
        yield f"functions/{name} is not in the template"
    if subject.source["Parameters"]["Architecture"]["Default"] != "arm64":
        yield "arm64 is not the default"


@check
def log_retention(subject):
    groups = resources(subject.template, "AWS::Logs::LogGroup")
    for name, it in groups.items():
        if it["Properties"].get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name} is kept for ever"
    own = set()
    for name, (_, function) in functions(subject.template).items():
        group = function["Properties"].get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
        if group not in groups or group in own:
            yield f"{name} has no log group of its own"
        own.add(group)


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
        if len(parts["SUBNET_IDS"]["Fn::Join"][1]) != zones:
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


# ----------------------------------------------------------------------------------------- roles


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
        if ("kms:Decrypt" in actions(role)) != (role in ("api", "files")):
            yield f"{role} has the wrong access to secrets"
    for entry in [entry for role in table.values() for entry in role]:
        if "ec2:TerminateInstances" in entry["actions"] and entry["condition"] != {
            "StringEquals": {"aws:ResourceTag/batchai:stack": {"Ref": "AWS::StackName"}}
        }:
            yield "instances of others could be terminated"
    if {"elasticfilesystem:ClientWrite"} & actions("files"):
        yield "the function files can write"


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


def problems(subject, only=None):
    """(name of the check, what is wrong)"""
    for it in CHECKS:
        if only in (None, it.__name__):
            for problem in it(subject):
                yield it.__name__, problem


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mutations", action="store_true")
    if arguments.parse_args().mutations:
        import template_mutations

        found = list(template_mutations.undetected())
    else:
        subject = Subject(template_load.source())
        found = [f"{name}: {problem}" for name, problem in problems(subject)]
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
