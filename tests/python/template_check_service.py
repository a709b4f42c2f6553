"""Checks of the API, the queues, the events and the functions."""

import json

import template_load
from template_load import ROOT, functions, resources
from template_subject import RECONCILERS, VARIABLES, arn, check, dead_letter_queues

# ------------------------------------------------------------------------------------------- API


@check
def routes(subject):
    api, = resources(subject.template, "AWS::ApiGatewayV2::Api").values()
    body = api["Properties"]["Body"]
    any_method = "x-amazon-apigateway-any-method"
    expected = {
        "$default": (any_method, "Jwt"),
        "/nodes/{proxy+}": (any_method, "AWS_IAM"),
        "/instances/{proxy+}": (any_method, "AWS_IAM"),
        # Browsers: the function checks their session.
        "/portal": ("get", "NONE"),
        "/portal/{proxy+}": (any_method, "NONE"),
    }
    found = set(body["paths"])
    if found != set(expected):
        yield f"routes are {sorted(found)}"
    for path, (expected_method, authorizer) in expected.items():
        methods = body["paths"].get(path, {})
        if set(methods) != {expected_method}:
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
    stage, = resources(subject.template, "AWS::ApiGatewayV2::Stage").values()
    limits = stage["Properties"].get("RouteSettings", {})
    if set(limits) != {"GET /portal", "ANY /portal/{proxy+}"}:
        yield f"{sorted(limits)} have limits of their own"


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
    def urls_of(template):
        return [it["Properties"] for it in resources(template, "AWS::Lambda::Url").values()]

    urls = urls_of(subject.template)
    expected = [
        # Nodes.
        {"TargetFunctionArn": {"Ref": "ApiFunction"}, "AuthType": "AWS_IAM"},
        # Everyone who has a signed link.
        {
            "TargetFunctionArn": {"Ref": "FilesFunction"},
            "AuthType": "NONE",
            "InvokeMode": "RESPONSE_STREAM",
        },
    ]
    if sorted(urls, key=str) != sorted(expected, key=str):
        yield f"the function URLs are {urls}"
    cors = [it["Cors"] for it in urls_of(subject.with_values(PortalClientId="p")) if "Cors" in it]
    if [it.get("AllowOrigins") for it in cors] != [["*"]] or cors[0].get("AllowCredentials"):
        yield f"pages of the portal read files by {cors}"
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
        "SUBNETS": ",".join(
            f"{it['AvailabilityZone']}={it['SubnetId']}"
            for it in sorted(stack["subnets"], key=lambda it: it["CidrBlock"])
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
