"""The record of a command: made small before it leaves, rendered after, and the same after a crash.

Exactly one record of each command, wherever the process ends.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import DEVICE, NODE, OCCUPIED, POLICY, Rig
from builders.story import HAPPENINGS, PARTS, Story
from foreshore_agent.engine import durable, effects, events, state, step
from foreshore_agent.engine.command import unrecorded
from foreshore_api.wire import record as wire
from foreshore_decision import explain, record
from foreshore_decision.record import replay

VALUE = f"{durable.DEVICE}{DEVICE}"


@dataclass
class Durable:
    """What is on disk at one moment, and by which assignment the engine works."""

    values: dict[str, bytes]
    bodies: tuple[bytes, ...]
    documents: tuple[room.Json, ...]
    seconds: float


@dataclass
class Disk(Rig):
    """A rig that keeps every state of its disk."""

    bodies: list[bytes] = field(default_factory=list)
    states: list[Durable] = field(default_factory=list)

    def carry(self, effect: effects.Effect) -> None:
        if isinstance(effect, effects.AppendRecords):
            self.bodies += [line.body for line in effect.records]
            values = {**self.values, **dict(effect.values)}
            self.states.append(Durable(values, tuple(self.bodies), self.documents, self.seconds))
        super().carry(effect)


class DiskStory(Story):
    """A story of which every state of the disk is kept."""

    engine = Disk


def after_a_crash(disk: Durable) -> list[bytes]:
    """Every record, once the next process, of the next release, has its assignment."""
    rig = Disk(boot_id="boot-2", seconds=disk.seconds + 3.0)
    who = state.Identity(NODE, "boot-2", "journal-1", "0.2.0")
    rig.state, rig.values = durable.restore(who, dict(disk.values), rig.at), dict(disk.values)
    assert not rig.state.unreadable
    rig.bodies = list(disk.bodies)
    rig.assign(*disk.documents)
    return rig.bodies


def commanded(bodies: list[bytes] | tuple[bytes, ...]) -> dict[str, bytes]:
    """The record of each command by its decision."""
    records: dict[str, bytes] = {}
    for body in bodies:
        data = orjson.loads(body)["data"]
        if data.get("verdict", {}).get("result") == "Commanded":
            assert data["decisionId"] not in records, "recorded twice"
            records[data["decisionId"]] = body
    return records


def open_commands(disk: Durable) -> set[str]:
    if VALUE not in disk.values:
        return set()
    return {intent["decision"] for intent in orjson.loads(disk.values[VALUE])["open"]}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(sorted(PARTS)), max_size=3, unique=True),
    st.lists(HAPPENINGS, min_size=1, max_size=10),
)
def test_wherever_the_process_ends_each_command_has_one_record_and_always_the_same(
    parts: list[str], story: list[tuple[str, Any]]
) -> None:
    if "rule only" in parts:
        parts = [part for part in parts if part not in ("forbid", "variables", "windows")]
    run = DiskStory(parts)
    run.happen("sample", OCCUPIED)
    for what, detail in story:
        run.happen(what, detail)
    rig = run.rig
    assert isinstance(rig, Disk)
    whole = commanded(rig.bodies)
    for disk in rig.states:
        again = commanded(after_a_crash(disk))
        assert open_commands(disk) <= again.keys(), "none without a record"
        assert again.items() <= whole.items(), "the same to the byte"


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_of_a_policy_is_rendered_the_same_after_a_crash(part: str) -> None:
    run = DiskStory([part])
    for co2 in (900.0, 1100.0):
        run.happen("sample", {**OCCUPIED, "co2": co2})
        run.happen("wait", 5.0)
    rig = run.rig
    assert isinstance(rig, Disk)
    whole = commanded(rig.bodies)
    for disk in rig.states:
        assert commanded(after_a_crash(disk)).items() <= whole.items()
    for body in whole.values():
        written, [policy], [device] = (
            orjson.loads(body)["data"],
            engine_rig.assign(*rig.documents).policies,
            engine_rig.assign(*rig.documents).devices,
        )
        replayed = replay.replay(written, policy, device)
        assert isinstance(replayed, replay.Replayed)
        assert replayed.is_same


STAGES = {
    "before the intent is durable": ((), 0),
    "before the command leaves": ((effects.AppendRecords,), 1),
    "before its record is durable": ((effects.AppendRecords, effects.SendCommand), 1),
    "once its record is durable": (
        (effects.AppendRecords, effects.SendCommand, effects.AppendRecords),
        1,
    ),
}


@pytest.mark.parametrize(("carried", "count"), STAGES.values(), ids=STAGES)
def test_a_crash_at_each_boundary_leaves_one_record_of_what_may_have_left(
    carried: tuple[type, ...], count: int
) -> None:
    rig = Rig(acknowledges=False)
    rig.hold = (effects.AppendRecords, effects.SendCommand)
    rig.sample()
    for kind in carried:
        [effect] = [each for each in rig.waiting if isinstance(each, kind)]
        rig.waiting.remove(effect)
        rig.carry(effect)
    rig.hold = ()
    rig.boot()
    assert len(rig.decisions) == count
    assert [outcome for outcome, _ in rig.outcomes] == ["Unknown"] * count
    rig.boot()
    assert len(rig.decisions) == count, "not again after the next one"


def crashed(*documents: room.Json) -> Rig:
    """A rig whose process ended when an intent was durable and nothing more."""
    rig = Rig(documents, hold=(effects.SendCommand,), acknowledges=False)
    rig.sample()
    assert not rig.decisions
    rig.hold = ()
    return rig


def last_decision(rig: Rig) -> wire.Decision:
    bodies = [each for each in rig.records if each["type"] == wire.DECISION]
    event = wire.Event.model_validate_json(orjson.dumps(bodies[-1]))
    assert isinstance(event.data, wire.Decision)
    return event.data


def test_nothing_of_the_record_is_rendered_before_the_command_leaves() -> None:
    rig = Rig(hold=(effects.SendCommand,))
    rig.seen.clear()
    rig.sample()
    [intent] = [each for each in rig.seen if isinstance(each, effects.AppendRecords)]
    assert intent.records == ()
    assert intent.intent is not None
    assert not rig.decisions
    rig.release()
    written = [each for each in rig.seen if isinstance(each, effects.AppendRecords)]
    assert [line.verdict for line in written[1].records] == ["Commanded"]
    assert all(line.reserve for line in written[1].records), "room was asked for by the intent"
    assert written[1].intent is None


def test_what_the_record_is_made_of_leaves_the_value_with_the_record() -> None:
    rig = Rig(acknowledges=False)
    rig.seen.clear()
    rig.sample()
    intent, written = [each for each in rig.seen if isinstance(each, effects.AppendRecords)]
    [before], [after] = (orjson.loads(each.values[0][1])["open"] for each in (intent, written))
    assert "record" in before
    assert {key: each for key, each in before.items() if key != "record"} == {
        **after,
        "phase": "Intent",
    }


def test_a_policy_that_was_edited_over_the_crash_still_explains_what_it_decided() -> None:
    """The version before is durable until the newer one is in force everywhere."""
    rig = crashed()
    newer = room.changed(room.policy(), spec__hazard="Medium")
    rig.documents = (newer,)
    rig.boot()
    assert last_decision(rig).gates[-1].gate == "Authority", "it was made again"


def test_of_a_policy_that_nobody_knows_any_more_the_record_says_what_is_missing() -> None:
    rig = crashed()
    del rig.values[f"{durable.POLICY}{POLICY}"]
    rig.documents = (room.changed(room.policy(), spec__hazard="Medium"),)
    rig.boot()
    written = last_decision(rig)
    [line] = written.gates
    assert (line.gate, line.reason) == ("Record", "RecordIncomplete")
    assert line.operands == {"missing": ", ".join(record.render.UNMADE)}
    assert written.verdict.reason == "RoomOccupied"
    assert "not assigned any more" in written.verdict.message
    assert written.command is not None
    assert written.facts is not None
    assert "RecordIncomplete" in rig.notices, "and it is said in the log"
    assert [outcome for outcome, _ in rig.outcomes] == ["Unknown"]


def test_an_incomplete_record_explains_itself_and_replays_by_its_policy() -> None:
    rig = crashed()
    assigned = engine_rig.assign(*rig.documents)
    rig.state = durable.restore(rig.state.identity, dict(rig.values), rig.at)
    gone = assigned.model_copy(update={"devices": (), "policies": ()})
    rig.feed(events.Assigned, assignment=gone)
    [written] = [each for each in rig.records if each["type"] == wire.DECISION]
    explanation = explain.of_events([orjson.dumps(written).decode()])
    assert explanation.verdict == "Commanded"
    assert "not assigned any more" in "\n".join(explain.lines(explanation))
    replayed = replay.replay(written["data"], assigned.policies[0], assigned.devices[0])
    assert isinstance(replayed, replay.Replayed)
    assert replayed.data["verdict"]["result"] == "Commanded"
    assert replayed.data["gates"][-1]["gate"] == "Authority"


def test_a_device_that_is_not_assigned_after_the_crash_has_its_record_all_the_same() -> None:
    rig = crashed()
    documents, assigned = rig.documents, engine_rig.assign(*rig.documents)
    rig.state = durable.restore(rig.state.identity, dict(rig.values), rig.at)
    gone = assigned.model_copy(update={"devices": (), "policies": ()})
    rig.feed(events.Assigned, assignment=gone)
    assert last_decision(rig).gates[0].reason == "RecordIncomplete"
    assert not rig.outcomes
    rig.assign(*documents)
    assert len(rig.decisions) == 1, "not again when it comes back"
    assert rig.outcomes == [("Unknown", "Restarted")]
    rig.boot()
    assert len(rig.decisions) == 1, "nor after the next crash"


def test_a_release_that_would_decide_otherwise_does_not_rewrite_what_was_commanded() -> None:
    rig = crashed()
    value = orjson.loads(rig.values[VALUE])
    value["open"][0]["values"] = {"value": 123.0}
    rig.values[VALUE] = orjson.dumps(value)
    rig.boot()
    written = last_decision(rig)
    assert written.gates[0].reason == "RecordIncomplete"
    assert "decides otherwise" in written.verdict.message
    assert written.verdict.message.startswith("commands setAirflow (value 123)")
    assert written.command is not None
    assert written.command.input == {"value": 123.0}


def test_a_record_that_would_be_too_long_is_written_without_what_the_gates_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = crashed()
    monkeypatch.setattr(unrecorded, "LONGEST", 2000)
    rig.release()
    written = last_decision(rig)
    assert written.gates[0].reason == "RecordIncomplete"
    assert "longer" in written.verdict.message
    assert len(rig.sent) == 1


def test_a_decision_that_no_record_has_room_for_commands_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state, "LONGEST", 100)
    rig = Rig()
    rig.sample()
    assert rig.sent == []
    assert rig.verdicts == [("Error", "RecorderFull")]
    assert rig.decisions[0]["gates"][-1]["operands"] == {"cause": "RecordTooLarge"}
    assert not rig.state.devices[DEVICE].open


def test_the_panes_of_windows_fit_also_where_the_rest_is_known_later() -> None:
    run = DiskStory(["full", "windows"])
    for light in range(60):
        run.happen("sample", {**OCCUPIED, "light": 350.0 + light})
        run.happen("wait", 0.25)
    rig = run.rig
    assert isinstance(rig, Disk)
    body = list(commanded(rig.bodies).values())[-1]
    data = orjson.loads(body)["data"]
    facts = data.pop("facts")
    assert all("panes" in line for line in facts["windows"].values())
    room_left = wire.MAXIMUM_BYTES - len(orjson.dumps(facts))
    crowded = {**data, "variables": {"long": "x" * (room_left - len(orjson.dumps(data)) - 4096)}}
    policy = rig.state.devices[DEVICE].bindings[POLICY].compiled
    fitted = record.facts.fitted(facts, policy, crowded)
    assert fitted["cut"] == ["lightMean"], "the last first, and no more than has to go"
    assert len(orjson.dumps({**crowded, "facts": fitted})) <= wire.MAXIMUM_BYTES - 4096
    assert record.facts.fitted(facts, policy, data) == facts


SPOILT: list[Any] = [
    None,
    {},
    {"of": {}, "made": {}},
    [],
    "text",
    {"of": {"decisionId": "another"}, "made": {}},
]


@pytest.mark.parametrize("written", SPOILT, ids=str)
def test_what_no_record_can_be_made_of_is_named_and_the_device_begins_with_its_limits_spent(
    written: Any,
) -> None:
    rig = crashed()
    value = orjson.loads(rig.values[VALUE])
    value["open"][0]["record"] = written
    rig.values[VALUE] = orjson.dumps(value)
    [(name, _)] = durable.restore(rig.state.identity, dict(rig.values), rig.at).unreadable
    assert name == VALUE


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_the_disk_says_of_a_record_the_agent_starts_and_ends_the_command(
    data: st.DataObject,
) -> None:
    value = orjson.loads(CRASHED[VALUE])
    inside, path = value["open"][0]["record"], []
    while isinstance(inside, dict) and inside:
        path.append(data.draw(st.sampled_from(sorted(inside))))
        inside = inside[path[-1]]
    inside = value["open"][0]["record"]
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = data.draw(st.sampled_from([None, "x", -1, 1e308, [], {}, True, "NaN"]))
    rig = crashed()
    rig.values[VALUE] = orjson.dumps(value)
    rig.boot()
    assert not rig.sent
    if not durable.restore(rig.state.identity, {VALUE: orjson.dumps(value)}, rig.at).unreadable:
        assert len(rig.decisions) == 1
        last_decision(rig)


CRASHED = dict(crashed().values)


def test_the_record_is_of_the_moment_of_the_verdict_however_late_it_is_written() -> None:
    rig = crashed()
    rig.seconds += 2.0
    rig.release()
    [written] = [each for each in rig.records if each["type"] == wire.DECISION]
    decided = rig.decisions[0]
    assert written["time"] == decided["trigger"]["receivedAt"]
    assert decided["clock"]["monotonicSeconds"] == rig.seconds - 2.0
    assert decided["command"]["issuedAt"] == written["time"]


def test_the_same_step_renders_the_same_bytes_again() -> None:
    rig = crashed()
    [order] = [each for each in rig.waiting if isinstance(each, effects.SendCommand)]
    event = events.CommandSent(rig.at, "fresh", order.command_id, POLICY, DEVICE)
    assert step.step(rig.state, event).effects == step.step(rig.state, event).effects
