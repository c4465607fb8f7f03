"""An engine on a bench: a clock that moves when told, a journal, a broker and a model that obey.

    rig = Rig((room.policy(), ...))   # documents replace those of `room` by kind and name
    rig.sample(co2=900.0, light=400.0, temperature=21.0, airflow=300.0)
    rig.verdicts, rig.sent

Effects are answered at once unless `hold` names their type; then they wait in `rig.waiting`.
"""

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from builders import room
from foreshore_agent.devices.codecs import envelope
from foreshore_agent.engine import durable, effects, events, state, step
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment as wire_assignment
from foreshore_api.wire import beat, command
from foreshore_decision import assignment, served
from foreshore_decision.instant import Instant

NODE = "edge-1"
DEVICE = events.Key("hq", "room-301")
POLICY = events.Key("hq", "ventilate-when-occupied")
START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
OCCUPIED = {"light": 400.0, "co2": 900.0, "temperature": 21.0, "airflow": 300.0}
ANSWERS = frozenset(
    {
        events.Inferred,
        events.InferenceLate,
        events.InferenceFailed,
        events.IntentDurable,
        events.IntentFailed,
        events.CommandSent,
        events.CommandNotSent,
        events.PolicyTooSlow,
    }
)
"""Events that name a policy and a device."""
KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}


def resources(documents: Iterable[room.Json]) -> list[meta.Resource]:
    """The room, with these documents in place of those of the same kind and name."""
    merged = {(each["kind"], each["metadata"]["name"]): each for each in room.all_of()}
    for each in documents:
        merged[each["kind"], each["metadata"]["name"]] = each
    return [KINDS[kind].read(each) for (kind, _), each in merged.items()]


def assign(
    *documents: room.Json, node: str = NODE, epoch: int = 7, holder: str | None = NODE
) -> wire_assignment.Assignment:
    """Compile the assignment of one agent."""
    known = assignment.Resources.of(resources(documents))
    grants = (
        {}
        if holder is None
        else {(each.namespace, each.name): (holder, epoch) for each in known.devices}
    )
    given = assignment.LocalStatuses(grants=grants)
    return assignment.compile(known, node, site="hq", given=given).assignment


