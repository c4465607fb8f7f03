"""Safety properties, each with the mutant that it must catch: what nothing can fail is no test."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from builders import plug, room
from builders.engine_rig import NODE, OCCUPIED, Rig
from foreshore_agent.engine import effects, events, replicas, state, view
from foreshore_agent.engine import turn as turns
from foreshore_agent.engine.command import life, read_back
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import Mode
from foreshore_decision import expr, fencing, narrowing, served
from foreshore_decision.chain import bounding, limiter, modes, nearness, readings
from foreshore_decision.gates import data
from foreshore_decision.policy import capping


def nothing_leaves_before_its_intent_is_durable() -> None:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    assert rig.sent == []


def an_input_past_its_age_commands_nothing() -> None:
    silent = room.changed(
        room.policy(), spec__trigger={"properties": ["co2"], "afterSilence": "100s"}
    )
    rig = Rig((silent,))
    rig.sample()
    rig.wait(101, period=5)
    assert len(rig.sent) == 1


def a_forbid_that_errors_forbids() -> None:
    document = room.policy()
    document["spec"]["rules"].append(
        {
            "name": "broken",
            "effect": "Forbid",
            "expression": "1 % int(light - light) > 0",
            "reason": "Broken",
        }
    )
    rig = Rig((document,))
    rig.sample()
    assert rig.sent == []


def stopped_between_intent_and_sending(happen: Callable[[Rig], None], reason: str) -> None:
    """What happens while the intent is written keeps the command from leaving, and is recorded."""
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    happen(rig)
    rig.hold = ()
    rig.release()
    assert rig.sent == []
    assert rig.outcomes == [("NotSent", reason)]


def what_the_machine_slept_over_is_not_sent() -> None:
    stopped_between_intent_and_sending(lambda rig: setattr(rig, "slept", 6.0), "TooLate")


def a_higher_epoch_stops_what_is_durable_and_not_sent() -> None:
    stopped_between_intent_and_sending(
        lambda rig: rig.assign(holder="edge-2", epoch=8), "AuthorityLost"
    )


def a_lock_stops_what_is_durable_and_not_sent() -> None:
    locked = room.changed(room.device(), spec__lock="Locked")
    stopped_between_intent_and_sending(lambda rig: rig.assign(locked), "DeviceLocked")


def a_full_recorder_stops_what_is_durable_and_not_sent() -> None:
    stopped_between_intent_and_sending(
        lambda rig: rig.feed(events.RecorderChanged, full=True, reason="DiskFull"), "RecorderFull"
    )


def an_edit_stops_what_is_durable_and_not_sent() -> None:
    edited = room.changed(room.policy(), spec__hazard="Medium")
    stopped_between_intent_and_sending(lambda rig: rig.assign(edited), "PolicyChanged")


def an_answer_of_another_version_commands_nothing() -> None:
    asked = served.Served("occupancy", "occupancy-v1", room.DIGEST)
    for other in (
        asked._replace(version="occupancy-v0"),
        asked._replace(digest="sha256:" + "cd" * 32),
        asked._replace(name="vacancy"),
    ):
        rig = Rig()
        rig.model = other
        rig.sample()
        assert rig.sent == []


def what_no_replica_serves_is_not_in_force() -> None:
    newer = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    rig = Rig()
    rig.assign(newer, room.changed(room.policy(), spec__modelRef={"version": "occupancy-v2"}))
    [version] = view.in_force(rig.state)
    assert version.model is not None
    assert version.model.version == "occupancy-v1"


def what_a_waiting_generation_forbids_is_not_commanded() -> None:
    newer = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    narrower = room.changed(
        room.policy(),
        spec__modelRef={"version": "occupancy-v2"},
        spec__action__limits=[{"input": "value", "maximum": 200}],
    )
    rig = Rig()
    rig.assign(newer, narrower)
    rig.sample()
    assert rig.sent == []


def a_restart_sends_nothing_again() -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    rig.boot()
    rig.wait(1)
    assert len(rig.sent) == 1


def a_full_recorder_commands_nothing() -> None:
    rig = Rig()
    rig.feed(events.RecorderChanged, full=True, reason="DiskFull")
    rig.sample()
    assert rig.sent == []


def a_rate_limit_holds_over_a_reboot() -> None:
    rig = Rig((room.changed(room.policy(), spec__rateLimit={"minimumInterval": "1h"}),))
    rig.sample()
    rig.seconds = 20_000.0
    rig.boot("boot-2")
    rig.sample()
    assert len(rig.sent) == 1


def a_sample_that_comes_twice_decides_once() -> None:
    rig = Rig()
    rig.sample()
    rig.feed(events.Sample, device=rig_device(), values=OCCUPIED, redelivered=True)
    assert len(rig.sent) == 1


def a_policy_that_is_too_slow_decides_no_more() -> None:
    rig = Rig()
    rig.feed(events.PolicyTooSlow, seconds=0.05)
    rig.sample()
    assert rig.sent == []


def what_the_broker_had_kept_confirms_nothing() -> None:
    rig = Rig(plug.documents(), acknowledges=False)
    rig.sample(on=False, power=200.0)
    rig.seconds += 0.1
    report(rig, value=True, received=rig.seconds, is_live=False)
    life_of = life.measured(turns.begin(rig.state, events.Tick(rig.at, "f")), *plugged(rig))
    assert life_of.effects == ()


def what_came_before_sending_confirms_nothing() -> None:
    rig = Rig(plug.documents(), acknowledges=False)
    rig.sample(on=False, power=200.0)
    rig.seconds -= 0.1
    rig.sample(on=True)
    assert rig.outcomes == []


def a_report_beyond_the_tolerance_confirms_nothing() -> None:
    profile = plug.profile(
        spec__properties=[
            {"name": "on", "type": "Integer", "access": "ReadWrite", "tolerance": "1"},
            {"name": "power", "unit": "W"},
        ]
    )
    [action] = profile["spec"]["actions"]
    action["input"] = [{"name": "value", "property": "on", "type": "Integer"}]
    action["mqtt"] = {**plug.TOLD, "expression": '{"level": value}'}
    rig = Rig((profile, plug.device(), plug.policy(value="50")), acknowledges=False)
    rig.sample(on=5, power=200.0)
    rig.sample(on=52)
    assert rig.outcomes == []


def what_nobody_fences_is_not_moved_where_it_can_do_harm() -> None:
    harmful = plug.policy(spec__hazard="Medium")
    rig = Rig((plug.profile(), plug.device(), harmful), acknowledges=False)
    rig.sample(on=False, power=200.0)
    assert rig.sent == []


def plugged(rig: Rig) -> tuple[state.DeviceState, frozenset[str]]:
    return rig.state.devices[rig_device()], frozenset({"on"})


def report(rig: Rig, **changes: Any) -> None:
    """Let a reading of the plug be other than it came; then a sample of something else."""
    device = rig.state.devices[rig_device()]
    readings = {**device.readings, "on": device.readings["on"]._replace(**changes)}
    changed = device._replace(readings=readings)
    rig.state = rig.state._replace(devices=rig.state.devices.set(rig_device(), changed))
    rig.seconds += 0.1


def rig_device() -> events.Key:
    return events.Key("hq", "room-301")


Patch = Callable[[pytest.MonkeyPatch], None]


def sends_at_once(patch: pytest.MonkeyPatch) -> None:
    issue = life.issue

    def mutant(turn: Turn, device: state.DeviceState, *rest: Any) -> Change[state.DeviceState]:
        device, done = issue(turn, device, *rest)
        intent = list(device.open.values())[-1]
        return Change(device, done).then(life.intent_durable, turn, intent)

    patch.setattr(life, "issue", mutant)


def forgets_age(patch: pytest.MonkeyPatch) -> None:
    """Everywhere: the Validity gate, the Inference gate and the step's measurement look at it."""
    input_of = readings.input_of

    def mutant(source: Any, reading: Any, good: Any, now: float) -> Any:
        return input_of(source, reading, good, reading.received if reading else now)

    patch.setattr(readings, "input_of", mutant)
    patch.setattr(data, "_expired", lambda _, __: None)
    patch.setattr(bounding, "present_value", lambda *_: 300.0)


