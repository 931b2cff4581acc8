import json

import pytest

import emulator as emulators
import template
from emulator import ACCOUNT, REGION

# Deployments are apart by name, as in an account.
APPLYING = "applying"
OBSERVING = "observing"
STREAM = "orders"
APPLICATIONS = ["orders-worker", "search"]
POLICY = """\
shards_min = 4
shards_max = 64
[[freezes]]
days = ["fri"]
from = "16:00"
until = "20:00"
"""
STREAM_ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}"
TABLE_ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table"
READER_TABLE_ARNS = [f"{TABLE_ARN}/{name}{end}" for name in APPLICATIONS for end in ["", "-Telemetry"]]
TELEMETRY_TABLE_ARN = f"{TABLE_ARN}/orders-worker-Telemetry"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    with emulators.running(tmp_path_factory.mktemp("ministack")) as running:
        yield running


@pytest.fixture(scope="session")
def stacks(emulator):
    """Every template deployed twice: by a fleet that applies and wakes a function, and by one that only observes."""
    deploy(emulator, "applying", "control.yaml", Deployment=APPLYING, StreamArns=STREAM_ARN, Mode="apply",
           ReaderTableArns=",".join(READER_TABLE_ARNS), TelemetryTableArns=TELEMETRY_TABLE_ARN,
           OperatorsEmail="oncall@example.com")
    deploy(emulator, "observing", "control.yaml", Deployment=OBSERVING, StreamArns=STREAM_ARN)
    for deployment in [APPLYING, OBSERVING]:
        deploy(emulator, f"{deployment}-orders", "alarms.yaml", **alarm_parameters(deployment))
        deploy(emulator, f"{deployment}-fraud", "consumer.yaml", Deployment=deployment, StreamName=STREAM,
               ConsumerName="fraud")
    storage = emulator.client("s3")
    storage.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
    storage.put_object(Bucket="code", Key="leasehold.zip", Body=archive())
    deploy(emulator, "applying-function", "lambda.yaml", Deployment=APPLYING, Mode="apply", CodeBucket="code",
           CodeKey="leasehold.zip", StreamNames=STREAM, Policy=POLICY, Applications=",".join(APPLICATIONS))
    return emulator


def alarm_parameters(deployment):
    timer = "rate(1 minute)" if deployment == APPLYING else "none"
    return {
        "Deployment": deployment,
        "StreamName": STREAM,
        "ShardsMin": "4",
        "ShardsMax": "64",
        "Doublings": "4",
        "TimerRate": timer,
    }


def deploy(emulator, stack, file, **parameters):
    cloudformation = emulator.client("cloudformation")
    body = json.dumps(template.without_expressions(template.load(file)))
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=body,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def archive():
    """What Lambda takes for code."""
    import io
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("bootstrap", "#!/bin/sh\nexit 1\n")
    return data.getvalue()
