"""What is wrong with a folder's resources is said, whatever goes wrong meanwhile."""

from pathlib import Path
from typing import Any

import pytest

from builders import neighbours, room, stock
from foreshore_agent import inspection, manifests
from foreshore_decision import policy, resources


def test_a_policy_that_cannot_be_compiled_at_all_is_a_problem_of_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a trap nobody knew")

    monkeypatch.setattr(policy, "check", breaks)
    documents = (room.site(), room.profile(), room.device(), room.model(), room.policy())
    read = resources.read(
        [manifests.Manifest(f"room.yaml#{at}", each) for at, each in enumerate(documents, 1)], {}
    )
    found = [each for each in inspection.inspect(read) if each.reason == "CompileFailed"]
    assert len(found) == 1
    assert found[0].kind == "DecisionPolicy"
    assert "a trap nobody knew" in found[0].message


def inspected(*documents: room.Json) -> list[tuple[str, str]]:
    written = [
        manifests.Manifest(f"room.yaml#{at}", document)
        for at, document in enumerate((room.site(), room.profile(), room.device(), *documents), 1)
    ]
    problems = inspection.inspect(resources.read(written, {}))
    return [(problem.reason, problem.message) for problem in problems]


def test_a_policy_of_a_folder_may_read_another_device() -> None:
    assert inspected(*neighbours.documents()) == []


def test_another_device_that_the_folder_lacks_is_said_at_the_input() -> None:
    documents = (neighbours.profile(), neighbours.window("window-302"), neighbours.policy())
    [(reason, message), *_] = inspected(*documents)
    assert reason == "ReferenceNotFound"
    assert "spec.inputs[windowOpen].deviceRef.name: there is no Device window-301" in message
    assert "did you mean window-302?" in message


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param((), "holds no username", id="a credential that is empty"),
        pytest.param(("password",), "no username", id="a password alone"),
        pytest.param(("username", "password"), None, id="both"),
    ],
)
def test_what_a_broker_without_tls_cannot_be_shown_is_a_problem_of_its_site(
    tmp_path: Path, files: tuple[str, ...], says: str | None
) -> None:
    (tmp_path / "shop-broker").mkdir()
    for name in files:
        (tmp_path / "shop-broker" / name).write_text("hush\n")
    broker = {"host": "192.0.2.10", "port": 1883, "transport": "Plain", "credential": "shop-broker"}
    site = room.changed(room.site(), spec__broker=broker)
    read = resources.read([manifests.Manifest("site.yaml#1", site)], {})
    problems = inspection.unsupplied(read, inspection.Supplies(tmp_path, credentials=tmp_path))
    texts = [problem.message for problem in problems]
    assert len(texts) == (0 if says is None else 1)
    assert says is None or says in texts[0]
    assert "hush" not in " ".join(texts)


def inspected_lines(*documents: room.Json) -> list[str]:
    """What is wrong with documents, a line each."""
    read = resources.read(
        [
            manifests.Manifest(f"room.yaml#{at}", document)
            for at, document in enumerate(documents, 1)
        ],
        {},
    )
    return [inspection.line(problem) for problem in inspection.inspect(read)]


def test_what_no_device_can_be_read_by_is_said_with_file_field_and_remedy() -> None:
    site = room.changed(room.site(), spec__timeZone="Europe/Bruxelles")
    lacking = room.changed(stock.friendly(), spec__parameters=None)
    scaled = stock.gateway(spec__properties=[{"name": "speed", "scale": 0}])
    assert inspected_lines(site, stock.plug(), lacking, scaled) == [
        "room.yaml#1: spec.timeZone: there is no time zone Europe/Bruxelles: write its IANA name,"
        " such as Europe/Brussels (Site hq/hq, Invalid)",
        "room.yaml#4: spec.properties[speed].scale: a scale of 0 makes one number of every value:"
        " leave it out, or say the factor (DeviceProfile hq/gateway, Invalid)",
        f"room.yaml#3: spec.parameters[friendlyName]: the topic {stock.STATE} needs the parameter"
        " friendlyName, which the device lacks: add it to spec.parameters of the Device"
        " (Device hq/plug-1, Invalid)",
    ]
