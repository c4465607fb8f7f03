"""A refusal of a model says what helps wherever somebody looks, whatever the reason.

child ──► log
      └─► termination message ──► the agent: problems of its folder, a rehearsal's failure
                             └──► the operator: the condition of a placement
"""

import json
from pathlib import Path
from typing import Any

import pytest

from foreshore_agent.hosting import children
from foreshore_api.reasons.serving import STATES, ServingReason
from foreshore_operator import manifests, pods
from foreshore_planner import snapshot
from foreshore_planner.placement import troubles
from foreshore_serving import supervise
from foreshore_serving.refusal import CAUSE, REMEDY, Refused

REFUSALS = [reason for reason in ServingReason if reason not in STATES]
LONG = "the names of a model may be as long as anybody likes " * 1000


@pytest.mark.parametrize("reason", REFUSALS)
def test_every_reason_has_a_remedy_that_is_shown_whole(reason: ServingReason) -> None:
    assert reason.remedy
    assert len(reason.remedy) <= REMEDY
    assert Refused(reason, LONG).message.endswith(f"; {reason.remedy}")


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.parametrize("remedy", ["", "declare shape [1, 3]", LONG], ids=["own", "case", "long"])
def test_the_remedy_reaches_whoever_looks(
    reason: ServingReason, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Refused(reason, LONG, remedy)
    log = tmp_path / "termination-log"
    log.touch()

    code = supervise.end(refused, log)

    assert refused.remedy in capsys.readouterr().err
    assert str(children.why_ended(code, log)) == f"{reason}: {refused.message}"
    fault = troubles.of(replica(code, log.read_text()))
    assert fault is not None
    assert refused.message in fault[1]
    assert len(refused.message) <= CAUSE + REMEDY + 2


def replica(code: int, message: str) -> snapshot.Replica:
    """Return what the operator sees of a replica that ended so."""
    ended = {"terminated": {"exitCode": code, "message": message, "reason": "Error"}}
    read = pods.record(pod({"lastState": ended, "restartCount": 1})).inference
    assert read is not None
    return snapshot.Replica(
        name="p-r0-1",
        namespace="hq",
        uid="u",
        resource_version="1",
        policy="p",
        site="hq",
        slot="r0",
        node="edge-1",
        template="t",
        phase=read.phase,
        requests=snapshot.ComputeResources(),
        restarts=read.restarts,
        reason=read.reason,
        message=read.message,
    )


def pod(container: dict[str, Any]) -> dict[str, Any]:
    labels = dict.fromkeys(("policy", "site", "slot"), "p")
    return {
        "metadata": {
            "namespace": "hq",
            "name": "p-r0-1",
            "labels": manifests.LABELS
            | {f"foreshore.dev/{key}": value for key, value in labels.items()},
        },
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def test_what_no_server_worded_has_the_remedy_of_its_reason(tmp_path: Path) -> None:
    trouble = children.why_ended(137, tmp_path / "absent")
    assert trouble.reason == "Crashed"
    assert trouble.message.endswith(ServingReason.CRASHED.remedy)
    left = tmp_path / "left"
    left.write_text(json.dumps({"reason": "Crashed"}))
    assert children.why_ended(supervise.EXIT_REFUSED, left).reason == "ModelRefused"
