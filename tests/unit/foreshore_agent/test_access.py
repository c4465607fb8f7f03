"""`broker-acl`: a list of who may say what is whole and gives nobody more, or is not written."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from builders import stock
from foreshore_agent import main
from foreshore_agent.access import grants, mosquitto

EXAMPLE = Path(__file__).parents[3] / "examples/01-ventilate-a-room"
TOPICS = {
    "telemetryTopic": "{site}/{device}/telemetry",
    "commandTopic": "{site}/{device}/command",
}


def document(kind: str, name: str, spec: dict[str, Any], namespace: str = "hq") -> dict[str, Any]:
    return {
        "apiVersion": "foreshore.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def site(name: str = "hq", **broker: Any) -> dict[str, Any]:
    address = {"host": "10.0.0.9", "port": 8883, "credential": f"{name}-broker"}
    return document("Site", name, {"broker": address | broker})


def profile(name: str = "room", **mqtt: str) -> dict[str, Any]:
    spec = {"mqtt": TOPICS | mqtt, "properties": [{"name": "co2"}]}
    return document("DeviceProfile", name, spec)


def device(
    name: str = "room-301", site: str = "hq", profile: str = "room", namespace: str = "hq"
) -> dict[str, Any]:
    return document("Device", name, {"profileRef": {"name": profile}, "site": site}, namespace)


def users(folder: Path, *documents: dict[str, Any], **names: str) -> dict[str, grants.User]:
    (folder / "all.yaml").write_text(yaml.safe_dump_all(documents))
    return {one.name: one for one in grants.find(folder, grants.NameTemplates(**names))}


def faults(folder: Path, *documents: dict[str, Any], **names: str) -> str:
    with pytest.raises(grants.AccessError) as caught:
        users(folder, *documents, **names)
    return "\n".join(caught.value.lines)


def test_a_device_and_its_sites_agents_face_each_other(tmp_path: Path) -> None:
    found = users(tmp_path, site(), profile(), device())
    assert set(found) == {"hq-broker", "hq/room-301"}
    own = found["hq/room-301"]
    assert own.writes == {"hq/room-301/telemetry"}
    assert own.reads == {"hq/room-301/command"}
    agents = found["hq-broker"]
    assert own.reads < agents.writes
    assert own.writes < agents.reads
    assert agents.writes - own.reads == agents.reads - own.writes == {
        "foreshore/v1/hq/beat/+", "foreshore/v1/hq/renew/+", "foreshore/v1/hq/renewed/+",
    }  # fmt: skip


def test_agents_of_one_site_have_nothing_of_another(tmp_path: Path) -> None:
    found = users(
        tmp_path, site(), site("plant"), profile(), device(), device("press-1", site="plant")
    )
    assert not any("plant" in topic for topic in found["hq-broker"].reads)
    assert not any("plant" in topic for topic in found["hq-broker"].writes)


def test_one_machine_that_is_several_devices_is_one_user(tmp_path: Path) -> None:
    found = users(
        tmp_path, site(), profile(), device(), device("room-302"), device="gateway-{site}"
    )
    assert found["gateway-hq"].roles == ("Device hq/room-301", "Device hq/room-302")
    assert found["gateway-hq"].writes == {"hq/room-301/telemetry", "hq/room-302/telemetry"}


@pytest.mark.parametrize(
    ("mqtt", "why"),
    [
        pytest.param(
            {"telemetryTopic": "{site}/a\nuser stranger\ntopic readwrite b"},
            "telemetryTopic",
            id="a topic that forges lines of the list",
        ),
        pytest.param(
            {"telemetryTopic": "foreshore/v1/hq/renewed/edge-1"},
            "agents speak",
            id="a device that would renew rights",
        ),
        pytest.param({"commandTopic": "$SYS/x"}, "the broker's own", id="a topic of the broker"),
        pytest.param({"commandTopic": " x"}, "a space at an end", id="a topic that is cut"),
    ],
)
def test_no_profile_gives_a_device_more_than_a_devices_topics(
    tmp_path: Path, mqtt: dict[str, str], why: str
) -> None:
    assert why in faults(tmp_path, site(), profile(**mqtt), device())


def test_a_site_whose_name_makes_a_topic_the_agents_own_is_refused(tmp_path: Path) -> None:
    named = profile(telemetryTopic="{site}/v1/hq/beat/x")
    said = faults(tmp_path, site("foreshore"), named, device(site="foreshore"))
    assert "Device hq/room-301: foreshore/v1/hq/beat/x is a topic on which agents speak" in said


def test_a_profile_that_names_another_devices_topic_is_refused(tmp_path: Path) -> None:
    """Such a profile would let its device command, or speak for, somebody else's."""
    theft = profile("theft", telemetryTopic="hq/room-301/command", commandTopic="x/{device}")
    said = faults(tmp_path, site(), profile(), device(), theft, device("thief", profile="theft"))
    assert "Device hq/room-301 and Device hq/thief both have topic 'hq/room-301/command'" in said


