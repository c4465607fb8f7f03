"""The informer against a scripted API: what each end of a stream leads to."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from foreshore_kube import api, informer, kinds


class Script:
    """A KubeApi whose lists and watches are scripted; an exhausted script waits for ever."""

    def __init__(
        self,
        *,
        lists: list[list[api.Json] | api.ApiError],
        watches: list[list[api.WatchEvent | api.ApiError]],
    ) -> None:
        self.lists = lists
        self.watches = watches
        self.versions: list[str] = []
        self.done = asyncio.Event()

    async def pages(self, *_: object, **__: object) -> AsyncIterator[api.Page]:
        answer = self.lists.pop(0)
        if isinstance(answer, api.ApiError):
            raise answer
        yield api.Page(tuple(answer), "100")

    async def watch(
        self, *_: object, resource_version: str, **__: object
    ) -> AsyncIterator[api.WatchEvent]:
        self.versions.append(resource_version)
        if not self.watches:
            self.done.set()
            await asyncio.Event().wait()
        for step in self.watches.pop(0):
            if isinstance(step, api.ApiError):
                raise step
            yield step


def node(name: str, *, uid: str = "", version: str = "1") -> api.Json:
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": version}}


async def follow(
    script: Script, decode: Any = lambda document: document["metadata"]["name"], **more: Any
) -> tuple[informer.Informer[str], list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []

    def note(change: informer.ObjectChange[str]) -> None:
        verb = "add" if change.old is None else "delete" if change.new is None else "change"
        seen.append((verb, change.key.name))

    mirror = informer.Informer(
        cast(api.KubeApi, script), kinds.NODES, decode=decode, on_change=note, **more
    )
    task = asyncio.create_task(mirror.run())
    await script.done.wait()
    task.cancel()
    return mirror, seen


@pytest.mark.looptime
async def test_a_list_that_lacks_a_known_object_reports_it_as_deleted() -> None:
    script = Script(
        lists=[[node("a"), node("b")], [node("b")]],
        watches=[[api.GoneError(410, "too old", reason="Expired")]],
    )

    mirror, seen = await follow(script)

    assert seen == [("add", "a"), ("add", "b"), ("delete", "a")]
    assert set(mirror.store) == {("", "b")}


@pytest.mark.looptime
async def test_an_error_inside_the_stream_that_is_no_410_lists_again_and_goes_on() -> None:
    script = Script(
        lists=[[node("a")], [node("a")]],
        watches=[[api.failure(500, {"code": 500, "message": "etcdserver: leader changed"})]],
    )

    mirror, _ = await follow(script)

    assert mirror.relists == 2


@pytest.mark.looptime
async def test_a_lost_connection_goes_on_from_the_last_version_seen_without_a_list() -> None:
    bookmark = api.WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "170"}})
    script = Script(
        lists=[[node("a")]],
        watches=[[bookmark, api.UnavailableError(0, "connection reset")]],
    )

    mirror, seen = await follow(script)

    assert script.versions == ["100", "170"]
    assert mirror.relists == 1
    assert seen == [("add", "a")]


@pytest.mark.looptime
@pytest.mark.parametrize("status", [403, 429, 503])
async def test_refused_lists_are_waited_out_for_as_long_as_it_takes(status: int) -> None:
    refused: list[list[api.Json] | api.ApiError] = [api.failure(status, {})] * 40
    script = Script(lists=[*refused, [node("a")]], watches=[])

    mirror, _ = await follow(script)

    assert set(mirror.store) == {("", "a")}
    assert asyncio.get_running_loop().time() > 60


@pytest.mark.looptime
async def test_an_object_deleted_and_made_again_between_lists_is_two_objects() -> None:
    script = Script(
        lists=[[node("a", uid="first")], [node("a", uid="second")]],
        watches=[[api.GoneError(410, "too old")]],
    )

    _, seen = await follow(script)

    assert seen == [("add", "a"), ("delete", "a"), ("add", "a")]


@pytest.mark.looptime
@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError, RecursionError])
async def test_one_object_that_is_not_understood_stops_no_other(error: type[Exception]) -> None:
    def decode(document: api.Json) -> str:
        if document["metadata"]["name"] == "bad":
            raise error("no spec")
        return "good"

    script = Script(lists=[[node("bad"), node("good")]], watches=[])

    mirror, _ = await follow(script, decode)

    assert dict(mirror.store) == {informer.ObjectKey("", "good"): "good"}
    ((document, why),) = mirror.undecodable.values()
    assert document == node("bad")
    assert "no spec" in why


@pytest.mark.looptime
async def test_a_node_that_is_not_understood_any_more_is_not_gone() -> None:
    def decode(document: api.Json) -> str:
        if document["metadata"]["resourceVersion"] == "2":
            raise KeyError("effect")
        return "known"

    script = Script(
        lists=[[node("a")]],
        watches=[[api.WatchEvent("MODIFIED", node("a", version="2"))]],
    )
    mirror, _ = await follow(script, decode, keeps_last=True)

    assert dict(mirror.store) == {informer.ObjectKey("", "a"): "known"}
    assert set(mirror.undecodable) == {informer.ObjectKey("", "a")}


@pytest.mark.looptime
async def test_a_list_that_breaks_off_removes_nothing() -> None:
    class Broken(Script):
        async def pages(self, *_: object, **__: object) -> AsyncIterator[api.Page]:
            answer = self.lists.pop(0)
            assert not isinstance(answer, api.ApiError)
            yield api.Page(tuple(answer), "100")
            if len(self.lists) == 1:
                raise api.GoneError(410, "the list took too long")

    script = Broken(
        lists=[[node("a"), node("b")], [node("b")], [node("a"), node("b")]],
        watches=[[api.GoneError(410, "too old")]],
    )

    mirror, seen = await follow(script)

    assert seen == [("add", "a"), ("add", "b")]
    assert len(mirror.store) == 2


@pytest.mark.looptime
async def test_a_full_buffer_of_events_lets_others_run() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def decode(document: api.Json) -> str:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        return "slow"

    events: list[api.WatchEvent | api.ApiError] = [
        api.WatchEvent("MODIFIED", node("a", version=str(number))) for number in range(2, 102)
    ]
    script = Script(lists=[[node("a")]], watches=[events])
    task = asyncio.create_task(others())
    await follow(script, decode)
    task.cancel()

    assert turns >= 10


@pytest.mark.looptime
async def test_the_same_version_listed_again_is_no_change() -> None:
    script = Script(lists=[[node("a")], [node("a")]], watches=[[api.GoneError(410, "too old")]])

    _, seen = await follow(script)

    assert seen == [("add", "a")]


def test_what_nobody_reads_is_left_out_of_the_mirror() -> None:
    document = {
        "metadata": {
            "name": "a",
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        }
    }

    assert informer.stripped(document) == {"metadata": {"name": "a"}}
