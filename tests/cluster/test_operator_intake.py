"""Kopf as the intake at a real API server: gaps, and what it leaves on people's objects."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from foreshore_api import v1alpha1
from foreshore_kube import api, config, intake, kinds
from foreshore_operator import dirty, handlers, store
from harness import apiserver as plain
from severed import Line

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
SITES = kinds.of(v1alpha1.Site)


@pytest_asyncio.fixture
async def kube(apiserver: plain.ApiServer) -> AsyncIterator[api.KubeApi]:
    apiserver.apply_crds(ROOT / "crds")
    async with api.KubeApi(await config.load(apiserver.kubeconfig), user_agent="test") as client:
        yield client


@contextlib.asynccontextmanager
async def replica(
    apiserver: plain.ApiServer, line: Line
) -> AsyncIterator[tuple[store.ClusterMirrors, list[str]]]:
    """An operator's mirrors, behind a line."""
    access = await config.load(apiserver.kubeconfig)
    access.server = f"https://127.0.0.1:{line.port}"
    starts: list[str] = []
    async with api.KubeApi(access, user_agent="far") as far:
        mirrors = store.ClusterMirrors(far, dirty.Dirty())

        def started(cause: str) -> None:
            starts.append(cause)
            mirrors.ask()

        kopf = handlers.Supervisor(access, store.EDITED, mirrors.note, on_start=started)
        kopf.start()
        kept = [each for each in mirrors.mirrors() if isinstance(each, intake.FedMirror)]
        lists = [asyncio.create_task(each.run()) for each in kept]
        try:
            for each in kept:
                await asyncio.wait_for(each.synced.wait(), 60)
            yield mirrors, starts
        finally:
            await asyncio.to_thread(kopf.close)
            for task in lists:
                task.cancel()


async def until(probe: Callable[[], bool], what: str, seconds: float = 60) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not probe():  # noqa: ASYNC110 (an API server and a thread change it)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


def site(namespace: str, name: str) -> api.Json:
    broker = {"host": "10.0.0.1", "port": 1883, "transport": "Plain"}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"broker": broker}}


async def test_what_was_deleted_behind_a_cut_line_is_gone_although_its_events_are_compacted(
    apiserver: plain.ApiServer, kube: api.KubeApi, namespace: str
) -> None:
    def names() -> list[str]:
        every = mirrors.all_of(v1alpha1.Site)
        return [each.name for each in every if each.namespace == namespace]

    for name in ("keep", "lose"):
        await kube.apply(SITES, site(namespace, name), manager="kubectl")
    async with (
        Line(apiserver.port).open() as line,
        replica(apiserver, line) as (mirrors, _),
    ):
        assert names() == ["keep", "lose"]
        line.cut()
        await asyncio.to_thread(apiserver.kubectl, "delete", "site", "lose", "-n", namespace)
        await kube.apply(SITES, site(namespace, "new"), manager="kubectl")
        # a restarted API server's watch cache begins after what happened before; called in this
        # thread, because the server dies with the thread that started it
        apiserver.restart()
        line.join()
        await until(lambda: names() == ["keep", "new"], "the gap is mended")
        await kube.apply(SITES, site(namespace, "newer"), manager="kubectl")
        await until(lambda: names() == ["keep", "new", "newer"], "events come again")
        kept = await kube.get(SITES, namespace, "keep")
    metadata = kept["metadata"]
    assert {entry["manager"] for entry in metadata["managedFields"]} == {"kubectl"}
    assert not metadata.get("finalizers")
    assert not metadata.get("annotations")
