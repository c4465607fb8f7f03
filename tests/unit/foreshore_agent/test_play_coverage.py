"""What policies miss in a recording, said before it is played."""

from builders import neighbours, room
from foreshore_agent.play import coverage, recording
from foreshore_api import resources, v1alpha1

DEVICE = v1alpha1.Device.read(room.device())


def policy(**changed: object) -> v1alpha1.DecisionPolicy:
    found = resources.parse(room.changed(room.policy(), **changed))
    assert isinstance(found, v1alpha1.DecisionPolicy)
    return found


def reported(*header: str) -> frozenset[str]:
    profile = resources.parse(room.profile())
    assert isinstance(profile, v1alpha1.DeviceProfile)
    columns = recording.arrange(header, profile.spec.properties, recording.Wanted())
    return coverage.reported(profile.spec, columns)


def untriggered(one: v1alpha1.DecisionPolicy, *header: str) -> list[str]:
    return list(coverage.untriggered(DEVICE, [one], reported(*header), header))


def test_what_the_device_is_set_to_is_reported_with_every_row() -> None:
    assert reported("co2", "x") == {"co2", "airflow"}
    assert untriggered(policy(spec__trigger={"properties": ["airflow"]}), "light") == []


def test_a_trigger_that_no_column_is_names_field_and_columns() -> None:
    (said,) = untriggered(policy(spec__trigger={"properties": ["co2"]}), "light", "x")
    assert "when co2 is reported (spec.trigger.properties)" in said
    assert "--map COLUMN=co2" in said
    assert said.endswith("light, x")


def test_without_a_trigger_every_input_is_one() -> None:
    assert untriggered(policy(spec__trigger=None), "light") == []


def test_silence_evaluates_without_any_column() -> None:
    trigger = {"properties": ["co2"], "afterSilence": "30s"}
    assert untriggered(policy(spec__trigger=trigger), "light") == []


def test_an_input_that_is_missing_is_named_unless_it_has_a_default() -> None:
    inputs = [
        {"name": "co2", "property": "co2", "maximumAge": "90s"},
        {"name": "light", "property": "light", "maximumAge": "90s"},
    ]
    (said,) = coverage.unfed(DEVICE, [policy(spec__inputs=inputs)], reported("co2"))
    assert "reads light (spec.inputs[light])" in said
    header = ("co2", "Light (lx)")
    (said,) = coverage.unfed(DEVICE, [policy(spec__inputs=inputs)], reported(*header), header)
    assert said.endswith("did you mean --map 'Light (lx)=light'?")
    inputs[1] |= {"onInvalid": "Default", "default": "0"}
    assert list(coverage.unfed(DEVICE, [policy(spec__inputs=inputs)], reported("co2"))) == []
    (said,) = coverage.defaulted(DEVICE, [policy(spec__inputs=inputs)], reported("co2"))
    assert "reads light (spec.inputs[light])" in said
    assert "decided on the default, 0" in said


def obstacles(*policies: v1alpha1.DecisionPolicy, lock: str = "Unlocked") -> list[str]:
    device = resources.parse(room.changed(room.device(), spec__lock=lock))
    assert isinstance(device, v1alpha1.Device)
    header = ("light", "co2", "temperature")
    return list(coverage.obstacles(device, policies, reported(*header), header))


def test_what_decides_has_no_obstacle() -> None:
    assert obstacles(policy()) == []


def test_a_locked_device_and_a_policy_without_its_input_are_said_together() -> None:
    inputs = [{"name": "wind", "property": "airflow2", "maximumAge": "90s"}]
    locked, missing = obstacles(policy(spec__inputs=inputs), lock="Locked")
    assert "set spec.lock to Unlocked" in locked
    assert "reads airflow2" in missing


def test_a_disabled_policy_is_an_obstacle_only_where_none_decides() -> None:
    off = policy(spec__mode="Disabled")
    (said,) = obstacles(off)
    assert "is Disabled (spec.mode)" in said
    assert obstacles(off, policy()) == []
    assert list(coverage.disabled([off, policy()])) == [said]


def test_what_another_device_reports_is_named_by_both() -> None:
    read = v1alpha1.DecisionPolicy.read(neighbours.policy())
    (said,) = coverage.unfed(DEVICE, [read], {"co2"})
    assert "reads window-301.open (spec.inputs[windowOpen])" in said
    assert said.endswith("--map COLUMN=window-301.open gives it")
    assert list(coverage.unfed(DEVICE, [read], {"co2", "window-301.open"})) == []
    assert list(coverage.untriggered(DEVICE, [read], {"window-301.open"}, ())) == []
    assert coverage.elsewhere(DEVICE, [read]) == {"window-301.open"}
