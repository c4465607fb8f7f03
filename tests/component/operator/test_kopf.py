"""Kopf as the intake, in its own thread against an API server that forgets, fails and refuses.

Each test runs the real Kopf and real mirrors; waits of minutes are cut short, nothing else is.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from kopf._cogs.aiokits import aiotasks
from kopf._cogs.clients import api as kopf_api
from kopf._cogs.structs import credentials

from builders import kube_server, patience
from foreshore_api import v1alpha1
from foreshore_kube import api, config, intake, mirror
from foreshore_operator import dirty, handlers, metrics, store
from foreshore_operator.handlers import handover, login, probing, quiet, supervisor

pytestmark = [pytest.mark.component, pytest.mark.enable_socket, pytest.mark.timeout(120)]

SITE = v1alpha1.Site
BROKER = {"broker": {"host": "10.0.0.1", "port": 1883, "transport": "Plain"}}


@dataclass
class Replica:
    """The intake of one operator."""

    mirrors: store.ClusterMirrors
    kopf: handlers.Supervisor
    marks: dirty.Dirty
    healed: list[tuple[str, str, int]] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)

    def sites(self) -> list[str]:
        return [site.name for site in self.mirrors.all_of(SITE)]

    def is_synced(self) -> bool:
        kept = self.mirrors.mirrors()
        return all(each.synced.is_set() for each in kept if isinstance(each, intake.FedMirror))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoffs of a tenth: what is waited for is the same."""
    monkeypatch.setattr(supervisor, "SHORTEST", 0.1)
    monkeypatch.setattr(supervisor, "SETTLING", 0.5)
    monkeypatch.setattr(intake, "SPACING", 0.2)
    monkeypatch.setattr(intake, "GRACE", 0.5)

    def waits(_: quiet.Backoffs) -> Iterator[float]:
        return itertools.repeat(0.2)

    monkeypatch.setattr(quiet.Backoffs, "__iter__", waits)


@pytest.fixture
async def server() -> AsyncIterator[kube_server.KubeServer]:
    served = kube_server.KubeServer(store.EDITED)
    async with served.open():
        yield served


def access(server: kube_server.KubeServer) -> config.ClusterAccess:
    async def reload(configuration: Any) -> None:
        configuration.api_key = {"BearerToken": f"Bearer {server.token}"}

    configuration = SimpleNamespace(
        host=server.url, api_key={"BearerToken": f"Bearer {server.token}"}, proxy=None,
        ssl_ca_cert=None, cert_file=None, key_file=None, verify_ssl=True,
    )  # fmt: skip
    return config.ClusterAccess(configuration, cast(config.Load, reload), period=600.0)


@contextlib.asynccontextmanager
async def replica(server: kube_server.KubeServer) -> AsyncIterator[Replica]:
    """One operator's intake, until the test is done with it."""
    here = access(server)
    async with api.KubeApi(here, user_agent="test") as kube:
        marks = dirty.Dirty()
        healed: list[tuple[str, str, int]] = []
        starts: list[str] = []

        def heal(kind: Any, healing: intake.Healing, count: int) -> None:
            healed.append((kind.kind, healing.value, count))

        def started(cause: str) -> None:
            starts.append(cause)
            mirrors.ask()

        mirrors = store.ClusterMirrors(kube, marks, on_heal=heal)
        kopf = handlers.Supervisor(here, store.EDITED, mirrors.note, on_start=started)
        kopf.start()
        lists = [
            asyncio.create_task(kept.run())
            for kept in mirrors.mirrors()
            if isinstance(kept, intake.FedMirror)
        ]
        try:
            yield Replica(mirrors, kopf, marks, healed, starts)
        finally:
            await asyncio.to_thread(kopf.close)
            for task in lists:
                task.cancel()


async def until(probe: Callable[[], object], what: str, seconds: float = patience.SECONDS) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not probe():  # noqa: ASYNC110 (a thread and a server change it)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {what}") from None


async def until_all_watched(server: kube_server.KubeServer) -> None:
    await until(
        lambda: all(server.watches_of(model.plural) for model in store.EDITED), "kopf watches"
    )


@pytest.mark.usefixtures("impatient")
async def test_what_people_edit_is_watched_once_and_never_written(
    server: kube_server.KubeServer,
) -> None:
    await server.put(SITE, "there", spec=BROKER)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        assert running.sites() == ["there"]
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        await server.put(SITE, "new", spec=BROKER)
        await until(lambda: running.sites() == ["new", "there"], "an event")
        await server.delete(SITE, "there")
        await until(lambda: running.sites() == ["new"], "a deletion")
        assert all(server.watches_of(model.plural) == 1 for model in store.EDITED)
    assert server.writes == []
    assert running.healed == []


