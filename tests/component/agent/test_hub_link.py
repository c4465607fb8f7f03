"""The link to the hub against a hub that answers, refuses, goes away and comes back."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from builders import patience
from builders.fake_hub import FakeHub
from foreshore_agent import backoff
from foreshore_agent.hub import door, hub
from foreshore_agent.runtime import facts
from foreshore_api.reasons import agent as reasons
from foreshore_api.wire import assignment, beat, record, report

NODE = "edge-1"
REQUEST = beat.RenewalRequest(
    node=NODE,
    boot_id="boot",
    number=7,
    held=(beat.Held(namespace="hq", device="room-301", epoch=5),),
)


class Book:
    """A journal of so many records."""

    journal_id = "journal-1"

    def __init__(self, last: int) -> None:
        self.last = last
        self.acknowledged = 0

    @property
    def standing(self) -> "Book":
        return self

    async def after(self, sequence: int, limit: int) -> tuple[record.ShippedRecord, ...]:
        numbers = range(sequence + 1, min(self.last, sequence + limit) + 1)
        return tuple(
            record.ShippedRecord(sequence=one, previous="p", hash="h", body="{}") for one in numbers
        )

    async def acknowledge(self, sequence: int) -> None:
        assert sequence > self.acknowledged
        self.acknowledged = sequence


class Runtime:
    """What the link tells the runtime."""

    def __init__(self) -> None:
        self.taken: list[assignment.Assignment] = []
        self.connected: list[bool] = []

    def calls(self) -> hub.HubCalls:
        async def take(fresh: assignment.Assignment) -> None:
            self.taken.append(fresh)

        def facts() -> report.Report:
            now = datetime(2026, 1, 1, tzinfo=UTC)
            return report.Report(
                node=NODE, boot_id="b", agent_version="0", sent_at=now, uptime_seconds=0
            )

        return hub.HubCalls(take, lambda _: None, facts, self.connected.append)


@pytest.fixture
async def there() -> AsyncIterator[FakeHub]:
    found = FakeHub(NODE)
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff, "next", lambda _: 0.02)
    monkeypatch.setattr(hub, "SHIP_IDLE_SECONDS", 0.02)
    monkeypatch.setattr(hub, "REPORT_SECONDS", 0.05)


def way(there: FakeHub, token: Path) -> door.Door:
    return door.Door(f"http://127.0.0.1:{there.port}", NODE, token, None)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def linked(
    there: FakeHub, token: Path
) -> AsyncIterator[tuple[FakeHub, hub.HubLink, Runtime, Book]]:
    runtime, book = Runtime(), Book(last=1200)
    link = hub.HubLink(way(there, token), book, runtime.calls())
    task = asyncio.create_task(link.run())
    yield there, link, runtime, book
    task.cancel()
    await asyncio.wait((task,))


Linked = tuple[FakeHub, hub.HubLink, Runtime, Book]


async def test_assignments_come_down_and_unchanged_ones_only_once(linked: Linked) -> None:
    there, _, runtime, _ = linked
    await until(lambda: len(runtime.taken) == 1)
    await asyncio.sleep(0.25)
    assert len(runtime.taken) == 1
    there.assignment = there.assignment.model_copy(update={"generation": 2, "digest": "b"})
    await until(lambda: len(runtime.taken) == 2)
    assert runtime.taken[1].generation == 2


async def test_what_grows_too_large_as_it_is_unpacked_is_no_answer(
    there: FakeHub, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MAXIMUM_ASSIGNMENT_BYTES", 10_000)
    there.assignment = there.assignment.model_copy(update={"lineage": "x" * 100_000})
    asked = way(there, token)
    with pytest.raises(door.DoorError, match="ValueError"):
        await asked.assignment(None)
    await asked.close()


async def test_records_are_shipped_in_bounded_batches_until_all_are_acknowledged(
    linked: Linked,
) -> None:
    there, _, _, book = linked
    await until(lambda: book.acknowledged == 1200)
    sequences = [one.sequence for batch in there.batches for one in batch.records]
    assert sequences == list(range(1, 1201))
    assert max(len(batch.records) for batch in there.batches) <= 500


async def test_an_answer_that_is_lost_is_asked_again_and_nothing_is_skipped(
    linked: Linked,
) -> None:
    there, _, _, book = linked
    there.status = 503
    await asyncio.sleep(0.1)
    assert book.acknowledged == 0
    there.status = None
    await until(lambda: book.acknowledged == 1200)


async def test_an_answer_beyond_what_was_sent_forgets_no_record_that_was_not_shipped(
    linked: Linked,
) -> None:
    there, _, _, book = linked
    there.answer = lambda batch: record.BatchAnswer(journal=batch.journal, acknowledged=10**9)
    await until(lambda: book.acknowledged == 1200)
    assert [one.sequence for one in there.batches[-1].records][-1] == 1200


async def test_another_journals_answer_forgets_nothing(linked: Linked) -> None:
    there, _, _, book = linked
    there.answer = lambda _: record.BatchAnswer(journal="journal-2", acknowledged=500)
    await until(lambda: len(there.batches) > 3)
    assert book.acknowledged == 0


async def test_the_hub_is_there_gone_and_back(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, link, runtime, _ = linked
    monkeypatch.setattr(hub, "RENEW_SECONDS", 0.2)
    await until(lambda: link.is_connected)
    await there.stop()
    await until(lambda: not link.is_connected)
    await there.start()
    await until(lambda: link.is_connected)
    assert runtime.connected == [True, False, True]


class LossyDoor(door.Door):
    """Its first poll is answered into a link that loses it; meanwhile a report fails."""

    polls = 0
    is_lost = False

    async def assignment(self, etag: str | None) -> door.Fetched | None:
        self.polls += 1
        if self.polls == 1:
            self.is_lost = True
            await asyncio.Event().wait()
        return await super().assignment(etag)

    async def report(self, facts: report.Report) -> None:
        if self.is_lost:
            self.is_lost = False
            raise door.DoorError("Timeout")
        await super().report(facts)


async def test_a_poll_whose_answer_was_lost_is_begun_again_when_the_hub_answers_others(
    there: FakeHub, token: Path
) -> None:
    """Its own time limit is 40 seconds; an agent asked replicas that were gone for so long."""
    runtime = Runtime()
    lossy = LossyDoor(f"http://127.0.0.1:{there.port}", NODE, token, None)
    link = asyncio.create_task(hub.HubLink(lossy, Book(last=0), runtime.calls()).run())
    try:
        async with asyncio.timeout(door.WAIT_SECONDS / 2):
            while not runtime.taken:  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.01)
    finally:
        link.cancel()
        await asyncio.wait((link,))
    assert lossy.polls >= 2


async def test_a_report_is_hurried_when_something_changed(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, link, _, _ = linked
    monkeypatch.setattr(hub, "REPORT_SECONDS", 60.0)
    await asyncio.sleep(0.2)
    before = len(there.reports)
    link.hurry()
    await until(lambda: len(there.reports) == before + 1)


async def test_a_renewal_is_passed_on_unchanged(linked: Linked) -> None:
    _, link, _, _ = linked
    renewal = await link.renew(REQUEST)
    assert renewal is not None
    assert (renewal.node, renewal.boot_id, renewal.number) == (NODE, "boot", 7)


async def test_a_renewal_without_a_hub_is_none(there: FakeHub, token: Path) -> None:
    await there.stop()
    asked = way(there, token)
    link = hub.HubLink(asked, Book(0), Runtime().calls())
    assert await link.renew(REQUEST) is None
    await asked.close()


async def test_a_token_that_rotated_is_read_again(there: FakeHub, token: Path) -> None:
    asked = way(there, token)
    await asked.assignment(None)
    token.write_text("second\n")  # noqa: ASYNC240 - as the kubelet does
    await asked.assignment(None)
    await asked.close()
    assert there.tokens == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, door.DoorError),
        (429, door.DoorError),
        (500, door.DoorError),
        (404, door.HubRefusedError),
    ],
)
async def test_a_refusal_is_told_from_a_failure(
    there: FakeHub, token: Path, status: int, error: type[Exception]
) -> None:
    there.status = status
    asked = way(there, token)
    with pytest.raises(error, match=f"Status{status}"):
        await asked.renew(REQUEST)
    await asked.close()


async def test_a_missing_token_is_a_failure_not_a_crash(there: FakeHub, tmp_path: Path) -> None:
    asked = door.Door(f"http://127.0.0.1:{there.port}", NODE, tmp_path / "none", None)
    with pytest.raises(door.DoorError):
        await asked.renew(REQUEST)
    await asked.close()


async def test_a_certificate_of_another_authority_is_refused_until_the_ca_file_is_replaced(
    token: Path, tmp_path: Path
) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.issue_cert("127.0.0.1").configure_cert(served)
    ca_file = tmp_path / "ca.crt"
    ours.cert_pem.write_to_path(str(ca_file))
    there = FakeHub(NODE)
    await there.start(served)
    asked = door.Door(f"https://127.0.0.1:{there.port}", NODE, token, ca_file)
    with pytest.raises(door.DoorError, match="Unreachable"):
        await asked.renew(REQUEST)
    theirs.cert_pem.write_to_path(str(ca_file))
    assert (await asked.renew(REQUEST)).number == 7
    await asked.close()
    await there.stop()


@pytest.mark.parametrize(("status", "is_answer"), [(401, False), (403, False), (400, True)])
async def test_a_hub_that_does_not_know_us_is_no_hub_that_answers(
    there: FakeHub, token: Path, status: int, is_answer: bool
) -> None:
    there.status = status
    asked = way(there, token)
    with pytest.raises(door.DoorError):
        await asked.renew(REQUEST)
    await asked.close()
    assert (asked.answered_at is not None) is is_answer


async def test_one_record_that_the_hub_refuses_holds_back_none_before_it_and_is_reported(
    linked: Linked,
) -> None:
    there, link, _, book = linked
    refused_from = 317

    def answer(batch: record.Batch) -> record.BatchAnswer:
        if batch.records[-1].sequence >= refused_from:
            raise web.HTTPBadRequest(text="not this one")
        return record.BatchAnswer(journal=batch.journal, acknowledged=batch.records[-1].sequence)

    there.answer = answer
    await until(lambda: bool(link.refused))
    assert book.acknowledged == refused_from - 1
    assert "Status400" in link.refused
    (problem,) = facts.unshipped(NODE, link.refused)
    assert problem.reason == reasons.RECORDS_REFUSED
    there.answer = None
    await until(lambda: not link.refused)


async def test_a_session_closed_under_a_call_is_no_answer_and_ends_no_agent() -> None:
    client = aiohttp.ClientSession()
    await client.close()
    with pytest.raises(door.DoorError, match="Closed"):
        await door._exchange(client, "GET", "http://127.0.0.1:1")


class SlowDoor(door.Door):
    """Its first connection is opened when the test lets it."""

    def __init__(self, url: str, token: Path) -> None:
        super().__init__(url, NODE, token, None)
        self.opened: list[aiohttp.ClientSession] = []
        self.is_opening = asyncio.Event()
        self.may_open = asyncio.Event()

    async def _opened(self) -> aiohttp.ClientSession:
        self.is_opening.set()
        await self.may_open.wait()
        self.opened.append(await super()._opened())
        return self.opened[-1]


async def test_a_connection_that_is_being_opened_while_the_link_ends_is_closed(
    there: FakeHub, token: Path
) -> None:
    """A renewal that was asked for meanwhile left it open."""
    asked = SlowDoor(f"http://127.0.0.1:{there.port}", token)
    renewing = asyncio.create_task(asked.renew(REQUEST))
    await asked.is_opening.wait()
    closing = asyncio.create_task(asked.close())
    await asyncio.sleep(0)
    asked.may_open.set()
    await asyncio.gather(renewing, closing, return_exceptions=True)
    assert [client.closed for client in asked.opened] == [True]


async def test_a_renewal_after_the_link_has_ended_opens_no_connection(
    there: FakeHub, token: Path
) -> None:
    asked = SlowDoor(f"http://127.0.0.1:{there.port}", token)
    asked.may_open.set()
    link = hub.HubLink(asked, Book(0), Runtime().calls())
    running = asyncio.create_task(link.run())
    await until(lambda: link.is_connected)
    running.cancel()
    await asyncio.wait((running,))
    assert await link.renew(REQUEST) is None
    assert [client.closed for client in asked.opened] == [True]


async def test_a_renewal_without_an_answer_in_time_says_so(
    linked: Linked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, link, _, _ = linked
    monkeypatch.setattr(hub, "RENEW_SECONDS", 0.0)
    assert await link.renew(REQUEST) is None
    assert "the hub and renewals: TimeoutError" in caplog.text
