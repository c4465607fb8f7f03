"""What the operator merges from the hub's answers is what the hub knows, whatever was lost."""

import dataclasses
import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from foreshore_api.wire import document, evidence, report
from foreshore_hub import changes, deltas, fleet, renewals
from foreshore_operator import merged
from foreshore_planner import news

NODES = ["edge-1", "edge-2", "edge-3", "edge-4"]
DEVICES = [("hq", "room-1"), ("hq", "room-2"), ("hq", "room-3")]
LEASE = 15.0


def facts(node: str, **fields: Any) -> report.Report:
    said = {
        "node": node,
        "boot_id": "b",
        "agent_version": "0",
        "sent_at": datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        "uptime_seconds": 1000.0,
        "broker_connected": True,
        **fields,
    }
    return report.Report.model_validate(said)


def stage(count: int, policy: str = "ventilate") -> dict[str, Any]:
    histogram = {"buckets": {"3": count}, "total_seconds": 1.0}
    return {"namespace": "hq", "policy": policy, "stage": "Decide", "histogram": histogram}


reports = st.fixed_dictionaries(
    {},
    optional={
        "broker_connected": st.booleans(),
        "stopping": st.booleans(),
        "uptime_seconds": st.sampled_from([1.0, 5.0, 900.0]),
        "devices": st.lists(
            st.builds(
                lambda device, epoch, is_back: {
                    "namespace": device[0],
                    "device": device[1],
                    "connected": True,
                    "epoch": epoch,
                    "gave_back": is_back,
                },
                st.sampled_from(DEVICES),
                st.integers(1, 3),
                st.booleans(),
            ),
            max_size=2,
            unique_by=lambda line: line["device"],
        ),
        "stages": st.lists(
            st.builds(stage, st.integers(1, 3), st.sampled_from(["a", "b"])), max_size=2
        ),
        "peers": st.lists(
            st.builds(
                lambda node, age: {"node": node, "age_seconds": age, "has_hub": True},
                st.sampled_from(NODES),
                st.sampled_from([0.1, 2.0, 8.0, 9.0, 700.0]),
            ),
            max_size=2,
        ),
    },
)


class Reader:
    """An operator of which some answers are lost."""

    def __init__(self) -> None:
        self.target = merged.MergedFleet()
        self.shown = merged.MergedFleet()
        self.changed = merged.FleetChanges()

    def ask(self, kept: fleet.FleetEvidence, now: float) -> bytes:
        base = deltas.base(kept, self.target.revision, self.target.boot_id)
        return deltas.answer(kept, base, now)

    def take(self, body: bytes, now: float) -> bool:
        first, *lines, rest = body.split(b"\n")
        assert rest == b""
        head = evidence.FleetDelta.decode(first)
        assert len(lines) == head.lines
        if self.target.is_overtaken(head):
            return True
        target = self.target if head.base else merged.MergedFleet()
        target.begin(head, now)
        for line in lines:
            target.take(line)
        self.changed.add(target.finish())
        self.target = target
        if head.is_complete:
            self.shown = target
        return head.is_complete

    def catch_up(self, kept: fleet.FleetEvidence, now: float) -> None:
        for _ in range(2000):
            if self.take(self.ask(kept, now), now):
                return
        raise AssertionError("answers without an end")


