"""What of the engine must survive a restart, as small values beside the records of the journal.

    engine/device/<namespace>/<name>    rate limits, holds and open intents of one device
    engine/policy/<namespace>/<name>    the versions of a policy that are in force, or were last
    engine/authorities                  what this node knows of its rights

A device's value with a new intent is durable before the command leaves: a limit counts a command
that may not have left, never the other way round. Until the decision's record is written, in one
transaction with a value that no longer needs it, the intent holds what the record is made of: after
a crash at any point there is either the record or what it is made of, never both.

Moments are engine seconds; those of another boot say nothing about how long ago they were, and
count as if just now.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
import pydantic

from foreshore_agent.engine import belief, effects
from foreshore_agent.engine.command import unrecorded
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import (
    CommandState,
    DeviceState,
    Identity,
    Intent,
    Remembered,
    State,
    command_id,
    start,
)
from foreshore_agent.engine.turn import Turn
from foreshore_api.wire import assignment, beat
from foreshore_decision import fencing
from foreshore_decision.chain import limiter
from foreshore_decision.policy import actions

DEVICE: Final = f"{effects.DURABLE_PREFIX}device/"
POLICY: Final = f"{effects.DURABLE_PREFIX}policy/"
AUTHORITIES: Final = f"{effects.DURABLE_PREFIX}authorities"
ASIDE: Final = "aside/"
"""Prefix under which a value that could not be read is kept, for whoever wants to know why."""

MAXIMUM_CAUSE: Final = 300
"""Characters that say why a value is not used."""
LONGEST_HOLD: Final = 2 * 366 * 86_400.0
"""Seconds: a year each for the longest timeToLive and the longest settling time."""

_HEADS: Final = {state: b'{"phase":"%b",' % state.encode() for state in CommandState}
"""How an intent begins, by its state."""
_AUTHORITY: Final = pydantic.TypeAdapter(fencing.AuthorityState)
_VERSIONS: Final = pydantic.TypeAdapter(tuple[assignment.AssignedPolicy, ...])


def device_value(turn: Turn, device: DeviceState) -> tuple[str, bytes]:
    """Return the durable value of one device."""
    return f"{DEVICE}{device.key}", _value(turn, logged(device).logged, device.open.values())


def remembered_value(turn: Turn, key: Key, memory: Remembered) -> tuple[str, bytes]:
    """Return the same of a device that is not assigned."""
    logs = _logged(memory.actuators, memory.policies, memory.held)
    return f"{DEVICE}{key}", _value(turn, logs, memory.open)


def logged(device: DeviceState) -> DeviceState:
    """Write logs and holds out, where they have changed: they are long, and kept many times."""
    if device.logged:
        return device
    members = _logged(device.actuators, device.policy_logs, device.held)
    return device._replace(logged=members)


def _logged(
    actuators: Mapping[str, limiter.Log],
    policies: Mapping[Key, limiter.Log],
    held: Mapping[Key, float],
) -> bytes:
    """Return the members of a device's value that say its logs and holds."""
    document = {
        "actuators": dict(actuators),
        "policies": {str(key): log for key, log in policies.items()},
        "held": {str(key): until for key, until in held.items()},
    }
    return orjson.dumps(document)[1:-1]


def _value(turn: Turn, logs: bytes, book: Iterable[Intent]) -> bytes:
    written = orjson.dumps({"boot": turn.identity.boot_id, "seconds": turn.seconds})
    return b'%b,%b,"open":[%b]}' % (written[:-1], logs, b",".join(map(_intent, book)))


def device_gone(key: Key) -> effects.Keep:
    """Return the effect that forgets a device."""
    return effects.Keep(f"{DEVICE}{key}", b"")


def policy_value(key: Key, versions: tuple[assignment.AssignedPolicy, ...]) -> effects.Keep:
    """Return the effect that keeps the last good versions of a policy."""
    body = _VERSIONS.dump_json(versions, by_alias=True, exclude_none=True) if versions else b""
    return effects.Keep(f"{POLICY}{key}", body)


def authorities_value(state: State) -> effects.Keep:
    """Return the effect that keeps this node's rights, also to devices that have left.

    Nothing in it comes from a peer: what the site's broker carries must not outlive the process.
    """
    rights = {**state.authorities}
    rights |= {key: device.authority for key, device in state.devices.items()}
    kept = {str(key): fencing.keepable(right)._asdict() for key, right in rights.items()}
    return effects.Keep(AUTHORITIES, orjson.dumps(kept))


def restore(identity: Identity, values: Mapping[str, bytes], at: Instant) -> State:
    """Return the state of an engine that starts now and remembers these values.

    Intents that were open are Unknown: their devices' first assignment records so and holds. A
    value that cannot be read, or says what cannot be, is not the end: it is named in
    `State.unreadable`, and a device whose value it was begins with its limits spent.
    """
    memory = _Memory(identity, at)
    for name, body in values.items():
        if not body:
            continue
        try:
            memory.read(name, body)
        except Exception as error:  # noqa: BLE001 - named in the state, logged and reported
            memory.give_up(name, error)
    return start(identity)._replace(
        remembered=memory.remembered,
        absent=memory.versions,
        authorities=memory.authorities,
        unreadable=tuple(memory.unreadable),
    )


