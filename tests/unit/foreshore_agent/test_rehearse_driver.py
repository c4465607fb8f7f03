"""A rehearsal on a clock that stands: exactly the recording's times, and always the same."""

import heapq
import itertools
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, neighbours, plug, rehearsed, room
from builders.rehearsed import START, rehearse, rows
from foreshore_agent.devices.codecs import envelope, payload
from foreshore_agent.engine import effects, events, state, step
from foreshore_agent.inference import port as inference
from foreshore_agent.play import device as played_device
from foreshore_agent.play import recording
from foreshore_agent.rehearse import driver, ports
from foreshore_api.wire import command
from foreshore_decision.instant import Instant

PUMP_ROWS = 1140
"""Nineteen minutes at 1 Hz."""


def ruled(expression: str, **changed: Any) -> room.Json:
    """The room's policy without a model."""
    return room.changed(
        room.policy(),
        **{
            "spec__modelRef": None,
            "spec__inference": None,
            "spec__record": {"routineSampleRate": "1"},
            "spec__rules": [
                {"name": "due", "effect": "Permit", "reason": "Due", "expression": expression}
            ],
            **changed,
        },
    )


def vibration(number: int) -> float:
    """A value that is high for twenty seconds of every minute."""
    return 1500.0 if number % 60 < 20 else 500.0


def pump(start: datetime = START, count: int = PUMP_ROWS) -> list[recording.RecordedRow]:
    """A recording at 1 Hz, as of a pump rig."""
    return [
        recording.RecordedRow(
            number + 1,
            {**rehearsed.ROOM, "co2": vibration(number)},
            start + timedelta(seconds=number),
            str(int(vibration(number) > 1000)),
        )
        for number in range(count)
    ]


BEGINNINGS = pytest.mark.parametrize(
    "start",
    [START, START.replace(microsecond=7), START.replace(microsecond=333_333)],
    ids=["on whole seconds", "a little after", "at a third, which no float is"],
)


@BEGINNINGS
@pytest.mark.parametrize("field", ["spec__trigger", "spec__rateLimit"])
async def test_an_interval_of_one_second_is_met_by_every_row_of_a_recording_at_1_hz(
    start: datetime, field: str
) -> None:
    limited: rehearsed.Json = {"minimumInterval": "1s"}
    if field == "spec__trigger":
        limited["properties"] = ["co2"]
    done = await rehearse(pump(start), ruled("co2 > 1000.0", **{field: limited}), truth=True)
    assert done.score.decisions.total() == PUMP_ROWS
    comparison = done.score.comparison
    assert comparison is not None
    assert (comparison.precision, comparison.recall) == (1.0, 1.0)
    assert comparison.right_to_act == 380
    assert done.device.tally.commands == {"Accepted": 380}
    first = (start - START).total_seconds()
    moments = [seconds for seconds, _ in done.verdicts]
    assert moments == pytest.approx([first + row for row in range(PUMP_ROWS)], abs=1e-9)


@pytest.mark.parametrize("field", ["spec__trigger", "spec__rateLimit"])
async def test_an_interval_of_a_tenth_of_a_second_is_met_by_every_row_at_10_hz(field: str) -> None:
    given = rows(*((number / 10, rehearsed.ROOM) for number in range(600)))
    limited: rehearsed.Json = {"minimumInterval": "100ms"}
    if field == "spec__trigger":
        limited["properties"] = ["co2"]
    done = await rehearse(given, ruled("co2 > 0.0", **{field: limited}))
    assert [verdict for _, verdict in done.verdicts] == ["Commanded"] * 600
    assert [seconds for seconds, _ in done.verdicts] == [number / 10 for number in range(600)]


@BEGINNINGS
async def test_a_window_of_sixty_seconds_holds_sixty_values_at_1_hz(start: datetime) -> None:
    counting = {"name": "held", "input": "co2", "window": "60s", "aggregate": "Count"}
    policy = ruled("held == 60.0", spec__features=[counting])
    done = await rehearse(pump(start), policy)
    verdicts = [verdict for _, verdict in done.verdicts]
    assert verdicts == ["NotTriggered"] * 59 + ["Commanded"] * (PUMP_ROWS - 59)