def test_a_device_is_never_an_agent(tmp_path: Path) -> None:
    said = faults(tmp_path, site(), profile(), device("hq-broker"), device="{device}")
    assert "Device hq/hq-broker and the agents of Site hq/hq would have one user" in said


@pytest.mark.parametrize(
    ("documents", "why"),
    [
        pytest.param([profile(), device()], "no Site in the folder", id="no site at all"),
        pytest.param(
            [site(), profile(), device(site="plant")], "lacks the Site plant", id="another site"
        ),
        pytest.param(
            [site(), profile(), device(namespace="lab")],
            "lacks the Site hq of its namespace",
            id="a device of another namespace, which its agents do not serve",
        ),
        pytest.param([site(), device()], "lacks its DeviceProfile room", id="no profile"),
        pytest.param(
            [site(transport="Plain", credential=None), profile(), device()],
            "say --agent-user NAME",
            id="agents without a name",
        ),
        pytest.param(
            [site(), profile(), document("Device", "room-301", {"site": "hq"})],
            "Device hq/room-301",
            id="a device that is refused",
        ),
    ],
)
def test_a_list_that_would_not_be_whole_is_not_written(
    tmp_path: Path, documents: list[dict[str, Any]], why: str
) -> None:
    assert why in faults(tmp_path, *documents)


def plugs(folder: Path, *documents: dict[str, Any], **names: str) -> dict[str, grants.User]:
    return users(folder, site(), stock.plug(), *documents, **names)


def test_a_stock_device_has_the_topics_of_its_dialect_and_no_more(tmp_path: Path) -> None:
    own = plugs(tmp_path, stock.friendly())["hq/plug-1"]
    assert own.writes == {
        "zigbee2mqtt/Hall Plug 1", "zigbee2mqtt/Hall Plug 1/availability",
    }  # fmt: skip
    assert own.reads == {"zigbee2mqtt/Hall Plug 1/set"}


def test_properties_and_actions_with_topics_of_their_own_are_granted(tmp_path: Path) -> None:
    named = stock.plug(spec__mqtt={"telemetryTopic": "tele/{device}/SENSOR"})
    named["spec"]["properties"][1]["topic"] = "stat/{device}/POWER"
    named["spec"]["actions"][0]["acknowledgement"] = {
        "type": "Reply",
        "reply": {
            "topic": "stat/{device}/RESULT", "path": "POWER", "match": "true", "within": "3s",
        },
    }  # fmt: skip
    found = users(tmp_path, site(), named, stock.friendly())
    assert found["hq/plug-1"].writes == {
        "tele/plug-1/SENSOR", "stat/plug-1/POWER", "stat/plug-1/RESULT",
    }  # fmt: skip
    assert found["hq-broker"].reads >= found["hq/plug-1"].writes


