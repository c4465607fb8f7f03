"""What of the engine must survive a restart, as small values beside the records of the journal.

    engine/device/<namespace>/<name>    rate limits, holds and open intents of one device
    engine/policy/<namespace>/<name>    the versions of a policy that are in force, or were last
    engine/authorities                  what this node knows of its rights

A device's value is written in the transaction of the intent that changes it: a limit counts a
command that may not have left, never the other way round. Moments are engine seconds; those of
another boot say nothing about how long ago they were, and count as if just now.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, Final

import orjson
import pydantic

from foreshore_agent.engine import effects
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import Device, Identity, Intent, Phase, Remembered, State, start
from foreshore_api.wire import assignment
from foreshore_decision import fencing
from foreshore_decision.chain import limiter

DEVICE: Final = f"{effects.DURABLE_PREFIX}device/"
POLICY: Final = f"{effects.DURABLE_PREFIX}policy/"
AUTHORITIES: Final = f"{effects.DURABLE_PREFIX}authorities"

_VERSIONS: Final = pydantic.TypeAdapter(tuple[assignment.AssignedPolicy, ...])


def device_value(device: Device, identity: Identity, seconds: float) -> tuple[str, bytes]:
    """Return the durable value of one device."""
    document = {
        "boot": identity.boot_id,
        "seconds": seconds,
        "actuators": dict(device.actuators),
        "policies": {str(key): log for key, log in device.policy_logs.items()},
        "held": {str(key): until for key, until in device.held.items()},
        "open": [_intent(each) for each in device.open.values()],
    }
    return f"{DEVICE}{device.key}", orjson.dumps(document)


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
    known = {**state.authorities}
    known |= {key: device.authority for key, device in state.devices.items()}
    kept = {str(key): fencing.keepable(each)._asdict() for key, each in known.items()}
    return effects.Keep(AUTHORITIES, orjson.dumps(kept))


def restore(identity: Identity, values: Mapping[str, bytes], at: Instant) -> State:
    """Return the state of an engine that starts now and remembers these values.

    Intents that were open are Unknown: their devices' first assignment records so and holds.

    Raises:
        ValueError: a value is not what this engine wrote.
    """
    seconds = identity.seconds(at)
    remembered: dict[Key, Remembered] = {}
    versions: dict[Key, tuple[assignment.AssignedPolicy, ...]] = {}
    authorities: dict[Key, fencing.State] = {}
    for name, body in values.items():
        if not body:
            continue
        if name.startswith(DEVICE):
            key = _key(name.removeprefix(DEVICE))
            remembered[key] = _device(orjson.loads(body), identity, seconds)
        elif name.startswith(POLICY):
            # what a release before this one wrote may no longer be valid: there is nothing to fall
            # back to then, and the agent starts all the same
            with contextlib.suppress(pydantic.ValidationError):
                versions[_key(name.removeprefix(POLICY))] = _VERSIONS.validate_json(body)
        elif name == AUTHORITIES:
            for device, kept in orjson.loads(body).items():
                state = fencing.recall(_authority(kept), identity.boot_id, at.boot)
                authorities[_key(device)] = state
    return start(identity)._replace(remembered=remembered, absent=versions, authorities=authorities)


def _device(document: Mapping[str, Any], identity: Identity, now: float) -> Remembered:
    is_same_boot = document["boot"] == identity.boot_id and not identity.virtual
    saved: float = document["seconds"]

    def log(moments: list[float]) -> limiter.Log:
        known = tuple(moments)
        is_past = is_same_boot and (not known or known[-1] <= now)
        return known if is_past else limiter.rebased(known, now)

    def hold(until: float) -> float:
        return until if is_same_boot else now + max(0.0, until - saved)

    return Remembered(
        actuators={name: log(each) for name, each in document["actuators"].items()},
        policies={_key(name): log(each) for name, each in document["policies"].items()},
        held={_key(name): hold(until) for name, until in document["held"].items()},
        open=tuple(_read_intent(each) for each in document["open"]),
    )


def _intent(intent: Intent) -> dict[str, Any]:
    return {
        "decision": intent.decision_id,
        "policy": str(intent.policy),
        "action": intent.action,
        "values": dict(intent.values),
        "properties": dict(intent.properties),
        "phase": intent.phase.value,
        "timeToLive": intent.time_to_live,
        "settling": intent.settling,
        "issued": intent.issued,
        "identity": dict(intent.identity),
    }


def _read_intent(document: Mapping[str, Any]) -> Intent:
    """Read an intent; moments of the process that wrote it mean nothing to this one."""
    return Intent(
        decision_id=document["decision"],
        policy=_key(document["policy"]),
        action=document["action"],
        values=document["values"],
        properties=document["properties"],
        phase=Phase(document["phase"]),
        time_to_live=document["timeToLive"],
        settling=document["settling"],
        issued=document["issued"],
        deadline=0.0,
        received=0.0,
        identity=document["identity"],
    )


def _authority(document: Mapping[str, Any]) -> fencing.State:
    pairs = {name: tuple(map(tuple, document[name])) for name in ("pending", "claims")}
    return fencing.State(**{**document, **pairs})


def _key(name: str) -> Key:
    namespace, _, rest = name.partition("/")
    return Key(namespace, rest)
