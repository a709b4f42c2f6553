"""What the checks of template.yaml share: the template to check, and the list of checks."""

import functools

import moto
import template_load
import template_stack
from template_load import walk

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
    | {"KMS_KEY_ARN", "OWNER_PRINCIPAL", "ARTIFACT_BUCKET", "FILE_SYSTEM_ROOT"}
    | {"AWS_USE_DUALSTACK_ENDPOINT"},
    "dispatcher": DECIDES,
    "autoscaler": DECIDES | {"LAUNCH_TEMPLATE_ID", "SUBNETS", "ON_DEMAND_FALLBACK"},
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