@pytest.mark.parametrize("called", ["Hall/#", "+", "$SYS", "a\x85b"])
def test_a_name_that_would_be_the_topics_of_others_is_refused(tmp_path: Path, called: str) -> None:
    said = faults(tmp_path, site(), stock.plug(), stock.friendly(called=called))
    assert "Device hq/plug-1: the parameter friendlyName" in said


def test_a_device_without_the_parameter_of_its_topics_is_named_with_the_remedy(
    tmp_path: Path,
) -> None:
    unnamed = stock.friendly()
    del unnamed["spec"]["parameters"]
    said = faults(tmp_path, site(), stock.plug(), unnamed)
    assert "Device hq/plug-1" in said
    assert "add it to spec.parameters of the Device" in said


def test_devices_behind_one_bridge_are_one_user(tmp_path: Path) -> None:
    """The bridge speaks for all of them: its login is the one that the broker knows."""
    other = stock.friendly("plug-2", "Hall Plug 2")
    bridge = plugs(tmp_path, stock.friendly(), other, device="bridge")["bridge"]
    assert bridge.roles == ("Device hq/plug-1", "Device hq/plug-2")
    assert {"zigbee2mqtt/Hall Plug 1/set", "zigbee2mqtt/Hall Plug 2/set"} == bridge.reads


def test_devices_that_one_gateway_reports_on_one_topic_are_one_user(tmp_path: Path) -> None:
    motors = [device("motor-1", profile="gateway"), device("motor-2", profile="gateway")]
    documents = [site(), stock.gateway(), *motors]
    assert "one user with --device-user" in faults(tmp_path, *documents)
    assert users(tmp_path, *documents, device="plc")["plc"].writes == {"plc/line1"}


def test_a_shadow_of_aws_is_a_devices_topic(tmp_path: Path) -> None:
    shadow = profile(telemetryTopic="$aws/things/{device}/shadow/update/accepted")
    own = users(tmp_path, site(), shadow, device())["hq/room-301"]
    assert own.writes == {"$aws/things/room-301/shadow/update/accepted"}


@pytest.mark.parametrize("name", ["", "a\nuser b", "{node}", "#", "+", "x "])
def test_what_is_no_users_name_is_refused(tmp_path: Path, name: str) -> None:
    assert "is no user's name" in faults(tmp_path, site(), profile(), device(), device=name)


def test_the_example_as_mosquitto_reads_it() -> None:
    text = mosquitto.render(grants.find(EXAMPLE, grants.NameTemplates()))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines == [
        "user hq-broker",
        "topic readwrite foreshore/v1/hq/beat/+",
        "topic readwrite foreshore/v1/hq/renew/+",
        "topic readwrite foreshore/v1/hq/renewed/+",
        "topic read hq/room-301/ack",
        "topic write hq/room-301/command",
        "topic read hq/room-301/telemetry",
        "user hq/room-301",
        "topic write hq/room-301/ack",
        "topic read hq/room-301/command",
        "topic write hq/room-301/telemetry",
    ]
    assert text.endswith("telemetry\n")


def test_what_kubectl_exports_in_one_list_is_read(tmp_path: Path) -> None:
    exported = {"apiVersion": "v1", "kind": "List", "items": [site(), profile(), device()]}
    assert set(users(tmp_path, exported)) == {"hq-broker", "hq/room-301"}


def test_a_list_that_holds_is_kept_when_the_next_cannot_be_written(tmp_path: Path) -> None:
    kept = tmp_path / "acl"
    folder = tmp_path / "resources"
    folder.mkdir()
    users(folder, site(), profile(), device())
    verb = ["broker-acl", "--resources", str(folder), "--output", str(kept)]
    assert CliRunner().invoke(main.application, verb).exit_code == 0
    before = kept.read_text()
    (folder / "all.yaml").write_text(yaml.safe_dump_all([site(), device()]))
    refused = CliRunner().invoke(main.application, verb)
    assert (refused.exit_code, kept.read_text()) == (2, before)
    assert "lacks its DeviceProfile room; add it" in refused.stderr
