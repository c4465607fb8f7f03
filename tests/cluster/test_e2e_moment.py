"""What is printed when a step of the demo or of an e2e test fails, from recorded answers."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from e2e import moment
from e2e import world as worlds
from harness import cluster, install, process

pytestmark = pytest.mark.cluster

SITE: dict[str, Any] = {
    "kind": "Site",
    "metadata": {"name": "hq", "namespace": "hq"},
    "status": {
        "conditions": [
            {
                "type": "Connected",
                "status": "False",
                "reason": "AgentSilent",
                "message": "no agent of the site reports",
                "lastTransitionTime": "2026-03-01T10:00:00Z",
            }
        ]
    },
}
POD = {
    "metadata": {"name": "foreshore-agent-x7k2p"},
    "status": {"containerStatuses": [{"restartCount": 2}]},
}
LOG = """2026-03-01 10:00:00 INFO foreshore_agent: started
2026-03-01 10:00:01 WARNING foreshore_agent.devices.mqtt.lane control has no broker: refused
Traceback (most recent call last):
  File "x.py", line 1, in y
OSError: [Errno 28] No space left on device
2026-03-01 10:00:02 INFO foreshore_agent: stopped
"""


def kubectl(*args: str) -> str:
    match args:
        case ("get", kinds, *_) if kinds == moment.KINDS:
            return json.dumps({"items": [SITE, {"kind": "Device", "metadata": {"name": "r"}}]})
        case ("get", "pods", "-n", "foreshore-agents", *_):
            return json.dumps({"items": [POD]})
        case ("get", "events", *_):
            return "\n".join(["NAMESPACE  REASON", *(f"hq  Event{n}" for n in range(100))])
        case ("logs", *_):
            return LOG
        case _:
            return "as it is"


def foreshore(*args: str) -> str:
    return f"the answer to {args[0]}"


def test_conditions_events_placements_and_agents_errors_are_there() -> None:
    said = moment.describe(kubectl, foreshore)
    for words in (
        "$ kubectl foreshore status -A -o wide\nthe answer to status",
        "$ kubectl foreshore placements -A -o wide\nthe answer to placements",
        "Site hq/hq: Connected=False AgentSilent (2026-03-01T10:00:00Z): no agent of the site",
        "Device /r: no condition",
        "hq  Event99",
        "control has no broker: refused",
        "OSError: [Errno 28] No space left on device",
        "--previous",
    ):
        assert words in said
    assert "Event59" not in said, "old events push the new ones out of sight"
    assert "INFO foreshore_agent: stopped" not in said


def test_what_does_not_answer_is_said_and_takes_nothing_else_along() -> None:
    def broken(*args: str) -> str:
        if "events" in args:
            return kubectl(*args)
        raise process.HarnessError("the API server is away")

    said = moment.describe(broken, foreshore)
    assert said.count("the API server is away") >= 5
    assert "Event99" in said
    assert "the answer to placements" in said


def test_an_answer_that_is_no_json_is_no_traceback() -> None:
    said = moment.describe(lambda *_: "a proxy's page", foreshore)
    assert "no answer: Expecting value" in said


def test_every_question_has_a_time_limit() -> None:
    asked: list[tuple[str, ...]] = []

    def remember(*args: str) -> str:
        asked.append(args)
        return kubectl(*args)

    moment.describe(remember, remember)
    assert asked
    assert all(args[-1] == moment.PATIENCE for args in asked)


def test_a_log_without_errors_shows_how_it_ended() -> None:
    said = moment.last_errors("INFO one\nINFO two")
    assert said.splitlines() == ["(neither warning nor error)", "INFO one", "INFO two"]


def test_a_step_that_fails_takes_along_what_the_cluster_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> install.Product:
        raise process.HarnessError("not within 90 s: the hub is up")

    class Made:
        kubeconfig = tmp_path / "config"
        kubectl = staticmethod(kubectl)

    monkeypatch.setattr(install, "install", fails)
    monkeypatch.setattr(worlds, "foreshore", lambda _, *args: foreshore(*args))
    with (
        pytest.raises(process.HarnessError, match="the hub is up") as failed,
        worlds.raised(cast(cluster.Cluster, Made()), tmp_path),
    ):
        pass
    (note,) = failed.value.__notes__
    assert note.startswith("the cluster at that moment:")
    assert "No space left on device" in note
