"""The Terraform module: formatted, valid, refused where it must be, and deployed on an emulator beside CloudFormation's."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import emulator as emulators
import template
from conftest import APPLICATIONS, POLICY, READER_TABLE_ARNS, STREAM, alarm_parameters, archive
from emulator import ACCOUNT, REGION
from template import Resolved

pytestmark = pytest.mark.terraform

MODULE = pathlib.Path(__file__).resolve().parents[2] / "infra" / "terraform"
DEPLOYMENT = "applying"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:{DEPLOYMENT}"

ROOT = """
provider "aws" {
  region                      = "eu-west-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    cloudwatch = var.endpoint
    dynamodb   = var.endpoint
    events     = var.endpoint
    iam        = var.endpoint
    lambda     = var.endpoint
    logs       = var.endpoint
    sns        = var.endpoint
    sqs        = var.endpoint
    sts        = var.endpoint
  }
}

variable "endpoint" {
  type = string
}

module "leasehold" {
  source = "./module"

  deployment            = "applying"
  mode                  = "apply"
  streams               = { orders = { shards_min = 4, shards_max = 64, consumers = ["fraud"] } }
  policy                = file("policy.toml")
  applications          = ["orders-worker", "search"]
  telemetry_table_names = ["orders-worker-Telemetry"]
  operators_emails      = ["oncall@example.com"]
  lambda                = { archive = "leasehold.zip" }
}

output "everything" {
  value = module.leasehold
}
"""


def terraform(folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    environment |= {"TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    return subprocess.run(["terraform", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def run(folder, *arguments):
    result = terraform(folder, *arguments)
    assert result.returncode == 0, f"terraform {' '.join(arguments)}: {result.stdout}{result.stderr}"
    return result.stdout


def init(folder):
    run(folder, "init", "-no-color", "-backend=false", f"-plugin-dir={os.environ['TF_PLUGIN_DIR']}")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The module where Terraform may leave its files."""
    folder = tmp_path_factory.mktemp("terraform") / "module"
    shutil.copytree(MODULE, folder, ignore=shutil.ignore_patterns(".terraform*"))
    return folder


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    """The module applied on an emulator of its own: planned and applied resources by address, the emulator, the folder."""
    folder = tmp_path_factory.mktemp("applied")
    shutil.copytree(MODULE, folder / "module", ignore=shutil.ignore_patterns(".terraform*"))
    (folder / "main.tf").write_text(ROOT)
    (folder / "leasehold.zip").write_bytes(archive())
    (folder / "policy.toml").write_text(POLICY)
    init(folder)
    with emulators.running(tmp_path_factory.mktemp("ministack-of-terraform")) as emulator:
        endpoint = f"endpoint={emulator.endpoint}"
        run(folder, "plan", "-no-color", "-input=false", "-out=plan", "-var", endpoint)
        plan = json.loads(run(folder, "show", "-json", "plan"))
        run(folder, "apply", "-no-color", "-input=false", "plan")
        state = json.loads(run(folder, "show", "-json"))
        yield by_address(plan["planned_values"]), by_address(state["values"]), emulator, folder


def by_address(values):
    (module,) = values["root_module"]["child_modules"]
    known = [entry for entry in module["resources"] if "values" in entry]
    return {entry["address"].removeprefix("module.leasehold."): entry["values"] for entry in known}


def test_is_formatted():
    assert run(MODULE, "fmt", "-check", "-diff", "-recursive") == ""


def test_is_valid_and_refuses_what_it_must(copy):
    init(copy)
    run(copy, "validate", "-no-color")
    report = run(copy, "test", "-no-color")
    runs = re.findall(r'^run "', (MODULE / "tests" / "variables.tftest.hcl").read_text(), re.MULTILINE)
    assert f"Success! {len(runs)} passed, 0 failed." in report, report


@pytest.mark.parametrize("example", sorted(path.name for path in (MODULE / "examples").iterdir()))
def test_examples_are_valid(copy, example):
    init(copy / "examples" / example)
    run(copy / "examples" / example, "validate", "-no-color")


