"""A story: an engine that things happen to, by a policy put together from parts.

    story = Story(["Shadow", "rate"])
    story.happen("sample", engine_rig.OCCUPIED)
    story.recorded      # data of each recorded decision, with the assignment that it was decided by

`HAPPENINGS` draws what happens, `PARTS` names what a policy may be made of.
"""

from typing import Any

from hypothesis import strategies as st

from builders import engine_rig, room
from foreshore_agent.engine import effects, events
from foreshore_decision import served

PARTS: dict[str, dict[str, Any]] = {
    "Shadow": {"spec__mode": "Shadow"},
    "Advise": {"spec__mode": "Advise"},
    "Disabled": {"spec__mode": "Disabled"},
    "rate": {"spec__rateLimit": {"minimumInterval": "3s", "burst": 2, "per": "10s"}},
    "silence": {"spec__trigger": {"properties": ["co2"], "afterSilence": "2s"}},
    "paced": {"spec__trigger": {"properties": ["co2", "light"], "minimumInterval": "2s"}},
    "shadow when full": {"spec__degraded": {"onRecorderFull": "Shadow"}},
    "range": {
        "spec__inputs": [
            {"name": "light", "property": "light", "maximumAge": "90s", "range": {"maximum": 600}},
            {"name": "co2", "property": "co2", "maximumAge": "3s"},
            {"name": "temperature", "property": "temperature", "maximumAge": "90s"},
        ]
    },
    "interval": {"spec__rateLimit": {"minimumInterval": "2s"}},
    "burst of one": {"spec__rateLimit": {"burst": 1, "per": "4s"}},
    "clamp": {
        "spec__action__onLimit": "Clamp",
        "spec__action__limits": [{"input": "value", "maximum": 350}],
    },
    "deny": {"spec__action__limits": [{"input": "value", "maximum": 350, "maximumStep": 250}]},
    "windows": {
        "spec__features": [
            {"name": "lightPeak", "input": "light", "window": "10s", "aggregate": "Maximum",
             "minimumCoverage": "0"},
            {"name": "lightMean", "input": "light", "window": "1m", "aggregate": "Mean",
             "minimumCoverage": "0"},
        ],
        "spec__rules": [
            {"name": "bright", "effect": "Permit", "expression": "lightPeak > 300.0 && score > 0.2",
             "reason": "Bright"},
        ],
    },
    "coverage": {
        "spec__features": [
            {"name": "lightLately", "input": "light", "window": "4s", "aggregate": "Mean"},
        ],
        "spec__rules": [
            {
                "name": "lately",
                "effect": "Permit",
                "expression": "lightLately > 300.0",
                "reason": "Bright",
            },
        ],
    },
    "full": {"spec__record": {"routineSampleRate": "1", "level": "Full"}},
    "condition": {
        "spec__matchConditions": [{"name": "day", "expression": "light > 10.0"}],
    },
    "variables": {
        "spec__variables": [
            {"name": "warm", "expression": "temperature > 20.0"},
            {"name": "sure", "expression": "score > 0.9"},
        ],
        "spec__matchConditions": [{"name": "warm", "expression": "warm"}],
    },
    "forbid": {
        "spec__rules": [
            {
                "name": "occupied",
                "effect": "Permit",
                "expression": "score >= 0.8 || co2Slope > 1.0",
                "reason": "RoomOccupied",
                "messageExpression": "'score ' + string(score)",
            },
            {
                "name": "cold",
                "effect": "Forbid",
                "expression": "temperature < 18.0",
                "reason": "TooCold",
            },
        ],
        "spec__features": [
            {"name": "co2Slope", "input": "co2", "window": "1m", "aggregate": "Slope",
             "minimumCoverage": "0"},
            {"name": "lightMean", "input": "light", "window": "1m", "aggregate": "Mean",
             "minimumCoverage": "0"},
            {"name": "lightSpread", "input": "light", "window": "1m",
             "aggregate": "StandardDeviation", "minimumCoverage": "0"},
            {"name": "samples", "input": "light", "window": "5s", "aggregate": "Count"},
        ],
    },
    "rule only": {
        "spec__inference__onError": "RuleOnly",
        "spec__rules": [
            {
                "name": "stale-air",
                "effect": "Permit",
                "expression": "co2 > 800.0",
                "reason": "StaleAir",
            }
        ],
    },
    "default": {
        "spec__inputs": [
            {"name": "light", "property": "light", "maximumAge": "4s", "onInvalid": "Default",
             "default": "50"},
            {"name": "co2", "property": "co2", "maximumAge": "4s",
             "range": {"minimum": 300, "maximum": 1200}},
            {"name": "temperature", "property": "temperature", "maximumAge": "4s",
             "maximumRate": "2"},
        ]
    },
    "last good": {
        "spec__inputs": [
            {"name": "light", "property": "light", "maximumAge": "4s", "onInvalid": "LastGood",
             "range": {"maximum": 500}},
            {"name": "co2", "property": "co2", "maximumAge": "4s"},
            {"name": "temperature", "property": "temperature", "maximumAge": "4s",
             "onInvalid": "LastGood", "maximumRate": "2"},
        ]
    },
}  # fmt: skip

