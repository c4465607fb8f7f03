"""What another policy would have decided: as the engine would have, or which fact is missing."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.story import HAPPENINGS, PARTS, Story
from foreshore_decision.record import replay

LEVELS = ("Facts", "Full")
CHANGES: dict[str, dict[str, Any]] = {
    **PARTS,
    "windows of a range": {**PARTS["windows"], **PARTS["range"]},
    "last good of a range": {
        "spec__inputs": [
            {**PARTS["last good"]["spec__inputs"][0], "range": {"maximum": 600}},
            *PARTS["last good"]["spec__inputs"][1:],
        ]
    },
    "other aggregate": {
        "spec__features": [
            {
                "name": "lightPeak",
                "input": "light",
                "window": "10s",
                "aggregate": "Mean",
                "minimumCoverage": "0",
            },
            {
                "name": "lightMean",
                "input": "light",
                "window": "1m",
                "aggregate": "Slope",
                "minimumCoverage": "0",
            },
        ],
        "spec__rules": PARTS["windows"]["spec__rules"],
    },
    "shorter window": {
        "spec__features": [
            {"name": "lightPeak", "input": "light", "window": "3s", "aggregate": "Count"},
        ],
        "spec__rules": PARTS["windows"]["spec__rules"],
    },
    "longer window": {
        "spec__features": [
            {
                "name": "lightPeak",
                "input": "light",
                "window": "2m",
                "aggregate": "Maximum",
                "minimumCoverage": "0",
            },
        ],
        "spec__rules": PARTS["windows"]["spec__rules"],
    },
}


class Twin:
    """The same things happen under two policies; what the second decides is asked of the first."""

    def __init__(self, parts: list[str], change: str, level: str) -> None:
        kept = {"spec__record": {"routineSampleRate": "1", "level": level}}
        self.first = Story(parts, **kept)
        self.second = Story(parts, **CHANGES[change], **kept)
        self.results: list[replay.Result] = []

    def happen(self, what: str, detail: Any) -> bool:
        """Let one thing happen to both; return whether both still stand at the same."""
        before = len(self.first.recorded), len(self.second.recorded)
        self.first.happen(what, detail)
        self.second.happen(what, detail)
        ours, theirs = self.first.recorded[before[0] :], self.second.recorded[before[1] :]
        if ours and theirs:
            self.ask(ours[0][0], *theirs[0])
        is_single = max(len(ours), len(theirs)) <= 1 and len(ours) == len(theirs)
        return is_single and memory(self.first) == memory(self.second)

    def ask(self, recorded: room.Json, decided: room.Json, assigned: Any) -> None:
        """Hold what the record says of the other policy to what that policy decided."""
        if recorded["decisionId"] != decided["decisionId"]:
            return
        travelled = json.loads(json.dumps(recorded))
        result = replay.replay(travelled, assigned.policies[0], assigned.devices[0])
        assert isinstance(result, replay.Replayed | replay.MissingFact)
        self.results.append(result)
        if isinstance(result, replay.Replayed):
            assert replay.projection(result.data) == replay.projection(decided)


def memory(story: Story) -> Any:
    """What a decision leaves behind for the next: where it differs, two engines are two stories."""
    device = story.rig.state.devices[engine_rig.DEVICE]
    binding = device.bindings[engine_rig.POLICY]
    left = (device.actuators, device.policy_logs, device.held, device.open.keys(), device.stamps)
    would = (binding.would_policy_log, binding.would_actuator_log, binding.evaluated)
    return story.rig.counter, story.rig.seconds, left, would, binding.pending


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(sorted(set(PARTS) - {"full"})), max_size=2, unique=True),
    st.sampled_from(sorted(set(CHANGES) - {"full"})),
    st.sampled_from(LEVELS),
    st.lists(HAPPENINGS, min_size=1, max_size=12),
)
def test_another_policy_is_replayed_as_the_engine_would_have_decided_or_not_at_all(
    parts: list[str], change: str, level: str, story: list[tuple[str, Any]]
) -> None:
    if "rule only" in (*parts, change):
        parts = [each for each in parts if each not in ("forbid", "variables", "windows")]
    if change == "rule only":
        parts = []
    twin = Twin(parts, change, level)
    for what, detail in [("sample", engine_rig.OCCUPIED), *story]:
        if not twin.happen(what, detail):
            break


def asked(parts: list[str], change: str, level: str) -> list[replay.Result]:
    """What the records of a short story say of a changed policy."""
    twin = Twin(parts, change, level)
    for light in (400.0, 700.0, 350.0):
        if not twin.happen("sample", {**engine_rig.OCCUPIED, "light": light}):
            break
        twin.happen("wait", 1.0)
    assert twin.results
    return twin.results


def missing(results: list[replay.Result]) -> set[str]:
    return {each.name for each in results if isinstance(each, replay.MissingFact)}


@pytest.mark.parametrize(
    ("parts", "change", "level", "names"),
    [
        ([], "Shadow", "Facts", set()),
        ([], "Advise", "Facts", set()),
        ([], "Disabled", "Facts", set()),
        ([], "clamp", "Facts", set()),
        ([], "deny", "Facts", set()),
        ([], "condition", "Facts", set()),
        ([], "variables", "Facts", set()),
        ([], "interval", "Facts", set()),
        ([], "range", "Facts", set()),
        (["last good"], "default", "Facts", {"answer of occupancy-v1 to what it is asked"}),
        (["last good"], "last good of a range", "Facts", {"last good value of light"}),
        (["windows"], "windows of a range", "Full", {"window of lightPeak"}),
        (["windows"], "clamp", "Facts", set()),
        (["windows"], "other aggregate", "Full", set()),
        (["windows"], "shorter window", "Full", set()),
        (["windows"], "other aggregate", "Facts", {"window of lightPeak"}),
        (["windows"], "longer window", "Full", {"window of lightPeak"}),
        ([], "windows", "Full", {"window of lightPeak"}),
        (["rate"], "burst of one", "Facts", {"number of commands within 4 s (policy)"}),
        (["rule only"], "Shadow", "Facts", set()),
    ],
)
def test_which_changes_a_record_can_answer(
    parts: list[str], change: str, level: str, names: set[str]
) -> None:
    assert missing(asked(parts, change, level)) == names


@pytest.mark.parametrize(
    ("distance", "is_known"), [(1.0, True), (0.25, False)], ids=["alone", "summed up"]
)
def test_a_shorter_window_is_taken_from_a_longer_one_while_its_values_stand_alone(
    distance: float, *, is_known: bool
) -> None:
    minute = {
        "name": "lightPeak",
        "input": "light",
        "window": "1m",
        "aggregate": "Mean",
        "minimumCoverage": "0",
    }
    record = {"routineSampleRate": "1", "level": "Full"}
    parts = {**PARTS["windows"], "spec__record": record, "spec__features": [minute]}
    shorter = {**parts, "spec__features": [{**minute, "window": "5s"}]}
    first, second = Story([], **parts), Story([], **shorter)
    for light in range(400, 410):
        for story in (first, second):
            story.happen("sample", {**engine_rig.OCCUPIED, "light": float(light)})
            story.rig.seconds += distance
    decided, assigned = second.recorded[-1]
    result = replay.replay(first.recorded[-1][0], assigned.policies[0], assigned.devices[0])
    if is_known:
        assert isinstance(result, replay.Replayed)
        assert result.data["features"] == decided["features"]
    else:
        assert result == replay.MissingFact("window of lightPeak")