@pytest.mark.usefixtures("impatient")
async def test_marks_of_other_kopf_operators_are_left_alone_and_silence_nothing(
    server: kube_server.KubeServer,
) -> None:
    theirs = {
        "annotations": {"kopf.zalando.org/last-handled-configuration": "no JSON"},
        "finalizers": ["kopf.zalando.org/KopfFinalizerMarker"],
    }
    await server.put(SITE, "theirs", spec=BROKER, metadata=theirs)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        leaving = {**theirs, "deletionTimestamp": "2026-01-01T00:00:00Z"}
        await server.put(SITE, "theirs", spec=BROKER, metadata=leaving)
        site = running.mirrors.find(SITE, "hq", "theirs")
        await until(
            lambda: "deletionTimestamp" in (document(running, "theirs"))["metadata"], "an event"
        )
        assert site is not None
        await asyncio.sleep(0.5)
    assert server.writes == []
    assert running.healed == []


def document(running: Replica, name: str) -> api.Json:
    return running.mirrors.document(SITE.kind, "hq", name) or {"metadata": {}}


@pytest.mark.usefixtures("impatient")
async def test_deletions_that_a_410_swallows_are_mended(server: kube_server.KubeServer) -> None:
    for name in ("keep", "lose-1", "lose-2"):
        await server.put(SITE, name, spec=BROKER)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        server.holds = True
        await server.delete(SITE, "lose-1")
        await server.delete(SITE, "lose-2")
        server.compact()
        server.forgets = True
        await server.end_streams()
        await until(lambda: server.watches_of(SITE.plural) > 1, "it was told 410")
        server.forgets = server.holds = False
        await until(lambda: running.sites() == ["keep"], "the ghosts are gone")
        assert ("Site", "Ghost", 2) in running.healed
        assert running.starts == [], "kopf itself never ended"


@pytest.mark.usefixtures("impatient")
async def test_an_error_inside_a_stream_ends_kopf_and_a_deletion_meanwhile_is_mended(
    server: kube_server.KubeServer,
) -> None:
    await server.put(SITE, "keep", spec=BROKER)
    await server.put(SITE, "lose", spec=BROKER)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        before = server.watches_of(SITE.plural)
        await server.fail_streams(500)
        await server.delete(SITE, "lose")
        await until(lambda: running.sites() == ["keep"], "the deletion is mended")
        await until(lambda: server.watches_of(SITE.plural) > before, "it watches again")
        await server.put(SITE, "new", spec=BROKER)
        await until(lambda: running.sites() == ["keep", "new"], "an event")
        assert running.starts[0] == "WatchingError"


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[aiohttp.ClientSession]:
    """Every session that is begun."""
    begun: list[aiohttp.ClientSession] = []
    begin = aiohttp.ClientSession.__init__

    def beginning(session: aiohttp.ClientSession, **options: Any) -> None:
        begin(session, **options)
        begun.append(session)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", beginning)
    return begun


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Tasks that Kopf waited for in vain when it ended: five seconds, the only such wait."""
    left: list[Any] = []
    wait = aiotasks.wait

    async def waiting(tasks: Any, *, timeout: float | None = None, **options: Any) -> Any:  # noqa: ASYNC109 (Kopf's)
        done, pending = await wait(tasks, timeout=timeout, **options)
        left.extend(pending if timeout == 5 else ())
        return done, pending

    monkeypatch.setattr(aiotasks, "wait", waiting)
    return left


@pytest.mark.usefixtures("impatient")
async def test_after_an_error_in_one_stream_the_watches_of_other_kinds_end_with_kopf(
    server: kube_server.KubeServer, sessions: list[aiohttp.ClientSession], hung: list[Any]
) -> None:
    """They went on in a session of their own, which nobody closed."""
    async with replica(server) as running:
        await until_all_watched(server)
        await server.fail_stream(SITE, 500)
        await until(lambda: running.starts, "kopf begins anew")
    assert hung == []
    assert all(session.closed for session in sessions)


@pytest.mark.parametrize(
    ("look", "is_answered"),
    [({"/api", "/apis"}, True), ({"/api/v1", kube_server.ROOT}, False)],
    ids=["answered late", "without an answer"],
)
@pytest.mark.usefixtures("impatient")
async def test_a_kopf_that_is_ended_amid_its_look_for_kinds_leaves_no_connection_open(
    server: kube_server.KubeServer,
    sessions: list[aiohttp.ClientSession],
    hung: list[Any],
    look: set[str],
    is_answered: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it had left behind opened a session anew, after the last was closed."""
    closed = threading.Event()
    close, get = credentials.Vault.close, kopf_api.get

    async def closing(vault: credentials.Vault) -> None:
        await close(vault)
        closed.set()

    async def getting(url: str, **options: Any) -> Any:
        answer = await get(url, **options)
        while url in look and not (is_answered and closed.is_set()):  # noqa: ASYNC110 (a thread's)
            await asyncio.sleep(0.01)
        return answer

    monkeypatch.setattr(credentials.Vault, "close", closing)
    monkeypatch.setattr(kopf_api, "get", getting)
    async with replica(server) as running:
        await until(lambda: look <= {path for _, path in server.requests}, "it looks")
    await asyncio.to_thread(running.kopf.close, patience.SECONDS)
    assert closed.is_set()
    assert hung == []
    assert all(session.closed for session in sessions)


