"""A profile that is narrowed once for all devices that narrow nothing holds for none that does."""

import pytest

from builders import room
from foreshore_api import v1alpha1
from foreshore_decision import narrowing

PROFILE = v1alpha1.DeviceProfile.read(room.profile()).spec
NARROWER: dict[str, object] = {
    "limits": [{"action": "setAirflow", "input": "value", "maximum": 100}],
    "interlocks": [{"name": "door", "expression": "co2 < 5000"}],
    "deadman": {"interval": "5s", "enforcedBy": "Device"},
    "relinquishDefault": {"action": "setAirflow"},
    "actuatorRateLimit": {"minimumInterval": "30s"},
    "override": {},
    "onLoss": {},
    "confirmation": {
        "property": "airflow",
        "expression": "difference <= 5",
        "timeout": "3s",
    },
    "authority": {"leaseDuration": "5s"},
    "guards": {"duplicates": "Ignored"},
    "clock": "Unknown",
}
"""Least that narrows; an empty block is given, and means its defaults."""


class ReadNames:
    """A spec that notes which of its fields are read."""

    def __init__(self, spec: v1alpha1.DeviceSpec) -> None:
        self.names: set[str] = set()
        self._spec = spec

    def __getattr__(self, name: str) -> object:
        self.names.add(name)
        return getattr(self._spec, name)


def device(**fields: object) -> v1alpha1.DeviceSpec:
    document = room.device()
    return v1alpha1.Device.read({**document, "spec": {**document["spec"], **fields}}).spec


def test_all_that_narrowing_reads_of_a_device_decides_whether_it_narrows() -> None:
    """A field that is missing there would not hold for any device."""
    read = ReadNames(device())
    narrowing.narrow(PROFILE, read)  # type: ignore[arg-type]
    assert read.names == set(narrowing.NARROWING)


@pytest.mark.parametrize("field", NARROWER)
def test_a_device_that_narrows_anything_has_a_profile_of_its_own(field: str) -> None:
    common = narrowing.narrowed(PROFILE, device())
    assert narrowing.narrowed(PROFILE, device()) is common
    narrower = device(**{field: NARROWER[field]})
    assert narrowing.narrowed(PROFILE, narrower) is not common
    assert narrowing.narrowed(PROFILE, narrower) == narrowing.narrow(PROFILE, narrower)
    assert narrowing.narrowed(PROFILE, device()) == narrowing.narrow(PROFILE, device())


def test_every_field_that_narrows_is_tried_here() -> None:
    fields = v1alpha1.DeviceSpec.model_fields
    assert {fields[name].alias for name in narrowing.NARROWING} == set(NARROWER)
