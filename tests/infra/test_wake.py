"""The way of an alarm: metric, alarm, topic or rule, queue, and the autoscaler's reading of what lies there."""

import datetime
import json
import os
import subprocess

from conftest import OBSERVING, STREAM
from emulator import ACCOUNT, REGION

ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm"


def receive(emulator, name=f"{OBSERVING}-wake"):
    """The messages that are in the queue or come within the longest wait of SQS, which are deleted."""
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20).get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message["Body"] for message in messages]


def is_empty(emulator, name):
    sqs = emulator.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)


def read(body):
    """What the autoscaler makes of a message."""
    program = os.environ["LEASEHOLD_READ_WAKE"]
    result = subprocess.run([program], input=body, capture_output=True, text=True)
    assert result.returncode == 0, f"{result.stderr}in {body}"
    return result.stdout.splitlines()


def as_cloudwatch_writes_it(body, region=REGION):
    """Mends what ministack 1.5.33 writes otherwise: AWS has the alarm's ARN, and dimensions in lower case."""
    envelope = json.loads(body)
    alarm = json.loads(envelope["Message"])
    alarm["AlarmArn"] = f"arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{alarm['AlarmName']}"
    alarm["Trigger"]["Dimensions"] = [
        {name.lower(): value for name, value in dimension.items()} for dimension in alarm["Trigger"]["Dimensions"]
    ]
    return json.dumps({**envelope, "Message": json.dumps(alarm)})


def test_a_throttled_minute_wakes_the_autoscaler(stacks):
    name = f"{OBSERVING}/wake/{STREAM}/writes-throttled"
    stacks.client("cloudwatch").put_metric_data(
        Namespace="AWS/Kinesis",
        MetricData=[{
            "MetricName": "WriteProvisionedThroughputExceeded",
            "Dimensions": [{"Name": "StreamName", "Value": STREAM}],
            "Timestamp": datetime.datetime.now(datetime.timezone.utc),
            "Value": 17,
        }],
    )
    (body,) = receive(stacks)
    envelope = json.loads(body)
    assert envelope["TopicArn"] == f"arn:aws:sns:{REGION}:{ACCOUNT}:{OBSERVING}-wake"
    assert read(as_cloudwatch_writes_it(body)) == [f"{STREAM} {name} ALARM"]


def test_full_shards_by_the_metric_of_the_tool_wake_it_and_so_does_their_end(stacks):
    cloudwatch = stacks.client("cloudwatch")
    name = f"{OBSERVING}/wake/{STREAM}/shards-full"
    for state in ["ALARM", "OK"]:
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="by the test")
        (body,) = receive(stacks)
        assert read(as_cloudwatch_writes_it(body)) == [f"{STREAM} {name} {state}"]


def test_alarms_for_people_do_not_wake_the_autoscaler(stacks):
    cloudwatch = stacks.client("cloudwatch")
    name = f"{OBSERVING}/tell/{STREAM}/heartbeat-missing"
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="by the test")
    states = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert [alarm["StateValue"] for alarm in states] == ["ALARM"]
    assert is_empty(stacks, f"{OBSERVING}-wake")


def test_event_bridge_brings_the_changes_of_waking_alarms_only(stacks):
    """The emulator sends no events of alarms, so its matching is asked with what CloudWatch would send."""
    events = stacks.client("events")
    pattern = events.describe_rule(Name=f"{OBSERVING}-wake")["EventPattern"]
    wake = f"{OBSERVING}/wake/{STREAM}/demand-doubled-x4"
    matches = lambda alarm, state: events.test_event_pattern(EventPattern=pattern, Event=event(alarm, state))["Result"]
    assert matches(wake, "ALARM")
    assert matches(wake, "OK")
    assert not matches(wake, "INSUFFICIENT_DATA")
    assert not matches(f"{OBSERVING}/tell/{STREAM}/quota-low", "ALARM")
    assert not matches(f"somebody-elses/wake/{STREAM}/bytes", "ALARM")
    assert read(event(wake, "ALARM")) == [f"{STREAM} {wake} ALARM"]


def test_a_timer_s_input_is_a_wake_up():
    assert read(json.dumps({"stream": STREAM})) == [f"{STREAM} asked for"]


def event(alarm, state):
    """As EventBridge delivers a change of an alarm on an expression."""
    return json.dumps({
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": ACCOUNT,
        "time": "2026-01-31T09:05:00Z",
        "region": REGION,
        "resources": [f"{ALARM}:{alarm}"],
        "detail": detail(alarm, state),
    })


def detail(alarm, state):
    metric = lambda name: {
        "metric": {"namespace": "AWS/Kinesis", "name": name, "dimensions": {"StreamName": STREAM}},
        "period": 60,
        "stat": "Sum",
    }
    return {
        "alarmName": alarm,
        "state": {"value": state, "reason": "Threshold Crossed", "timestamp": "2026-01-31T09:05:00.000+0000"},
        "previousState": {"value": "OK", "timestamp": "2026-01-31T08:05:00.000+0000"},
        "configuration": {
            "metrics": [
                {"id": "share", "expression": "MAX([bytes, records])", "label": "share", "returnData": True},
                {"id": "bytes", "metricStat": metric("IncomingBytes"), "returnData": False},
                {"id": "records", "metricStat": metric("IncomingRecords"), "returnData": False},
            ],
        },
    }
