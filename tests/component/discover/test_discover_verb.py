"""`foreshore-agent discover` on a real Mosquitto: what it hears, drafts and never says."""

import json
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from paho.mqtt import publish
from typer.testing import CliRunner, Result

from builders import overheard
from foreshore_agent import main
from harness import mosquitto, process

pytestmark = pytest.mark.component


def discover(broker: mosquitto.Broker, *words: str) -> Result:
    address = f"{broker.host}:{broker.port}"
    listening = ["discover", "--broker", address, "--listen", "500ms"]
    return CliRunner().invoke(main.application, [*listening, *words])


def keep(
    broker: mosquitto.Broker, *messages: overheard.Message, tls: Any = None, auth: Any = None
) -> None:
    """Have the broker keep messages, so that whoever subscribes hears them at once."""
    publish.multiple(
        [(topic, overheard.body(payload), 1, True) for topic, payload, _ in messages],
        hostname=broker.host,
        port=broker.port,
        tls=tls,
        auth=auth,
    )


def test_what_is_heard_is_drafted_and_the_folder_is_clean(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    keep(broker, *overheard.EVERYTHING)
    folder = tmp_path / "drafts"
    result = discover(broker, "--write", str(folder), "--namespace", "shop")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "drafted" in result.stderr
    assert "not drafted: 1 topic: an announced component" in result.stderr
    linted = CliRunner().invoke(main.application, ["lint", str(folder), "--strict"])
    assert linted.exit_code == 0, linted.output
    assert {"site.yaml", "ts011f-plug-1.yaml"} <= {path.name for path in folder.iterdir()}
    site = yaml.safe_load((folder / "site.yaml").read_text())
    assert site["spec"]["broker"] == {
        "host": broker.host,
        "port": broker.port,
        "protocol": "V5",
        "transport": "Plain",
    }


def test_it_never_publishes_and_leaves_no_will(broker: mosquitto.Broker) -> None:
    keep(broker, *overheard.PLAIN)
    assert discover(broker).exit_code == 0
    log = broker.log.read_text()
    (client,) = set(re.findall(r"Received SUBSCRIBE from (discover-[0-9a-f]+)", log))
    assert f"Received PUBLISH from {client}" not in log
    assert "No will message specified." in log.partition(client)[2]
    assert "Received PUBLISH from" in log  # of who had the messages kept: the log shows such


def test_json_goes_to_standard_output_and_words_to_standard_error(
    broker: mosquitto.Broker,
) -> None:
    keep(broker, *overheard.GATEWAY)
    result = discover(broker, "-o", "json", "--site", "hq")
    kinds = [item["kind"] for item in json.loads(result.stdout)["items"]]
    assert kinds == ["DeviceProfile", "Device"]
    assert "listening to" in result.stderr


def test_a_filter_narrows_what_is_heard(broker: mosquitto.Broker) -> None:
    keep(broker, *overheard.EVERYTHING)
    result = discover(broker, "--filter", "zigbee2mqtt/#", "-o", "json")
    names = {item["metadata"]["name"] for item in json.loads(result.stdout)["items"]}
    assert names == {
        "discover", "ts011f-plug-1", "fan-plug", "kettle-plug", "mccgq11lm", "front-door",
    }  # fmt: skip


def test_an_old_broker_is_spoken_to_in_its_own_protocol(broker: mosquitto.Broker) -> None:
    keep(broker, *overheard.GATEWAY)
    result = discover(broker, "--protocol", "V311")
    assert result.exit_code == 0, result.stderr
    assert "protocol: V311" in result.stdout


def test_ctrl_c_ends_listening_early_and_drafts_what_came(broker: mosquitto.Broker) -> None:
    keep(broker, *overheard.GATEWAY)
    address = f"{broker.host}:{broker.port}"
    command = [sys.executable, "-m", "foreshore_agent.main", "discover", "--broker", address]
    started = subprocess.Popen(
        [*command, "--listen", "10m"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def has_heard() -> bool:
        return "Sending PUBLISH to discover-" in broker.log.read_text()

    process.eventually(has_heard, what="it hears", timeout=30, interval=0.05)
    started.send_signal(signal.SIGINT)
    drafts, said = started.communicate(timeout=30)
    assert started.returncode == 0, said
    assert "kind: DeviceProfile" in drafts


def test_a_users_name_and_password_are_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "wrong").write_text("guess\n")
    with mosquitto.Broker(tmp_path / "broker", users={"reader": "s3cret"}) as broker:
        keep(broker, *overheard.GATEWAY, auth={"username": "reader", "password": "s3cret"})
        words = ("--username", "reader", "--password-file")
        result = discover(broker, *words, str(tmp_path / "secret"))
        refused = discover(broker, *words, str(tmp_path / "wrong"))
    assert result.exit_code == 0, result.stderr
    assert "kind: DeviceProfile" in result.stdout
    assert "s3cret" not in result.output
    assert refused.exit_code == 1
    assert "the broker refuses us: Not authorized" in refused.stderr


def test_what_the_broker_keeps_from_us_is_not_drafted(tmp_path: Path) -> None:
    acl = "user writer\ntopic readwrite #\nuser reader\ntopic read home/#\n"
    with mosquitto.Broker(tmp_path / "broker", tls=True, acl=acl) as broker:
        credentials = tmp_path / "credentials"
        writer = broker.credential(credentials, "writer")
        broker.credential(credentials, "reader")
        files = {name: str(writer / file) for name, file in _FILES.items()}
        keep(broker, *overheard.PLAIN, tls={**files, "cert_reqs": ssl.CERT_REQUIRED})
        words = ("--credentials", str(credentials), "--credential", "reader")
        result = discover(broker, *words)
    assert result.exit_code == 0, result.stderr
    assert "home-kitchen" in result.stdout
    assert "floor" not in result.stdout


def test_a_silent_broker_ends_with_code_one_and_what_to_do(broker: mosquitto.Broker) -> None:
    result = discover(broker)
    assert result.exit_code == 1
    assert "no device was understood; listen longer" in result.stderr


def test_a_broker_that_is_not_there_is_told(broker: mosquitto.Broker) -> None:
    broker.kill()
    result = discover(broker)
    assert result.exit_code == 1
    assert f"{broker.host}:{broker.port}" in result.stderr


def test_a_file_that_is_there_is_not_replaced(broker: mosquitto.Broker, tmp_path: Path) -> None:
    keep(broker, *overheard.GATEWAY)
    (tmp_path / "site.yaml").write_text("mine")
    result = discover(broker, "--write", str(tmp_path))
    assert result.exit_code == 2
    assert "site.yaml is there already" in result.stderr
    assert (tmp_path / "site.yaml").read_text() == "mine"
    assert not (tmp_path / "gateway-iotgateway.yaml").exists()


def test_a_credential_with_a_ca_makes_it_tls(tls_broker: mosquitto.Broker, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    place = tls_broker.credential(credentials, "hq-broker")
    files = {name: str(place / file) for name, file in _FILES.items()}
    keep(tls_broker, *overheard.GATEWAY, tls={**files, "cert_reqs": ssl.CERT_REQUIRED})
    words = ("--credential-folder", str(credentials), "--credential", "hq-broker")
    result = discover(tls_broker, *words)
    assert result.exit_code == 0, result.stderr
    (site,) = [item for item in yaml.safe_load_all(result.stdout) if item["kind"] == "Site"]
    assert site["spec"]["broker"]["credential"] == "hq-broker"


_FILES = {"ca_certs": "ca.crt", "certfile": "tls.crt", "keyfile": "tls.key"}
