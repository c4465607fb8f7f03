"""A Prometheus beside the product: it ranks nodes, and its absence costs nobody anything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import world as worlds
from foreshore_api.wire import metrics
from harness import install, process, prometheus, tools

AGENT_PORT = 8081
METRICS_PORT = 8080
OPERATOR = ("-n", install.SYSTEM, "deployment/foreshore-operator")
HUB = ("-n", install.SYSTEM, "scale", "deployment/foreshore-hub")
ASKED = metrics.OPERATOR_HISTORY.name


@pytest.fixture
def recorded(world: worlds.World, tmp_path: Path) -> Iterator[prometheus.Prometheus]:
    """A Prometheus on this machine that scrapes every agent, and that the operator asks."""
    port = process.free_port()
    proxy = process.start(
        [
            tools.binary("kubectl"), "--kubeconfig", world.cluster.kubeconfig, "proxy",
            f"--port={port}",
        ],
        log=tmp_path / "proxy.log",
    )  # fmt: skip
    pods = world.cluster.get("pods", "-n", install.AGENTS)["items"]
    targets = [
        f"{prometheus.ADDRESS}:{port}/api/v1/namespaces/{install.AGENTS}/pods/"
        f"{pod['metadata']['name']}:{AGENT_PORT}/proxy/metrics"
        for pod in pods
    ]
    address = world.cluster.network.gateway
    try:
        with prometheus.Prometheus(tmp_path / "server", targets=targets, address=address) as server:
            asks(world, f"FORESHORE_PROMETHEUS_URL={server.url}")
            yield server
    finally:
        process.end(proxy)
        asks(world, "FORESHORE_PROMETHEUS_URL-")


def asks(world: worlds.World, variable: str) -> None:
    """Restart the operator with another Prometheus, or without one."""
    world.cluster.kubectl("set", "env", *OPERATOR, variable)
    world.cluster.kubectl("rollout", "status", *OPERATOR, "--timeout=120s", timeout=130)


def outcomes(world: worlds.World, outcome: str) -> float:
    """How often all operators had this outcome of asking Prometheus."""
    pods = world.cluster.get(
        "pods", "-n", install.SYSTEM, "-l", "app.kubernetes.io/name=foreshore-operator"
    )["items"]
    total = 0.0
    for pod in pods:
        path = f"pods/{pod['metadata']['name']}:{METRICS_PORT}/proxy/metrics"
        text = world.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{install.SYSTEM}/{path}")
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith(ASKED) and 'source="Prometheus"' in name and outcome in name:
                total += float(value)
    return total


def test_prometheus_pulled_out_while_the_hub_is_away_moves_nothing_and_is_told(
    world: worlds.World, recorded: prometheus.Prometheus
) -> None:
    world.until(lambda: outcomes(world, "answered") >= 1, "Prometheus was asked", 120)
    held, right = world.replicas(), world.authority()
    moment = worlds.now()
    world.cluster.kubectl(*HUB, "--replicas=0")
    try:
        world.until(
            lambda: (
                (world.condition("sites", worlds.SITE, "Connected") or ("", ""))[1]
                == "HubUnreachable"
            ),
            "its Site says that the hub is away",
            90,
        )
        failed = outcomes(world, "failed")
        recorded.kill()
        world.until(lambda: outcomes(world, "failed") > failed, "that it is away is told", 150)
        assert world.replicas() == held
        assert world.authority() == right
        gap = worlds.gap(world.taken(), moment)
        assert gap is not None
        assert gap.total_seconds() < 3
    finally:
        world.cluster.kubectl(*HUB, "--replicas=1")
    world.until(
        lambda: (world.condition("sites", worlds.SITE, "Connected") or ("", ""))[0] == "True",
        "the hub is back",
        180,
    )
    assert world.replicas() == held
