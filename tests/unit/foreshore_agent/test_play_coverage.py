"""What policies miss in a recording, said before it is played."""

from builders import room
from foreshore_agent.play import coverage, recording
from foreshore_api import resources, v1alpha1


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
    return list(coverage.untriggered([one], reported(*header), header))


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
    (said,) = coverage.unfed([policy(spec__inputs=inputs)], reported("co2"))
    assert "reads light (spec.inputs[light])" in said
    inputs[1] |= {"onInvalid": "Default", "default": "0"}
    assert list(coverage.unfed([policy(spec__inputs=inputs)], reported("co2"))) == []
