"""The stacks on an emulator: what exists has the properties that matter."""

import json
import os
import subprocess

import pytest

import template
from conftest import (
    APPLICATIONS, APPLYING, OBSERVING, POLICY, READER_TABLE_ARNS, STREAM, STREAM_ARN, TELEMETRY_TABLE_ARN, alarm_parameters)
from emulator import ACCOUNT, REGION
from template import Resolved

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}"
ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule"


def queue(emulator, name):
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def statements(document):
    document = json.loads(document) if isinstance(document, str) else document
    return {statement["Sid"]: statement for statement in document["Statement"]}


def outputs(emulator, stack):
    description = emulator.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}


def policy(emulator, arn):
    iam = emulator.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return statements(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])


def role_policies(emulator, arn):
    attached = emulator.client("iam").list_attached_role_policies(RoleName=arn.rsplit("/", 1)[1])
    return {entry["PolicyArn"] for entry in attached["AttachedPolicies"]}


def test_every_alarm_on_a_metric_is_as_the_template_says(stacks):
    """Alarms on expressions are compared with Terraform's, which the emulator takes."""
    wanted = {}
    for deployment in [APPLYING, OBSERVING]:
        topics = {f"{deployment}-wake-topic": f"{TOPIC}:{deployment}-wake",
                  f"{deployment}-operators-topic": f"{TOPIC}:{deployment}-operators"}
        known = {"OperatorsTopic": f"{TOPIC}:{deployment}-operators", "WakeQueue.QueueName": f"{deployment}-wake",
                 "DeadLetterQueue.QueueName": f"{deployment}-dead-letters", "Function": f"{deployment}-autoscaler"}
        files = [("alarms.yaml", alarm_parameters(deployment)),
                 ("consumer.yaml", {"Deployment": deployment, "StreamName": STREAM, "ConsumerName": "fraud"}),
                 ("control.yaml", {"Deployment": deployment})]
        if deployment == APPLYING:
            files.append(("lambda.yaml", {"Deployment": deployment}))
        for file, parameters in files:
            for name, alarm in template.alarms(Resolved(file, known, **parameters)).items():
                if "metric" in alarm:
                    alarm["tells"] = tuple([topics.get(action, action) for action in side] for side in alarm["tells"])
                    wanted[name] = alarm
    pages = stacks.client("cloudwatch").get_paginator("describe_alarms").paginate()
    found = {alarm["AlarmName"]: template.alarm(alarm) for page in pages for alarm in page["MetricAlarms"]
             if alarm["AlarmName"].startswith((f"{APPLYING}/", f"{OBSERVING}/"))}
    assert found == wanted
    assert len(found) == 27


def test_wake_ups_expire_and_failing_ones_go_to_the_dead_letters(stacks):
    wake = queue(stacks, f"{APPLYING}-wake")
    assert wake["MessageRetentionPeriod"] == "3600"
    assert int(wake["VisibilityTimeout"]) >= 6 * 60, "six times the function's timeout, as Lambda asks for"
    assert json.loads(wake["RedrivePolicy"]) == {
        "deadLetterTargetArn": f"{QUEUE}:{APPLYING}-dead-letters",
        "maxReceiveCount": 10,
    }
    dead = queue(stacks, f"{APPLYING}-dead-letters")
    assert dead["MessageRetentionPeriod"] == "1209600"
    allowed = json.loads(dead["RedriveAllowPolicy"])
    assert allowed == {"redrivePermission": "byQueue", "sourceQueueArns": [f"{QUEUE}:{APPLYING}-wake"]}


def test_only_the_topic_and_the_rules_of_the_deployment_may_send(stacks):
    sent = {
        f"{APPLYING}-wake": {"WakeTopic": ("sns.amazonaws.com", {"ArnEquals": {"aws:SourceArn": f"{TOPIC}:{APPLYING}-wake"}}),
                             "Rules": ("events.amazonaws.com", {"ArnLike": {"aws:SourceArn": [
                                 f"{RULE}/{APPLYING}-wake", f"{RULE}/{APPLYING}-look-*"]}})},
        f"{APPLYING}-dead-letters": {
            "UndeliveredByWakeTopic": ("sns.amazonaws.com", {"ArnEquals": {"aws:SourceArn": f"{TOPIC}:{APPLYING}-wake"}}),
            "UndeliveredByWakeRule": ("events.amazonaws.com", {"ArnEquals": {"aws:SourceArn": f"{RULE}/{APPLYING}-wake"}})},
    }
    for name, wanted in sent.items():
        found = statements(queue(stacks, name)["Policy"])
        assert {sid: (entry["Principal"]["Service"], entry["Condition"]) for sid, entry in found.items()} == wanted
        for entry in found.values():
            assert (entry["Effect"], entry["Action"], entry["Resource"]) == ("Allow", "sqs:SendMessage", f"{QUEUE}:{name}")


