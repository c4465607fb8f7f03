"""The exact codec of what the gates saw: `encode(Facts) ↔ decode(record, policy)`.

    readings    newest telemetry of each property that the policy reads or sets; null: none came
    actuators   what the action moves: rate limits and holds are counted by it
    windows     of each feature, what its window knows of itself; its panes with level Full
    samples     of each window of samples that the model takes, how full it was, and its fingerprint
    lastGood    of each input with onInvalid LastGood, its last valid value
    (state)     every other field of `Given`, by its own name; left out where it is at rest
    later       what was different when facts were gathered anew, after the model was asked
    answer      what came of asking the model

What the record shows exactly elsewhere is not repeated: the decision's id, the trigger, whose right
it was in the end, measured features, what answered. What follows from the policy is not written:
mode and caps. Moments are engine seconds, as the engine compares them.

A record knows what its own policy looked at. Asked by another policy for more, `decode`, or what it
returns, raises `MissingFactError` with the name of what is missing; nothing is ever guessed.
"""

import operator
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_type_hints

import pydantic
from pydantic.alias_generators import to_camel

from foreshore_api.v1alpha1.actuation import RecordLevel
from foreshore_api.v1alpha1.evaluation import OnInvalid
from foreshore_decision import samples
from foreshore_decision.chain import limiter, modes, readings
from foreshore_decision.chain.facts import Answer, Facts, Given, Good, Holder, Reading, Trigger
from foreshore_decision.gates import data
from foreshore_decision.policy import compiled
from foreshore_decision.record import answers, layout, sampled, windows
from foreshore_decision.record.plain import (
    UNSET,
    Known,
    MissingFactError,
    plain,
    typed,
)

Json = Mapping[str, Any]

FORMAT: Final = 1
"""Goes up when facts that were written before can no longer be read."""

GATHERED: Final = frozenset({"readings", "windows", "grids", "last_good", "holder"})
"""Fields of `Given` with a form of their own."""
DERIVED: Final = frozenset(
    {"decision_id", "trigger", "policy", "mode", "caps", "measured", "sampled"}
)
"""Fields of `Given` that the record holds elsewhere, or that follow from it and the policy."""
STATE: Final = tuple(
    (name, to_camel(name)) for name in Given.__struct_fields__ if name not in GATHERED | DERIVED
)
"""Every other field of `Given`, and its name in a record: a new field is carried by itself."""
REST: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "is_locked": False,
        "is_recorder_full": False,
        "is_too_slow": False,
        "replaced": (),
        "outstanding": 0,
        "held_until": None,
        "policy_spent": limiter.Spent(),
        "actuator_spent": limiter.Spent(),
    }
)
"""What these fields are where a record leaves them out."""
_WRITTEN: Final = tuple(
    (operator.attrgetter(name), key, REST.get(name, UNSET)) for name, key in STATE
)
"""How each is read, its name in a record, and what it is at rest."""
KINDS: Final = get_type_hints(Given)


class OlderFormatError(Exception):
    """The record holds no facts, or facts in a format that this release does not read."""


class UnreadableFactsError(Exception):
    """The facts of the record are not of the form that they say they are."""


class Recalled(NamedTuple):
    """What a record knows, as the gates of one policy take it."""

    given: Given
    """What was given before the model was asked."""
    later: Given | None
    """What was gathered anew after it was asked, if it was."""
    answer: Answer | None
    question: str | None
    """The fingerprint of what the model was asked."""


def encode(facts: Facts, shown: Json) -> dict[str, Any]:
    """Return the facts of an evaluation as plain data; `shown` is the rest of the record's data."""
    given = facts.given if facts.before is None else facts.before
    policy, fixed = given.policy, layout.of(given.policy)
    document: dict[str, Any] = {"format": FORMAT}
    for read, key, at_rest in _WRITTEN:
        value = read(given)
        if value is not at_rest and value != at_rest:
            document[key] = plain(value)
    if given.holder != facts.given.holder:
        document["holder"] = plain(given.holder)
    document["readings"] = {name: plain(given.readings.get(name)) for name in fixed.properties}
    document["actuators"] = fixed.actuators
    if facts.before is not None:
        document["later"] = _later(facts.before, facts.given, fixed.properties)
    seen = facts.sampled or data.sampled(given)
    if policy.inference is not None:
        document |= _asked(policy.inference, facts, seen)
    if fixed.last_good:
        document["lastGood"] = _last_good(given, fixed.last_good)
    if fixed.windows:
        document["windows"] = windows.encode(given, fixed.windows)
    windows.add_panes(document, given, seen, shown)
    return document


def _asked(
    asked: compiled.Inference, facts: Facts, seen: Mapping[str, samples.SampledWindow]
) -> dict[str, Any]:
    """Return the windows that a model takes, and what came of asking it."""
    document: dict[str, Any] = {}
    seen = {name: samples.fingerprinted(window) for name, window in seen.items()}
    if seen:
        document["samples"] = sampled.encode(asked, seen)
    if facts.answer is not None:
        document["answer"] = answers.encode(asked, facts.answer, facts.features, seen)
    return document


def fitted(document: Json, policy: compiled.CompiledPolicy, shown: Json) -> Json:
    """Return facts that were encoded before the rest of the record's data, `shown`, was known."""
    if policy.record_level is not RecordLevel.FULL:
        return document
    return windows.without_excess(document, shown)