@pytest.mark.usefixtures("impatient")
async def test_an_api_server_that_is_away_is_waited_for(server: kube_server.KubeServer) -> None:
    await server.put(SITE, "there", spec=BROKER)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        server.is_down = True
        await server.end_streams()
        await asyncio.sleep(3.0)
        assert running.sites() == ["there"], "absence of answers is no absence of objects"
        await server.put(SITE, "new", spec=BROKER)
        server.is_down = False
        await until(lambda: running.sites() == ["new", "there"], "an event")


@pytest.mark.usefixtures("impatient")
async def test_a_rotated_token_is_read_again(server: kube_server.KubeServer) -> None:
    await server.put(SITE, "there", spec=BROKER)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        await asyncio.sleep(config.FORCED_PERIOD)
        server.token = "second"
        await server.end_streams()
        await server.put(SITE, "new", spec=BROKER)
        await until(lambda: running.sites() == ["new", "there"], "an event")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause before a login, short and of one length."""
    begun: list[float] = []

    def delays(*_: float) -> Iterator[float]:
        while True:
            begun.append(0.2)
            yield 0.2

    monkeypatch.setattr(login, "backoff", SimpleNamespace(delays=delays))
    return begun


def watches(server: kube_server.KubeServer) -> int:
    """How many watches were begun or refused."""
    return sum(server.watches_of(model.plural) for model in store.EDITED)


@pytest.mark.usefixtures("impatient")
async def test_a_credential_that_stays_refused_is_tried_again_after_pauses_until_it_is_taken(
    server: kube_server.KubeServer, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Kopf logged in again at once after each 401: a replica made 25 requests a second."""
    caplog.set_level(logging.WARNING, logger=login.__name__)
    kinds = len(store.EDITED)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until_all_watched(server)
        before = watches(server)
        server.refuses = True
        await server.end_streams()
        await until(lambda: watches(server) - before > 4 * kinds, "it tries again")
        assert watches(server) - before <= kinds * (len(pauses) + 1), "once a kind and login"
        await server.put(SITE, "new", spec=BROKER)
        server.refuses = False
        await until(lambda: running.sites() == ["new"], "filled again")
        await server.put(SITE, "newer", spec=BROKER)
        await until(lambda: running.sites() == ["new", "newer"], "an event")
        assert running.starts == [], "kopf itself never ended"
    (warning,) = [entry for entry in caplog.records if entry.name == login.__name__]
    assert "refuses it (401)" in warning.getMessage()


@pytest.mark.usefixtures("impatient")
async def test_a_kopf_whose_credential_is_refused_ends_without_a_wait(
    server: kube_server.KubeServer, sessions: list[aiohttp.ClientSession], hung: list[Any]
) -> None:
    async with replica(server) as running:
        await until_all_watched(server)
        before = watches(server)
        server.refuses = True
        await server.end_streams()
        await until(lambda: watches(server) > before, "it is refused")
    await asyncio.to_thread(running.kopf.close, patience.SECONDS)
    assert hung == []
    assert all(session.closed for session in sessions)


@pytest.mark.usefixtures("impatient")
async def test_an_object_that_is_not_understood_stops_nobody(
    server: kube_server.KubeServer,
) -> None:
    await server.put(SITE, "bad", spec={"broker": 7})
    await server.put(SITE, "good", spec=BROKER)
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        assert running.sites() == ["good"]
        ((kind, bad, why),) = running.mirrors.undecodable()
        assert (kind, bad["metadata"]["name"]) == ("Site", "bad")
        assert "broker" in why
        await server.put(SITE, "bad", spec=BROKER)
        await until(lambda: running.sites() == ["bad", "good"], "understood now")