async def test_what_waits_for_its_interval_is_decided_at_its_own_moment_between_rows() -> None:
    policy = ruled("co2 > 0.0", spec__trigger={"properties": ["co2"], "minimumInterval": "1500ms"})
    done = await rehearse(rows(*((float(second), rehearsed.ROOM) for second in range(5))), policy)
    assert [seconds for seconds, _ in done.verdicts] == [0.0, 1.5, 3.0, 4.5], "the last row too"


async def test_a_row_comes_before_what_is_due_at_its_moment() -> None:
    """Else the older value would be decided on, and the row would have to wait."""
    policy = ruled("co2 > 0.0", spec__trigger={"properties": ["co2"], "minimumInterval": "2s"})
    given = rows(
        *((float(second), {**rehearsed.ROOM, "co2": 100.0 + second}) for second in (0, 1, 2))
    )
    done = await rehearse(given, policy)
    (_, last) = done.of("decision")
    assert next(each["value"] for each in last["inputs"] if each["name"] == "co2") == 102.0


async def test_silence_is_decided_when_it_is_over_whatever_the_distance_of_rows() -> None:
    trigger = {"properties": ["co2"], "afterSilence": "20s"}
    silent = ruled("co2 > 0.0", spec__mode="Shadow", spec__trigger=trigger)
    done = await rehearse(rows((0.0, rehearsed.ROOM), (65.0, rehearsed.ROOM)), silent)
    assert [seconds for seconds, _ in done.verdicts][:5] == [0.0, 20.0, 40.0, 60.0, 65.0]


async def test_values_settle_at_their_moment_and_are_read_back() -> None:
    confirmation = {"property": "airflow", "expression": "difference <= 5.0", "timeout": "10s"}
    profile = room.changed(room.profile(), spec__confirmation=confirmation)
    done = await rehearse(rows((0.0, rehearsed.ROOM)), ruled("co2 > 0.0"), profile)
    outcomes = [(rehearsed.at(each), each["outcome"]) for each in done.of("outcome")]
    assert outcomes == [(0.0, "Acknowledged"), (2.0, "Confirmed")]


async def test_a_row_at_the_moment_at_which_a_value_settles_reports_it_settled() -> None:
    inputs = [{"name": "airflow", "property": "airflow", "maximumAge": "90s"}]
    policy = ruled(
        "airflow < 200.0",
        spec__inputs=inputs,
        spec__action__input=[{"name": "value", "expression": "300.0"}],
    )
    done = await rehearse(rows((0.0, rehearsed.ROOM), (2.0, rehearsed.ROOM)), policy)
    assert done.verdicts == [(0.0, "Commanded"), (2.0, "NotTriggered")]


async def test_a_command_of_the_last_row_comes_to_its_end() -> None:
    confirmation = {"property": "airflow", "expression": "difference < 0.0", "timeout": "10s"}
    profile = room.changed(room.profile(), spec__confirmation=confirmation)
    done = await rehearse(rows((0.0, rehearsed.ROOM)), ruled("co2 > 0.0"), profile)
    outcomes = [(rehearsed.at(each), each["outcome"]) for each in done.of("outcome")]
    assert outcomes == [(0.0, "Acknowledged"), (10.0, "Unconfirmed")]


async def test_no_answer_of_the_model_is_late_and_none_takes_time_in_a_record() -> None:
    slow = rehearsed.Model(seconds=3.0)
    done = await rehearse(pump(count=30), model=slow)
    assert set(done.score.decisions) == {
        ("hq/ventilate-when-occupied", "Commanded", "RoomOccupied"),
        ("hq/ventilate-when-occupied", "NotTriggered", "NoRulePermits"),
    }
    for each in done.of("decision"):
        assert not any(each["latency"].values())
    counts = done.score.stages["hq/ventilate-when-occupied", "Network"]
    assert counts.total() == 30, "what it took is measured beside"


