"""The whole loop: an alarm changes its state, the queue gets it, the autoscaler is woken, and the stream gets shards."""

import datetime
import threading
import time

import emulator as emulators
import programs
import template
from conftest import OBSERVING, STREAM, alarm_parameters, deploy
from emulator import ACCOUNT
from programs import REGION
from test_wake import as_cloudwatch_writes_it, receive

SHARDS = 8
THROTTLED = f"{OBSERVING}/wake/{STREAM}/writes-throttled"
SECONDS_MAX = 60


def open_shards(emulator):
    summary = emulator.client("kinesis").describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
    return summary["OpenShardCount"]


def wait_until_it_is_resharded(emulator, autoscaler):
    """Until the count is what the autoscaler's first accepted call asked for."""
    call = autoscaler.wait_for(programs.event(message="called", call="UpdateShardCount to", result="accepted"))
    target = int(call["call"].removeprefix("UpdateShardCount to "))
    assert target > SHARDS
    deadline = time.monotonic() + SECONDS_MAX
    while open_shards(emulator) != target:
        assert time.monotonic() < deadline, autoscaler.told()
        time.sleep(0.1)


def create_stream(emulator):
    kinesis = emulator.client("kinesis")
    kinesis.create_stream(StreamName=STREAM, ShardCount=SHARDS)
    kinesis.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})


def test_on_the_emulator_an_alarm_leads_to_more_shards(tmp_path):
    """A datum moves the alarm, which tells the topic of the template, which tells its queue.

    The emulator writes the alarm's message otherwise than AWS, so the test carries it to the queue that the autoscaler
    reads, mended. By itself the autoscaler, which has seen a stream at rest, would look again after minutes only.
    """
    with emulators.running(tmp_path, REGION) as emulator:
        stream = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}"
        deploy(emulator, "control", "control.yaml", Deployment=OBSERVING, StreamArns=stream)
        deploy(emulator, "orders", "alarms.yaml", **alarm_parameters(OBSERVING))
        create_stream(emulator)
        queue = emulator.client("sqs").create_queue(QueueName="mended")["QueueUrl"]
        with programs.autoscaler(emulator, STREAM, queue, "--table", f"{OBSERVING}_autoscaler") as autoscaler:
            autoscaler.wait_for(programs.event(stream=STREAM, message="nothing"))
            put_full_minutes(emulator)
            assert open_shards(emulator) == SHARDS
            (body,) = receive(emulator)
            assert THROTTLED in body
            emulator.client("sqs").send_message(QueueUrl=queue, MessageBody=as_cloudwatch_writes_it(body, REGION))
            autoscaler.wait_for(programs.event(message="woken", wake=THROTTLED))
            wait_until_it_is_resharded(emulator, autoscaler)


def put_full_minutes(emulator):
    """Five minutes at the limit of all shards, the last of which was throttled."""
    now = datetime.datetime.now(datetime.timezone.utc)
    datum = lambda name, value, at: {
        "MetricName": name,
        "Dimensions": [{"Name": "StreamName", "Value": STREAM}],
        "Timestamp": at,
        "Value": value,
    }
    data = []
    for minute in range(1, 6):
        at = now - datetime.timedelta(minutes=minute)
        data += [datum("IncomingBytes", SHARDS * 58e6, at), datum("IncomingRecords", SHARDS * 58e3, at)]
    data.append(datum("WriteProvisionedThroughputExceeded", 4000, now))
    emulator.client("cloudwatch").put_metric_data(Namespace="AWS/Kinesis", MetricData=data)


def test_on_local_services_the_alarms_of_the_template_lead_to_more_shards(tmp_path):
    """Records move the alarms, which are evaluated, told and delivered without a hand in between.

    A minute of the services' clock passes in a second, and each record stands for a hundred.
    """
    options = ["--time-scale", "60", "--record-weight", "100", "--limits", "aws", "--control-plane", "aws"]
    with programs.services(tmp_path, *options) as services:
        create_stream(services)
        queue = queue_of_topic(services)
        put_alarms(services)
        clock = anchor(services, 60)
        with programs.autoscaler(services, STREAM, queue, "--clock", clock) as autoscaler:
            autoscaler.wait_for(programs.event(stream=STREAM, message="nothing"))
            with traffic(services):
                autoscaler.wait_for(programs.event(message="woken", wake=THROTTLED))
                wait_until_it_is_resharded(services, autoscaler)


def queue_of_topic(services):
    """A topic as control.yaml has it, with a queue that gets its messages: the queue's URL."""
    sqs, sns = services.client("sqs"), services.client("sns")
    url = sqs.create_queue(QueueName=f"{OBSERVING}-wake")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=f"{OBSERVING}-wake")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def put_alarms(services):
    """All alarms of alarms.yaml that wake the autoscaler, those on expressions, too."""
    imported, topic = f"{OBSERVING}-wake-topic", f"arn:aws:sns:{REGION}:{ACCOUNT}:{OBSERVING}-wake"
    alarms = template.Resolved("alarms.yaml", **alarm_parameters(OBSERVING)).resources("AWS::CloudWatch::Alarm")
    waking = [alarm for alarm in alarms.values() if imported in alarm["AlarmActions"]]
    assert any("Metrics" in alarm for alarm in waking)
    for alarm in waking:
        told = {"AlarmActions": [topic], "OKActions": [topic]}
        services.client("cloudwatch").put_metric_alarm(**as_the_api_takes_it(alarm | told))


def as_the_api_takes_it(value, name=None):
    """A template's text where the API has numbers and truth."""
    if isinstance(value, dict):
        return {key: as_the_api_takes_it(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [as_the_api_takes_it(entry) for entry in value]
    if name == "Threshold":
        return float(value)
    if name in {"DatapointsToAlarm", "EvaluationPeriods", "Period"}:
        return int(value)
    return value


def anchor(services, scale):
    """The services' clock, told by the arrival of a record between two looks at the machine's."""
    kinesis = services.client("kinesis")
    put = kinesis.put_record(StreamName=STREAM, Data=b"what time is it?", PartitionKey="clock")
    now = time.time_ns() // 1_000_000
    iterator = kinesis.get_shard_iterator(
        StreamName=STREAM,
        ShardId=put["ShardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=put["SequenceNumber"],
    )["ShardIterator"]
    (record,) = kinesis.get_records(ShardIterator=iterator)["Records"]
    arrived = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
    return f"{now}:{arrived}:{scale}"


class traffic:
    """A hundred and twenty records a second, spread over all shards: half more than they take."""

    def __init__(self, services):
        self.kinesis = services.client("kinesis")
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.put)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def put(self):
        number = 0
        while not self.ended.wait(0.1):
            records = [{"Data": b"x" * 100, "PartitionKey": str(number + place)} for place in range(12)]
            number += len(records)
            self.kinesis.put_records(StreamName=STREAM, Records=records)