class _Memory:
    """What the durable values come to, while they are being read."""

    def __init__(self, identity: Identity, at: Instant) -> None:
        self._identity: Final = identity
        self._at: Final = at
        self.remembered: dict[Key, Remembered] = {}
        self.versions: dict[Key, tuple[assignment.AssignedPolicy, ...]] = {}
        self.authorities: dict[Key, fencing.AuthorityState] = {}
        self.unreadable: list[tuple[str, str]] = []

    def read(self, name: str, body: bytes) -> None:
        """Read one value; what it raises is that value's problem alone."""
        if name.startswith(DEVICE):
            key = _key(name.removeprefix(DEVICE))
            seconds = self._identity.seconds(self._at)
            self.remembered[key] = _device(orjson.loads(body), self._identity, seconds)
        elif name.startswith(POLICY):
            # what a release before this one wrote may no longer be valid: there is nothing to fall
            # back to then, which is said
            self.versions[_key(name.removeprefix(POLICY))] = _VERSIONS.validate_json(body)
        elif name == AUTHORITIES:
            for device, kept in orjson.loads(body).items():
                try:
                    self._read_authority(device, kept)
                except Exception as error:  # noqa: BLE001 - named in the state
                    self.give_up(f"{name}/{device}", error)

    def give_up(self, name: str, error: Exception) -> None:
        """Note that a value is not used, and why."""
        self.unreadable.append((name, f"{type(error).__name__}: {error}"[:MAXIMUM_CAUSE]))
        if name.startswith(DEVICE):
            self.remembered[_key(name.removeprefix(DEVICE))] = Remembered(
                {}, {}, {}, (), is_known=False
            )

    def _read_authority(self, device: str, kept: Any) -> None:
        right = _AUTHORITY.validate_json(orjson.dumps(kept), strict=True)
        is_same_boot = right.boot_id == self._identity.boot_id
        if is_same_boot and _finite(right.renewed_at or 0.0) > self._at.boot:
            message = "it was renewed in the future"
            raise ValueError(message)
        latest = max(self._at.now.timestamp(), belief.RELEASED[1])
        for epoch in (right.highest_seen, right.epoch or 0):
            if not right.self_granted and not beat.is_believable(epoch, latest):
                message = f"epoch {epoch} lies more than ten years ahead"
                raise ValueError(message)
        recalled = fencing.recall(right, self._identity.boot_id, self._at.boot)
        self.authorities[_key(device)] = recalled


def _device(document: Mapping[str, Any], identity: Identity, now: float) -> Remembered:
    is_same_boot = document["boot"] == identity.boot_id and not identity.virtual
    saved: float = document["seconds"]

    def log(moments: list[float]) -> limiter.Log:
        taken = tuple(map(_finite, moments))
        is_past = is_same_boot and (not taken or taken[-1] <= now)
        return taken if is_past else limiter.rebased(taken, now)

    def hold(until: float) -> float:
        left = _finite(until) - (now if is_same_boot else saved)
        return now + min(max(0.0, left), LONGEST_HOLD)

    return Remembered(
        actuators={name: log(moments) for name, moments in document["actuators"].items()},
        policies={_key(name): log(moments) for name, moments in document["policies"].items()},
        held={_key(name): hold(until) for name, until in document["held"].items()},
        open=tuple(map(_read_intent, document["open"])),
    )


def fixed(intent: Intent) -> bytes:
    """Return what of a new intent is durable and never changes: written once, kept many times."""
    document = {
        "decision": intent.decision_id,
        "policy": str(intent.policy),
        "action": intent.action,
        "values": intent.values,
        "properties": intent.properties,
        "timeToLive": intent.time_to_live,
        "settling": intent.settling,
        "issued": intent.issued,
        "identity": intent.identity,
    }
    return orjson.dumps(document)


def _intent(intent: Intent) -> bytes:
    """Return an intent: its state, what its record is made of until that is written, the rest."""
    record = intent.unrecorded
    made_of = b"" if record is None else b'"record":%b,' % record.body
    return b"%b%b%b" % (_HEADS[intent.state], made_of, intent.fixed[1:])


def _read_intent(document: dict[str, Any]) -> Intent:
    """Read an intent; moments of the process that wrote it mean nothing to this one."""
    state, is_recorded = _open_state(document.pop("phase")), "record" not in document
    made_of = document.pop("record", None)
    properties, action = document["properties"], document["action"]
    intent = Intent(
        decision_id=document["decision"],
        command_id=command_id(document["decision"]),
        policy=_key(document["policy"]),
        action=action,
        values=document["values"],
        properties=properties,
        actuators=actions.moved(action, properties.values()),
        state=state,
        time_to_live=document["timeToLive"],
        settling=document["settling"],
        issued=document["issued"],
        deadline=0.0,
        received=0.0,
        identity=document["identity"],
        fixed=orjson.dumps(document),
    )
    if is_recorded:
        return intent
    return intent._replace(unrecorded=unrecorded.read(made_of, intent))


def _open_state(name: str) -> CommandState:
    """Read the state of a command that is open; one that is over is in no book."""
    state = CommandState(name)
    if state is CommandState.OVER:
        message = "a command that is over cannot be open"
        raise ValueError(message)
    return state


def _finite(number: float) -> float:
    if not math.isfinite(number):
        message = f"{number} is no moment"
        raise ValueError(message)
    return float(number)


def _key(name: str) -> Key:
    namespace, _, rest = name.partition("/")
    return Key(namespace, rest)