def decode(recorded: Json, policy: compiled.CompiledPolicy) -> Recalled:
    """Return the facts of a record's data, for the gates of a policy.

    Raises:
        OlderFormatError: there are none, or none that this release reads.
        UnreadableFactsError: they are not of the form that they say they are.
        MissingFactError: the policy asks for something that the record does not know.
    """
    document = recorded.get("facts")
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise OlderFormatError
    try:
        return _decode(recorded, document, policy)
    except (pydantic.ValidationError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableFactsError(str(error)) from error


def _last_good(given: Given, wanted: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the last good value of each input that wants one; without `value` there is none."""
    return {
        name: {"judged": judged, **plain(given.last_good[name])}
        if name in given.last_good
        else {"judged": judged}
        for name, judged in wanted
    }


def _later(before: Given, later: Given, properties: Iterable[str]) -> dict[str, Any]:
    """Return what changed while the model was asked; no gate asks a window or a good value then."""
    changed = {key: plain(read(later)) for read, key, _ in _WRITTEN if read(later) != read(before)}
    if later.readings is before.readings:
        return changed
    moved = {
        name: plain(later.readings.get(name))
        for name in properties
        if later.readings.get(name) != before.readings.get(name)
    }
    return {**changed, "readings": moved} if moved else changed


def _decode(recorded: Json, document: Json, policy: compiled.CompiledPolicy) -> Recalled:
    actuators = sorted(policy.action.actuators)
    if actuators != document["actuators"]:
        raise MissingFactError(f"state of {', '.join(actuators)}")
    holder = _holder(recorded["authority"])
    seen = _readings(document)
    recalled, measured = windows.decode(document, recorded.get("features", {}), policy)
    given = Given(
        decision_id=typed(str, recorded["decisionId"]),
        policy=policy,
        mode=policy.mode,
        caps=(),
        trigger=_trigger(recorded["trigger"]),
        readings=Known("reading of", seen),
        windows=recalled,
        last_good={},
        sampled=sampled.decode(document, policy),
        measured=measured,
        holder=typed(Holder, document["holder"]) if "holder" in document else holder,
        **{**REST, **_state(document)},
    )
    given = given._replace(last_good=_good(document.get("lastGood", {}), given))
    later = None
    if "later" in document:
        changes = document["later"]
        moved = Known("reading of", {**seen, **_readings(changes)})
        later = given._replace(holder=holder, readings=moved, **_state(changes))
        later = _as_asked(later)
    line = document.get("answer")
    answer = None if line is None else answers.decode(line, recorded)
    asked = None if line is None else typed(str, line["question"])
    return Recalled(_as_asked(given), later, answer, asked)


def _state(document: Json) -> dict[str, Any]:
    """Return the fields of `Given` that a document holds under their own names."""
    return {name: typed(KINDS[name], document[key]) for name, key in STATE if key in document}


def _readings(document: Json) -> dict[str, Reading | None]:
    return {
        name: None if line is None else typed(Reading, line)
        for name, line in document.get("readings", {}).items()
    }


def _as_asked(given: Given) -> Given:
    """Return what was given with what follows from the policy, which may be another one."""
    policy = given.policy
    mode, caps = modes.of(
        policy, is_recorder_full=given.is_recorder_full, is_too_slow=given.is_too_slow
    )
    return given._replace(
        mode=mode,
        caps=caps,
        policy_spent=_spent(policy.policy_rate, given.policy_spent, given.seconds),
        actuator_spent=_spent(policy.actuator_rate, given.actuator_spent, given.seconds),
    )


def _spent(limit: compiled.RateLimit | None, spent: limiter.Spent, now: float) -> limiter.Spent:
    """Return what a limit looks at, where the record may have counted by another one."""
    if limit is None or not limit.burst:
        return limiter.Spent(spent.newest)
    if (limit.burst, limit.per) == (spent.burst, spent.per):
        return spent
    if spent.newest is None or now - spent.newest >= limit.per:
        return limiter.Spent(spent.newest, limit.burst, limit.per)
    raise MissingFactError(f"number of commands within {limit.per:g} s ({limit.name})")


def _good(lines: Json, given: Given) -> dict[str, Good]:
    """Return the last good values that the policy asks for.

    Those that were remembered by other bounds count as unknown, unless the value of now will do.
    """
    kept: dict[str, Good] = {}
    for source in given.policy.inputs:
        if source.on_invalid is not OnInvalid.LAST_GOOD:
            continue
        line = lines.get(source.name)
        if line is not None and line["judged"] == layout.remembered(source):
            good = {key: value for key, value in line.items() if key != "judged"}
            if good:
                kept[source.name] = typed(Good, good)
            continue
        reading = given.readings.get(source.property)
        if readings.input_of(source, reading, None, given.seconds).problem is not None:
            raise MissingFactError(f"last good value of {source.name}")
    return kept


def _holder(written: Json) -> Holder:
    named = {name: written.get(name) for name in ("epoch", "standing")}
    holder: Holder = typed(Holder, {**named, "node": written.get("holder")})
    return holder


def _trigger(written: Json) -> Trigger:
    named = {name: written.get(name) for name in ("kind", "name")}
    received, sampled = written.get("receivedAt"), written.get("sampledAt")
    trigger: Trigger = typed(Trigger, {**named, "received": received, "sampled": sampled})
    return trigger
