import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from aggregator.aws import capacity, costs, dead_letters, deployment, lambdas
from aggregator.aws.costs import Plan
from aggregator.core import periods
from aggregator.intake.formats import FORMATS
from aggregator.intake.ingest_endpoint import PATH
from aggregator.store.dynamodb import items, tables


def level_streams() -> dict[str, str]:
    """The function that each level wants, and the table whose stream drives it, as the template names them."""
    return {
        f"{name.capitalize()}Function": items.table_of(step.feed).capitalize()
        for name, step in lambdas.level_steps().items()
    }


LEVEL_STREAMS = level_streams()
CALLED = {"IngestFunction", "WatchedFunction", "HttpFunction", *LEVEL_STREAMS, "FleetFunction", "ClosingFunction"}
FUNCTIONS = {*CALLED, "ErasingFunction", "VerifyFunction"}
OF_DEPLOYMENT = {  # what CodeDeploy reads and moves, whose names CloudFormation makes
    "codedeploy:PutLifecycleEventHookExecutionStatus": ("deploymentgroup:${AWS::StackName}-*",),
    "cloudwatch:DescribeAlarms": ("alarm:*",),
    "lambda:UpdateAlias": ("function:${Prefix}-*",),
    "elasticbeanstalk:PutInstanceStatistics": ("application/*", "environment/*"),
}
STREAMS = {"IngestFunction": "Incoming", **LEVEL_STREAMS}
RULES = ("DeviceRule", "GlowRule", "GlowHexRule", "TasmotaRule", "ShellyRule")
INNER = re.compile(r"\$\{(?P<resource>[A-Za-z]+)\.Arn\}/(stream|aws/lambda)/\*")
Resource = dict[str, Any]


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms."""


def _long_form(loader: Any, tag: str, node: Any) -> object:  # noqa: ANN401 - yaml has no types
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {"Ref": value} if tag == "Ref" else {f"Fn::{tag}": value.split(".", 1) if tag == "GetAtt" else value}
    made = loader.construct_sequence(node, deep=True)
    return {tag: made[0]} if tag == "Condition" else {f"Fn::{tag}": made}


Loader.add_multi_constructor("!", _long_form)


@cache
def template() -> dict[str, Any]:
    """The template as written."""
    content: dict[str, Any] = yaml.load(deployment.TEMPLATE.read_text(), Loader)
    return content


@cache
def translated() -> dict[str, Resource]:
    """The resources after the SAM transform."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
        whole = yaml.load(deployment.TEMPLATE.read_text().replace("function.zip", "s3://code/function.zip"), Loader)
        from samtranslator.translator.transform import transform  # type: ignore[import-untyped]

        resources: dict[str, Resource] = transform(whole, {}, dict)["Resources"]
        return resources


def of_type(kind: str) -> dict[str, Resource]:
    found = {name: one["Properties"] for name, one in translated().items() if one["Type"] == kind}
    assert found, f"no {kind}"
    return found


