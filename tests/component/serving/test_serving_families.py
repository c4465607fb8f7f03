"""Serving as in a Pod: on every address, of both families."""

import contextlib
import socket
from pathlib import Path

import pytest

from builders import families, onnx_models, serving_process
from foreshore_serving import main, settings
from harness import process

pytestmark = pytest.mark.component


@pytest.mark.parametrize("host", families.LOOPBACKS)
def test_a_pods_server_answers_on_addresses_of_both_families(host: str) -> None:
    listen = f"[::]:{process.free_port()}"
    with serving_process.serving_process(onnx_models.model(), listen=listen) as running:
        running.await_ready()
        for path in ("/v2/health/ready", "/v2/health/live"):
            status, _ = serving_process.exchanged(running.connection(host=host), "GET", path)
            assert status == 200
        body = serving_process.features(0.1, 0.2, 0.3)
        asked = running.connection(host=host)
        status, answer = serving_process.exchanged(asked, "POST", serving_process.INFER, body)
        assert status == 200
        assert answer["outputs"]


def bound(host: str) -> socket.socket:
    return main.bind(settings.ServingSettings(Path("model.json"), (host, 0)))


@pytest.mark.parametrize("host", families.LOOPBACKS)
def test_an_address_of_one_family_is_listened_on_alone(host: str) -> None:
    with contextlib.closing(bound(host)) as listening:
        assert listening.getsockname()[0] == host


@pytest.mark.parametrize("host", ["", "::"])
def test_where_the_kernel_has_no_ipv6_every_address_is_every_one_of_ipv4(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with contextlib.closing(bound(host)) as listening:
        assert listening.family is socket.AF_INET
        socket.create_connection(("127.0.0.1", listening.getsockname()[1]), 5).close()
