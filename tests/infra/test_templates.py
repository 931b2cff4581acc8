"""What can be said of the templates without deploying them."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import template
from template import Resolved


@pytest.mark.parametrize("file", template.FILES, ids=lambda file: file.name)
def test_cfn_lint_finds_nothing(file):
    program = pathlib.Path(sys.executable).parent / "cfn-lint"
    result = subprocess.run([program, "--", file], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_no_name_is_baked_in():
    """Every name that AWS sees comes from a parameter."""
    for file in template.FILES:
        for name, resource in template.load(file.name)["Resources"].items():
            for key, value in resource["Properties"].items():
                if key.endswith("Name") and key not in {"MetricName", "FunctionName"}:
                    assert isinstance(value, dict), f"{file.name}: {name}.{key} is {value}"


def test_doublings_are_as_many_as_asked_for():
    for count in range(7):
        resolved = Resolved("alarms.yaml", StreamName="orders", Doublings=str(count))
        names = [name for name in template.alarms(resolved) if "demand-doubled" in name]
        assert names == [f"leasehold/wake/orders/demand-doubled-x{2 ** doubling}" for doubling in range(1, count + 1)]


def test_alarms_can_call_the_function_directly():
    function = "arn:aws:lambda:eu-west-1:000000000000:function:leasehold-autoscaler"
    resolved = Resolved("alarms.yaml", StreamName="orders", WakeFunctionArn=function)
    for name, alarm in template.alarms(resolved).items():
        wakes = name.startswith("leasehold/wake/")
        wanted = [function] if wakes else ["leasehold-operators-topic"]
        assert alarm["tells"] == (wanted, wanted), name


def test_only_the_heartbeat_takes_silence_for_failure():
    missing = {name.split("/")[-1]: alarm["missing"]
               for name, alarm in template.alarms(Resolved("alarms.yaml", StreamName="orders")).items()}
    assert [kind for kind, state in missing.items() if state == "breaching"] == ["heartbeat-missing"]
    assert missing["writes-throttled"] == "notBreaching"
    assert missing["readers-behind"] == "missing"
    assert missing["readers-near-loss"] == "ignore"


def test_a_key_encrypts_queues_and_topics_and_may_be_read_by_the_role():
    key = "arn:aws:kms:eu-west-1:000000000000:key/1"
    known = {"WakeQueue.Arn": "queue", "DeadLetterQueue.Arn": "dead", "WakeTopic": "topic", "OperatorsTopic": "people",
             "JournalTable.Arn": "table", "AuditTable.Arn": "audit"}
    parameters = {"StreamArns": ["arn:aws:kinesis:eu-west-1:000000000000:stream/orders"], "ReaderTableArns": [""],
                  "TelemetryTableArns": [""]}
    encrypted = Resolved("control.yaml", known, KmsKeyArn=key, **parameters)
    plain = Resolved("control.yaml", known, **parameters)
    for kind in ["AWS::SQS::Queue", "AWS::SNS::Topic"]:
        assert {properties["KmsMasterKeyId"] for properties in encrypted.resources(kind).values()} == {key}
        assert not any("KmsMasterKeyId" in properties for properties in plain.resources(kind).values())
    assert all(queue["SqsManagedSseEnabled"] for queue in plain.resources("AWS::SQS::Queue").values())

    def statements(resolved):
        policy = resolved.resources("AWS::IAM::ManagedPolicy")["ObservePolicy"]["PolicyDocument"]
        return {statement["Sid"]: statement for statement in policy["Statement"]}

    assert statements(encrypted)["ReadEncryptedWakeUps"]["Resource"] == key
    assert "ReadEncryptedWakeUps" not in statements(plain)
    assert "SeeHowFarReadersAre" not in statements(plain)
    assert "TellPolicy" not in plain.resources("AWS::IAM::ManagedPolicy")


def test_the_audit_forgets():
    """The emulator's CloudFormation passes over the expiry; Terraform's is asked of the emulator."""
    table = template.load("control.yaml")["Resources"]["AuditTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}


def test_the_function_runs_once_at_a_time():
    """The emulator's CloudFormation passes over the reservation; Terraform's is asked of the emulator."""
    function = template.load("lambda.yaml")["Resources"]["Function"]["Properties"]
    assert function["ReservedConcurrentExecutions"] == 1


def test_the_function_is_given_all_that_the_program_reads():
    command = [os.environ["LEASEHOLD_PROGRAM"], "autoscale", "lambda", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(function_variables(Policy="shards_min = 4", Applications=["orders-worker"])) == set(
        re.findall(r"LEASEHOLD_AUTOSCALE_[A-Z_]+", told))


def test_what_is_empty_is_not_given_to_the_function():
    given = set(function_variables(Policy="shards_min = 4", Applications=["orders-worker"]))
    assert given - set(function_variables(Applications=[""])) == {
        "LEASEHOLD_AUTOSCALE_POLICY", "LEASEHOLD_AUTOSCALE_APPLICATIONS"}


def function_variables(**parameters):
    (function,) = Resolved("lambda.yaml", {"Role.Arn": "role"}, StreamNames=["orders"], **parameters).resources(
        "AWS::Lambda::Function").values()
    return function["Environment"]["Variables"]
