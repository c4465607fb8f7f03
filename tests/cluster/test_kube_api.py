"""Informers, the election and writers on a real API server, through a line that can be cut."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from builders import patience
from foreshore_kube import api, apply, config, elector, informer, kinds
from harness import apiserver as plain
from severed import Line

pytestmark = pytest.mark.cluster


@pytest_asyncio.fixture
async def kube(apiserver: plain.ApiServer) -> AsyncIterator[api.KubeApi]:
    access = await config.load(apiserver.kubeconfig)
    async with api.KubeApi(access, user_agent="foreshore-test") as client:
        yield client


@pytest_asyncio.fixture
async def line(apiserver: plain.ApiServer) -> AsyncIterator[Line]:
    async with Line(apiserver.port).open() as opened:
        yield opened


@pytest_asyncio.fixture
async def distant(apiserver: plain.ApiServer, line: Line) -> AsyncIterator[api.KubeApi]:
    """The same API server over the line."""
    access = await config.load(apiserver.kubeconfig)
    access.server = f"https://127.0.0.1:{line.port}"
    async with api.KubeApi(access, user_agent="foreshore-test") as client:
        yield client


def config_map(namespace: str, name: str, **data: str) -> api.Json:
    return {"metadata": {"namespace": namespace, "name": name}, "data": data}


async def eventually(probe: Callable[[], object], seconds: float = patience.SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not probe():  # noqa: ASYNC110 (what is waited for lies outside this process)
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@dataclasses.dataclass
class Mirror:
    kept: informer.Informer[dict[str, str]]
    changes: list[informer.ObjectChange[dict[str, str]]]

    @property
    def names(self) -> set[str]:
        return {key.name for key in self.kept.store}

    @property
    def deleted(self) -> set[str]:
        return {change.key.name for change in self.changes if change.new is None}


def mirror(client: api.KubeApi, namespace: str) -> Mirror:
    changes: list[informer.ObjectChange[dict[str, str]]] = []
    return Mirror(
        informer.Informer(
            client,
            kinds.CONFIG_MAPS,
            namespace=namespace,
            decode=lambda document: document.get("data") or {},
            on_change=changes.append,
        ),
        changes,
    )


async def test_deletions_missed_while_the_line_was_cut_are_reported(
    kube: api.KubeApi, distant: api.KubeApi, line: Line, namespace: str
) -> None:
    for name in ("keep", "lose-1", "lose-2"):
        await kube.create(kinds.CONFIG_MAPS, config_map(namespace, name))
    seen = mirror(distant, namespace)
    async with running(seen.kept.run()):
        await eventually(lambda: len(seen.names) == 3)
        line.cut()
        for name in ("lose-1", "lose-2"):
            live = await kube.get(kinds.CONFIG_MAPS, namespace, name)
            await kube.delete(
                kinds.CONFIG_MAPS,
                namespace,
                name,
                uid=live["metadata"]["uid"],
                resource_version=live["metadata"]["resourceVersion"],
            )
        await kube.create(kinds.CONFIG_MAPS, config_map(namespace, "new"))
        line.join()
        await eventually(lambda: seen.names == {"keep", "new"})

    assert seen.deleted == {"lose-1", "lose-2"}
    assert seen.kept.relists == 1


async def test_a_version_no_longer_kept_leads_to_a_list_with_the_missed_deletions(
    apiserver: plain.ApiServer,
    kube: api.KubeApi,
    distant: api.KubeApi,
    line: Line,
    namespace: str,
) -> None:
    for name in ("keep", "lose"):
        await kube.create(kinds.CONFIG_MAPS, config_map(namespace, name))
    seen = mirror(distant, namespace)
    async with running(seen.kept.run()):
        await eventually(lambda: len(seen.names) == 2)
        line.cut()
        await asyncio.to_thread(apiserver.kubectl, "delete", "configmap", "lose", "-n", namespace)
        # a restarted API server's watch cache begins after what happened before; called in this
        # thread, because the server dies with the thread that started it
        apiserver.restart()
        line.join()
        await eventually(lambda: seen.names == {"keep"})

    assert seen.deleted == {"lose"}
    assert seen.kept.relists >= 1


async def test_a_watch_from_a_compacted_version_is_gone(kube: api.KubeApi) -> None:
    with pytest.raises(api.GoneError):
        async for _ in kube.watch(kinds.NODES, resource_version="1"):
            pass


async def test_long_lists_come_in_chunks(
    kube: api.KubeApi, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "CHUNK", 2)
    for number in range(5):
        await kube.create(kinds.CONFIG_MAPS, config_map(namespace, f"c-{number}"))

    pages = [page async for page in kube.pages(kinds.CONFIG_MAPS, namespace)]

    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert len({page.resource_version for page in pages}) == 1


async def test_silence_ends_a_watch_and_begins_the_next(
    apiserver: plain.ApiServer, kube: api.KubeApi, namespace: str
) -> None:
    seen = mirror(kube, namespace)
    seen.kept._inactivity = 1.0
    async with running(seen.kept.run()):
        await seen.kept.synced.wait()
        apiserver.pause()
        await asyncio.sleep(2.5)
        apiserver.resume()
        await kube.create(kinds.CONFIG_MAPS, config_map(namespace, "after"))
        await eventually(lambda: "after" in seen.names)


class Leader:
    epoch = 7

    def may_write(self) -> bool:
        return True


async def test_applying_what_is_there_already_writes_nothing(
    kube: api.KubeApi, namespace: str
) -> None:
    writer = apply.Writer(kube, Leader(), clock=lambda: 0.0)
    wanted = config_map(namespace, "m", a="1")

    async def put() -> apply.WriteResult:
        live = {
            item["metadata"]["name"]: item for item in await kube.list(kinds.CONFIG_MAPS, namespace)
        }
        return await writer.apply(
            kinds.CONFIG_MAPS, wanted, manager="test", owns=("data",), cached=live.get("m")
        )

    first = await put()
    version = (await kube.get(kinds.CONFIG_MAPS, namespace, "m"))["metadata"]["resourceVersion"]
    second = await put()
    after = (await kube.get(kinds.CONFIG_MAPS, namespace, "m"))["metadata"]["resourceVersion"]

    assert (first, second) == (apply.WriteResult.WRITTEN, apply.WriteResult.UNCHANGED)
    assert version == after


async def test_apply_with_an_old_version_is_refused(kube: api.KubeApi, namespace: str) -> None:
    made = await kube.create(kinds.CONFIG_MAPS, config_map(namespace, "m", a="1"))
    await kube.apply(kinds.CONFIG_MAPS, config_map(namespace, "m", a="2"), manager="other")
    stale = config_map(namespace, "m", a="3")
    stale["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]

    with pytest.raises(api.ConflictError):
        await kube.apply(kinds.CONFIG_MAPS, stale, manager="test")


async def test_delete_leaves_an_object_that_was_made_again(
    kube: api.KubeApi, namespace: str
) -> None:
    first = await kube.create(kinds.CONFIG_MAPS, config_map(namespace, "m"))
    metadata = first["metadata"]
    await kube.delete(
        kinds.CONFIG_MAPS,
        namespace,
        "m",
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )
    await kube.create(kinds.CONFIG_MAPS, config_map(namespace, "m"))
    writer = apply.Writer(kube, Leader())

    outcome = await writer.delete(
        kinds.CONFIG_MAPS, namespace, "m", uid=metadata["uid"], is_due=lambda _: True
    )

    assert outcome is apply.WriteResult.MOVED_ON
    assert await kube.get(kinds.CONFIG_MAPS, namespace, "m")


BRISK = elector.Timing(duration=3, renew_deadline=2, retry_period=0.5)
PATIENT = elector.Timing(duration=600, renew_deadline=20, retry_period=0.5)


def candidate(
    client: api.KubeApi, namespace: str, name: str, timing: elector.Timing = BRISK
) -> elector.Elector:
    return elector.Elector(
        client,
        namespace=namespace,
        name="leader",
        identity=name,
        timing=timing,
    )


async def test_of_two_candidates_one_leads_and_a_cut_one_is_followed(
    kube: api.KubeApi, distant: api.KubeApi, line: Line, namespace: str
) -> None:
    first, second = candidate(distant, namespace, "a"), candidate(kube, namespace, "b")
    async with running(first.run()):
        await eventually(first.may_write)
        async with running(second.run()):
            await asyncio.sleep(1)
            assert not second.may_write()
            line.cut()
            while not second.may_write():
                assert not (first.may_write() and second.may_write())
                await asyncio.sleep(0.05)
            assert not first.may_write()
            assert second.epoch > first.epoch
            line.join()
            await asyncio.sleep(1)
            assert not first.may_write()


async def test_of_two_that_claim_at_once_the_api_server_lets_one_win(
    kube: api.KubeApi, namespace: str
) -> None:
    candidates = [candidate(kube, namespace, name) for name in "abcd"]

    await asyncio.gather(*(each.attempt() for each in candidates))

    assert sum(each.may_write() for each in candidates) == 1


async def test_a_leader_that_leaves_is_followed_long_before_its_lease_runs_out(
    kube: api.KubeApi, namespace: str
) -> None:
    leader, follower = (candidate(kube, namespace, name, PATIENT) for name in "ab")
    leading = asyncio.create_task(leader.run())
    await eventually(leader.may_write)
    async with running(follower.run()):
        await asyncio.sleep(0.6)
        leading.cancel()
        await eventually(follower.may_write)

    assert not leader.may_write()
