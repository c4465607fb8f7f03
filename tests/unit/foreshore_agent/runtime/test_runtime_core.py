import typing
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uuid_utils

from foreshore_agent import meters
from foreshore_agent.engine import effects, events, state, step
from foreshore_agent.engine import turn as turns
from foreshore_agent.inference import port
from foreshore_agent.journal import port as journal_port
from foreshore_agent.runtime import core
from foreshore_api.reasons import command as outcomes
from foreshore_api.reasons import inference as answers
from foreshore_decision import served
from foreshore_decision.instant import Instant

POLICY = events.Key("hq", "ventilate")
DEVICE = events.Key("hq", "room-301")


class Clock:
    """A clock that stands still: what ports answer has its turn at once."""

    virtual = True
    boot_id = "boot"
    seconds = 100.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    def instant(self) -> Instant:
        return Instant(self.now(), self.seconds, self.seconds)

    def identity(self) -> str:
        return str(uuid_utils.uuid7())


def _none(_most: int) -> tuple[events.Sample, ...]:
    return ()


class Bench:
    """A core whose engine is a script: which effects follow which event."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[events.Event] = []
        self.script: dict[type, tuple[effects.Effect, ...]] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.appended: list[tuple[Any, Any]] = []
        self.patient: list[bool] = []
        self.kept: list[tuple[str, bytes]] = []
        self.lost: list[tuple[str, str]] = []
        self.writing: list[Callable[[str | None], None]] = []
        self.not_sent: str | None = None
        self.failures: list[BaseException] = []
        self.clock = Clock()
        self.meters = meters.Meters()
        monkeypatch.setattr(step, "step", self._step)
        book = SimpleNamespace(
            append=self._append,
            put=lambda key, value: self.kept.append((key, value)),
            flush=lambda: None,
            lose=lambda lost, why: self.lost.extend((one.verdict, why) for one in lost),
        )
        ports = core.Ports(
            journal=cast("Any", book),
            inference=cast("Any", SimpleNamespace(ask=lambda *call: self.asked.append(call))),
            devices=cast(
                "Any",
                SimpleNamespace(
                    send=lambda _: self.not_sent, advise=None, has_measured=False, measured=_none
                ),
            ),
            meters=self.meters,
            peers=cast("Any", SimpleNamespace(remember=None, renew=None)),
            changed=lambda: None,
            failed=self.failures.append,
        )
        initial = state.start(state.Identity("edge-1", "boot", "journal", "0"))
        self.core = core.Core(self.clock, initial, ports)

    def _step(
        self, before: state.State, event: events.Event, _: turns.Stopwatch
    ) -> tuple[state.State, tuple[effects.Effect, ...]]:
        self.seen.append(event)
        return before, self.script.get(type(event), ())

    def _append(self, entries: Any, values: Any, *, is_patient: bool, then: Any) -> None:
        self.appended.append((entries, values))
        self.patient.append(is_patient)
        self.writing.append(then)

    def begin(self, *wanted: effects.Effect) -> None:
        self.script[events.Tick] = wanted
        self.core.take(events.Tick(*self.core.stamp()))

    @property
    def answers(self) -> list[events.Event]:
        return [one for one in self.seen if not isinstance(one, events.Tick)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def command(deadline: float = 200.0) -> effects.SendCommand:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return effects.SendCommand(
        "d/1", 1, POLICY, DEVICE, "air", {}, "edge-1", 7, 8, now, now, 5.0, deadline
    )


SERVED = served.Served("occupancy", "occupancy-v1", "sha256:" + "ab" * 32)
INFER = effects.Infer(
    "d",
    POLICY,
    DEVICE,
    "occupancy",
    SERVED.digest,
    (effects.Tensor("x", "FP32", (1, 2), (0.5, 1.0)),),
    0.1,
)
INTENT_KEY = effects.IntentKey("d", POLICY, DEVICE)
INTENT = effects.AppendRecords((), INTENT_KEY, (("engine/x", b"1"),))


def test_every_effect_has_a_carrier(bench: Bench) -> None:
    assert set(bench.core.carriers) == set(typing.get_args(effects.Effect))


def test_an_intent_is_durable_only_once_it_is_on_disk(bench: Bench) -> None:
    bench.begin(INTENT)
    assert bench.answers == []
    (then,) = bench.writing
    then(None)
    (answer,) = bench.answers
    assert isinstance(answer, events.IntentDurable)
    assert (answer.decision_id, answer.policy, answer.device) == INTENT_KEY
    assert bench.appended[0][1] == (("engine/x", b"1"),)


def test_only_what_nobody_waits_for_is_written_with_patience(bench: Bench) -> None:
    bench.begin(INTENT, INTENT._replace(intent=None))
    assert bench.patient == [False, True]


def test_an_intent_that_could_not_be_written_has_failed(bench: Bench) -> None:
    bench.begin(INTENT)
    (then,) = bench.writing
    then("DiskFull")
    (answer,) = bench.answers
    assert isinstance(answer, events.IntentFailed)
    assert answer.reason == "DiskFull"


def test_records_without_an_intent_that_are_lost_are_no_defect(bench: Bench) -> None:
    bench.begin(
        effects.AppendRecords((effects.Record(b"{}", critical=False),)), effects.Keep("k", b"v")
    )
    assert bench.kept == [("k", b"v")]
    (then,) = bench.writing
    then("DiskFull")
    assert bench.answers == []
    assert bench.failures == []


LONG = effects.Record(b"x" * 70_000, critical=True, verdict="Commanded")


def test_an_intent_asks_for_the_room_of_the_record_that_it_promises(bench: Bench) -> None:
    bench.begin(INTENT, INTENT._replace(intent=None))
    assert [list(entries) for entries, _ in bench.appended] == [[journal_port.PROMISE], []]


def test_a_record_that_is_too_long_takes_neither_others_nor_values_with_it(
    bench: Bench,
) -> None:
    short = effects.Record(b"{}", critical=False)
    bench.begin(effects.AppendRecords((LONG, short), None, (("engine/x", b"1"),)))
    ((entries, values),) = bench.appended
    assert [one.body for one in entries] == [b"{}"]
    assert values == (("engine/x", b"1"),)
    assert bench.lost == [("Commanded", "RecordTooLarge")]


@pytest.mark.parametrize(
    ("not_sent", "deadline", "expected"),
    [
        pytest.param(None, 200.0, None, id="sent"),
        pytest.param("NotConnected", 200.0, "NotConnected", id="not connected"),
        pytest.param(None, 99.0, outcomes.TOO_LATE, id="never after its deadline"),
    ],
)
def test_a_command_leaves_or_surely_does_not(
    bench: Bench, not_sent: str | None, deadline: float, expected: str | None
) -> None:
    bench.not_sent = not_sent
    bench.begin(command(deadline))
    (answer,) = bench.answers
    if expected is None:
        assert isinstance(answer, events.CommandSent)
    else:
        assert isinstance(answer, events.CommandNotSent)
        assert answer.reason == expected


def _ask(bench: Bench) -> Callable[[port.ModelAnswer | port.Unanswered], None]:
    bench.begin(INFER)
    ((asked, then),) = bench.asked
    assert asked == INFER
    return cast("Callable[[port.ModelAnswer | port.Unanswered], None]", then)


def test_an_answer_is_told_with_where_its_time_went(bench: Bench) -> None:
    _ask(bench)(port.ModelAnswer(SERVED, {"p": (0.5,)}, (), "edge-2", 0.003, 0.002, None, 0.001))
    (answer,) = bench.answers
    assert isinstance(answer, events.Inferred)
    assert (answer.decision_id, answer.policy, answer.device) == ("d", POLICY, DEVICE)
    assert answer.node == "edge-2"
    assert (answer.network, answer.inference, answer.queued) == (0.003, 0.002, 0.001)
    assert answer.model == SERVED


def test_late_and_failed_are_told_apart(bench: Bench) -> None:
    then = _ask(bench)
    then(port.Unanswered("Deadline", (), is_late=True))
    then(port.Unanswered("NoEndpoint", (), is_late=False))
    assert [type(one) for one in bench.answers] == [events.InferenceLate, events.InferenceFailed]


def test_what_an_effect_answers_at_once_is_taken_after_the_other_effects(bench: Bench) -> None:
    bench.script[events.CommandSent] = (INFER,)
    bench.begin(command(), command())
    assert [type(one) for one in bench.answers] == [events.CommandSent, events.CommandSent]
    assert len(bench.asked) == 2


def test_a_defect_of_the_engine_is_told_and_not_survived(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_state: state.State, _event: events.Event, _: turns.Stopwatch) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(step, "step", broken)
    with pytest.raises(ZeroDivisionError):
        bench.begin()
    assert isinstance(bench.failures[0], ZeroDivisionError)


FROM_OUTSIDE: tuple[tuple[type, dict[str, Any]], ...] = (
    (events.Sample, {"device": DEVICE, "values": {}}),
    (events.Acknowledged, {"device": DEVICE, "acknowledgement": None}),
    (events.PeerBeat, {"beat": SimpleNamespace(node="edge-2")}),
    (events.Renewed, {"renewal": None}),
)


@pytest.mark.parametrize(
    ("kind", "fields"), FROM_OUTSIDE, ids=[one[0].__name__ for one in FROM_OUTSIDE]
)
def test_a_message_on_which_the_engine_fails_is_refused_counted_and_logged(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type,
    fields: dict[str, Any],
) -> None:
    def broken(_state: state.State, _event: events.Event, _: turns.Stopwatch) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(step, "step", broken)
    for _ in range(3):
        bench.core.take(kind(*bench.core.stamp(), **fields))
    assert bench.failures == []
    count = bench.meters.registry.get_sample_value(
        "foreshore_telemetry_messages_total", {"result": "Defect"}
    )
    assert count == 3
    [line] = caplog.messages
    assert "Defect" in line


def test_an_answer_on_which_the_engine_fails_is_an_inference_that_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[events.Event] = []

    def broken(before: state.State, event: events.Event, _: turns.Stopwatch) -> Any:
        if isinstance(event, events.Inferred):
            raise OverflowError
        seen.append(event)
        return before, ()

    monkeypatch.setattr(step, "step", broken)
    bench.core.take(events.Inferred(*bench.core.stamp(), "d", POLICY, DEVICE, {}, node="edge-2"))
    [failed] = seen
    assert isinstance(failed, events.InferenceFailed)
    assert (failed.decision_id, failed.reason) == ("d", answers.ANSWER_REFUSED)
    assert bench.failures == []


def test_every_event_has_an_identity_of_its_own(bench: Bench) -> None:
    first, second = bench.core.stamp()[1], bench.core.stamp()[1]
    assert first < second
    assert first[14] == "7"


def test_records_that_wait_for_the_disk_make_telemetry_give_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "MAXIMUM_UNWRITTEN", 1)
    bench.begin(INTENT)
    assert not bench.core.is_behind
    bench.begin(INTENT)
    assert bench.core.is_behind
    bench.writing[0](None)
    assert not bench.core.is_behind
