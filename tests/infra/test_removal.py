"""Stacks go without a trace. In a deployment of its own, on which no other test relies."""

from conftest import STREAM_ARN, alarm_parameters, deploy

NAME = "removed"


def test_deleting_the_stacks_leaves_nothing(emulator):
    deploy(emulator, NAME, "control.yaml", Deployment=NAME, StreamArns=STREAM_ARN, Mode="apply")
    deploy(emulator, f"{NAME}-orders", "alarms.yaml", **alarm_parameters(NAME))
    assert everything(emulator) != []
    cloudformation = emulator.client("cloudformation")
    for stack in [f"{NAME}-orders", NAME]:
        cloudformation.delete_stack(StackName=stack)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert everything(emulator) == []


def everything(emulator):
    """What bears the deployment's name."""
    alarms = emulator.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=NAME)
    queues = emulator.client("sqs").list_queues(QueueNamePrefix=NAME).get("QueueUrls", [])
    topics = emulator.client("sns").list_topics()["Topics"]
    rules = emulator.client("events").list_rules(NamePrefix=NAME)["Rules"]
    policies = emulator.client("iam").list_policies(Scope="Local")["Policies"]
    roles = emulator.client("iam").list_roles()["Roles"]
    names = [alarm["AlarmName"] for page in alarms for alarm in page["MetricAlarms"]]
    names += queues
    names += [topic["TopicArn"] for topic in topics if f":{NAME}-" in topic["TopicArn"]]
    names += [name for name in emulator.client("dynamodb").list_tables()["TableNames"] if name.startswith(f"{NAME}_")]
    names += [rule["Name"] for rule in rules]
    names += [policy["Arn"] for policy in policies if policy["PolicyName"].startswith(NAME)]
    names += [role["Arn"] for role in roles if role["RoleName"].startswith(NAME)]
    return names