def statements() -> Iterator[tuple[str, Resource]]:
    for name, role in of_type("AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, f"{name} takes on what others decide"
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def default(parameter: str) -> object:
    return template()["Parameters"][parameter]["Default"]


def test_the_template_passes_the_linter() -> None:
    from cfnlint.api import lint  # type: ignore[import-untyped] # slow to import, and needed here alone

    assert lint(deployment.TEMPLATE.read_text()) == []


def test_no_role_has_a_wildcard() -> None:
    for name, statement in statements():
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{name}: {action}"
        for resource in listed(statement["Resource"]):
            assert _is_of_the_stack(resource) or _is_of_deployment(statement, resource), f"{name}: {resource}"


def _is_of_deployment(statement: Resource, resource: Resource) -> bool:
    ends = [end for action in listed(statement["Action"]) for end in OF_DEPLOYMENT.get(action, ())]
    return any(str(resource.get("Fn::Sub")).endswith(f":${{AWS::AccountId}}:{end}") for end in ends)


def _is_of_the_stack(resource: Resource) -> bool:
    """Whether a value names a resource of the stack, or its contents."""
    if "Fn::GetAtt" in resource:
        return resource["Fn::GetAtt"][0] in translated()
    inner = INNER.fullmatch(resource["Fn::Sub"])
    return inner is not None and inner["resource"] in translated()


def test_only_the_function_that_erases_reads_the_secret() -> None:
    readers = {name for name, one in statements() if "secretsmanager:GetSecretValue" in listed(one["Action"])}
    assert readers == {"ErasingRole"}
    assert of_type("AWS::CloudWatch::Alarm")["ErasingErrorAlarm"]["DatapointsToAlarm"] == 1


def test_who_reads_the_dead_batches_learns_which_are_missing() -> None:
    """S3 answers 403 for a missing object, unless one may list its bucket."""
    rights = [(name, action, one) for name, one in statements() for action in listed(one["Action"])]
    readers = {name for name, action, _ in rights if action == "s3:GetObject"}
    bucket = {"Fn::GetAtt": ["DeadBatches", "Arn"]}
    listers = {name for name, action, one in rights if action == "s3:ListBucket" and one["Resource"] == bucket}
    assert {"ErasingRole"} <= readers <= listers


def test_every_function_has_its_own_role() -> None:
    functions = of_type("AWS::Lambda::Function")
    roles = [function["Role"]["Fn::GetAtt"][0] for function in functions.values()]
    assert set(functions) == FUNCTIONS
    assert len(set(roles)) == len(FUNCTIONS)


def test_only_the_step_of_a_level_writes_its_documents() -> None:
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
    for table in ("Days", "Months", "Years"):
        of_table = [one for one in statements() if {"Fn::GetAtt": [table, "Arn"]} in listed(one[1]["Resource"])]
        writers = {name for name, statement in of_table if writes & set(listed(statement["Action"]))}
        # `closing` removes the mark of an open document, `erasing` all of a household; support rebuilds on the web
        assert writers - {"ClosingRole", "ErasingRole", "WebRole"} == {f"{table}Role"}


def test_only_the_endpoint_for_devices_is_public() -> None:
    kinds = {resource["Type"] for resource in translated().values()}
    assert not kinds & {"AWS::Lambda::Url", "AWS::S3::BucketPolicy"}
    ((policy),) = of_type("AWS::SQS::QueuePolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["DeadBatchRule", "Arn"]}}}
    assert not any(kind.startswith(("AWS::EC2", "AWS::Cognito")) for kind in kinds)
    assert [one["RouteKey"] for one in of_type("AWS::ApiGatewayV2::Route").values()] == [f"POST {PATH}"]
    permissions = of_type("AWS::Lambda::Permission")
    called = permissions.pop("HttpPermission")
    assert called["Principal"] == "apigateway.amazonaws.com"
    assert called["SourceArn"]["Fn::Sub"].endswith(f":${{Http}}/*/POST{PATH}")
    for bucket in of_type("AWS::S3::Bucket").values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    for permission in permissions.values():
        is_of_a_clock = permission["Principal"] == "events.amazonaws.com"  # whose rule's name says the account
        assert is_of_a_clock or permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
        assert permission["SourceArn"]["Fn::GetAtt"][0] in translated()


ARN = re.compile(r"arn:aws:iot:eu-west-2:123456789012:(client/[A-Za-z0-9:_-]+|topic/[^+#*?]+)")
VARIABLE = re.compile(r"\$\{([^!}]+|![^}]+)\}")


def device_policy(thing: str) -> list[Resource]:
    """The statements of the policy for a device, with the variables of CloudFormation and of IoT Core filled in."""
    ((policy),) = of_type("AWS::IoT::Policy").values()
    assert policy["PolicyDocument"]["Version"] == "2012-10-17"
    values = {"AWS::Partition": "aws", "AWS::Region": "eu-west-2", "AWS::AccountId": "123456789012"}
    values |= {"Prefix": "wattfall", "DeviceRule": "WattfallRule", "!iot:Connection.Thing.ThingName": thing}
    found = []
    for one in policy["PolicyDocument"]["Statement"]:
        resources = [VARIABLE.sub(lambda name: values[name[1]], each["Fn::Sub"]) for each in listed(one["Resource"])]
        assert all(map(ARN.fullmatch, resources))
        found.append({**one, "Resource": resources})
    return found


def may(thing: str, action: str, resource: str) -> bool:
    """Whether a device's policy allows an action, as IoT Core decides: it has neither wildcards nor denials."""
    arn = f"arn:aws:iot:eu-west-2:123456789012:{resource}"
    return any(one["Action"] == action and arn in one["Resource"] for one in device_policy(thing))


def topics_of(thing: str) -> list[str]:
    """The topics by which rules let a device's messages in."""
    named = [f"wattfall/{thing}/{name}" for name in (*FORMATS, "readings") if name != "json"]
    glow = [f"glow/{thing}/{part}" for part in ("STATE", "SENSOR/electricitymeter", "SENSOR/gasmeter")]
    own = [*glow, f"SMART/HILD/{thing}", f"tele/{thing}/SENSOR", f"{thing}/events/rpc"]
    return [*own, *named, *(f"$aws/rules/WattfallRule/{topic}" for topic in named)]


def test_a_device_may_publish_only_as_itself() -> None:
    assert may("cad-1", "iot:Connect", "client/cad-1")
    assert not may("cad-1", "iot:Connect", "client/cad-2")
    for own, other in zip(topics_of("cad-1"), topics_of("cad-2"), strict=True):
        assert may("cad-1", "iot:Publish", f"topic/{own}"), own
        assert not may("cad-1", "iot:Publish", f"topic/{other}"), other
    connect, publish = device_policy("cad-1")
    assert connect["Condition"] == {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}}
    assert connect.keys() == {*publish.keys(), "Condition"} == {"Effect", "Action", "Resource", "Condition"}
    assert {connect["Effect"], publish["Effect"]} == {"Allow"}


@pytest.mark.parametrize("table", tables.tables(), ids=lambda table: table.name)
def test_tables_match_the_store_and_outlive_the_stack(table: tables.Table) -> None:
    made = translated()[table.name.capitalize()]
    properties, wanted = made["Properties"], tables.table_request("PREFIX", table)
    assert (made["DeletionPolicy"], made["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert properties["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert properties["TableName"] == {"Fn::Sub": f"${{Prefix}}-{table.name}"}
    for name in ("BillingMode", "KeySchema", "AttributeDefinitions"):
        assert properties[name] == wanted[name]
    stream = wanted.get("StreamSpecification", {}).get("StreamViewType")
    assert properties.get("StreamSpecification", {}).get("StreamViewType") == stream
    assert properties.get("TimeToLiveSpecification", {}).get("AttributeName") == table.expires
    assert properties["SSESpecification"] == {"SSEEnabled": {"Ref": "KmsEncryption"}}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_each_level_has_a_function_on_its_childs_stream() -> None:
    assert of_type("AWS::Lambda::Function").keys() == FUNCTIONS
    for name, function in of_type("AWS::Lambda::Function").items():
        module, handler = function["Handler"].rsplit(".", 1)
        assert callable(getattr(import_module(module), handler))
        assert f"{handler.capitalize()}Function" == name


def mappings_by_function() -> dict[str, Resource]:
    """The event source mappings, which call the aliases of their functions."""
    found = of_type("AWS::Lambda::EventSourceMapping").values()
    return {one["FunctionName"]["Ref"].removesuffix("Aliaslive"): one for one in found}


def test_new_code_gets_a_tenth_of_the_calls_until_alarms_and_a_sample_let_it() -> None:
    groups = of_type("AWS::CodeDeploy::DeploymentGroup")
    assert groups.keys() == {f"{function.removesuffix('Function')}FunctionDeploymentGroup" for function in CALLED}
    for group in groups.values():
        watched = {one["Name"]["Ref"] for one in group["AlarmConfiguration"]["Alarms"]}
        errors = {f"{function.removesuffix('Function')}ErrorAlarm" for function in CALLED}
        assert watched == errors | {"DeadLetterAlarm", "PutAsideAlarm"}
        assert len(watched) <= 10, "CodeDeploy's limit"
        assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Canary10Percent5Minutes"}
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        for alarm in watched:
            assert of_type("AWS::CloudWatch::Alarm")[alarm]["Period"] == 60, f"{alarm} comes after the canary"
    for function in CALLED:
        update = translated()[f"{function}Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        hooks = {update["BeforeAllowTrafficHook"]["Ref"], update["AfterAllowTrafficHook"]["Ref"]}
        assert hooks == {"VerifyFunction"}


def test_every_event_calls_the_alias() -> None:
    calls = [one["FunctionName"] for one in of_type("AWS::Lambda::EventSourceMapping").values()]
    schedules = [rule for name, rule in of_type("AWS::Events::Rule").items() if name != "DeadBatchRule"]
    calls += [target["Arn"] for rule in schedules for target in rule["Targets"]]
    calls += [one["IntegrationUri"] for one in of_type("AWS::ApiGatewayV2::Integration").values()]
    assert {one["Ref"] for one in calls} == {f"{function}Aliaslive" for function in FUNCTIONS - {"VerifyFunction"}}


def test_a_failing_batch_is_bisected_retried_and_quarantined() -> None:
    mappings = mappings_by_function()
    watched = mappings.pop("WatchedFunction")
    assert (watched["MaximumRetryAttempts"], watched["MaximumBatchingWindowInSeconds"]) == (0, 3)
    assert {name: one["EventSourceArn"]["Fn::GetAtt"][0] for name, one in mappings.items()} == STREAMS
    for mapping in mappings.values():
        assert (mapping["BatchSize"], mapping["ParallelizationFactor"]) == (10_000, 10)
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BisectBatchOnFunctionError"] is True
        assert mapping["MaximumRetryAttempts"] == {"Ref": "RetryAttempts"}
        assert mapping["MaximumRecordAgeInSeconds"] == {"Ref": "RecordAge"}
        assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": ["DeadBatches", "Arn"]}
    age = template()["Parameters"]["RecordAge"]
    assert 23 * 3600 < age["Default"] <= age["MaxValue"] < 86_400, "streams forget after a day"
    assert default("RetryAttempts") == -1


@pytest.mark.parametrize(
    ("function", "change", "is_passed"),
    [
        ("DaysFunction", {"eventName": "INSERT"}, True),
        ("DaysFunction", {"eventName": "MODIFY"}, True),
        ("DaysFunction", {"eventName": "REMOVE"}, False),
        ("MonthsFunction", {"dynamodb": {"NewImage": {"d": {"S": "cad-1"}, "o": {"N": "1"}}}}, False),
        ("MonthsFunction", {"dynamodb": {"NewImage": {"d": {"S": "cad-1"}, "o": {"N": "0"}}}}, True),
        ("YearsFunction", {"eventName": "REMOVE", "dynamodb": {"Keys": {"d": {"S": "cad-1"}}}}, True),
    ],
)
def test_no_function_is_called_for_expiries_and_open_documents(
    function: str, change: dict[str, Any], *, is_passed: bool
) -> None:
    from ministack.services.lambda_svc import _apply_filter_criteria  # type: ignore[import-untyped]

    assert bool(_apply_filter_criteria([change], mappings_by_function()[function])) is is_passed


def test_each_function_has_a_concurrency_of_its_own() -> None:
    functions = of_type("AWS::Lambda::Function").values()
    reserved = [one["ReservedConcurrentExecutions"] for one in functions]
    named = Counter(one["Ref"] for one in reserved if isinstance(one, dict))
    assert (named, sum(one for one in reserved if isinstance(one, int))) == (capacity.RESERVED, capacity.FIXED_CALLS)
    (limit,) = [one for one in capacity.limits(Plan(1, 10, 60), deployment.parameters()) if "calls at once" in one.name]
    assert limit.share <= 1
    for one in functions:
        assert one["LoggingConfig"]["SystemLogLevel"] == "WARN"
        assert one["MemorySize"] == 1769 or one["FunctionName"] == {"Fn::Sub": "${Prefix}-watched"}


def test_a_rule_passes_on_the_message_as_it_is_with_the_topic() -> None:
    rules = of_type("AWS::IoT::TopicRule")
    assert set(rules) == set(RULES)
    for rule in rules.values():
        payload = rule["TopicRulePayload"]
        sql = payload["Sql"]["Fn::Sub"] if isinstance(payload["Sql"], dict) else payload["Sql"]
        assert sql.startswith("SELECT encode(*, 'base64') AS data, topic() AS topic FROM '")
        place = sql.partition("FROM '")[2].strip("'").split("/").index("+") + 1  # the device's level
        assert payload["Actions"][0]["Kinesis"]["PartitionKey"] == f"${{topic({place})}}"


def test_the_functions_know_the_topics_that_rules_let_in() -> None:
    payloads = [rule["TopicRulePayload"]["Sql"] for rule in of_type("AWS::IoT::TopicRule").values()]
    own = {sql.partition("FROM '")[2].strip("'") for sql in payloads if isinstance(sql, str)}
    assert own == set(dead_letters.RULES)


def test_alarms_watch_lag_failures_throttling_and_quarantine() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    assert alarms.pop("PutAsideAlarm")["Namespace"] == "Wattfall"
    assert {one["LogGroupName"]["Ref"] for one in of_type("AWS::Logs::MetricFilter").values()} == {
        function.replace("Function", "Log") for function in LEVEL_STREAMS
    }
    watched = {(alarm["MetricName"], str(alarm["Dimensions"][0]["Value"])) for alarm in alarms.values()}
    for rule in RULES:
        for metric in ("ParseError", "RuleMessageThrottled", "ErrorActionFailure"):
            assert (metric, str({"Ref": rule})) in watched
    told = of_type("AWS::Events::Rule")["DeadBatchRule"]
    assert told["EventPattern"]["detail"] == {"bucket": {"name": [{"Ref": "DeadBatches"}]}}
    assert [one["Arn"] for one in told["Targets"]] == [{"Fn::GetAtt": ["DeadLetters", "Arn"]}]
    for function in STREAMS:
        assert ("IteratorAge", str({"Ref": function})) in watched
    for function in FUNCTIONS:
        assert ("Errors", str({"Ref": function})) in watched
        assert ("Throttles", str({"Ref": function})) in watched
    for table in tables.tables():
        for metric in ("WriteThrottleEvents", "ReadThrottleEvents"):
            assert (metric, str({"Ref": table.name.capitalize()})) in watched
    assert ("ApproximateNumberOfMessagesVisible", str({"Fn::GetAtt": ["DeadLetters", "QueueName"]})) in watched


def test_the_template_matches_package_and_cost_assumptions() -> None:
    function = template()["Globals"]["Function"]
    assert function["CodeUri"] == deployment.CODE
    assert function["Runtime"] == f"python{deployment.PYTHON}"
    assert function["MemorySize"] == round(costs.MEMORY_GB * 1024)
    numbers = {name: one["Default"] for name, one in template()["Parameters"].items() if one["Type"] == "Number"}
    assert deployment.parameters() == numbers
    assert deployment.alarm_count() == len(of_type("AWS::CloudWatch::Alarm"))
    assert default("RetentionDays") == periods.RETENTION_DAYS