@pytest.mark.parametrize(
    "unanswered",
    [
        inference.Unanswered("Deadline", (), is_late=True),
        inference.Unanswered("Unreachable", (), is_late=False),
    ],
    ids=["late", "gone"],
)
async def test_a_model_that_does_not_answer_ends_the_rehearsal(
    unanswered: inference.Unanswered,
) -> None:
    with pytest.raises(ports.UnfinishedError, match="does not answer"):
        await rehearse(pump(count=3), model=rehearsed.Model(unanswered=unanswered))


async def test_a_question_that_the_model_refuses_is_a_decision() -> None:
    refusing = rehearsed.Model(unanswered=inference.Unanswered("Malformed", (), is_late=False))
    done = await rehearse(pump(count=3), model=refusing)
    assert {verdict for _, verdict in done.verdicts} == {"Error"}


async def test_a_disk_that_is_full_ends_the_rehearsal() -> None:
    book = rehearsed.Book()
    book.failing = "DiskFull"
    with pytest.raises(ports.UnfinishedError, match="DiskFull"):
        await rehearse(pump(count=3), book=book)


async def test_two_rehearsals_write_the_same_bytes_and_another_seed_other_identities() -> None:
    first, again = await rehearse(pump(count=90)), await rehearse(pump(count=90))
    assert first.book.bodies == again.book.bodies
    other = await rehearse(pump(count=90), seed=b"another")
    ids = [{each["id"] for each in done.book.records} for done in (first, other)]
    assert ids[0].isdisjoint(ids[1])
    assert len(ids[0]) == len(first.book.records)


# The reference: a fold of `step` that looks at every half second, whatever is due.

GRID = timedelta(seconds=0.5)
INTERVALS = st.sampled_from([None, "500ms", "1s", "1500ms", "2500ms"])


@st.composite
def policies(draw: st.DrawFn) -> room.Json:
    """The room's policy with a trigger, a rate limit and a life of its own, with a model or not."""
    trigger: room.Json = {"properties": draw(st.sampled_from([["co2"], ["co2", "airflow"]]))}
    trigger |= {
        name: value
        for name, value in (
            ("minimumInterval", draw(INTERVALS)),
            ("afterSilence", draw(st.sampled_from([None, "1500ms", "4s"]))),
        )
        if value is not None
    }
    wait = draw(INTERVALS)
    changed: dict[str, Any] = {
        "spec__trigger": trigger,
        "spec__rateLimit": None if wait is None else {"minimumInterval": wait},
        "spec__mode": draw(st.sampled_from(["Autonomous", "Advise", "Shadow"])),
        "spec__record": {"routineSampleRate": "1"},
    }
    if draw(st.booleans()):
        return room.changed(room.policy(), **changed)
    return ruled("co2 > 800.0", **changed)


@st.composite
def profiles(draw: st.DrawFn) -> room.Json:
    """The room's profile, whose device may answer, be read back, and take time to settle."""
    profile = room.profile()
    profile["spec"]["properties"][3]["settlingTime"] = draw(st.sampled_from(["500ms", "2s", "7s"]))
    if draw(st.integers(0, 3)) == 0:  # then nothing rises above Advise
        del profile["spec"]["mqtt"]["acknowledgementTopic"]
    if draw(st.booleans()):
        near = draw(st.sampled_from(["difference <= 5.0", "difference < 0.0"]))
        confirmation = {"property": "airflow", "expression": near, "timeout": "8s"}
        profile["spec"]["confirmation"] = confirmation
    return profile


RECORDINGS = st.lists(
    st.tuples(st.integers(0, 8), st.floats(300, 1500, width=16)), min_size=1, max_size=25
)


