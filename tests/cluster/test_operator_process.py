"""Two operator processes on a real API server: a paused leader, and one that is asked to end."""

import asyncio
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from foreshore_api import v1alpha1
from foreshore_kube import api, config, kinds
from harness import apiserver as plain
from harness import process

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
LEASE = "foreshore-operator"


class Replica:
    """One `foreshore-operator run`."""

    def __init__(self, name: str, kubeconfig: Path, namespace: str, folder: Path) -> None:
        self.port = process.free_port()
        self.log = folder / f"{name}.log"
        program = shutil.which("foreshore-operator", path=str(ROOT / ".venv" / "bin"))
        assert program is not None
        flags = {
            "--kubeconfig": kubeconfig,
            "--namespace": namespace,
            "--identity": name,
            "--serving-image": "foreshore-edge:test",
            "--metrics-port": self.port,
        }
        arguments = [str(part) for flag in flags.items() for part in flag]
        self.child: subprocess.Popen[bytes] = process.start(
            [program, "run", *arguments], log=self.log
        )

    def metrics(self) -> str:
        return process.run(["curl", "-sS", f"http://127.0.0.1:{self.port}/metrics"], timeout=10)

    @property
    def leads(self) -> bool:
        try:
            return "foreshore_operator_leader 1.0" in self.metrics()
        except process.HarnessError:
            return False

    @property
    def written(self) -> float:
        lines = re.findall(r'_writes_total{[^}]*result="Written"} (\S+)', self.metrics())
        return sum(float(each) for each in lines)

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)


@pytest_asyncio.fixture
async def kube(apiserver: plain.ApiServer) -> AsyncIterator[api.KubeApi]:
    apiserver.apply_crds(ROOT / "crds")
    async with api.KubeApi(await config.load(apiserver.kubeconfig), user_agent="test") as client:
        yield client


@pytest.fixture
def start(
    apiserver: plain.ApiServer, namespace: str, tmp_path: Path
) -> Iterator[Callable[[str], Replica]]:
    running: list[Replica] = []

    def begin(name: str) -> Replica:
        replica = Replica(name, apiserver.kubeconfig, namespace, tmp_path)
        running.append(replica)
        return replica

    yield begin
    for replica in running:
        replica.signal(signal.SIGCONT)
        process.end(replica.child, kill=True)


async def until(probe: Callable[[], bool], *, what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(probe):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


async def epoch(kube: api.KubeApi, namespace: str) -> int:
    lease = await kube.get(kinds.LEASES, namespace, LEASE)
    return int(lease["metadata"]["annotations"]["foreshore.dev/leader-epoch"])


def site(namespace: str, name: str) -> api.Json:
    broker = {"host": "10.0.0.1", "port": 1883, "transport": "Plain"}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"broker": broker}}


async def test_a_leader_that_was_paused_writes_nothing_when_it_wakes(
    kube: api.KubeApi, namespace: str, start: Callable[[str], Replica]
) -> None:
    first = start("a")
    await until(lambda: first.leads, what="a leads")
    second = start("b")
    await until(lambda: "readyz" in ready(second), what="b is ready")
    before, written = await epoch(kube, namespace), await asyncio.to_thread(lambda: first.written)

    first.signal(signal.SIGSTOP)
    await until(lambda: second.leads, what="b leads")
    after = await epoch(kube, namespace)
    await kube.apply(kinds.of(v1alpha1.Site), site(namespace, "new"), manager="test")
    first.signal(signal.SIGCONT)
    await asyncio.sleep(3)

    assert after > before
    assert await asyncio.to_thread(lambda: first.written) == written
    assert not await asyncio.to_thread(lambda: first.leads)
    assert await asyncio.to_thread(lambda: second.leads)


async def test_a_leader_that_is_asked_to_end_gives_the_lease_back(
    kube: api.KubeApi, namespace: str, start: Callable[[str], Replica]
) -> None:
    first = start("a")
    await until(lambda: first.leads, what="a leads")
    second = start("b")
    await until(lambda: "readyz" in ready(second), what="b is ready")

    first.signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.child.wait, 20) == 0
    ended = time.monotonic()
    await until(lambda: second.leads, what="b leads", seconds=5)

    assert time.monotonic() - ended < 5
    assert await epoch(kube, namespace)


def ready(replica: Replica) -> str:
    url = f"http://127.0.0.1:{replica.port}/readyz"
    try:
        return "readyz" if process.run(["curl", "-sS", url], timeout=10) == "ok\n" else ""
    except process.HarnessError:
        return ""