@dataclass
class Rig:
    """One engine, driven by a test."""

    documents: tuple[room.Json, ...] = ()
    score: float = 0.9
    network: float = 0.002
    hold: tuple[type, ...] = ()
    acknowledges: bool = True
    renews: bool = True
    is_virtual: bool = False
    boot_id: str = "boot-1"
    seconds: float = 1000.0
    """Monotonic clock; the boot-time clock too, but for what was slept."""
    slept: float = 0.0
    """Seconds of suspend: the boot clock counts them, the monotonic one does not."""
    skew: timedelta = timedelta()
    """Of the wall clock."""
    values: dict[str, bytes] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    seen: list[effects.Effect] = field(default_factory=list)
    waiting: list[effects.Effect] = field(default_factory=list)
    sent: list[tuple[float, command.Command]] = field(default_factory=list)
    """What the device got, and when."""
    counter: int = 0
    model: served.Served | None = None
    """What answers; None: it does not say."""
    provider: str | None = None
    """Execution provider that computes its answers; None: it does not say."""
    outputs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """What the model answers; empty: probabilities, of which the second is `score`."""

    def __post_init__(self) -> None:
        self.boot()

    def boot(self, boot_id: str | None = None) -> None:
        """Start (again) from what is durable, with the same assignment."""
        self.boot_id = boot_id or self.boot_id
        self.waiting = []
        who = state.Identity(NODE, self.boot_id, "journal-1", "0.1.0", virtual=self.is_virtual)
        self.state = durable.restore(who, dict(self.values), self.at)
        self.feed(events.BrokerChanged, connected=True)
        self.assign(*self.documents)

    @property
    def at(self) -> Instant:
        """Now."""
        boot = self.seconds + self.slept
        now = START + timedelta(seconds=boot - 1000.0) + self.skew
        return Instant(now, self.seconds, boot)

    def assign(self, *documents: room.Json, **more: Any) -> None:
        """Give the engine a new assignment, and its grants a renewal."""
        self.documents = documents
        too_slow = more.pop("too_slow", {})
        self.feed(events.Assigned, assignment=assign(*documents, **more), too_slow=too_slow)
        if self.renews:
            self.renew()

    def renew(self) -> None:
        """Let the hub renew what is held."""
        for device in self.state.devices.values():
            if device.authority.is_named:
                self.wait(1.1)
                return

    def feed(self, kind: type, **fields: Any) -> None:
        """Take one event, and carry out what comes of it; an answer is about the usual pair."""
        self.counter += 1
        if kind in ANSWERS:
            fields = {"policy": POLICY, "device": DEVICE, **fields}
        fresh = str(
            uuid.UUID(int=(0x01900000 << 96) | (0x7 << 76) | (0x2 << 62) | self.counter * 1000)
        )
        self.state, done = step.step(self.state, kind(self.at, fresh, **fields))
        for effect in done:
            self.seen.append(effect)
            if isinstance(effect, self.hold):
                self.waiting.append(effect)
            else:
                self.carry(effect)

    def carry(self, effect: effects.Effect) -> None:
        """Do what an effect asks for, as the runtime would."""
        match effect:
            case effects.AppendRecords(lines, intent, values):
                self.values.update(values)
                self.records += [orjson.loads(line.body) for line in lines]
                if intent is not None:
                    self.feed(events.IntentDurable, **intent._asdict())
            case effects.Keep(key, value):
                self.values[key] = value
            case effects.Infer(decision_id, policy, device):
                outputs = self.outputs or {"probabilities": (1 - self.score, self.score)}
                self.feed(
                    events.Inferred,
                    decision_id=decision_id,
                    policy=policy,
                    device=device,
                    outputs=outputs,
                    node="edge-2",
                    network=self.network,
                    inference=0.001,
                    model=self.model,
                    provider=self.provider,
                    queued=0.0002,
                )
            case effects.SendCommand(command_id, _, policy, device):
                self.sent.append((self.seconds, command.Command.decode(envelope.encode(effect))))
                self.feed(events.CommandSent, command_id=command_id, policy=policy, device=device)
                if self.acknowledges:
                    self.acknowledge(command_id)
            case effects.RequestRenewal(number, held) if self.renews:
                devices = [
                    {**asdict(each), "standing": beat.RenewalStanding.RENEWED} for each in held
                ]
                renewal = beat.Renewal(
                    node=NODE, boot_id=self.boot_id, number=number, devices=devices
                )
                self.feed(events.Renewed, renewal=renewal)
            case _:
                pass

    def release(self) -> None:
        """Carry out everything that was held back."""
        waiting, self.waiting = self.waiting, []
        for effect in waiting:
            self.carry(effect)

    def acknowledge(self, command_id: str, result: str = "Accepted", reason: str = "") -> None:
        """Let the device answer."""
        said = command.Acknowledgement(
            command_id=command_id, result=command.Result(result), reason=reason or None
        )
        self.feed(events.Acknowledged, device=DEVICE, acknowledgement=said)

    def sample(self, **values: Any) -> None:
        """Let the device speak; without values, of an occupied room."""
        self.feed(events.Sample, device=DEVICE, values=values or OCCUPIED)

    def wait(self, seconds: float, period: float = 0.5) -> None:
        """Let time pass, with ticks."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + period)
            self.feed(events.Tick)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Data of every recorded decision."""
        return [each["data"] for each in self.records if each["type"].endswith("decision.v1")]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Outcome and reason of every recorded outcome."""
        return [
            (each["data"]["outcome"], each["data"]["reason"])
            for each in self.records
            if each["type"].endswith("outcome.v1")
        ]

    @property
    def said(self) -> str:
        """Message of the newest outcome."""
        outcomes = [each["data"] for each in self.records if each["type"].endswith("outcome.v1")]
        return str(outcomes[-1]["message"])

    @property
    def notices(self) -> list[str]:
        """Reason of every notice."""
        return [each["data"]["reason"] for each in self.records if "notice" in each["type"]]

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        """Verdict and reason of every recorded decision."""
        return [(each["verdict"]["result"], each["verdict"]["reason"]) for each in self.decisions]

    @property
    def counted(self) -> list[tuple[str, str]]:
        """Verdict and reason of every decision, recorded or not."""
        return [
            (each.verdict.value, each.reason)
            for each in self.seen
            if isinstance(each, effects.Decided)
        ]
