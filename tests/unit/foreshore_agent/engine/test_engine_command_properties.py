"""Whatever happens, in any order, also over crashes.

A command leaves at most once, never late, never without a durable intent, a right, or the policy
that decided on it; and every one ends exactly once.
"""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import DEVICE, OCCUPIED, Rig
from foreshore_agent.engine import durable, effects, events
from foreshore_api.v1alpha1.device import Lock
from foreshore_api.wire import command
from foreshore_decision import fencing

FINAL = {"NotSent", "Rejected", "Confirmed", "Unconfirmed", "Superseded"}
USUAL = (
    st.tuples(st.just("sample"), st.sampled_from((900.0, 1200.0))),
    st.tuples(st.just("write"), st.just(0)),
    st.tuples(st.just("send"), st.just(0)),
    st.tuples(st.just("answer"), st.sampled_from(("Accepted", "Done", "Rejected"))),
    st.tuples(st.just("measure"), st.sampled_from((100.0, 300.0, 600.0))),
    st.tuples(st.just("wait"), st.sampled_from((0.3, 2.5, 7.0))),
)
UNUSUAL = (
    st.tuples(st.just("refuse"), st.just(0)),
    st.tuples(st.just("lose"), st.just(0)),
    st.tuples(st.just("bounce"), st.just(0)),
    st.tuples(st.just("repeat"), st.just(0)),
    st.tuples(st.just("sleep"), st.sampled_from((1.0, 6.0))),
    st.tuples(st.just("assign"), st.sampled_from(("as before", "locked", "edited", "lowered"))),
    st.tuples(st.just("recorder"), st.booleans()),
    st.tuples(st.just("take away"), st.just(0)),
    st.tuples(st.just("outrank"), st.just(0)),
    st.tuples(st.just("crash"), st.just(0)),
)
LIFE = (
    ("assign", "as before"),
    ("sample", 900.0),
    ("write", 0),
    ("send", 0),
    ("answer", "Accepted"),
    ("wait", 2.5),
    ("measure", 300.0),
)
"""What a command goes through where nothing comes between."""
BETWEEN = st.lists(st.one_of(*USUAL, *UNUSUAL), max_size=2)
STORIES = st.lists(BETWEEN, min_size=len(LIFE), max_size=len(LIFE))
"""What comes after each of these."""


def profile() -> room.Json:
    confirmed = room.profile()
    confirmed["spec"]["confirmation"] = {
        "property": "airflow",
        "expression": "difference <= 5.0",
        "timeout": "10s",
    }
    return confirmed


DOCUMENTS = {
    "as before": (profile(),),
    "locked": (profile(), room.changed(room.device(), spec__lock="Locked")),
    "edited": (profile(), room.changed(room.policy(), spec__hazard="Medium")),
    "lowered": (profile(), room.changed(room.policy(), spec__mode="Shadow")),
}