class Reference:
    """The same rehearsal without the agent's host, and without knowing what is due."""

    def __init__(self, *documents: room.Json) -> None:
        staged = rehearsed.staged(*documents)
        self.now = START
        self.lines: list[rehearsed.Json] = []
        self.device = played_device.PlayedDevice(staged, played_device.DeviceLog(None))
        self.decoder = payload.Decoder(staged.profile.properties)
        self.waiting: deque[events.Event] = deque()
        self.answers: deque[bytes] = deque()
        self.asked: deque[effects.Infer] = deque()
        self.settling: list[tuple[datetime, int, played_device.Settling]] = []
        self.count = itertools.count(1)
        identity = state.Identity(driver.NODE, "boot", "journal-1", "0", virtual=True)
        self.state = state.start(identity)
        assigned = engine_rig.assign(*documents, node=driver.NODE, holder=driver.NODE)
        self.take(events.Assigned, assigned, is_self_granted=True)
        self.take(events.BrokerChanged, connected=True)

    def run(self, given: list[recording.RecordedRow], seconds: float) -> None:
        waiting = deque(given)
        end = given[-1].time or START
        while self.now <= end + timedelta(seconds=seconds):
            while self.settling and self.settling[0][0] <= self.now:
                self.settle()
            while waiting and waiting[0].time == self.now:
                self.say(self.device.measure(waiting.popleft().values, self.now))
            self.take(events.Tick)
            self.now += GRID

    def settle(self) -> None:
        settled = self.device.settle(heapq.heappop(self.settling)[2], self.now)
        if settled.answer is not None:
            self.answers.append(settled.answer)
        self.drain()
        if settled.telemetry is not None:
            self.say(settled.telemetry)

    def say(self, body: bytes) -> None:
        [reading] = self.decoder.decode(body)
        self.take(
            events.Sample, engine_rig.DEVICE, reading.values, reading.refused, reading.sampled_at
        )

    def event(self, kind: type, *fields: Any, **more: Any) -> None:
        seconds = self.now.timestamp()
        at = Instant(self.now, seconds, seconds)
        fresh = f"01900000-0000-7000-8000-{next(self.count) << 16:012x}"
        self.waiting.append(kind(at, fresh, *fields, **more))

    def take(self, kind: type, *fields: Any, **more: Any) -> None:
        self.event(kind, *fields, **more)
        self.drain()

    def drain(self) -> None:
        while self.waiting or self.answers or self.asked:
            if self.waiting:
                self.state, done = step.step(self.state, self.waiting.popleft())
                for effect in done:
                    self.carry(effect)
            elif self.answers:
                answer = command.Acknowledgement.decode(self.answers.popleft())
                self.event(events.Acknowledged, engine_rig.DEVICE, answer)
            else:
                self.infer(self.asked.popleft())

    def infer(self, asked: effects.Infer) -> None:
        ((_, co2, _),) = [each.data for each in asked.tensors]
        score = rehearsed.likely({"co2": float(co2)})
        about = (asked.decision_id, asked.policy, asked.device)
        self.event(events.Inferred, *about, {"probabilities": (1 - score, score)})

    def carry(self, effect: effects.Effect) -> None:
        match effect:
            case effects.AppendRecords():
                self.lines += [orjson.loads(each.body) for each in effect.records]
                if effect.intent is not None:
                    self.event(events.IntentDurable, *effect.intent)
            case effects.SendCommand():
                reaction = self.device.take(envelope.encode(effect), self.now)
                if reaction.answer is not None:
                    self.answers.append(reaction.answer)
                if (settling := reaction.settling) is not None:
                    due = self.now + timedelta(seconds=settling.seconds)
                    heapq.heappush(self.settling, (due, next(self.count), settling))
                self.event(events.CommandSent, effect.command_id, effect.policy, effect.device)
            case effects.Infer():
                self.asked.append(effect)
            case _:
                pass


def told(lines: list[rehearsed.Json], until: datetime) -> list[tuple[Any, ...]]:
    """What records say, but for identities and what names the maker."""
    found: list[tuple[Any, ...]] = []
    for each in lines:
        data: Mapping[str, Any] = each["data"]
        if datetime.fromisoformat(each["time"]) > until or "decisionId" not in data:
            continue
        said = data.get("verdict") or (data["outcome"], data["reason"], data["readBack"])
        facts = (data.get("inputs"), data.get("trigger"), data.get("gates"))
        found.append((each["time"], said, facts))
    return found


