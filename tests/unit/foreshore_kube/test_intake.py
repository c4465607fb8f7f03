"""A mirror fed by somebody else's watch: what lists mend, and what they must not touch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_kube import api, intake, kinds, mirror

SITES = kinds.ResourceKind("foreshore.dev", "v1alpha1", "sites", "Site")


def site(name: str, version: int, *, uid: str = "", **spec: object) -> api.Json:
    identity = {"namespace": "hq", "name": name, "uid": uid or f"uid-{name}"}
    return {"metadata": {**identity, "resourceVersion": str(version)}, "spec": spec}


class Server:
    """Objects that are listed and fetched as an API server would; `errors` come first."""

    def __init__(self, *objects: api.Json) -> None:
        self.objects = {mirror.key_of(each): each for each in objects}
        self.moment = 100
        self.errors: list[api.ApiError] = []
        self.lists: list[str] = []
        self.gets: list[str] = []
        self.before_get: Callable[[], None] = lambda: None
        self.in_list: Callable[[], None] = lambda: None

    def put(self, document: api.Json) -> None:
        self.objects[mirror.key_of(document)] = document
        self.moment = max(self.moment, int(document["metadata"]["resourceVersion"]))

    def delete(self, name: str) -> None:
        self.moment += 1
        del self.objects[mirror.ObjectKey("hq", name)]

    async def pages(self, *_: object, accept: str = api.WHOLE, **__: object) -> AsyncIterator[Any]:
        if self.errors:
            raise self.errors.pop(0)
        self.lists.append("metadata" if accept == api.METADATA else "whole")
        moment, objects = str(self.moment), list(self.objects.values())
        for each in objects:
            part = {"metadata": each["metadata"]} if accept == api.METADATA else each
            yield api.Page((part,), moment)
        yield api.Page((), moment)
        self.in_list()

    async def find(self, _kind: kinds.ResourceKind, namespace: str, name: str) -> api.Json | None:
        self.gets.append(name)
        found = self.objects.get(mirror.ObjectKey(namespace, name))
        await asyncio.sleep(0.01)
        self.before_get()
        return found

    async def get(self, *_: object) -> api.Json:
        """No account of ours may: the chart gives list and watch on what people edit."""
        raise api.RejectedError(403, "cannot get resource", reason="Forbidden")


Healed = list[tuple[str, int]]


@contextlib.asynccontextmanager
async def kept(
    server: Server, decode: Any = lambda document: document["spec"], period: float = 300.0
) -> AsyncIterator[tuple[intake.FedMirror[Any], Healed]]:
    healed: Healed = []
    mirrored: intake.FedMirror[Any] = intake.FedMirror(
        cast(api.KubeApi, server),
        SITES,
        decode=decode,
        on_heal=lambda _, healing, count: healed.append((healing.value, count)),
        period=period,
    )
    task = asyncio.create_task(mirrored.run())
    try:
        yield mirrored, healed
    finally:
        task.cancel()


def names(mirrored: intake.FedMirror[Any]) -> list[str]:
    return sorted(key.name for key in mirrored.store)


async def next_list(mirrored: intake.FedMirror[Any]) -> None:
    count = mirrored.lists
    mirrored.ask()
    while mirrored.lists == count:  # noqa: ASYNC110 (in virtual time)
        await asyncio.sleep(0.1)


@pytest.mark.looptime
async def test_nothing_is_synced_before_the_watch_brought_all_that_a_list_names() -> None:
    server = Server(site("a", 1), site("b", 2))
    async with kept(server) as (mirrored, healed):
        mirrored.note(None, site("a", 1))
        await asyncio.sleep(1.0)
        assert not mirrored.synced.is_set()
        mirrored.note(None, site("b", 2))
        await asyncio.sleep(0.1)
        assert mirrored.synced.is_set()
    assert server.lists == ["metadata"]
    assert server.gets == []
    assert healed == []


@pytest.mark.looptime
async def test_a_watch_that_brings_nothing_is_not_waited_for() -> None:
    server = Server(site("a", 1), site("b", 2))
    async with kept(server) as (mirrored, healed):
        await asyncio.wait_for(mirrored.synced.wait(), 3.0)
        assert names(mirrored) == ["a", "b"]
        assert healed == [], "what the first list brings is no fault of the watch"


@pytest.mark.looptime
async def test_a_kind_with_no_objects_is_synced_at_once() -> None:
    async with kept(Server()) as (mirrored, _):
        await asyncio.wait_for(mirrored.synced.wait(), 0.1)


@pytest.mark.looptime
async def test_many_that_never_came_are_fetched_by_one_list_and_not_by_themselves() -> None:
    server = Server(*(site(f"s{number}", number + 1) for number in range(intake.FEW + 1)))
    async with kept(server) as (mirrored, _):
        await asyncio.wait_for(mirrored.synced.wait(), 3.0)
        assert len(mirrored.store) == intake.FEW + 1
    assert server.lists == ["metadata", "whole"]
    assert server.gets == []


@pytest.mark.looptime
async def test_what_was_deleted_without_an_event_is_removed_by_the_next_list() -> None:
    server = Server(site("a", 1), site("b", 2))
    async with kept(server) as (mirrored, healed):
        await mirrored.synced.wait()
        server.delete("a")
        await asyncio.sleep(400.0)
        assert names(mirrored) == ["b"]
    assert healed == [("Ghost", 1)]


@pytest.mark.looptime
async def test_a_list_that_fails_midway_removes_nothing_and_fills_nothing() -> None:
    server = Server(site("a", 1))
    async with kept(server) as (mirrored, _):
        await mirrored.synced.wait()
        server.delete("a")
        server.errors = [api.UnavailableError(503, "away")] * 5
        mirrored.ask()
        await asyncio.sleep(0.2)
        assert names(mirrored) == ["a"]
        await asyncio.sleep(60.0)
        assert names(mirrored) == []


@pytest.mark.looptime
@pytest.mark.parametrize("status", [401, 403, 404, 410, 503])
async def test_before_a_first_list_is_complete_absence_means_nothing(status: int) -> None:
    server = Server()
    server.errors = [api.failure(status, {})] * 10
    async with kept(server) as (mirrored, _):
        await asyncio.sleep(1.0)
        assert not mirrored.synced.is_set()
        await asyncio.wait_for(mirrored.synced.wait(), 100.0)


@pytest.mark.looptime
async def test_an_object_made_after_the_lists_moment_is_not_taken_for_deleted() -> None:
    server = Server()
    async with kept(server) as (mirrored, healed):
        await mirrored.synced.wait()
        server.in_list = lambda: mirrored.note("ADDED", site("new", 150))
        await next_list(mirrored)
        assert names(mirrored) == ["new"]
    assert healed == []


@pytest.mark.looptime
async def test_an_object_deleted_while_it_is_fetched_does_not_come_back() -> None:
    server = Server(site("a", 1))
    async with kept(server) as (mirrored, _):
        server.before_get = lambda: mirrored.note("DELETED", site("a", 101))
        await mirrored.synced.wait()
        assert names(mirrored) == []


@pytest.mark.looptime
async def test_an_event_from_before_the_list_about_what_is_gone_is_a_ghost() -> None:
    server = Server()
    async with kept(server) as (mirrored, _):
        await mirrored.synced.wait()
        mirrored.note("MODIFIED", site("a", 99))
        assert names(mirrored) == []
        mirrored.note("ADDED", site("a", 101))
        assert names(mirrored) == ["a"]


@pytest.mark.looptime
async def test_an_older_state_does_not_replace_a_later_one() -> None:
    server = Server()
    async with kept(server) as (mirrored, _):
        mirrored.note("MODIFIED", site("a", 12, value="late"))
        mirrored.note("MODIFIED", site("a", 9, value="early"))
        assert mirrored.store[mirror.ObjectKey("hq", "a")] == {"value": "late"}


@pytest.mark.looptime
async def test_a_late_deletion_of_the_object_before_leaves_the_one_that_has_its_name() -> None:
    async with kept(Server()) as (mirrored, _):
        mirrored.note("ADDED", site("a", 5, uid="first"))
        mirrored.note("ADDED", site("a", 9, uid="second"))
        mirrored.note("DELETED", site("a", 8, uid="first"))
        assert names(mirrored) == ["a"]


@pytest.mark.looptime
async def test_a_watch_that_lists_again_is_followed_by_a_list_soon() -> None:
    server = Server(site("a", 1), site("b", 2))
    async with kept(server) as (mirrored, _):
        await mirrored.synced.wait()
        server.delete("a")
        mirrored.note(None, site("b", 2))
        await asyncio.sleep(intake.SPACING + 2 * intake.GRACE + 1)
        assert names(mirrored) == ["b"]


@pytest.mark.looptime
async def test_asking_all_the_time_lists_only_so_often() -> None:
    server = Server()
    async with kept(server) as (mirrored, _):
        for _ in range(1000):
            mirrored.ask()
            await asyncio.sleep(0.02)
    assert len(server.lists) <= 20.0 / intake.SPACING + 1


@pytest.mark.looptime
async def test_a_kind_that_is_served_only_later_is_said_to_be_served_now() -> None:
    server = Server()
    server.errors = [api.NotFoundError(404, "no such kind")] * 3
    async with kept(server) as (mirrored, healed):
        await mirrored.synced.wait()
        await asyncio.sleep(0.1)
    assert healed == [("Served", 1)]


@pytest.mark.looptime
async def test_an_object_that_is_not_understood_is_listed_with_why_and_never_fetched_again() -> (
    None
):
    def decode(document: api.Json) -> Any:
        raise ValueError("no broker")

    server = Server(site("a", 1))
    async with kept(server, decode) as (mirrored, _):
        mirrored.note(None, site("a", 1))
        await mirrored.synced.wait()
        for _ in range(3):
            await next_list(mirrored)
        ((_, why),) = mirrored.undecodable.values()
        assert why == "no broker"
    assert server.gets == []


@pytest.mark.looptime
async def test_one_object_that_is_not_understood_keeps_no_other_from_being_synced() -> None:
    def decode(document: api.Json) -> Any:
        if document["metadata"]["name"] == "bad":
            raise RecursionError("deep")
        return document["spec"]

    async with kept(Server(site("bad", 1), site("good", 2)), decode) as (mirrored, _):
        await asyncio.wait_for(mirrored.synced.wait(), 5.0)
        assert names(mirrored) == ["good"]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "again"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["delivered", "late", "lost", "lost"]),
    ),
    max_size=20,
)


@pytest.mark.looptime
@given(history=EVENTS, first=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
async def test_whatever_the_watch_loses_or_brings_late_a_list_makes_it_what_the_server_has(
    history: list[tuple[str, str, str]], first: int
) -> None:
    server = Server()
    late: list[tuple[str, api.Json]] = []
    async with kept(server) as (mirrored, _):
        for position, (verb, name, delivery) in enumerate(history):
            if position == first:
                await mirrored.synced.wait()
                await next_list(mirrored)
            event = happened(server, verb, name)
            if event is not None and delivery == "delivered":
                mirrored.note(*event)
            elif event is not None and delivery == "late":
                late.append(event)
        await mirrored.synced.wait()
        await next_list(mirrored)
        for event in late:
            mirrored.note(*event)
        assert dict(mirrored.store) == {
            key: document["spec"] for key, document in server.objects.items()
        }


def happened(server: Server, verb: str, name: str) -> tuple[str, api.Json] | None:
    """Change the server; the event of it."""
    key, version = mirror.ObjectKey("hq", name), server.moment + 1
    before = server.objects.get(key)
    uid = before["metadata"]["uid"] if before is not None else f"{name}-{version}"
    if verb == "put":
        server.put(site(name, version, uid=uid, made=version))
        return ("ADDED" if before is None else "MODIFIED"), server.objects[key]
    if before is None:
        return None
    server.delete(name)
    if verb == "again":
        server.put(site(name, version + 1, uid=f"{name}-{version}", made=version))
        return "ADDED", server.objects[key]
    return "DELETED", site(name, version, uid=uid)