class Site(Rig):
    """A rig whose journal and broker do things when they are told, and that watches what leaves."""

    epoch = 7

    def feed(self, kind: type, **fields: Any) -> None:
        before = len(self.seen)
        super().feed(kind, **fields)
        for effect in self.seen[before:]:
            if isinstance(effect, effects.SendCommand):
                self._watch(kind, fields, effect)
        for device in self.state.devices.values():
            anew = durable.logged(device._replace(logged=b""))
            assert device.logged in (b"", anew.logged), "what is written counts no more"

    def _watch(self, kind: type, fields: dict[str, Any], effect: effects.SendCommand) -> None:
        decision = fields.get("decision_id")
        assert kind is events.IntentDurable, f"{kind} lets a command leave"
        assert effect.command_id == f"{decision}/1"
        earlier = [each for each in self.seen if isinstance(each, effects.SendCommand)]
        assert sum(each.command_id == effect.command_id for each in earlier) == 1, "at most once"
        assert decision not in [each["decisionId"] for each in self.decisions], (
            "sent, then recorded"
        )
        book = orjson.loads(self.values[f"{durable.DEVICE}{DEVICE}"])["open"]
        [intent] = [each for each in book if each["decision"] == decision]
        assert "record" in intent, "what the record is made of is durable"
        assert self.at.now <= effect.not_after, "never late"
        assert effect.deadline >= self.seconds
        device = self.state.devices[DEVICE]
        assert fencing.standing(device.authority, self.at.boot).is_permitting
        assert device.assigned.spec.lock is not Lock.LOCKED
        compiled = device.bindings[effect.policy].compiled
        assert compiled.identity["policy"]["digest"] == intent["identity"]["policy"]["digest"]
        assert not self.state.recorder.full, "a full recorder lowers the mode"

    def first(self, kind: type) -> Any:
        """Take the oldest effect of a kind that waits."""
        found = next((each for each in self.waiting if isinstance(each, kind)), None)
        if found is not None:
            self.waiting.remove(found)
        return found

    def happen(self, what: str, detail: Any) -> None:  # noqa: C901 - one line a happening
        match what:
            case "sample":
                self.sample(**{**OCCUPIED, "co2": detail})
            case "measure":
                self.sample(airflow=detail)
            case "write":
                self.write()
            case "refuse":
                self.refuse()
            case "send":
                if order := self.first(effects.SendCommand):
                    self.carry(order)
            case "lose":
                if order := self.first(effects.SendCommand):
                    self.feed(
                        events.CommandNotSent, command_id=order.command_id, reason="NotConnected"
                    )
            case "bounce":
                if self.sent:
                    late = self.sent[-1][1].command_id
                    self.feed(events.CommandNotSent, command_id=late, reason="NotAuthorized")
            case "answer":
                if self.sent:
                    self.acknowledge(self.sent[-1][1].command_id, detail)
            case "repeat":
                for decision in self.decisions[-3:]:
                    self.feed(events.IntentDurable, decision_id=decision["decisionId"])
            case "wait":
                self.wait(detail)
            case "sleep":
                self.slept += detail
            case "assign":
                self.assign(*DOCUMENTS[detail], epoch=self.epoch)
            case "recorder":
                self.feed(events.RecorderChanged, full=detail, reason="DiskFull")
            case "take away":
                self.feed(events.Assigned, assignment=self.nothing())
            case "outrank":
                self.epoch += 2
                self.assign(*self.documents, epoch=self.epoch - 1, holder="edge-2")
            case "crash":
                self.boot()

    def write(self) -> None:
        """Let the journal write, up to the first intent."""
        while journal := self.first(effects.AppendRecords):
            self.carry(journal)
            if journal.intent is not None:
                return

    def refuse(self) -> None:
        """Fail the newest intent that waits for the journal; what comes after it fails with it."""
        waiting = [each for each in self.waiting if isinstance(each, effects.AppendRecords)]
        if waiting and (intent := waiting[-1].intent) is not None:
            self.waiting.remove(waiting[-1])
            self.feed(events.IntentFailed, **intent._asdict(), reason="DiskFull")

    def nothing(self) -> Any:
        assigned = engine_rig.assign(*self.documents)
        return assigned.model_copy(update={"devices": (), "policies": ()})

    def settle(self) -> None:
        """Carry out everything that is left, and let time pass until nothing is open."""
        self.feed(events.RecorderChanged, full=False, reason="")
        self.assign(*self.documents, epoch=self.epoch)
        for _ in range(8):
            while self.waiting:
                self.release()
            self.wait(10.0, period=5.0)
        while self.waiting:
            self.release()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STORIES)
def test_at_most_once_never_late_and_over_exactly_once(
    story: list[list[tuple[str, Any]]],
) -> None:
    site = Site((profile(),), hold=(effects.AppendRecords, effects.SendCommand), acknowledges=False)
    for usual, between in zip(LIFE, story, strict=True):
        for what, detail in (usual, *between):
            site.happen(what, detail)
    site.settle()
    assert not site.state.devices[DEVICE].open
    words: dict[str, list[str]] = {
        each["decisionId"]: []
        for each in site.decisions
        if each["verdict"]["result"] == "Commanded"
    }
    recorded: list[str] = []
    written: dict[str, Any] = {}
    for record in site.records:
        decision = record["data"].get("decisionId")
        if record["type"].endswith("outcome.v1"):
            assert decision in recorded, "a decision comes before what became of it"
            words[decision].append(record["data"]["outcome"])
        elif decision is not None:
            recorded.append(decision)
            written[f"{decision}/1"] = record["data"].get("command")
    assert len(recorded) == len(set(recorded)), "recorded once"
    for _, order in site.sent:
        assert command.Command.model_validate(written[order.command_id]) == order
    for decision, outcomes in words.items():
        assert outcomes, f"{decision} never ends"
        assert len(outcomes) == len(set(outcomes)), outcomes
        assert not FINAL & set(outcomes[:-1]), f"{outcomes} goes on after its end"
        assert outcomes[-1] in FINAL | {"Unknown"}, outcomes
