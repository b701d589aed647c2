"""What the kubelet and Prometheus ask."""

import re
from pathlib import Path

from tests.operator.process import Operator
from tests.operator.story import Story
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.cli.operator import operator as command

PAGE = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()


def test_a_healthy_operator_says_so(story: Story, operator: Operator) -> None:
    story.apply("v1", definition=LOAN_1)
    story.becomes("v1", "Applied")
    assert operator.probe("/livez") == (200, "ok\n")
    assert operator.probe("/readyz") == (200, "ok\n")


def test_metrics_count_what_was_done_and_the_page_explains_each(
    story: Story, operator: Operator
) -> None:
    deployments = operator.metric("statekeep_operator_deployments_total")
    previews = operator.metric("statekeep_operator_previews_total")
    story.apply("v1", definition=LOAN_1)
    story.apply("v2", parentId="v1", approval="Automatic", definition=LOAN_2)
    story.apply("v3", parentId="v2", definition=LOAN_1)
    story.becomes("v3", "AwaitingApproval")
    assert operator.metric("statekeep_operator_deployments_total") == deployments + 1
    assert operator.metric("statekeep_operator_previews_total") >= previews + 2
    assert operator.metric('statekeep_operator_versions{standing="AwaitingApproval"}') >= 1
    assert operator.metric("statekeep_operator_reconcile_seconds_count") >= 3
    for series in re.findall(r"^# TYPE (statekeep\w+)", operator.probe("/metrics")[1], re.M):
        if not series.endswith("_created"):
            assert f"`{series}`" in PAGE, series


def test_every_option_is_explained() -> None:
    for parameter in command.params:
        if parameter.name != "help":
            assert f"`{parameter.opts[0]}`" in PAGE, parameter.name
            assert f"`{parameter.envvar}`" in PAGE, parameter.envvar
