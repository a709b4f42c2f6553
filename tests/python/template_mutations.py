"""Errors in the template that the checks must report: at least one for each check."""

import copy
import json

import template_checks
import template_load
import template_subject

MUTATIONS = []


def mutation(check):
    """Registers a change of the template that the check of this name must report."""

    def register(function):
        MUTATIONS.append((check, function))
        return function

    return register


def properties(template, name):
    return template["Resources"][name]["Properties"]


def statement(template, role, sid):
    policies = properties(template, role).get("Policies") or [properties(template, role)]
    for it in policies[0]["PolicyDocument"]["Statement"]:
        if it.get("Sid") == sid:
            return it
    raise KeyError(sid)


@mutation("routes")
def a_route_for_everyone(template):
    properties(template, "ApiFunction")["Events"]["Nodes"]["Properties"]["Auth"] = {
        "Authorizer": "NONE"
    }


@mutation("routes")
def a_route_is_missing(template):
    del properties(template, "ApiFunction")["Events"]["Instances"]


@mutation("routes")
def the_portal_needs_a_header(template):
    del properties(template, "ApiFunction")["Events"]["PortalPages"]["Properties"]["Auth"]


@mutation("routes")
def visitors_take_the_requests_of_the_api(template):
    del properties(template, "ApiFunction")["Events"]["PortalPages"]["Properties"]["RouteSettings"]


@mutation("public_access")
def pages_send_cookies_to_files(template):
    cors = properties(template, "FilesFunction")["FunctionUrlConfig"]["Cors"]
    cors["Fn::If"][1]["AllowCredentials"] = True


@mutation("authorizers")
def another_audience(template):
    jwt = properties(template, "HttpApi")["Auth"]["Authorizers"]["Jwt"]
    jwt["JwtConfiguration"]["audience"] = ["anyone"]


@mutation("public_access")
def buffered_downloads(template):
    properties(template, "FilesFunction")["FunctionUrlConfig"]["InvokeMode"] = "BUFFERED"


@mutation("public_access")
def a_public_url_of_the_api(template):
    properties(template, "ApiFunction")["FunctionUrlConfig"]["AuthType"] = "NONE"


@mutation("public_access")
def a_second_public_function(template):
    template["Resources"]["Open"] = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": "ApiFunction"},
            "Principal": "*",
        },
    }


@mutation("queues")
def visible_too_early(template):
    properties(template, "ProvisionerFunction")["Timeout"] = 601


@mutation("queues")
def the_default_timeout_of_visibility(template):
    del properties(template, "DispatcherQueue")["VisibilityTimeout"]


@mutation("queues")
def whole_batches_fail(template):
    events = properties(template, "AutoscalerFunction")["Events"]
    del events["Queue"]["Properties"]["FunctionResponseTypes"]


@mutation("queues")
def queues_are_swapped(template):
    events = properties(template, "AutoscalerFunction")["Events"]
    events["Queue"]["Properties"]["Queue"] = {"Fn::GetAtt": ["RecoveryQueue", "Arn"]}


@mutation("queues")
def low_throughput(template):
    properties(template, "RecoveryQueue")["FifoThroughputLimit"] = "perQueue"


@mutation("dead_letters")
def a_dead_letter_queue_without_alarm(template):
    del template["Resources"]["RecoveryDeadLettersAlarm"]


@mutation("dead_letters")
def a_queue_without_dead_letters(template):
    del properties(template, "RecoveryQueue")["RedrivePolicy"]


@mutation("alarms")
def a_silent_alarm(template):
    del properties(template, "MassSilenceAlarm")["AlarmActions"]


@mutation("alarms")
def nobody_is_subscribed(template):
    del template["Resources"]["AlarmSubscription"]


@mutation("schedules")
def no_schedule(template):
    del properties(template, "ProvisionerFunction")["Events"]["Schedule"]


@mutation("schedules")
def a_slow_schedule(template):
    events = properties(template, "DispatcherFunction")["Events"]
    events["Schedule"]["Properties"]["Schedule"] = "rate(1 hour)"


@mutation("events")
def no_rebalance_recommendations(template):
    del properties(template, "RecoveryFunction")["Events"]["Rebalance"]