@settings(max_examples=60)
@given(policies(), profiles(), RECORDINGS)
async def test_a_rehearsal_is_a_fold_of_step_over_rows_and_what_is_due(
    policy: room.Json, profile: room.Json, values: list[tuple[int, float]]
) -> None:
    seconds, played = 0.0, []
    for halves, co2 in values:
        seconds += halves / 2
        played.append((seconds, {**rehearsed.ROOM, "co2": co2}))
    given = rows(*played)
    done = await rehearse(given, policy, profile)
    reference = Reference(policy, profile)
    reference.run(given, 30.0)
    end = given[-1].time or START
    assert told(done.book.records, end) == told(reference.lines, end)
    decided = [each for each in reference.lines if each["type"].endswith("decision.v1")]
    decided = [each for each in decided if datetime.fromisoformat(each["time"]) <= end]
    assert len(decided) >= 1


@pytest.mark.parametrize(
    ("how", "outcomes"),
    [
        (plug.ECHO, [(2.0, "Confirmed", "EchoNear")]),
        (plug.REPLY, [(0.0, "Acknowledged", "Accepted")]),
        (plug.NONE, [(0.0, "Unacknowledged", "NothingTells")]),
    ],
)
async def test_a_device_told_in_its_own_dialect_is_rehearsed_like_any_other(
    how: room.Json, outcomes: list[tuple[float, str, str]]
) -> None:
    documents = plug.documents(how)
    documents[0]["spec"]["properties"][0]["settlingTime"] = "2s"
    done = await rehearse(rows((0.0, {"power": 200.0}), (5.0, {"power": 1.0})), *documents)
    learnt = [(rehearsed.at(each), each["outcome"], each["reason"]) for each in done.of("outcome")]
    assert learnt == outcomes
    assert done.device.values["on"] is True


GOOD = {"path": "/quality", "good": ["Good"]}


async def test_a_recording_is_of_values_whatever_the_words_of_the_device() -> None:
    properties = [
        {
            "name": "on",
            "type": "Boolean",
            "access": "ReadWrite",
            "path": "/POWER",
            "topic": "stat/{parameters.topic}/RESULT",
            "values": [{"from": "ON", "to": "true"}, {"from": "OFF", "to": "false"}],
        },
        {"name": "power", "unit": "W", "path": "/POWER", "scale": "0.1", "quality": GOOD},
    ]
    plugged = plug.documents(spec__record={"routineSampleRate": "1"})
    profile = plug.profile(spec__properties=properties)
    played = rows(*((float(number), {"power": 200.0}) for number in range(3)))
    done = await rehearse(played, profile, *plugged[1:])
    assert {each["inputs"][0]["value"] for each in done.of("decision")} == {200.0}
    assert [each["reason"] for each in done.of("outcome")] == ["EchoNear"]


async def test_what_a_rehearsed_device_reports_already_is_not_sent_again() -> None:
    documents = (plug.profile(), plug.device(), plug.policy())
    given = rows(*((float(number), {"power": 200.0}) for number in range(4)))
    done = await rehearse(given, *documents)
    assert sum(done.device.tally.commands.values()) == 1
    reasons = [each["reason"] for each in done.of("outcome")]
    assert reasons[:2] == ["EchoNear", "AlreadyEqual"]


async def test_a_row_of_two_devices_is_decided_once_and_as_a_whole() -> None:
    open_, shut = {"window-301.open": True}, {"window-301.open": False}
    given = rows(
        (0.0, {**rehearsed.ROOM, **open_}),
        (1.0, {**rehearsed.ROOM, **shut}),
        (2.0, shut),
        (3.0, rehearsed.ROOM),
    )
    document = room.changed(neighbours.policy(), spec__record={"routineSampleRate": "1"})
    done = await rehearse(given, *neighbours.documents(document))
    assert done.verdicts == [
        (0.0, "NotTriggered"),
        (1.0, "Commanded"),
        (2.0, "Commanded"),
        (3.0, "Commanded"),
    ]
    assert done.device.tally.published == 4 + 3, "rows and values that settled, of the room alone"


async def test_a_policy_of_one_trigger_goes_on_where_the_row_has_nothing_of_it() -> None:
    document = room.changed(neighbours.policy(), spec__record={"routineSampleRate": "1"})
    given = rows((0.0, rehearsed.ROOM), (1.0, {"window-301.open": False}))
    done = await rehearse(given, *neighbours.documents(document))
    assert done.verdicts == [(0.0, "NotApplicable"), (1.0, "Commanded")]
