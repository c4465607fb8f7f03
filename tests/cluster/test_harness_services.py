"""The site's broker and the model files stand at known addresses, also for an isolated site."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import certificates, faults, process, services
from harness import cluster as whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300, func_only=True)]


@pytest.fixture
def broker(cluster: whole.Cluster, tmp_path: Path) -> Iterator[services.Broker]:
    broker = services.Broker(cluster.name, cluster.network, tmp_path / "broker").run()
    yield broker
    broker.close()


def publish(broker: services.Broker, held: Path) -> None:
    """One message over TLS, as the holder of a certificate."""
    process.run(
        [
            "mosquitto_pub", "-h", broker.address, "-p", str(broker.port), "-t", "t", "-m", "1",
            "--cafile", held / "ca.crt", "--cert", held / "tls.crt", "--key", held / "tls.key",
        ],
        timeout=10,
    )  # fmt: skip


def test_the_broker_knows_its_clients_by_certificate(
    broker: services.Broker, tmp_path: Path
) -> None:
    held = broker.credential(tmp_path, "hq-broker")
    publish(broker, held)
    broker.kill()
    with pytest.raises(process.CommandError):
        publish(broker, held)
    broker.start()
    publish(broker, held)
    stranger = certificates.Authority().issue(common_name="stranger")
    with pytest.raises(process.CommandError):
        publish(broker, stranger.write(tmp_path / "stranger"))


def test_an_isolated_site_keeps_its_broker(cluster: whole.Cluster, broker: services.Broker) -> None:
    cluster.isolate(cluster.edge)
    for node in cluster.edge:
        assert faults.reaches(node.name, (broker.address, broker.port))
    cluster.rejoin(cluster.edge)


def test_model_files_are_served_with_a_certificate_for_their_address(
    cluster: whole.Cluster, tmp_path: Path
) -> None:
    models = services.Models(cluster.name, cluster.network, tmp_path / "models").run()
    try:
        (models.files / "a.onnx").write_bytes(b"model")
        trust = ssl.create_default_context(cadata=models.authority.certificate.decode())
        with urllib.request.urlopen(models.url("a.onnx"), context=trust, timeout=5) as answer:
            assert answer.read() == b"model"
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(models.url("a.onnx"), timeout=5)
    finally:
        models.close()