def test_what_render_gives_for_a_stream_is_accepted(copy, tmp_path):
    """The file of values that `alarms render` writes has the names and types that the module declares."""
    values = {"deployment": "leasehold", "streams": {STREAM: {
        "shards_min": 1, "shards_max": 1000, "grow_above": 0.8, "lag_max_seconds": 300.0, "retention_hours": 24,
        "doublings": 6, "consumers": [], "write_bytes_per_second": 1e6, "write_records_per_second": 1e3}}}
    file = tmp_path / "values.tftest.hcl"
    mocked = (copy / "tests" / "variables.tftest.hcl").read_text().split("variables {")[0]
    file.write_text(mocked + 'run "takes_the_values" {\n  command = plan\n}\n')
    folder = tmp_path / "module"
    shutil.copytree(copy, folder, ignore=shutil.ignore_patterns(".terraform*", "tests", "examples"))
    (folder / "values.tftest.hcl").write_text(file.read_text())
    (folder / "leasehold.auto.tfvars.json").write_text(json.dumps(values))
    init(folder)
    assert "Success! 1 passed" in run(folder, "test", "-no-color")


def test_alarms_are_those_of_cloudformation(applied):
    """What an alarm is comes from the plan, since ministack 1.5.33 gives only a part of it back; whom it tells, from there."""
    planned, _, emulator, _ = applied
    pages = emulator.client("cloudwatch").get_paginator("describe_alarms").paginate()
    tells = {alarm["AlarmName"]: (alarm["AlarmActions"], alarm["OKActions"])
             for page in pages for alarm in page["MetricAlarms"]}
    found = {values["alarm_name"]: alarm_of_plan(values, tells[values["alarm_name"]])
             for address, values in planned.items() if address.startswith("aws_cloudwatch_metric_alarm.")}
    assert found.keys() == tells.keys()
    known = {"OperatorsTopic": f"{DEPLOYMENT}-operators-topic", "WakeQueue.QueueName": f"{DEPLOYMENT}-wake",
             "DeadLetterQueue.QueueName": f"{DEPLOYMENT}-dead-letters", "Function": f"{DEPLOYMENT}-autoscaler"}
    topics = {f"{DEPLOYMENT}-wake-topic": f"{TOPIC}-wake", f"{DEPLOYMENT}-operators-topic": f"{TOPIC}-operators"}
    wanted = {}
    for file, parameters in [
        ("control.yaml", {"Deployment": DEPLOYMENT}),
        ("alarms.yaml", alarm_parameters(DEPLOYMENT)),
        ("consumer.yaml", {"Deployment": DEPLOYMENT, "StreamName": STREAM, "ConsumerName": "fraud"}),
        ("lambda.yaml", {"Deployment": DEPLOYMENT}),
    ]:
        wanted |= template.alarms(Resolved(file, known, **parameters))
    for alarm in wanted.values():
        alarm["tells"] = tuple([topics[action] for action in side] for side in alarm["tells"])
    assert found == wanted