@mutation("events")
def lost_interruptions(template):
    del properties(template, "RecoveryFunction")["Events"]["Interruption"]["Properties"][
        "DeadLetterConfig"
    ]


@mutation("events")
def lost_failures(template):
    del properties(template, "RecoveryFunction")["EventInvokeConfig"]


@mutation("environments")
def a_variable_is_missing(template):
    del properties(template, "AutoscalerFunction")["Environment"]["Variables"]["SUBNETS"]


@mutation("environments")
def an_unneeded_variable(template):
    properties(template, "FilesFunction")["Environment"]["Variables"]["NODE_ROLE_ARN"] = "x"


@mutation("environments")
def the_queue_of_another_function(template):
    variables = properties(template, "ApiFunction")["Environment"]["Variables"]
    variables["RECOVERY_QUEUE_URL"] = {"Ref": "DispatcherQueue"}


@mutation("function_settings")
def the_code_of_another_function(template):
    properties(template, "ApiFunction")["CodeUri"] = "functions/files"


@mutation("function_settings")
def a_shared_role(template):
    properties(template, "RecoveryFunction")["Role"] = {"Fn::GetAtt": ["AutoscalerRole", "Arn"]}


@mutation("function_settings")
def no_way_out_of_the_vpc(template):
    del properties(template, "ProvisionerFunction")["VpcConfig"]["Ipv6AllowedForDualStack"]


@mutation("log_retention")
def logs_for_ever(template):
    del properties(template, "FilesLogs")["RetentionInDays"]


@mutation("log_retention")
def the_default_log_group(template):
    del properties(template, "ApiFunction")["LoggingConfig"]


@mutation("table")
def another_expiry(template):
    properties(template, "Table")["TimeToLiveSpecification"]["AttributeName"] = "ttl"


@mutation("table")
def no_recovery_of_the_table(template):
    del properties(template, "Table")["PointInTimeRecoverySpecification"]


@mutation("kept_data")
def deleted_files(template):
    del template["Resources"]["FileSystem"]["DeletionPolicy"]


@mutation("kept_data")
def a_parameter_that_changes_nothing(template):
    properties(template, "Table")["DeletionProtectionEnabled"] = True


@mutation("encryption")
def plain_files(template):
    properties(template, "FileSystem")["Encrypted"] = False


@mutation("encryption")
def mounts_of_the_root(template):
    properties(template, "FileSystem")["FileSystemPolicy"]["Statement"].pop()


@mutation("encryption")
def a_public_bucket(template):
    properties(template, "ArtifactBucket")["PublicAccessBlockConfiguration"].pop("BlockPublicAcls")


@mutation("nothing_that_costs_when_idle")
def a_nat_gateway(template):
    del template["Resources"]["Nat"]["Condition"]


@mutation("nothing_that_costs_when_idle")
def an_interface_endpoint(template):
    properties(template, "S3Endpoint")["VpcEndpointType"] = "Interface"


@mutation("subnets")
def a_zone_without_mount_target(template):
    del template["Resources"]["MountTarget5"]


@mutation("subnets")
def two_subnets_in_one_zone(template):
    properties(template, "Subnet2")["AvailabilityZone"]["Fn::Select"][0] = 0


@mutation("subnets")
def a_zone_without_launches(template):
    join = properties(template, "AutoscalerFunction")["Environment"]["Variables"]["SUBNETS"]
    join["Fn::Join"][1].pop()


@mutation("subnets")
def no_endpoint_for_the_table(template):
    del template["Resources"]["DynamoDbEndpoint"]


@mutation("ingress")
def ssh_from_everywhere(template):
    properties(template, "NodeSecurityGroup")["SecurityGroupIngress"] = [
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    ]


@mutation("launch_template")
def the_old_metadata_service(template):
    data = properties(template, "LaunchTemplate")["LaunchTemplateData"]
    data["MetadataOptions"]["HttpTokens"] = "optional"


@mutation("copied_launch_template")
def a_faster_disk(template):
    data = properties(template, "LaunchTemplate")["LaunchTemplateData"]
    data["BlockDeviceMappings"][0]["Ebs"]["Throughput"] = 500


