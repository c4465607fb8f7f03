"""What a session that crashed left behind is taken away; what is not ours stays."""

import json
from collections.abc import Iterator

import pytest

from harness import docker, engine, kind, network, process

NAME = "foreshore-crashed"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def leftovers() -> Iterator[None]:
    engine.ensure()
    network.ensure(NAME, owner=NAME, subnets="172.30")
    docker.run(f"{NAME}-broker", engine.PAUSE, owner=NAME, options=[f"--network={NAME}"])
    yield
    kind.delete(NAME)


@pytest.mark.usefixtures("leftovers")
def test_the_next_session_deletes_what_a_crashed_one_left() -> None:
    kind.own(NAME)
    kind.sweep()
    assert docker.is_running(f"{NAME}-broker")  # its owner, this process, lives
    record = kind.folder(NAME) / "owner.json"
    record.write_text(json.dumps({"pid": 2**22 + 1, "started": 1}))
    kind.sweep()
    assert docker.inspect("container", f"{NAME}-broker") is None
    assert docker.inspect("network", NAME) is None
    assert not kind.folder(NAME).exists()


def test_a_network_of_somebody_else_is_refused_and_left_alone() -> None:
    engine.ensure()
    docker.docker("network", "create", NAME)
    try:
        with pytest.raises(process.HarnessError, match="did not make"):
            network.ensure(NAME, owner=NAME, subnets="172.30")
    finally:
        docker.docker("network", "rm", NAME)