MODEL = (
    "answers",
    "fails",
    "late",
    "nan",
    "short",
    "other",
    "others",
    "slow",
    "interrupted",
    "full meanwhile",
)
"""How the model answers, or what happens while it is being asked."""

samples = st.fixed_dictionaries(
    {},
    optional={
        "co2": st.floats(min_value=-100, max_value=20000),
        "light": st.floats(min_value=0, max_value=900),
        "temperature": st.floats(min_value=15, max_value=30),
        "airflow": st.sampled_from([0.0, 120.0, 300.0, 600.0]),
    },
)
HAPPENINGS = st.one_of(
    st.tuples(st.just("sample"), samples),
    st.tuples(st.just("sample"), st.just(engine_rig.OCCUPIED)),
    st.tuples(st.just("refuse"), st.sampled_from(["co2", "light", "temperature"])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.25, 1.0, 2.0, 5.0])),
    st.tuples(st.just("score"), st.floats(min_value=0, max_value=1)),
    st.tuples(
        st.just("model"),
        st.sampled_from(MODEL),
    ),
    st.tuples(st.just("recorder"), st.booleans()),
    st.tuples(st.just("hub"), st.booleans()),
    st.tuples(st.just("lock"), st.booleans()),
)


def documents(parts: list[str], *, locked: bool = False, **more: Any) -> tuple[room.Json, ...]:
    """Policy and device; `more` is changed after the parts."""
    policy = room.changed(room.policy(), spec__record={"routineSampleRate": "1"})
    for part in parts:
        policy = room.changed(policy, **PARTS[part])
    policy = room.changed(policy, **more)
    lock = "Locked" if locked else "Unlocked"
    return policy, room.changed(room.device(), spec__lock=lock)


class Story:
    """An engine that things happen to."""

    engine: type[engine_rig.Rig] = engine_rig.Rig

    def __init__(self, parts: list[str], **more: Any) -> None:
        self.parts = parts
        self.more = more
        self.model = "answers"
        self.rig = self.engine(documents(parts, **more), hold=(effects.Infer,))
        self.recorded: list[tuple[dict[str, Any], Any]] = []
        self._assigned = engine_rig.assign(*self.rig.documents)
        self._taken = 0

    def happen(self, what: str, detail: Any) -> None:  # noqa: C901 - one line a happening
        """Let one thing happen, and the model answer."""
        match what:
            case "sample":
                self.rig.sample(**detail)
            case "refuse":
                self.rig.feed(
                    events.Sample,
                    device=engine_rig.DEVICE,
                    values={"co2": 900.0} if detail != "co2" else {},
                    refused={detail: "NonFinite"},
                )
            case "wait":
                self.rig.wait(detail)
            case "score":
                self.rig.score = detail
            case "model":
                self.model = detail
            case "recorder":
                self.rig.feed(events.RecorderChanged, full=detail, reason="Full")
            case "hub":
                self.rig.renews = detail
            case "lock":
                self.lock(is_locked=detail)
        self.answer()
        self.keep()

    def lock(self, *, is_locked: bool) -> None:
        """Assign the device locked or unlocked; what was being decided is dropped."""
        written = documents(self.parts, locked=is_locked, **self.more)
        renews, self.rig.renews = self.rig.renews, False
        self.rig.assign(*written)
        self.keep()  # what it interrupted was decided by the assignment before
        self._assigned = engine_rig.assign(*written)
        self.rig.renews = renews
        if renews:
            self.rig.renew()

    def answer(self) -> None:  # noqa: C901 - one line a way to answer
        """Let the model answer in its present way."""
        waiting, self.rig.waiting = self.rig.waiting, []
        for effect in waiting:
            assert isinstance(effect, effects.Infer)
            identity = effect.decision_id
            match self.model:
                case "answers":
                    self.rig.carry(effect)
                case "fails":
                    self.rig.feed(events.InferenceFailed, decision_id=identity, reason="Refused")
                case "late":
                    self.rig.feed(events.InferenceLate, decision_id=identity)
                case "others":
                    self.rig.feed(
                        events.InferenceFailed, decision_id=identity, reason="OtherVersion"
                    )
                case "other":
                    self.rig.model = served.Served("occupancy", "occupancy-v0", "sha256:0")
                    self.rig.carry(effect)
                    self.rig.model = None
                case "slow":
                    self.rig.wait(0.75)
                    self.rig.sample(airflow=60.0, temperature=19.5)
                    self.rig.carry(effect)
                case "full meanwhile":
                    self.rig.feed(events.RecorderChanged, full=True, reason="Full")
                    self.rig.carry(effect)
                case "interrupted":
                    self.lock(is_locked=True)
                    self.lock(is_locked=False)
                case "nan" | "short":
                    data = (0.5, float("nan")) if self.model == "nan" else (0.5,)
                    self.rig.feed(
                        events.Inferred, decision_id=identity, outputs={"probabilities": data}
                    )

    def keep(self) -> None:
        """Note new decisions with the assignment of now."""
        decisions = self.rig.decisions
        self.recorded += [(each, self._assigned) for each in decisions[self._taken :]]
        self._taken = len(decisions)