@pytest.mark.parametrize("audience, topic", [("wake", "wake"), ("tell", "operators")])
def test_only_alarms_of_the_deployment_and_audience_may_publish(stacks, audience, topic):
    arn = f"{TOPIC}:{APPLYING}-{topic}"
    attributes = stacks.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    statement = statements(attributes["Policy"])["AlarmsOfThisDeployment"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    assert statement["Resource"] == arn
    assert statement["Condition"] == {
        "ArnLike": {"aws:SourceArn": f"{ALARM}:{APPLYING}/{audience}/*"},
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
    }


def test_topics_are_subscribed_by_the_queue_and_by_people(stacks):
    sns = stacks.client("sns")
    of = lambda topic: sns.list_subscriptions_by_topic(TopicArn=f"{TOPIC}:{topic}")["Subscriptions"]
    (wake,) = of(f"{APPLYING}-wake")
    assert (wake["Protocol"], wake["Endpoint"]) == ("sqs", f"{QUEUE}:{APPLYING}-wake")
    attributes = sns.get_subscription_attributes(SubscriptionArn=wake["SubscriptionArn"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"]) == {"deadLetterTargetArn": f"{QUEUE}:{APPLYING}-dead-letters"}
    assert attributes.get("RawMessageDelivery", "false") == "false"
    (people,) = of(f"{APPLYING}-operators")
    assert (people["Protocol"], people["Endpoint"]) == ("email", "oncall@example.com")
    assert of(f"{OBSERVING}-operators") == []


def test_the_rule_sends_changes_of_waking_alarms_to_the_queue(stacks):
    events = stacks.client("events")
    rule = events.describe_rule(Name=f"{APPLYING}-wake")
    assert rule["State"] == "ENABLED"
    assert json.loads(rule["EventPattern"]) == {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "resources": [{"prefix": f"{ALARM}:{APPLYING}/wake/"}],
        "detail": {"state": {"value": ["ALARM", "OK"]}},
    }
    (target,) = events.list_targets_by_rule(Rule=f"{APPLYING}-wake")["Targets"]
    assert target["Arn"] == f"{QUEUE}:{APPLYING}-wake"
    assert target["DeadLetterConfig"] == {"Arn": f"{QUEUE}:{APPLYING}-dead-letters"}


def test_a_timer_asks_for_a_look_where_one_is_wanted(stacks):
    events = stacks.client("events")
    rule = events.describe_rule(Name=f"{APPLYING}-look-{STREAM}")
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == f"{QUEUE}:{APPLYING}-wake"
    assert json.loads(target["Input"]) == {"stream": STREAM}
    names = [rule["Name"] for rule in events.list_rules()["Rules"]]
    assert f"{OBSERVING}-look-{STREAM}" not in names


def test_the_table_has_an_item_for_each_stream(stacks):
    table = stacks.client("dynamodb").describe_table(TableName=f"{APPLYING}_autoscaler")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "stream", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "stream", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_audit_has_an_item_for_each_decision(stacks):
    name = outputs(stacks, "applying")["AuditTableName"]
    keys = stacks.client("dynamodb").describe_table(TableName=name)["Table"]["KeySchema"]
    assert [(key["AttributeName"], key["KeyType"]) for key in keys] == [("stream", "HASH"), ("at", "RANGE")]


def test_the_role_that_applies_may_reshard_its_streams_and_no_others(stacks):
    found = outputs(stacks, "applying")
    observe, apply = policy(stacks, found["ObservePolicyArn"]), policy(stacks, found["ApplyPolicyArn"])
    assert role_policies(stacks, found["RoleArn"]) == {found["ObservePolicyArn"], found["ApplyPolicyArn"]}
    assert set(apply) == {"Reshard"}
    assert set(apply["Reshard"]["Action"]) == {
        "kinesis:MergeShards", "kinesis:SplitShard", "kinesis:UpdateShardCount"}
    assert apply["Reshard"]["Resource"] == [STREAM_ARN]
    assert observe["SeeStreams"]["Resource"] == [STREAM_ARN]
    assert observe["PublishOwnMetrics"]["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Leasehold"}}
    assert observe["SeeHowFarReadersAre"]["Resource"] == READER_TABLE_ARNS
    assert observe["SeeHowFarReadersAre"]["Action"] == ["dynamodb:Scan"]
    assert observe["KeepTheAudit"]["Resource"].endswith(f":table/{APPLYING}_audit")
    assert observe["KeepTheAudit"]["Action"] == ["dynamodb:PutItem"]
    assert observe["LeadAndKeepTheJournal"]["Resource"].endswith(f":table/{APPLYING}_autoscaler")
    assert observe["TakeWakeUps"]["Resource"] == f"{QUEUE}:{APPLYING}-wake"
    anywhere = {sid for sid, entry in {**observe, **apply}.items() if entry["Resource"] in ("*", ["*"])}
    assert anywhere == {"SeeShardLimitOfAccount", "ReadMetrics", "PublishOwnMetrics"}
    role = stacks.client("iam").get_role(RoleName=found["RoleArn"].rsplit("/", 1)[1])["Role"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole"]


def test_workers_may_write_telemetry_and_nothing_else_and_the_autoscaler_may_not(stacks):
    found = outputs(stacks, "applying")
    assert found["TellPolicyArn"] not in role_policies(stacks, found["RoleArn"])
    tell = policy(stacks, found["TellPolicyArn"])
    assert set(tell) == {"TellTelemetry"}
    assert set(tell["TellTelemetry"]["Action"]) == {
        "dynamodb:BatchWriteItem", "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTimeToLive"}
    assert tell["TellTelemetry"]["Resource"] == [TELEMETRY_TABLE_ARN]


def test_the_role_that_observes_may_change_no_stream(stacks):
    found = outputs(stacks, "observing")
    assert "ApplyPolicyArn" not in found
    assert role_policies(stacks, found["RoleArn"]) == {found["ObservePolicyArn"]}
    observe = policy(stacks, found["ObservePolicyArn"])
    actions = {action for entry in observe.values() for action in entry["Action"] if action.startswith("kinesis:")}
    assert actions == {"kinesis:DescribeLimits", "kinesis:DescribeStreamSummary", "kinesis:ListShards",
                       "kinesis:ListStreamConsumers"}


def test_the_function_takes_the_queue_and_alarms(stacks):
    functions = stacks.client("lambda")
    name = f"{APPLYING}-autoscaler"
    configuration = functions.get_function_configuration(FunctionName=name)
    assert configuration["Runtime"] == "provided.al2023"
    assert configuration["Architectures"] == ["arm64"]
    assert configuration["Environment"]["Variables"] == {
        "LEASEHOLD_AUTOSCALE_MODE": "apply",
        "LEASEHOLD_AUTOSCALE_STREAMS": STREAM,
        "LEASEHOLD_AUTOSCALE_TABLE": f"{APPLYING}_autoscaler",
        "LEASEHOLD_AUTOSCALE_AUDIT_TABLE": f"{APPLYING}_audit",
        "LEASEHOLD_AUTOSCALE_POLICY": POLICY,
        "LEASEHOLD_AUTOSCALE_APPLICATIONS": ",".join(APPLICATIONS),
    }
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert mapping["EventSourceArn"] == f"{QUEUE}:{APPLYING}-wake"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    (statement,) = json.loads(functions.get_policy(FunctionName=name)["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "lambda.alarms.cloudwatch.amazonaws.com"}
    assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": f"{ALARM}:{APPLYING}/wake/*"}
    role = configuration["Role"]
    found = outputs(stacks, "applying")
    assert role_policies(stacks, role) == {found["ObservePolicyArn"], found["ApplyPolicyArn"]}


def test_the_program_takes_the_variables_of_the_function(stacks):
    """It reads all of them before it notices that Lambda did not start it."""
    configuration = stacks.client("lambda").get_function_configuration(FunctionName=f"{APPLYING}-autoscaler")
    variables = configuration["Environment"]["Variables"]
    assert told_outside_lambda(variables) == "AWS_LAMBDA_RUNTIME_API is not set: this command runs as a Lambda function only"
    refused = told_outside_lambda({**variables, "LEASEHOLD_AUTOSCALE_POLICY": f"{POLICY}unknown = 1"})
    assert refused.startswith("LEASEHOLD_AUTOSCALE_POLICY: "), refused


def told_outside_lambda(variables):
    command = [os.environ["LEASEHOLD_PROGRAM"], "autoscale", "lambda"]
    result = subprocess.run(command, env={"AWS_REGION": REGION, **variables}, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    return result.stderr.strip().removeprefix("leasehold: ")
