"""Which version of a policy may take effect, in which form, and which replicas serve it.

    a newer generation ──of the same model──────────► in force at once
                       ──of another one─────────────► waits: the one before stays in force
                            └── a replica of it serves at the site ──► in force, whole
                       ──that does not compile──────► the one before stays in force

A generation that is not in force yet holds where it is narrower: its mode, its limits and its rate
limit bind the one that stays. Locks, devices and deletions never wait. Called by `assigning`.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from foreshore_agent.engine import effects, recording
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import State
from foreshore_agent.engine.turn import Turn
from foreshore_api.conditions import Reason
from foreshore_api.v1alpha1 import DecisionPolicySpec, Mode
from foreshore_api.wire import assignment, report
from foreshore_decision import assignment as compiling
from foreshore_decision import narrowing, served
from foreshore_decision.chain import modes

Policy = assignment.AssignedPolicy
IN_FORCE: Final = "GenerationInForce"


class Offer(NamedTuple):
    """A version that may stay in force, in the forms that the newest generation leaves of it."""

    version: Policy
    limited: Policy
    """In no higher mode and within its limits."""
    lowered: Policy
    """In no higher mode: where its limits are what is wrong with it."""
    muted: Policy
    """Recorded only: where its limits are right and leave this version nothing to do."""

    def forms(self, *, is_right: bool) -> tuple[Policy, Policy]:
        """Return the forms in order of preference; `is_right`: whether the newest compiles."""
        return self.limited, self.muted if is_right else self.lowered


def offers(wanted: Policy, known: Iterable[Policy]) -> tuple[Offer, ...]:
    """Return what may stay in force instead of the newest version, newest first."""
    return tuple(_offer(each, wanted) for each in known if not is_same(each, wanted))


def _offer(version: Policy, wanted: Policy) -> Offer:
    lowered = narrowing.lower(version.spec, wanted.spec)
    shadow = min(lowered.mode, Mode.SHADOW, key=modes.RANK.__getitem__)
    return Offer(
        version,
        _formed(version, narrowing.limit(lowered, wanted.spec)),
        _formed(version, lowered),
        _formed(version, lowered.model_copy(update={"mode": shadow})),
    )


def _formed(version: Policy, spec: DecisionPolicySpec) -> Policy:
    """Return a version that says something else, under a digest of its own."""
    if spec == version.spec:
        return version
    return version.model_copy(update={"spec": spec, "digest": compiling.spec_digest(spec)})


def is_same(one: Policy, other: Policy) -> bool:
    """Whether two versions decide the same; devices and endpoints may differ."""
    return one.digest == other.digest and one.model == other.model


def is_waiting(wanted: Policy, known: Iterable[Policy], device: str) -> bool:
    """Whether the newest version has to wait for a replica of its model before it takes effect.

    It waits for nothing where no other is in force, nor where that one asks the same model.
    """
    before = next((each for each in known if device in each.devices), None)
    if before is None or wanted.model is None or _asked(before) == _asked(wanted):
        return False
    return not _is_served(wanted)


def endpoints(version: Policy, wanted: Policy) -> tuple[assignment.Endpoint, ...]:
    """Return the replicas of the newest assignment that serve a version's model.

    Where it lists none at all for an older version, those that served it last stay: asking them
    costs a call, and what they answer as is compared. Where it does not say what a replica serves
    (an older operator made it), all serve the newest version.
    """
    if version.model is None:
        return ()
    if is_named(wanted):
        return tuple(each for each in wanted.endpoints if _serves(each, version.model))
    return wanted.endpoints if _asked(version) == _asked(wanted) else version.endpoints


def is_named(wanted: Policy) -> bool:
    """Whether the assignment says which version a replica serves."""
    return any(each.version for each in wanted.endpoints)


def _is_served(wanted: Policy) -> bool:
    model = wanted.model
    if model is None or not is_named(wanted):
        return bool(wanted.endpoints)
    return any(_serves(each, model) for each in wanted.endpoints)


def _serves(endpoint: assignment.Endpoint, model: assignment.AssignedModel) -> bool:
    asked = served.of(model)
    return endpoint.version == asked.version and endpoint.digest in ("", asked.digest)


def _asked(version: Policy) -> served.Served | None:
    return None if version.model is None else served.of(version.model)


def wait(wanted: Policy, kept: Policy) -> str:
    """Say that a generation waits, for what, and what decides meanwhile."""
    asked = "no model" if wanted.model is None else wanted.model.version
    stays = "rules alone" if kept.model is None else kept.model.version
    before = f"generation {kept.generation}" if kept.generation else "the one before"
    return (
        f"{_newest(wanted)} waits for a replica of {asked}; {before} stays in force with {stays},"
        " within what the newer one narrows (mode, limits, rate limit)"
    )


def _newest(wanted: Policy) -> str:
    """Name a generation; a folder counts none."""
    return f"generation {wanted.generation}" if wanted.generation else "the newest generation"


def announce(
    turn: Turn,
    state: State,
    problems: Iterable[report.Problem],
    in_force: Mapping[Key, tuple[Policy, ...]],
) -> tuple[effects.Effect, ...]:
    """Record that a generation begins to wait for a replica, and that a wait is over."""
    before, after = _waits(state.problems), _waits(problems)
    news = [
        (key, Reason.AWAITING_REPLICA.value, message)
        for key, message in after.items()
        if before.get(key) != message
    ]
    news += [
        (key, IN_FORCE, f"{_newest(in_force[key][0])} is in force and waits no more")
        for key in before.keys() - after.keys()
        if in_force.get(key)
    ]
    done: list[effects.Effect] = []
    for key, reason, message in sorted(news):
        done += recording.notice(turn, reason, message, policy=key)
    return tuple(done)


def _waits(problems: Iterable[report.Problem]) -> dict[Key, str]:
    return {
        Key(each.namespace, each.name): each.message
        for each in problems
        if each.reason == Reason.AWAITING_REPLICA
    }
