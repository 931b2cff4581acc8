"""CloudFormation templates as values: loading, resolving what parameters decide, and the alarms in them."""

import json
import pathlib

from cfnlint.decode import cfn_yaml

from emulator import ACCOUNT, REGION

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "infra" / "aws"
FILES = sorted(FOLDER.glob("*.yaml"))
NO_VALUE = object()


def load(name):
    return json.loads(json.dumps(cfn_yaml.load(str(FOLDER / name))))


def without_expressions(template):
    """ministack's CloudFormation refuses alarms on expressions; everything else stays."""
    resources = {
        name: resource
        for name, resource in template["Resources"].items()
        if "Metrics" not in resource.get("Properties", {})
    }
    return {**template, "Resources": resources}


class Resolved:
    """A template under parameters, for what needs no other resource."""

    def __init__(self, name, known=None, **parameters):
        self.template = load(name)
        defaults = {key: entry.get("Default") for key, entry in self.template["Parameters"].items()}
        self.values = {
            **defaults,
            **parameters,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": NO_VALUE,
            **(known or {}),
        }

    def resources(self, kind):
        """Properties of each resource of a type that exists under the parameters, by logical name."""
        return {
            name: self.value(resource["Properties"])
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind and self.holds(resource.get("Condition"))
        }

    def holds(self, name):
        return name is None or self.condition(self.template["Conditions"][name])

    def condition(self, node):
        ((function, arguments),) = node.items()
        if function == "Fn::Equals":
            left, right = (self.value(argument) for argument in arguments)
            return str(left) == str(right)
        if function == "Fn::Not":
            return not self.condition(arguments[0])
        if function == "Fn::And":
            return all(self.condition(argument) for argument in arguments)
        if function == "Condition":
            return self.holds(arguments)
        raise ValueError(f"a condition this resolver does not know: {node}")

    def value(self, node):
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, argument),) = node.items()
            if function == "Ref":
                return self.values[argument]
            if function == "Fn::GetAtt":
                return self.values[argument if isinstance(argument, str) else ".".join(argument)]
            if function == "Fn::Sub":
                text = argument
                for name, value in self.values.items():
                    text = text.replace(f"${{{name}}}", str(value))
                assert "${" not in text, text
                return text
            if function == "Fn::If":
                name, yes, no = argument
                return self.value(yes if self.holds(name) else no)
            if function == "Fn::ImportValue":
                return self.value(argument)
            if function == "Fn::Join":
                separator, parts = argument
                return separator.join(map(str, self.value(parts)))
            assert not function.startswith("Fn::"), node
        values = ((name, self.value(value)) for name, value in node.items())
        return {name: value for name, value in values if value is not NO_VALUE}


def alarm(properties):
    """What an alarm is, in one shape for the template, for CloudWatch's answer and for Terraform's state."""
    shape = {
        "description": properties["AlarmDescription"],
        "comparison": properties["ComparisonOperator"],
        "threshold": float(properties["Threshold"]),
        "evidence": (int(properties["DatapointsToAlarm"]), int(properties["EvaluationPeriods"])),
        "missing": properties["TreatMissingData"],
        "tells": (properties["AlarmActions"], properties["OKActions"]),
    }
    if "Metrics" in properties:
        shape["queries"] = {query["Id"]: query_shape(query) for query in properties["Metrics"]}
    else:
        shape["metric"] = metric_shape(properties, properties["Statistic"], properties["Period"])
    return shape


def query_shape(query):
    if "Expression" in query:
        return (query["Expression"], query["Label"], bool(query["ReturnData"]))
    stat = query["MetricStat"]
    return (metric_shape(stat["Metric"], stat["Stat"], stat["Period"]), bool(query["ReturnData"]))


def metric_shape(metric, statistic, period):
    dimensions = sorted((dimension["Name"], dimension["Value"]) for dimension in metric["Dimensions"])
    return (metric["Namespace"], metric["MetricName"], statistic, int(period), dimensions)


def alarms(resolved):
    """The alarms of a template by name."""
    found = resolved.resources("AWS::CloudWatch::Alarm").values()
    return {properties["AlarmName"]: alarm(properties) for properties in found}