@mutation("launch_template")
def a_plain_disk(template):
    data = properties(template, "LaunchTemplate")["LaunchTemplateData"]
    data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] = False


@mutation("launch_template")
def an_untagged_volume(template):
    properties(template, "LaunchTemplate")["LaunchTemplateData"]["TagSpecifications"].pop()


def script(template):
    data = properties(template, "LaunchTemplate")["LaunchTemplateData"]
    return data["UserData"]["Fn::Base64"]["Fn::Join"][1]


@mutation("user_data")
def an_old_script(template):
    script(template)[1] = script(template)[1].replace("sha256sum", "true ||")


@mutation("user_data")
def a_variable_of_the_script_is_missing(template):
    header = script(template)[0]
    header["Fn::Sub"] = header["Fn::Sub"].replace("BATCHAI_AGENT_SHA256=", "AGENT_SHA256=")


@mutation("dashboard")
def an_old_dashboard(template):
    body = properties(template, "Dashboard")["DashboardBody"]
    body["Fn::Sub"] = json.dumps(json.loads(body["Fn::Sub"]))


@mutation("dashboard")
def an_alarm_that_is_not_shown(template):
    properties(template, "LeakedInstancesAlarm")["MetricName"] = "Leaks"


@mutation("wildcards")
def instances_of_everyone(template):
    del statement(template, "RecoveryRole", "Terminate")["Condition"]


@mutation("wildcards")
def any_action(template):
    statement(template, "ApiRole", "Table")["Action"] = "dynamodb:*"


@mutation("wildcards")
def a_wildcard_without_reason(template):
    del template["Resources"]["AutoscalerRole"]["Metadata"]["Wildcards"]["Describe"]


@mutation("wildcards")
def a_reason_without_wildcard(template):
    template["Resources"]["ApiRole"]["Metadata"]["Wildcards"]["Table"] = "Why not."


@mutation("roles")
def the_api_launches(template):
    statement(template, "ApiRole", "Hints")["Action"] = ["sqs:SendMessage", "ec2:RunInstances"]


@mutation("roles")
def a_managed_policy(template):
    properties(template, "NodeRole")["ManagedPolicyArns"] = [
        "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    ]


@mutation("roles")
def anyone_is_a_node(template):
    document = properties(template, "NodeRole")["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"] = {"AWS": "*"}


@mutation("nodes")
def nodes_write_events(template):
    del statement(template, "NodePolicy", "ApiThroughUrl")["Condition"]


@mutation("receivers")
def the_queue_of_another_role(template):
    statement(template, "DispatcherRole", "LambdaReceives")["Resource"] = {
        "Fn::GetAtt": ["RecoveryQueue", "Arn"]
    }


@mutation("receivers")
def no_hints_to_the_provisioner(template):
    statement(template, "ApiRole", "Hints")["Resource"].pop()


@mutation("created_by_moto")
def a_resource_that_nobody_checks(template):
    template["Resources"]["Pool"] = {
        "Type": "AWS::Cognito::UserPool",
        "Properties": {"UserPoolName": "p"},
    }


@mutation("outputs")
def no_endpoint(template):
    del template["Outputs"]["Endpoint"]


@mutation("parameters")
def an_undescribed_parameter(template):
    del template["Parameters"]["MaxNodes"]["Description"]


def undetected():
    """What is wrong with the checks: one without a mutation, or a mutation without a report."""
    covered = {check for check, _ in MUTATIONS}
    for it in template_subject.CHECKS:
        if it.__name__ not in covered:
            yield f"no mutation shows that the check {it.__name__} can fail"
    original = template_load.source()
    for check, change in MUTATIONS:
        template = copy.deepcopy(original)
        change(template)
        try:
            # The first report is enough: what follows may not work with a broken template.
            subject = template_subject.Subject(template)
            found = next(template_checks.problems(subject, only=check), None)
        except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
            yield f"{check} fails on {change.__name__} instead of reporting it: {error!r}"
            continue
        if found is None:
            yield f"{check} does not report {change.__name__}"
