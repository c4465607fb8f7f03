"""What is in force of a policy, whatever is edited, deleted and served, in whatever order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import DEVICE, Rig
from foreshore_agent.engine import durable, events, state, versions, view
from foreshore_api import scalars, v1alpha1
from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import assignment
from foreshore_decision import narrowing
from foreshore_decision.chain import modes

BROKEN = [{"name": "occupied", "expression": "scoer >= 0.8", "reason": "RoomOccupied"}]
EDITS: dict[str, dict[str, Any]] = {
    "good": {},
    "shadow": {"spec__mode": "Shadow"},
    "broken": {"spec__rules": BROKEN},
    "new model": {"spec__modelRef": {"version": "occupancy-v2"}},
    "dangling": {"spec__modelRef": {"version": "occupancy-v9"}},
}


def assigned(kind: str, generation: int, *, is_served: bool) -> assignment.Assignment:
    """The n-th edit of the policy; `is_served`: whether a replica of what it asks is ready."""
    policy = room.changed(room.policy(), **EDITS[kind])
    policy["metadata"]["generation"] = generation
    other = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    made = engine_rig.assign(policy, other)
    [entry] = made.policies
    asked = entry.model
    endpoints = (
        (
            assignment.Endpoint(
                slot="r0",
                role=assignment.Role.ACTIVE,
                node="edge-2",
                url="http://10.0.0.1:1",
                version=asked.version,
                digest=asked.artefact.digest,
            ),
        )
        if asked is not None and is_served
        else ()
    )
    changed = entry.model_copy(update={"endpoints": endpoints})
    return made.model_copy(update={"policies": (changed,)})


STEPS = st.one_of(
    st.tuples(st.sampled_from(sorted(EDITS)), st.booleans()),
    st.sampled_from(["deleted", "restart"]),
)


def bound(known: state.State) -> list[tuple[str, int]]:
    """What decides on the device: digest and generation."""
    device = known.devices.get(DEVICE)
    bindings = device.bindings.values() if device is not None else ()
    return [(one.compiled.digest, one.compiled.generation) for one in bindings]


def restart(rig: Rig) -> None:
    """Begin anew from what is durable; nothing is assigned yet."""
    rig.state = durable.restore(rig.state.identity, dict(rig.values), rig.at)
    rig.feed(events.BrokerChanged, connected=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=8))
def test_what_was_good_once_decides_until_the_policy_is_deleted(steps: list[Any]) -> None:
    """And what decides is what `in_force` names, and nothing is held back without a word."""
    rig = Rig()
    rig.feed(events.Assigned, assignment=assigned("good", 1, is_served=True))
    last = assigned("good", 1, is_served=True)
    is_assigned = True
    for generation, step in enumerate(steps, start=2):
        if step == "restart":
            restart(rig)
            rig.feed(events.Assigned, assignment=last)
        elif step == "deleted":
            last = last.model_copy(update={"policies": ()})
            rig.feed(events.Assigned, assignment=last)
            is_assigned = False
        else:
            kind, is_served = step
            last = assigned(kind, generation, is_served=is_served)
            rig.feed(events.Assigned, assignment=last)
            is_assigned = True
        deciding = bound(rig.state)
        if not is_assigned:
            assert deciding == []
            continue
        assert deciding, "what was good once decides no more"
        [named] = view.in_force(rig.state)
        assert named.devices == (DEVICE.name,)
        is_newest = named.generation == last.policies[0].generation
        assert is_newest == (view.problems(rig.state) == ()), "held back without a word"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(EDITS)), st.booleans())
def test_the_same_assignment_again_changes_nothing(kind: str, is_served: bool) -> None:
    rig = Rig()
    fresh = assigned(kind, 2, is_served=is_served)
    rig.feed(events.Assigned, assignment=fresh)
    before = rig.state
    rig.feed(events.Assigned, assignment=fresh)
    after = rig.state
    assert after.in_force == before.in_force
    assert after.problems == before.problems
    assert bound(after) == bound(before)


RANK = modes.RANK.__getitem__
BOUND = st.none() | st.integers(100, 900)
INTERVAL = st.none() | st.sampled_from(["1s", "30s", "1h"])
SHAPES = st.fixed_dictionaries(
    {"mode": st.sampled_from(list(Mode)), "maximum": BOUND, "interval": INTERVAL}
)


def shaped(shape: dict[str, Any]) -> assignment.AssignedPolicy:
    limits = [{"input": "value", "maximum": shape["maximum"]}] if shape["maximum"] else []
    rate = {"minimumInterval": shape["interval"]} if shape["interval"] else None
    policy = room.changed(
        room.policy(),
        spec__mode=shape["mode"].value,
        spec__action__limits=limits,
        spec__rateLimit=rate,
    )
    spec = v1alpha1.DecisionPolicy.read(policy).spec
    made = engine_rig.assign().policies[0]
    return made.model_copy(update={"spec": spec})


@given(SHAPES, SHAPES, st.booleans())
def test_no_form_of_a_version_that_stays_is_wider_than_it_was_or_in_a_higher_mode_than_asked(
    kept: dict[str, Any], wanted: dict[str, Any], is_right: bool
) -> None:
    before, newest = shaped(kept), shaped(wanted)
    limited, otherwise = versions.forms(before, newest, is_right=is_right)
    for form in (limited, otherwise):
        assert RANK(form.spec.mode) <= min(RANK(kept["mode"]), RANK(wanted["mode"]))
        assert narrowing.limit(form.spec, before.spec) == form.spec, "wider than it was"
    assert narrowing.limit(limited.spec, newest.spec) == limited.spec, "wider than what is asked"
    bounds = [shape["maximum"] for shape in (kept, wanted) if shape["maximum"]]
    [*limits] = limited.spec.action.limits
    assert [scalars.number(one.maximum) for one in limits if one.maximum] == (
        [min(bounds)] if bounds else []
    )
