"""Samples that newer ones replace: never decided on, always counted, told by the next record."""

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import room
from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig
from foreshore_agent.engine import effects, events
from foreshore_agent.engine.state import Binding
from foreshore_api.reasons import telemetry

EVERY_RECORD = room.changed(room.policy(), spec__record={"routineSampleRate": "1"})
PACED = room.changed(EVERY_RECORD, spec__trigger__minimumInterval="2s")


@dataclasses.dataclass
class Intake:
    """A rig that counts what it is given, and sees what it decides on."""

    rig: Rig
    received: int = 0
    spoken: int = 0
    newest: float = 0.0

    def sample(self, *, unread: int = 0, is_followed: bool = False) -> None:
        """Let the device speak, after messages that were never read."""
        self.rig.seconds += 0.1
        self.received += 1 + unread
        self.spoken = self.received
        self.newest = self.rig.seconds
        replaced = ((telemetry.NEWER_ON_TOPIC, unread),) if unread else ()
        values = {**OCCUPIED, "co2": 900.0 + self.received}
        self.rig.feed(
            events.Sample,
            device=DEVICE,
            values=values,
            is_followed=is_followed,
            replaced=replaced,
        )

    def again(self, *, unread: int, is_last: bool) -> None:
        """Let the newest message come once more, after others that were never read."""
        if not self.received:
            return
        values = {**OCCUPIED, "co2": 900.0 + self.spoken}
        self.received += unread
        self.rig.feed(
            events.Sample,
            device=DEVICE,
            values=values,
            redelivered=True,
            is_last=is_last,
            replaced=((telemetry.NEWER_ON_TOPIC, unread),) if unread else (),
        )

    @property
    def binding(self) -> Binding:
        return self.rig.state.devices[DEVICE].bindings[POLICY]

    @property
    def decided(self) -> list[str]:
        """When the samples came that were decided on, in the order of the decisions."""
        return [
            each.triggered_at.isoformat()
            for each in self.rig.seen
            if isinstance(each, effects.Decided) and each.triggered_at is not None
        ]

    @property
    def replaced(self) -> int:
        """Samples that records tell of, and those that the next will."""
        recorded = sum(sum(each.get("replaced", {}).values()) for each in self.rig.decisions)
        return recorded + sum(self.binding.replaced.values())

    @property
    def undecided(self) -> int:
        """Samples that wait, or are being decided on."""
        return (self.binding.pending is not None) + (self.binding.flight is not None)


def of(*documents: room.Json, **more: Any) -> Intake:
    return Intake(Rig(documents, score=0.1, **more))


def story(kinds: str) -> list[tuple[str, int, bool]]:
    return [({"s": "sample", "t": "tick", "a": "answer"}[kind], 0, False) for kind in kinds]