def test_policies_are_those_of_cloudformation(applied):
    _, resources, _, _ = applied
    known = {"WakeQueue": "", "DeadLetterQueue": "", "WakeQueue.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{DEPLOYMENT}-wake",
             "DeadLetterQueue.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{DEPLOYMENT}-dead-letters",
             "JournalTable.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{DEPLOYMENT}_autoscaler",
             "AuditTable.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{DEPLOYMENT}_audit",
             "WakeTopic": f"{TOPIC}-wake", "OperatorsTopic": f"{TOPIC}-operators"}
    resolved = Resolved(
        "control.yaml", known, Deployment=DEPLOYMENT, Mode="apply",
        StreamArns=[f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}"],
        ReaderTableArns=READER_TABLE_ARNS,
        TelemetryTableArns=[f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders-worker-Telemetry"])
    policies = resolved.resources("AWS::IAM::ManagedPolicy")
    pairs = {
        "aws_iam_policy.observe": policies["ObservePolicy"],
        "aws_iam_policy.apply[0]": policies["ApplyPolicy"],
        "aws_iam_policy.tell[0]": policies["TellPolicy"],
        "aws_sns_topic_policy.wake": resolved.resources("AWS::SNS::TopicPolicy")["WakeTopicPolicy"],
        "aws_sns_topic_policy.operators": resolved.resources("AWS::SNS::TopicPolicy")["OperatorsTopicPolicy"],
        "aws_sqs_queue_policy.wake": resolved.resources("AWS::SQS::QueuePolicy")["WakeQueuePolicy"],
    }
    for address, wanted in pairs.items():
        assert shape(json.loads(resources[address]["policy"])) == shape(wanted["PolicyDocument"]), address


def test_the_function_runs_once_at_a_time_and_its_timer_asks_for_looks(applied):
    _, _, emulator, _ = applied
    functions = emulator.client("lambda")
    name = f"{DEPLOYMENT}-autoscaler"
    assert functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 1
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    assert mapping["EventSourceArn"].endswith(f":{DEPLOYMENT}-wake")
    (target,) = emulator.client("events").list_targets_by_rule(Rule=f"{DEPLOYMENT}-look-{STREAM}")["Targets"]
    assert json.loads(target["Input"]) == {"stream": STREAM}


def test_the_function_is_given_what_cloudformation_gives_it(applied):
    planned, _, emulator, _ = applied
    known = {"Role.Arn": ""}
    (function,) = Resolved(
        "lambda.yaml", known, Deployment=DEPLOYMENT, Mode="apply", StreamNames=[STREAM], Policy=POLICY,
        Applications=APPLICATIONS).resources("AWS::Lambda::Function").values()
    tables = {f"{DEPLOYMENT}-journal-table": f"{DEPLOYMENT}_autoscaler", f"{DEPLOYMENT}-audit-table": f"{DEPLOYMENT}_audit"}
    wanted = {name: tables.get(value, value) for name, value in function["Environment"]["Variables"].items()}
    (environment,) = planned["aws_lambda_function.autoscaler[0]"]["environment"]
    assert environment["variables"] == wanted
    name = f"{DEPLOYMENT}-autoscaler"
    configuration = emulator.client("lambda").get_function_configuration(FunctionName=name)
    assert configuration["Environment"]["Variables"] == wanted


def test_the_audit_forgets(applied):
    _, _, emulator, _ = applied
    expiry = emulator.client("dynamodb").describe_time_to_live(TableName=f"{DEPLOYMENT}_audit")["TimeToLiveDescription"]
    assert (expiry["AttributeName"], expiry["TimeToLiveStatus"]) == ("expires", "ENABLED")


def test_a_second_plan_changes_nothing(applied):
    """But for alarms, of which ministack 1.5.33 gives Terraform's client only a part back."""
    _, _, emulator, folder = applied
    run(folder, "plan", "-no-color", "-input=false", "-out=again", "-var", f"endpoint={emulator.endpoint}")
    plan = json.loads(run(folder, "show", "-json", "again"))
    changes = {entry["address"]: entry["change"]["actions"] for entry in plan["resource_changes"]
               if entry["change"]["actions"] not in (["no-op"], ["read"])
               and entry["type"] != "aws_cloudwatch_metric_alarm"}
    assert changes == {}


def alarm_of_plan(values, tells):
    """An alarm of Terraform's plan in CloudWatch's terms."""
    def metric(entry):
        dimensions = [{"Name": name, "Value": value} for name, value in entry["dimensions"].items()]
        return {"Namespace": entry["namespace"], "MetricName": entry["metric_name"], "Dimensions": dimensions}

    properties = {
        "AlarmDescription": values["alarm_description"],
        "ComparisonOperator": values["comparison_operator"],
        "Threshold": values["threshold"],
        "DatapointsToAlarm": values["datapoints_to_alarm"],
        "EvaluationPeriods": values["evaluation_periods"],
        "TreatMissingData": values["treat_missing_data"],
        "AlarmActions": tells[0],
        "OKActions": tells[1],
    }
    if not values["metric_query"]:
        properties |= metric(values) | {"Statistic": values["statistic"], "Period": values["period"]}
        return template.alarm(properties)
    properties["Metrics"] = []
    for query in values["metric_query"]:
        entry = {"Id": query["id"], "ReturnData": query["return_data"]}
        if query["metric"]:
            (stat,) = query["metric"]
            entry["MetricStat"] = {"Metric": metric(stat), "Stat": stat["stat"], "Period": stat["period"]}
        else:
            entry |= {"Expression": query["expression"], "Label": query["label"]}
        properties["Metrics"].append(entry)
    return template.alarm(properties)


def shape(document):
    """A policy without the freedoms that IAM leaves: order, and a list of one."""
    def listed(value):
        return sorted(value) if isinstance(value, list) else [value]

    return {
        statement["Sid"]: {
            "Effect": statement["Effect"],
            "Action": listed(statement["Action"]),
            "Resource": listed(statement["Resource"]),
            "Principal": statement.get("Principal"),
            "Condition": {
                operator: {key: listed(value) for key, value in keys.items()}
                for operator, keys in statement.get("Condition", {}).items()
            },
        }
        for statement in document["Statement"]
    }