@pytest.mark.usefixtures("impatient")
async def test_two_replicas_are_warm_at_the_same_time(server: kube_server.KubeServer) -> None:
    await server.put(SITE, "there", spec=BROKER)
    async with replica(server) as leading, replica(server) as following:
        await until(lambda: leading.is_synced() and following.is_synced(), "both filled")
        await server.put(SITE, "new", spec=BROKER)
        for running in (leading, following):
            await until(lambda it=running: it.sites() == ["new", "there"], "an event")  # type: ignore[misc]
    assert server.writes == []


@pytest.mark.usefixtures("impatient")
async def test_a_watch_that_died_without_a_word_is_found_by_a_list_and_begun_anew(
    server: kube_server.KubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(server) as running:
        await until(running.is_synced, "filled")
        await until(lambda: server.watches_of(SITE.plural), "kopf watches")
        server.holds = True
        await server.put(SITE, "unheard", spec=BROKER)
        running.mirrors.ask()
        await until(lambda: running.sites() == ["unheard"], "a list brought it")
        assert running.healed == [("Site", "Missed", 1)]
        server.holds = False
        running.kopf.doubt("it has only just begun")
        monkeypatch.setattr(supervisor, "STEADY", 0.0)
        for _ in range(5):
            running.kopf.doubt("sites were missed")
        await until(lambda: running.starts == ["Asked"], "kopf began anew, once")


@pytest.mark.usefixtures("impatient")
async def test_kopf_answers_its_probe_and_a_hung_loop_does_not(
    server: kube_server.KubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PERIOD", 0.2)
    monkeypatch.setattr(probing, "TIMEOUT", 0.5)
    monkeypatch.setattr(probing, "HANGING", 2.0)
    async with replica(server) as running:
        probes = metrics.ProbeState(
            lambda: True, does_kopf_answer=lambda: running.kopf.probe.is_alive
        )
        asking = asyncio.create_task(running.kopf.probe.run())
        await until(running.is_synced, "filled")
        await asyncio.sleep(3.0)
        assert probes.is_alive
        held, loop = asyncio.Event(), asyncio.get_running_loop()
        may_go_on = threading.Event()

        def hang(*_: object) -> None:
            loop.call_soon_threadsafe(held.set)
            may_go_on.wait(patience.SECONDS)

        monkeypatch.setattr(running.kopf._handover, "put", hang)
        await server.put(SITE, "new", spec=BROKER)
        await asyncio.wait_for(held.wait(), patience.SECONDS)
        await until(lambda: not probes.is_alive, "said to hang")
        may_go_on.set()
        await until(lambda: probes.is_alive, "alive again")
        asking.cancel()


async def test_a_storm_on_one_object_is_delivered_as_few_events_and_ends_with_the_last() -> None:
    delivered: list[Any] = []
    loop = asyncio.get_running_loop()
    way = handover.Handover(loop, delivered.append)

    def storm() -> None:
        for number in range(5000):
            metadata = {"name": "a", "uid": "1", "resourceVersion": str(number)}
            way.put(intake.WatchedEvent("Site", "MODIFIED", {"metadata": metadata}))

    await asyncio.gather(asyncio.to_thread(storm))
    await asyncio.sleep(0.1)
    assert len(delivered) < 5000
    assert mirror.version_of(delivered[-1].document).resource_version == "4999"


async def test_an_event_that_cannot_be_taken_in_stops_none_behind_it() -> None:
    """Nothing that Kopf watches came through any more, and nobody said so."""
    delivered: list[str] = []

    def deliver(event: intake.WatchedEvent) -> None:
        name = event.document["metadata"]["name"]
        if name == "strange":
            raise RuntimeError("a defect")
        delivered.append(name)

    handed = handover.Handover(asyncio.get_running_loop(), deliver)
    for name in ("strange", "plain"):
        document = {"metadata": {"name": name, "uid": f"uid-{name}"}}
        handed.put(intake.WatchedEvent("Site", "ADDED", document))
        await asyncio.sleep(0.01)
    async with asyncio.timeout(patience.SECONDS):
        while not delivered:  # noqa: ASYNC110 (the loop delivers)
            await asyncio.sleep(0.01)
    assert delivered == ["plain"]
