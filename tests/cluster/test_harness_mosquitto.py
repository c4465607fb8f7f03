"""The loopback broker: TLS asks for a certificate, a crash is a crash, the port stays."""

from pathlib import Path

import pytest

from harness import mosquitto, process


def publish(broker: mosquitto.Broker, *extra: str | Path) -> None:
    """One message, with the reference client."""
    process.run(
        ["mosquitto_pub", "-h", "localhost", "-p", str(broker.port), "-t", "t", "-m", "1", *extra],
        timeout=10,
    )


def test_the_port_stays_over_a_crash_and_a_restart(tmp_path: Path) -> None:
    with mosquitto.Broker(tmp_path) as broker:
        publish(broker)
        broker.kill()
        with pytest.raises(process.CommandError):
            publish(broker)
        broker.start()
        publish(broker)
        broker.restart()
        publish(broker)


def test_a_client_without_a_certificate_is_refused(tmp_path: Path) -> None:
    with mosquitto.Broker(tmp_path, tls=True) as broker:
        held = broker.credential(tmp_path / "credentials", "agent")
        trust = ("--cafile", held / "ca.crt")
        publish(broker, *trust, "--cert", held / "tls.crt", "--key", held / "tls.key")
        with pytest.raises(process.CommandError):
            publish(broker, *trust)
        assert "u'agent'" in broker.log.read_text()


def test_a_password_opens_the_second_listener_and_no_other(tmp_path: Path) -> None:
    logins = {"hq/plug": "right"}
    with mosquitto.Broker(tmp_path, tls=True, logins=logins) as broker:
        trust = ("--cafile", tmp_path / "tls/ca.crt")
        there = (*trust, "-p", str(broker.password_port), "-u", "hq/plug", "-P")
        publish(broker, *there, "right")
        for wrong in ((*there, "wrong"), trust, (*trust, "-p", str(broker.password_port))):
            with pytest.raises(process.CommandError):
                publish(broker, *wrong)
        assert "u'hq/plug'" in broker.log.read_text()


def test_a_paused_broker_answers_nobody_until_it_resumes(tmp_path: Path) -> None:
    with mosquitto.Broker(tmp_path) as broker:
        broker.pause()
        with pytest.raises(process.CommandError):
            process.run(["mosquitto_pub", "-p", str(broker.port), "-t", "t", "-m", "1"], timeout=1)
        broker.resume()
        publish(broker)