def test_a_reader_comes_to_an_end_although_the_hub_has_forgotten_what_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Agents that had not changed since before were told again and again, and nothing after them.

    The reader was at the revision of the first, from before what the hub remembers.
    """
    monkeypatch.setattr(changes, "GONE", 2)
    monkeypatch.setattr(deltas, "ANSWER_BYTES", 1)
    hub, now = fleet.FleetEvidence("l", 1000.0, {}), 1000.0
    for times in (1, 2, 4, 8):
        for node in NODES:
            hub.note_report(facts(node), now)
        for number in range(20 * times):
            entry = renewals.RenewedHolder(1, "edge-1", LEASE, at=now)
            hub.note_renewals({("hq", f"room-{now:.0f}-{number}"): entry})
        now += fleet.FORGOTTEN_SECONDS - 1
        for node in NODES:
            hub.note_report(facts(node), now)
        now += 2
        hub.forget(now, lambda _: False)
    reader = Reader()
    reader.catch_up(hub, now)
    heard = reader.shown.fleet()
    assert heard is not None
    assert [agent.node for agent in heard.agents] == NODES


@settings(max_examples=60, stateful_step_count=40, deadline=None,
          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
class Merging(RuleBasedStateMachine):
    """A hub that is told and restarts, a reader that hears and restarts, answers that are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.now = 1000.0
        self.lost: list[tuple[bytes, float]] = []
        """Answers, and when they were given."""
        self.delay = 0.0
        """For how long an answer was under way that the reader took in: ages are so much less."""

    @initialize(gone=st.sampled_from([0, 2, 1000]), size=st.sampled_from([1, 500, 1 << 20]))
    def begin(self, gone: int, size: int) -> None:
        self.patch.setattr(changes, "GONE", gone)
        self.patch.setattr(deltas, "ANSWER_BYTES", size)
        self.hub = fleet.FleetEvidence("l", self.now, {})
        self.reader = Reader()

    def teardown(self) -> None:
        self.patch.undo()

    @rule(node=st.sampled_from(NODES), said=reports)
    def speak(self, node: str, said: dict[str, Any]) -> None:
        self.hub.note_report(facts(node, **said), self.now)

    @rule(device=st.sampled_from(DEVICES), epoch=st.integers(1, 3), node=st.sampled_from(NODES))
    def renew(self, device: renewals.Device, epoch: int, node: str) -> None:
        entry = renewals.RenewedHolder(epoch, node, LEASE, at=self.now)
        self.hub.note_renewals({device: entry})

    @rule(device=st.sampled_from(DEVICES), was_late=st.booleans())
    def renew_again(self, device: renewals.Device, was_late: bool) -> None:
        last = self.hub.last_renewal(device)
        if last is not None:
            self.reader.catch_up(self.hub, self.now)
            self.now += LEASE if was_late else 1.0
            self.reader.catch_up(self.hub, self.now)
            self.hub.note_renewals({device: dataclasses.replace(last, at=self.now)})
            self.catch_up()

    @rule()
    def lose_sight_of_all(self) -> None:
        self.reader.catch_up(self.hub, self.now)
        self.now += fleet.FORGOTTEN_SECONDS + 1
        self.hub.forget(self.now, lambda _: False)
        self.speak("edge-9", {})
        self.catch_up()

    @rule(seconds=st.sampled_from([0.1, 2.0, 4.0, 10.0, 31.0, fleet.FORGOTTEN_SECONDS + 1]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(is_there=st.booleans())
    def forget(self, is_there: bool) -> None:
        self.hub.forget(self.now, lambda _: is_there)

    @rule(name=st.sampled_from(["edge-1", "edge-2"]))
    def fail_to_compile(self, name: str) -> None:
        problem = report.Problem(kind="Node", namespace="", name=name, reason="No", message="no")
        self.hub.note_problems((problem,))

    @rule()
    def restart_hub(self) -> None:
        stored = {
            device: dataclasses.replace(last, at=None)
            for device in DEVICES
            if (last := self.hub.last_renewal(device)) is not None
        }
        self.hub = fleet.FleetEvidence("l", self.now, stored)

    @rule()
    def restart_operator(self) -> None:
        self.reader, self.delay = Reader(), 0.0

    @rule()
    def lose_an_answer(self) -> None:
        self.lost.append((self.reader.ask(self.hub, self.now), self.now))

    @precondition(lambda self: self.lost)
    @rule()
    def hear_an_answer_late(self) -> None:
        answer, given_at = self.lost.pop()
        self.delay = max(self.delay, self.now - given_at)
        try:
            self.reader.take(answer, self.now)
        except merged.UnknownBaseError:
            self.reader.target = merged.MergedFleet()

    @rule()
    def hear_a_part(self) -> None:
        self.reader.take(self.reader.ask(self.hub, self.now), self.now)

    @rule()
    def catch_up(self) -> None:
        self.reader.catch_up(self.hub, self.now)
        self.compare()

    def compare(self) -> None:
        whole, heard = self.hub.evidence(self.now), self.reader.shown.fleet()
        assert heard is not None
        assert heard.problems == whole.problems
        assert heard.uptime_seconds == whole.uptime_seconds
        assert [agent.node for agent in heard.agents] == [agent.node for agent in whole.agents]
        for ours, theirs in zip(heard.agents, whole.agents, strict=True):
            if theirs.age_seconds > evidence.LATE_SECONDS:
                self.compare_ages(ours.age_seconds, theirs.age_seconds)
            else:
                assert ours.age_seconds == evidence.LATE_SECONDS
            agent = self.hub.agent(ours.node)
            assert agent is not None
            assert ours.report == agent.passed_on
            assert news.compare(ours.report, theirs.report) <= news.ReportNews.FIGURES
        self.compare_rights(heard, whole)

    def compare_rights(self, heard: report.Fleet, whole: report.Fleet) -> None:
        assert len(heard.renewals) == len(whole.renewals)
        for ours, theirs in zip(heard.renewals, whole.renewals, strict=True):
            aged = dataclasses.replace(ours, age_seconds=theirs.age_seconds)
            assert aged == theirs
            assert ours.age_seconds <= theirs.age_seconds + 1e-6, "never older than it is true"
            if theirs.age_seconds > LEASE * evidence.LATE_SHARE:
                self.compare_ages(ours.age_seconds, theirs.age_seconds)
        for given, entry in zip(heard.given_back, whole.given_back, strict=True):
            assert dataclasses.replace(given, age_seconds=entry.age_seconds) == entry
            self.compare_ages(given.age_seconds, entry.age_seconds)

    def compare_ages(self, ours: float, theirs: float) -> None:
        assert theirs - self.delay - 1e-4 <= ours <= theirs + 1e-4


TestMerging = Merging.TestCase


@pytest.mark.parametrize("age", [0.5, float(document.LARGEST)])
def test_an_age_without_end_costs_no_other_evidence(age: float) -> None:
    """It grew beyond the largest age there is, and the whole fleet was asked for again for ever."""
    entry: dict[str, Any] = {"namespace": "hq", "device": "room-1", "epoch": 1, "holder": "edge-1"}
    line = evidence.DeviceUpdate(
        namespace="hq",
        device="room-1",
        renewal=report.LastRenewal(**entry, age_seconds=age),
        given_back=(report.GivenBack(**entry, age_seconds=age),),
    )
    heard = merged.MergedFleet()
    for revision, at in ((1, 100.0), (2, 110.0)):
        head = evidence.FleetDelta(
            lineage="l",
            boot_id="b",
            base=revision - 1,
            revision=revision,
            uptime_seconds=at,
            lines=1,
        )
        heard.begin(head, at)
        if revision == 1:
            heard.take(evidence.FleetPart(devices=(line,)).encode())
        heard.finish()
    seen = heard.fleet()
    assert seen is not None
    aged = min(age + 10.0, float(document.LARGEST))
    assert [seen.renewals[0].age_seconds, seen.given_back[0].age_seconds] == [aged, aged]