ROUNDED = story("sttstttast")
"""The interval is over by the resolution of moments, and a rounding error before by subtraction."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sample"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("again"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("tick"), st.just(0), st.booleans()),
        st.tuples(st.just("answer"), st.just(0), st.booleans()),
    ),
    max_size=30,
)


@pytest.mark.parametrize("document", [EVERY_RECORD, PACED], ids=["at once", "paced"])
@given(steps=STEPS)
@example(steps=ROUNDED)
@settings(max_examples=60, deadline=None)
def test_counts_add_up_and_the_newest_is_decided_on_whatever_comes_when(
    document: room.Json, steps: list[tuple[str, int, bool]]
) -> None:
    intake = of(document, hold=(effects.Infer,))
    rig = intake.rig
    for kind, unread, is_followed in steps:
        asked = len(rig.waiting)
        match kind:
            case "sample":
                intake.sample(unread=unread, is_followed=is_followed)
            case "again":
                intake.again(unread=unread, is_last=is_followed)
            case "tick":
                rig.wait(0.3)
            case _:
                rig.release()
        assert len(rig.waiting) <= 1
        if len(rig.waiting) > asked:
            flight = intake.binding.flight
            assert flight is not None
            assert flight.received <= rig.seconds
            reading = flight.before.given.readings["co2"]
            assert reading.received == intake.newest
        decided = intake.decided
        assert decided == sorted(set(decided))
        assert intake.received == len(decided) + intake.replaced + intake.undecided


@pytest.mark.parametrize(
    ("document", "hold", "reason"),
    [
        pytest.param(
            EVERY_RECORD, (effects.Infer,), telemetry.NEWER_WHILE_DECIDING, id="model is asked"
        ),
        pytest.param(PACED, (), telemetry.NEWER_WITHIN_INTERVAL, id="interval is not over"),
    ],
)
def test_a_sample_that_waited_is_counted_by_what_it_waited_for(
    document: room.Json, hold: tuple[type, ...], reason: str
) -> None:
    intake = of(document, hold=hold)
    for _ in range(4):
        intake.sample()
    intake.rig.hold = ()
    intake.rig.release()
    intake.rig.wait(3)
    assert len(intake.decided) == 2
    assert [each["replaced"] for each in intake.rig.decisions if "replaced" in each] == [
        {reason: 2}
    ]


def test_what_came_together_is_decided_on_once_and_by_the_newest() -> None:
    intake = of(EVERY_RECORD)
    intake.sample(is_followed=True)
    intake.sample(is_followed=True)
    intake.sample(unread=5)
    [decision] = intake.rig.decisions
    assert decision["replaced"] == {"NewerInTurn": 2, "NewerOnTopic": 5}
    assert decision["inputs"][1]["value"] == 908.0


def test_a_sample_without_the_trigger_ends_the_wait_of_the_one_before() -> None:
    intake = of(EVERY_RECORD)
    intake.sample(is_followed=True)
    intake.rig.feed(events.Sample, device=DEVICE, values={"temperature": 20.0}, is_last=True)
    assert len(intake.decided) == 1
    assert "replaced" not in intake.rig.decisions[0]


def test_a_message_that_came_twice_ends_the_wait_of_the_one_before() -> None:
    """Regression: the decision waited for the next tick."""
    intake = of(EVERY_RECORD)
    values = {**OCCUPIED, "co2": 901.0}
    intake.rig.feed(events.Sample, device=DEVICE, values=values, is_followed=True)
    intake.rig.feed(events.Sample, device=DEVICE, values=values, redelivered=True, is_last=True)
    assert len(intake.decided) == 1


def test_a_message_that_came_twice_loses_no_count_of_those_that_it_replaced() -> None:
    """Regression: they were in no record."""
    intake = of(EVERY_RECORD)
    intake.sample()
    again = {**OCCUPIED, "co2": 901.0}
    replaced = ((telemetry.NEWER_ON_TOPIC, 3),)
    intake.rig.feed(events.Sample, device=DEVICE, values=again, redelivered=True, replaced=replaced)
    intake.sample()
    assert intake.rig.decisions[-1]["replaced"] == {"NewerOnTopic": 3}


def test_a_sample_without_the_trigger_decides_nothing_that_waits_for_its_interval() -> None:
    """What is due at the same moment as a newer sample would be decided on the older one."""
    intake = of(PACED)
    intake.sample()
    intake.sample()
    intake.rig.seconds += 5.0
    intake.rig.feed(events.Sample, device=DEVICE, values={"temperature": 20.0})
    assert len(intake.decided) == 1


def test_a_record_that_is_sampled_away_leaves_its_count_to_the_next() -> None:
    intake = of(room.changed(room.policy(), spec__record={"routineSampleRate": "0"}))
    intake.sample()  # new: recorded
    intake.sample(unread=2)
    intake.sample(unread=3)
    intake.rig.score = 0.9
    intake.sample(unread=1)
    assert [each.get("replaced") for each in intake.rig.decisions] == [None, {"NewerOnTopic": 6}]


def test_an_intent_that_is_not_written_still_tells_what_was_replaced() -> None:
    intake = of(EVERY_RECORD, hold=(effects.AppendRecords,))
    intake.rig.score = 0.9
    intake.sample(unread=2)
    intake.rig.hold = ()
    [intent] = [
        effect.intent
        for effect in intake.rig.waiting
        if isinstance(effect, effects.AppendRecords) and effect.intent is not None
    ]
    intake.rig.feed(events.IntentFailed, decision_id=intent.decision_id, reason="DiskFull")
    assert intake.rig.decisions[-1]["verdict"]["reason"] == "RecorderFull"
    assert intake.rig.decisions[-1]["replaced"] == {"NewerOnTopic": 2}


def test_what_waited_for_a_policy_that_changed_is_counted() -> None:
    intake = of(EVERY_RECORD, hold=(effects.Infer,))
    intake.sample()
    intake.sample()
    intake.rig.assign(room.changed(EVERY_RECORD, spec__trigger__minimumInterval="1s"))
    assert intake.binding.replaced == {"PolicyReplaced": 1}
    assert intake.rig.decisions[-1]["verdict"]["reason"] == "PolicyChanged"


def test_a_record_tells_of_nothing_where_nothing_was_replaced() -> None:
    intake = of(EVERY_RECORD)
    intake.sample()
    intake.sample()
    assert all("replaced" not in each for each in intake.rig.decisions)
