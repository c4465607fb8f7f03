"""What the runtime points its parts at."""

from builders import engine_rig, room
from foreshore_agent.engine import events, view
from foreshore_agent.runtime import facts


def test_the_last_good_policy_never_asks_the_model_of_one_that_does_not_compile() -> None:
    rig = engine_rig.Rig()
    broken = room.changed(room.policy(), spec__modelRef={"version": "occupancy-v2"})
    broken["spec"]["rules"][0]["expression"] = "scor >= 0.8"
    version = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    rig.assign(version, broken)
    wanted = engine_rig.assign(version, broken)
    assert [each.model and each.model.version for each in wanted.policies] == ["occupancy-v2"]
    found = facts.in_force(wanted, rig.state)
    assert [each.model and each.model.version for each in found] == ["occupancy-v1"]


def test_a_policy_that_is_in_force_nowhere_keeps_its_replicas_warm() -> None:
    rig = engine_rig.Rig()
    wanted = engine_rig.assign().model_copy(update={"devices": ()})
    nothing = rig.state._replace(in_force={})
    assert facts.in_force(wanted, nothing) == wanted.policies


def test_a_device_that_was_not_heard_is_named_until_it_is() -> None:
    rig = engine_rig.Rig()
    assert view.silent(rig.state) == (engine_rig.DEVICE,)
    rig.sample()
    assert view.silent(rig.state) == ()


def test_of_many_silent_devices_a_few_are_named() -> None:
    many = tuple(events.Key("hq", f"room-{number}") for number in range(facts.NAMED + 2))
    [sentence] = facts.unheard(many)
    assert "hq/room-0, hq/room-1, hq/room-2 and 2 more" in sentence
    assert "remedy: the topics of the profile" in sentence
    assert facts.unheard(()) == ()