def takes_an_error_for_false(patch: pytest.MonkeyPatch) -> None:
    def mutant(self: expr.Expression, bindings: expr.Bindings) -> bool:
        return self.evaluate(bindings) is True

    patch.setattr(expr.Expression, "is_true", mutant)


def overlooks(obstacle: life.Obstacle) -> Patch:
    """An engine without one of the checks between intent and sending."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        kept = tuple(check for check in life.OBSTACLES if check is not obstacle)
        patch.setattr(life, "OBSTACLES", kept)

    return mutate


def sends_again_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    recover = life.recover

    def mutant(
        turn: Turn, device: state.DeviceState, intents: Any, policy_of: life.PolicyOf
    ) -> Change[state.DeviceState]:
        change = recover(turn, device, intents, policy_of)
        again = (
            effects.SendCommand(
                intent.command_id,
                1,
                intent.policy,
                device.key,
                intent.action,
                intent.values,
                NODE,
                7,
                12,
                turn.at.now,
                turn.at.now,
                5.0,
                turn.at.monotonic + 9,
            )
            for intent in change.value.open.values()
        )
        return change.also(*again)

    patch.setattr(life, "recover", mutant)


def takes_what_any_version_says(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(served, "contradicts", lambda *_: False)


def looks_at_the_name_of_the_version_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(served, "contradicts", lambda one, other: one.version != other.version)


def waits_for_no_replica(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replicas, "is_awaited", lambda *_: False)


def narrows_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(narrowing, "limit", lambda kept, _: kept)


def raises_the_mode(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(modes, "effective", lambda asked, _: (Mode(asked), ()))


def forgets_the_log_of_another_boot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limiter, "rebased", lambda log, now: log)


def never_finds_a_duplicate(patch: pytest.MonkeyPatch) -> None:
    from foreshore_agent.engine import sampling

    patch.setattr(sampling, "_place", lambda *_: reasons.ACCEPTED)


def goes_on_by_a_slow_policy(patch: pytest.MonkeyPatch) -> None:
    of = modes.of
    patch.setattr(
        modes, "of", lambda policy, **state: of(policy, **{**state, "is_too_slow": False})
    )


def believes_what_the_broker_had_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(read_back, "_is_live", lambda _: True)


def believes_reports_of_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(read_back, "_is_since", lambda *_: True)


def takes_any_number_for_near(patch: pytest.MonkeyPatch) -> None:
    is_near = nearness.is_near
    patch.setattr(nearness, "is_near", lambda value, wanted, _: is_near(value, wanted, 1e9))


def overlooks_the_hazard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(capping, "_is_harmless", lambda *_: True)
    compiling = importlib.import_module("foreshore_decision.policy.compile")
    patch.setattr(compiling, "_made", compiling._made.__wrapped__)


OVERLOOKED: dict[str, tuple[Callable[[], None], Patch]] = {
    "overlooks the deadline": (
        what_the_machine_slept_over_is_not_sent,
        overlooks(life._is_late),
    ),
    "overlooks the right": (
        a_higher_epoch_stops_what_is_durable_and_not_sent,
        overlooks(life._is_unauthorised),
    ),
    "overlooks the lock": (a_lock_stops_what_is_durable_and_not_sent, overlooks(life._is_locked)),
    "asks the mode once": (
        a_full_recorder_stops_what_is_durable_and_not_sent,
        overlooks(life._is_lowered),
    ),
    "overlooks an edit": (
        an_edit_stops_what_is_durable_and_not_sent,
        overlooks(life._is_edited),
    ),
}
PAIRS: dict[str, tuple[Callable[[], None], Patch]] = {
    "sends at once": (nothing_leaves_before_its_intent_is_durable, sends_at_once),
    "forgets age": (an_input_past_its_age_commands_nothing, forgets_age),
    "takes an error for false": (a_forbid_that_errors_forbids, takes_an_error_for_false),
    **OVERLOOKED,
    "sends again after a restart": (a_restart_sends_nothing_again, sends_again_after_a_restart),
    "takes what any version says": (
        an_answer_of_another_version_commands_nothing,
        takes_what_any_version_says,
    ),
    "looks at the name of the version alone": (
        an_answer_of_another_version_commands_nothing,
        looks_at_the_name_of_the_version_alone,
    ),
    "waits for no replica": (what_no_replica_serves_is_not_in_force, waits_for_no_replica),
    "narrows nothing": (what_a_waiting_generation_forbids_is_not_commanded, narrows_nothing),
    "raises the mode": (a_full_recorder_commands_nothing, raises_the_mode),
    "forgets the log of another boot": (
        a_rate_limit_holds_over_a_reboot,
        forgets_the_log_of_another_boot,
    ),
    "goes on by a slow policy": (
        a_policy_that_is_too_slow_decides_no_more,
        goes_on_by_a_slow_policy,
    ),
    "believes what the broker had kept": (
        what_the_broker_had_kept_confirms_nothing,
        believes_what_the_broker_had_kept,
    ),
    "believes reports of before": (
        what_came_before_sending_confirms_nothing,
        believes_reports_of_before,
    ),
    "takes any number for near": (
        a_report_beyond_the_tolerance_confirms_nothing,
        takes_any_number_for_near,
    ),
    "overlooks the hazard": (
        what_nobody_fences_is_not_moved_where_it_can_do_harm,
        overlooks_the_hazard,
    ),
    "never finds a duplicate": (a_sample_that_comes_twice_decides_once, never_finds_a_duplicate),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_property_holds_and_catches_an_engine_that(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds, mutate = PAIRS[name]
    holds()
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        holds()


def test_every_obstacle_between_intent_and_sending_has_its_mutant() -> None:
    assert [obstacle.__name__ for obstacle in life.OBSTACLES] == [
        "_is_late",
        "_is_unauthorised",
        "_is_locked",
        "_is_lowered",
        "_is_edited",
    ]
    assert len(OVERLOOKED) == len(life.OBSTACLES)


def test_standings_that_permit_are_two() -> None:
    assert [each.value for each in fencing.Standing if each.is_permitting] == ["Renewed", "Offline"]
