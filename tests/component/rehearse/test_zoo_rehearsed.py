"""Models as people export them, through the whole chain: recording, policy, model, record.

The exports and the libraries' answers stand in `builders.zoo`; that each is served is shown in
`tests/component/serving/test_zoo.py`.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import testing

from builders.zoo import catalogue, room
from builders.zoo.exported import Entry
from foreshore_agent.main import application
from foreshore_api import v1alpha1
from foreshore_decision import policy

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

REHEARSED = (
    "sklearn-logistic",
    "sklearn-dataframe",
    "sklearn-dataframe-types",
    "sklearn-dataframe-wide",
    "sklearn-prepared-outside",
    "lightgbm-classifier-text",
    "torch-half",
    "torch-lstm",
    "torch-lstm-free",
    "torch-embedding",
)


def agent(*words: object) -> str:
    result = testing.CliRunner().invoke(application, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.stdout


def decisions(entry: Entry, folder: Path) -> list[dict[str, Any]]:
    """Rehearse a model's questions, and return what was recorded of every decision."""
    resources = folder / "resources"
    resources.mkdir()
    room.write(entry, catalogue.made(entry.name), resources)
    state = folder / "state"
    agent(
        *("rehearse", "--resources", resources, "--state", state, "--device", "room-301"),
        *("--csv", resources / "recording.csv", "--time-column", "time"),
    )
    records = map(json.loads, agent("records", "--state", state).splitlines())
    return [record["data"] for record in records if record["type"].endswith("decision.v1")]


def is_answered(decided: dict[str, Any]) -> bool:
    return bool(decided.get("inference", {}).get("outputs"))


@pytest.mark.parametrize("name", REHEARSED)
def test_what_is_recorded_is_what_the_library_answers(name: str, tmp_path: Path) -> None:
    entry = catalogue.by_name(name)
    asked = [decided for decided in decisions(entry, tmp_path) if is_answered(decided)]
    expected = room.expected(entry, catalogue.made(name))
    assert len(asked) == len(expected)
    for decided, answers in zip(asked, expected, strict=True):
        for output, answer in answers.items():
            recorded = decided["inference"]["outputs"][output]
            if isinstance(answer, str):
                assert recorded == answer
            else:
                np.testing.assert_allclose(
                    recorded, answer, rtol=entry.tolerance, atol=entry.tolerance
                )


def test_a_window_that_is_not_full_asks_nothing(tmp_path: Path) -> None:
    decided = decisions(catalogue.by_name("torch-lstm"), tmp_path)
    assert list(map(is_answered, decided)) == [*[False] * 29, True] * 3


@pytest.mark.parametrize("entry", catalogue.WORKING, ids=str)
def test_a_policy_reads_every_output_of_what_is_served(entry: Entry) -> None:
    kinds = {
        document["kind"]: document for document in room.documents(entry, catalogue.made(entry.name))
    }
    problems = policy.check(
        v1alpha1.DecisionPolicy.model_validate(kinds["DecisionPolicy"]).spec,
        v1alpha1.DeviceProfile.model_validate(kinds["DeviceProfile"]).spec,
        v1alpha1.Device.model_validate(kinds["Device"]).spec,
        entry.model().spec,
        clock=time.thread_time,
    )
    assert problems == ()
