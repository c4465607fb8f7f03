"""The journal against real disks: kills, full file systems, quotas, two processes."""

import asyncio
import errno
import itertools
import os
import random
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from builders import killed, writing
from foreshore_agent import journal
from foreshore_agent.journal import ledger, log, port, reader, sqlite, store, writer
from foreshore_agent.journal.tally import PROMISE
from foreshore_api.reasons import journal as reasons

pytestmark = pytest.mark.component

SMALL = journal.Quotas(critical=1 << 20, routine=1 << 20, ballast=1 << 18, log=0)


def entry(
    text: str = "x", *, critical: bool = True, verdict: str = "Commanded", size: int = 0
) -> journal.JournalEntry:
    body = orjson.dumps({"sequence": "", "time": "2026-01-01T00:00:00Z", "data": text + "." * size})
    return journal.JournalEntry(body, critical, policy="p", device="d", verdict=verdict, keep=3)


def verified(state: Path) -> journal.ChainBreak | None:
    with reader.open_reader(state) as opened:
        return opened.verify().broken


async def everything(opened: journal.Journal) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    after = 0
    while batch := await opened.after(after):
        found.extend(orjson.loads(item.body or b"null") for item in batch)
        after = batch[-1].sequence
    return found


async def test_numbers_have_no_holes_and_are_in_the_bodies(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await asyncio.gather(*(writing.append(opened, [entry(str(i)), entry()]) for i in range(20)))
    bodies = await everything(opened)
    assert [body["sequence"] for body in bodies] == [f"{i:020d}" for i in range(1, 41)]
    await opened.close()


async def test_numbers_hashes_identity_and_values_go_on_after_a_restart(tmp_path: Path) -> None:
    first = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(first, [entry("a")])
    await first.keep("assignment", b"\x00bytes")
    await first.close()
    second = await journal.Journal.open(tmp_path, quotas=SMALL)
    assert second.journal_id == first.journal_id
    assert await writing.append(second, [entry("b")]) == 2
    assert await second.get("assignment") == b"\x00bytes"
    assert await second.get("absent") is None
    assert verified(tmp_path) is None
    await second.close()


async def test_what_is_patient_waits_for_what_comes_next_and_shares_its_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await journal.Journal.open(tmp_path)
    begun = list[store.Store]()
    has_begun = threading.Event()
    transaction = store.Store.transaction

    def counted(of: store.Store) -> AbstractContextManager[None]:
        begun.append(of)
        has_begun.set()
        return transaction(of)

    monkeypatch.setattr(store.Store, "transaction", counted)
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 60.0)
    patient = writing.append(opened, [entry("1")], is_patient=True)
    assert not await asyncio.to_thread(has_begun.wait, 0.2), "it is not written by itself"
    hasty = writing.append(opened, [entry("2")])
    opened.flush()
    assert (await patient, await hasty) == (2, 2)
    assert len(begun) == 1
    assert [body["data"] for body in await everything(opened)] == ["1", "2"]
    await opened.close()


async def test_what_was_patient_keeps_its_place_and_is_written_in_the_end(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path)
    patient = writing.append(opened, [entry("1")], is_patient=True)
    hasty = writing.append(opened, [entry("2")])
    await asyncio.gather(patient, hasty)
    assert [body["data"] for body in await everything(opened)] == ["1", "2"]
    assert await writing.append(opened, [entry("3")], is_patient=True) == 3, (
        "in the end it is written"
    )
    last = writing.append(opened, [entry("4")], is_patient=True)
    await opened.close()
    assert await last == 4, "closing waits for nobody and loses nothing"


async def test_values_go_with_their_records_or_not_at_all(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry()], values=[("engine/a", b"1"), ("engine/b", b"2")])
    await opened.keep("engine/a", b"")
    await opened.keep("other", b"3")
    with pytest.raises(journal.JournalFull):
        await fill(opened, size=30_000)
    with pytest.raises(journal.JournalFull):
        await writing.append(opened, [entry()], values=[("engine/c", b"4")])
    assert await opened.values("engine/") == {"engine/b": b"2"}
    await opened.close()


async def test_a_second_agent_on_one_directory_is_refused(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    with pytest.raises(journal.JournalInUse, match="another agent works on"):
        await journal.Journal.open(tmp_path, quotas=SMALL)
    await opened.close()
    again = await journal.Journal.open(tmp_path, quotas=SMALL)
    await again.close()


async def test_acknowledged_records_are_forgotten_but_for_the_newest_of_each_verdict(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry("interesting", verdict="Denied")])
    for i in range(30):
        await writing.append(opened, [entry(str(i), critical=False, verdict="NotTriggered")])
    await opened.acknowledge(31)
    await settled(opened, lambda: opened.standing.kept <= 5)
    *kept, statement = await everything(opened)
    assert [body["data"] for body in kept] == ["interesting", "27", "28", "29"]
    assert statement["data"]["ranges"] == {"Removed": [[2, 28]]}  # type: ignore[index]
    assert statement["data"]["dropped"] == {}, "nothing is lost: the hub has it"  # type: ignore[index]
    assert await writing.append(opened, [entry("next")]) == 33
    assert verified(tmp_path) is None
    await opened.close()


async def test_forgetting_does_not_go_on_for_ever_over_the_records_that_it_writes_itself(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    for i in range(40):
        await writing.append(opened, [entry(str(i))])
    for _ in range(200):
        await opened.acknowledge(opened.standing.last)
        await opened.get("turn")
    assert opened.standing.last < 60
    await opened.close()


async def test_the_newest_record_stays_even_if_nothing_is_kept_so_that_the_chain_goes_on(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    bare = journal.JournalEntry(b'{"sequence":""}', critical=True, keep=0)
    await writing.append(opened, [bare] * 20)
    await opened.acknowledge(99)
    await settled(opened, lambda: opened.standing.kept == 1)
    await opened.close()
    again = await journal.Journal.open(tmp_path, quotas=SMALL)
    assert await writing.append(again, [bare]) == 22
    assert verified(tmp_path) is None
    await again.close()


async def test_old_news_of_acknowledgement_is_ignored(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry(), entry(), entry()])
    await opened.acknowledge(3)
    await opened.acknowledge(1)
    await asyncio.sleep(0)
    assert opened.standing.acknowledged == 3
    await opened.close()


async def test_a_full_routine_ring_drops_the_oldest_and_says_so_without_a_hole(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry("intent")])
    for i in range(60):
        await writing.append(
            opened, [entry(str(i), critical=False, verdict="NotTriggered", size=30_000)]
        )
    found = await everything(opened)
    gaps = [body for body in found if body and body.get("type") == "dev.foreshore.gap.v1"]
    dropped = [body for body in found if body is None]
    assert found[0] is not None
    assert len(dropped) == sum(gap["data"]["dropped"]["NotTriggered"] for gap in gaps) > 0  # type: ignore[index]
    assert opened.standing.last == len(found)
    assert opened.standing.dropped == len(dropped)
    assert opened.standing.routine_bytes <= SMALL.routine
    assert not opened.full
    await opened.close()


async def test_unacknowledged_critical_records_are_never_dropped_a_full_quota_refuses(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    seen: list[bool] = []
    opened.watch(lambda standing: seen.append(standing.full))
    with pytest.raises(journal.JournalFull, match="CriticalQuota"):
        await fill(opened, size=30_000)
    assert opened.full
    assert seen == [True]
    late = journal.JournalEntry(entry("outcome").body, critical=True, reserve=True)
    await writing.append(opened, [late])
    await writing.append(opened, [entry("routine", critical=False)])
    last = opened.standing.last
    await opened.acknowledge(last)
    await settled(opened, lambda: not opened.full)
    await settled(opened, lambda: opened.standing.last > last)
    await writing.append(opened, [entry("goes on")])
    found = await everything(opened)
    assert any(body.get("type") == "dev.foreshore.gap.v1" for body in found)
    assert seen == [True, False]
    await opened.close()


async def test_retained_records_that_the_hub_has_do_not_fill_the_critical_quota_for_ever(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    body = entry(size=30_000).body
    number = 0
    while not opened.full:
        await writing.append(
            opened, [journal.JournalEntry(body, critical=True, device=f"d{number}")]
        )
        number += 1
    await opened.acknowledge(opened.standing.last)
    assert not opened.full, "what the hub has gives way"
    assert opened.standing.dropped == 0, "and is not lost"
    kept = opened.standing.kept
    for other in range(100):
        await writing.append(
            opened, [journal.JournalEntry(body, critical=True, device=f"e{other}")]
        )
        await opened.acknowledge(opened.standing.last)
        assert not opened.full
    assert opened.standing.critical_bytes <= SMALL.critical
    stated = [body for body in await everything(opened) if "type" in body]
    assert opened.standing.kept - len(stated) <= kept + 2, "only what is needed went"
    assert verified(tmp_path) is None
    assert opened.standing.kept > kept - 10
    await opened.close()


async def test_a_quota_full_of_what_the_hub_has_opens_again_after_a_restart(tmp_path: Path) -> None:
    wide = journal.Quotas(critical=4 << 20, routine=1 << 20, ballast=0)
    first = await journal.Journal.open(tmp_path, quotas=wide)
    for number in range(100):
        await writing.append(
            first, [journal.JournalEntry(entry(size=30_000).body, True, device=f"d{number}")]
        )
    await first.acknowledge(100)
    await first.close()
    second = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(second, [entry("goes on")])
    assert (await second.after(100, 1))[0].sequence == 101
    assert not second.full
    assert second.standing.critical_bytes <= SMALL.critical
    await second.close()


async def test_a_journal_that_nobody_collects_is_a_ring_in_both_classes(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL, is_collected=False)
    for i in range(100):
        await writing.append(opened, [entry(str(i), size=30_000)])
    assert not opened.full
    assert opened.standing.critical_bytes <= SMALL.critical + 100_000
    assert opened.standing.kept < 50
    assert verified(tmp_path) is None
    await opened.close()


async def test_a_body_longer_than_the_hub_takes_is_refused_before_it_is_numbered(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    with pytest.raises(ValueError, match="longer than"):
        await writing.append(opened, [entry(size=70_000)])
    assert await writing.append(opened, [entry()]) == 1
    await opened.close()


async def test_a_record_that_can_never_be_kept_is_counted_and_named_in_a_gap(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    opened.lose([entry(size=70_000)], "RecordTooLarge")
    await settled(opened, lambda: opened.standing.dropped == 1)
    await settled(opened, lambda: opened.standing.last == 1)
    (gap,) = await everything(opened)
    assert gap["data"]["dropped"] == {"Commanded": 1}  # type: ignore[index]
    assert gap["data"]["reason"] == "RecordTooLarge"  # type: ignore[index]
    await opened.close()


async def test_what_was_lost_is_named_before_the_journal_is_closed(tmp_path: Path) -> None:
    """Regression: what a full quota had refused was forgotten with the process."""
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    with pytest.raises(journal.JournalFull, match="CriticalQuota"):
        await fill(opened, size=30_000)
    opened.lose([entry(size=70_000)], "RecordTooLarge")
    await opened.close()
    again = await journal.Journal.open(tmp_path, quotas=SMALL)
    assert again.standing.dropped == 2
    gap = (await everything(again))[-1]
    assert gap["data"]["dropped"] == {"Commanded": 2}  # type: ignore[index]
    await again.close()
    assert verified(tmp_path) is None


async def fill(opened: journal.Journal, *, size: int) -> None:
    for i in range(1000):
        await writing.append(opened, [entry(str(i), size=size)])


async def test_a_disk_that_hangs_fills_no_memory_and_what_was_refused_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_BACKLOG", 5)
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    written = [writing.append(opened, [entry(str(i))]) for i in range(8)]
    done = await asyncio.gather(*written, return_exceptions=True)
    assert [isinstance(each, journal.JournalFull) for each in done] == [False] * 5 + [True] * 3
    await writing.append(opened, [entry("after")])
    await settled(opened, lambda: opened.standing.last == 7)
    gap = (await everything(opened))[-1]
    assert gap["data"]["dropped"] == {"Commanded": 3}  # type: ignore[index]
    assert gap["data"]["reason"] == "DiskSlow"  # type: ignore[index]
    await opened.close()


async def settled(opened: journal.Journal, condition: object) -> None:
    for _ in range(200):
        await opened.get("turn")
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"the journal did not settle: {opened.standing}")


@pytest.mark.timeout(300)
def test_no_durable_write_is_lost_and_no_false_alarm_raised_over_twenty_kills(
    tmp_path: Path,
) -> None:
    victim = killed.KilledWriter(tmp_path, random.Random(20))
    for _ in range(20):
        victim.kill()
        assert victim.problems() == []
    assert len(victim.durable) > 200
    assert victim.forgotten(), "the kills met house-keeping"


class Crash(BaseException):
    """The process is gone: nothing that follows reaches a file."""


class CrashingConnection:
    """A connection whose process ends before one of its statements."""

    def __init__(self, connection: sqlite3.Connection, fuse: "Fuse") -> None:
        self._connection = connection
        self._fuse = fuse

    def execute(self, *arguments: Any) -> Any:
        return self._fuse.burn(lambda: self._connection.execute(*arguments))

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        pass  # closing would roll back and checkpoint: a process that is gone does neither


class Fuse:
    """Counts operations on files; the one at `end` and those behind it do not happen."""

    def __init__(self, end: int) -> None:
        self.count = 0
        self._end = end

    def burn(self, operation: Callable[[], Any]) -> Any:
        self.count += 1
        if self.count < self._end:
            return operation()
        raise Crash


def work(state: Path, durable: list[int]) -> None:
    """Write, ship, forget, drop, check-point, stop; note what was answered as durable."""
    tight = journal.Quotas(critical=1 << 17, routine=1 << 14, ballast=0, log=1 << 16)
    opened = store.Store(state, tight, lambda: datetime.now(UTC), is_collected=True)

    def write(*entries: journal.JournalEntry, values: port.Values = ()) -> None:
        with opened.transaction():
            numbers = opened.append(entries, values)
        durable.extend(numbers)

    write(*(entry(str(i)) for i in range(20)))
    for i in range(4):
        write(entry(str(i), critical=False, verdict="NotTriggered", size=6000))
    with opened.transaction():
        opened.acknowledge(19)
    opened.chore()
    write(entry("more"))
    opened.count_lost({("Commanded", reasons.DISK_FULL): 1})
    opened.chore()
    for i in range(4):
        write(*[entry(str(i))] * i, values=[("agent/device", b"%d" % i * 500)])
    opened.checkpoint()
    opened.close()


@pytest.mark.timeout(300)
def test_a_crash_at_every_storage_operation_loses_nothing_and_raises_no_false_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, write, sync = sqlite.connect, os.pwrite, os.fsync
    crashes = 0
    for end in itertools.count(1):
        state, after = tmp_path / f"{end}", tmp_path / f"{end}-after"
        fuse = Fuse(end)
        made: list[sqlite3.Connection] = []

        def crashing(directory: Path, fuse: Fuse = fuse, made: Any = made) -> Any:
            made.append(connect(directory))
            return CrashingConnection(made[-1], fuse)

        with monkeypatch.context() as patch:
            patch.setattr(sqlite, "connect", crashing)
            patch.setattr(os, "pwrite", lambda *a, f=fuse: f.burn(lambda: write(*a)))
            patch.setattr(os, "fsync", lambda *a, f=fuse: f.burn(lambda: sync(*a)))
            durable: list[int] = []
            try:
                work(state, durable)
            except Crash:
                crashes += 1
        shutil.copytree(state, after)
        for connection in made:
            connection.close()
        opened = store.Store(after, SMALL, lambda: datetime.now(UTC), is_collected=True)
        assert opened.standing.broken is None, f"a false alarm after operation {end}"
        with opened.transaction():
            (number,) = opened.append([entry("after")])
        assert number > max(durable, default=0)
        opened.close()
        assert verified(after) is None, f"a false alarm after operation {end}"
        with sqlite3.connect(after / sqlite.FILE) as connection:
            present = {n for (n,) in connection.execute("SELECT sequence FROM record")}
            gone = {
                n
                for hole in sqlite.holes(connection.execute(sqlite.HOLES))
                for n in range(hole.first, hole.last + 1)
            }
        connection.close()
        assert set(durable) <= present | gone
        shutil.rmtree(state)
        shutil.rmtree(after)
        if fuse.count < end:
            break
    assert crashes > 80, f"only {crashes} operations on files were met"


def test_numbers_of_a_table_that_was_cut_are_not_used_again_and_the_cut_is_told_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opened() -> store.Store:
        return store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)

    def write(into: store.Store) -> int:
        with into.transaction():
            return into.append([entry()])[0]

    first = opened()
    assert [write(first) for _ in range(5)] == [1, 2, 3, 4, 5]
    first.close()
    with sqlite3.connect(tmp_path / sqlite.FILE) as tampered:
        tampered.execute("DELETE FROM record WHERE sequence > 2")
    tampered.close()
    again = opened()
    assert write(again) == 7, "6 is the record that tells the cut"
    assert again.standing.broken == journal.ChainBreak(3, reasons.TRUNCATED, 5)
    assert "record 3" in caplog.text
    assert [item.sequence for item in again.after(0, 10, 10_000)] == [1, 2], "a batch has no holes"
    statement = orjson.loads(again.after(2, 1, 10_000)[0].body)
    assert statement["data"]["reason"] == "JournalCut"
    assert statement["data"]["ranges"] == {"Cut": [[3, 5]]}
    again.close()
    assert verified(tmp_path) == journal.ChainBreak(3, reasons.TRUNCATED, 5)


def test_a_cut_is_told_also_where_the_owner_was_killed_before_it(tmp_path: Path) -> None:
    """The head follows each commit, and not only the end."""
    owned, left = tmp_path / "owned", tmp_path / "left"
    owner = store.Store(owned, SMALL, lambda: datetime.now(UTC), is_collected=True)
    for _ in range(5):
        with owner.transaction():
            owner.append([entry()])
    shutil.copytree(owned, left)
    owner.close()
    with sqlite3.connect(left / sqlite.FILE) as tampered:
        tampered.execute("DELETE FROM record WHERE sequence > 2")
    tampered.close()
    again = store.Store(left, SMALL, lambda: datetime.now(UTC), is_collected=True)
    assert again.standing.broken == journal.ChainBreak(3, reasons.TRUNCATED, 5)
    again.close()


def test_a_journal_whose_database_is_gone_goes_on_behind_the_numbers_it_had(tmp_path: Path) -> None:
    first = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    with first.transaction():
        first.append([entry(), entry()])
    identity = first.journal_id
    first.close()
    (tmp_path / sqlite.FILE).unlink()
    again = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    assert again.journal_id == identity
    assert again.standing.last == 3
    assert again.standing.broken == journal.ChainBreak(1, reasons.TRUNCATED, 2)
    again.close()


def test_an_older_releases_journal_opens_and_its_holes_are_stated_from_then_on(
    tmp_path: Path,
) -> None:
    first = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    with first.transaction():
        first.append([entry(str(i)) for i in range(9)])
    first.close()
    (tmp_path / "journal.head").unlink()
    with sqlite3.connect(tmp_path / sqlite.FILE) as older:
        older.execute("DROP TABLE hole")
        older.execute("DELETE FROM value WHERE key IN ('journal/format', 'journal/holes')")
        older.execute("DELETE FROM record WHERE sequence IN (2, 3, 7)")
        older.execute("UPDATE record SET body = x'' WHERE sequence IN (4, 5)")
    older.close()
    assert verified(tmp_path) is None, "the older release stated nothing"
    again = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    assert again.standing.broken is None
    (statement,) = again.newest(1)
    data = orjson.loads(statement.body)["data"]
    assert data["reason"] == "FormatUpgraded"
    assert data["ranges"] == {"Removed": [[2, 3], [7, 7]], "Emptied": [[4, 5]]}
    again.close()
    assert verified(tmp_path) is None
    with sqlite3.connect(tmp_path / sqlite.FILE) as tampered:
        tampered.execute("DELETE FROM record WHERE sequence = 8")
    tampered.close()
    assert verified(tmp_path) == journal.ChainBreak(8, reasons.RECORD_MISSING)


def test_a_journal_made_to_look_like_an_older_releases_is_doubted_and_its_holes_not_stated(
    tmp_path: Path,
) -> None:
    """The next start stated the deleted record as an upgrade's, and `verify` was content."""
    first = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    with first.transaction():
        first.append([entry(str(i)) for i in range(9)])
    first.close()
    (tmp_path / "journal.head").unlink()
    with sqlite3.connect(tmp_path / sqlite.FILE) as tampered:
        tampered.execute("DELETE FROM value WHERE key IN ('journal/format', 'journal/holes')")
        tampered.execute("DELETE FROM record WHERE sequence = 5")
    tampered.close()
    again = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    assert again.standing.broken == journal.ChainBreak(1, reasons.HEAD_MISMATCH, 9)
    (statement,) = again.newest(1)
    data = orjson.loads(statement.body)["data"]
    assert (data["reason"], data["ranges"]) == ("HeadMissing", {"Doubted": [[1, 9]]})
    again.close()
    assert verified(tmp_path) == journal.ChainBreak(1, reasons.HEAD_MISMATCH, 9)


def test_an_upgrade_that_is_broken_off_is_an_upgrade_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of holes without a format is doubted: so both are made at once, or neither."""
    first = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    with first.transaction():
        first.append([entry(str(i)) for i in range(3)])
    first.close()
    (tmp_path / "journal.head").unlink()
    with sqlite3.connect(tmp_path / sqlite.FILE) as older:
        older.execute("DROP TABLE hole")
        older.execute("DELETE FROM value WHERE key IN ('journal/format', 'journal/holes')")
    older.close()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as full:
        full.setattr(ledger.Ledger, "note", fail)
        with pytest.raises(OSError, match="no room"):
            store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    again = store.Store(tmp_path, SMALL, lambda: datetime.now(UTC), is_collected=True)
    assert again.standing.broken is None
    again.close()
    assert verified(tmp_path) is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts no tmpfs: {mounted.stderr.decode()}")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_an_intent_is_refused_where_its_record_would_have_no_room_and_never_its_record(
    tmp_path: Path,
) -> None:
    """The record comes after the command has left: then nothing may refuse it."""
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [PROMISE], [("engine/device", b"with what the record is made of")])
    with pytest.raises(journal.JournalFull, match="CriticalQuota"):
        await fill(opened, size=30_000)
    with pytest.raises(journal.JournalFull, match="CriticalQuota"):
        await writing.append(opened, [PROMISE], [("engine/other", b"another intent")])
    promised = entry("promised", size=60_000)._replace(reserve=True)
    await writing.append(opened, [promised], [("engine/device", b"without")], is_patient=True)
    assert await opened.get("engine/device") == b"without"
    assert await opened.get("engine/other") is None
    bodies = await everything(opened)
    assert str(bodies[-1]["data"]).startswith("promised")
    assert len(bodies) == opened.standing.last, "a promise is no record"
    refused = opened.standing.dropped
    with pytest.raises(journal.JournalFull, match="CriticalQuota"):
        await writing.append(opened, [PROMISE], [("engine/other", b"another intent")])
    assert opened.standing.dropped == refused, "its decision is recorded as one that failed"
    await opened.close()
    assert verified(tmp_path) is None


async def test_a_full_disk_refuses_keeps_what_it_acknowledged_and_recovers_by_itself(
    small_disk: Path,
) -> None:
    opened = await journal.Journal.open(
        small_disk / "state", quotas=journal.Quotas(ballast=1 << 20)
    )
    assert await writing.append(opened, [entry("before")]) == 1
    hog = small_disk / "hog"
    with hog.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
    with pytest.raises(journal.JournalFull):
        await fill(opened, size=50_000)
    acknowledged = opened.standing.last
    assert opened.full
    assert opened.standing.reason == "DiskFull"
    outcome = journal.JournalEntry(entry("outcome").body, critical=True, reserve=True)
    assert await writing.append(opened, [outcome]) == acknowledged + 1, (
        "the ballast holds room for it"
    )
    await opened.acknowledge(acknowledged)
    with pytest.raises(journal.JournalFull):
        await writing.append(opened, [entry("refused")])
    hog.unlink()
    await settled_after_retry(opened)
    await writing.append(opened, [entry("after")])
    bodies = await everything(opened)
    texts = [body.get("data") for body in bodies]
    assert "outcome" in texts
    assert "after" in texts
    assert "refused" not in texts
    assert any(body.get("type") == "dev.foreshore.gap.v1" for body in bodies)
    await opened.close()


async def settled_after_retry(opened: journal.Journal) -> None:
    for _ in range(100):
        if not opened.full:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the journal did not recover: {opened.standing}")


async def test_a_reader_beside_a_running_agent_sees_records_and_changes_nothing(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry("a")])
    with sqlite3.connect(f"file:{tmp_path / sqlite.FILE}?mode=ro", uri=True) as reader:
        assert reader.execute("SELECT count(*) FROM record").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM record")
    reader.close()
    await writing.append(opened, [entry("b")])
    await opened.close()


async def test_a_disk_that_fails_while_the_log_is_moved_stops_commands_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry()])

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(log.Log, "checkpoint", failing)
        broken.setattr(log.Log, "is_due", True)
        await asyncio.wait_for(opened.get("turn"), 5)
        await settled(opened, lambda: opened.full)
    assert opened.standing.reason == "DiskFailing"
    await settled_after_retry(opened)
    await opened.close()


async def test_records_that_a_defect_keeps_out_are_counted_and_named_in_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: only those for which there was no room were."""
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    with monkeypatch.context() as broken:
        broken.setattr(store.Store, "append", lambda *_: orjson.loads(b"a defect"))
        with pytest.raises(journal.JournalFull, match="RecorderFull"):
            await writing.append(opened, [entry()])
    await settled(opened, lambda: opened.standing.last == 1)
    assert opened.standing.dropped == 1
    (gap,) = await everything(opened)
    assert gap["data"]["dropped"] == {"Commanded": 1}  # type: ignore[index]
    await opened.close()


async def test_what_is_undone_leaves_no_hole_in_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    await writing.append(opened, [entry("before")])
    insert = ledger.Ledger.insert
    undone = entry("undone")

    def broken(of: ledger.Ledger, what: journal.JournalEntry) -> int:
        number = insert(of, what)
        if what == undone:  # the journal's own gaps are written meanwhile, or are not
            raise ZeroDivisionError
        return number

    with monkeypatch.context() as defect:
        defect.setattr(ledger.Ledger, "insert", broken)
        with pytest.raises(journal.JournalFull):
            await writing.append(opened, [undone], [("key", b"value")])
    await writing.append(opened, [entry("after")])
    assert await opened.get("key") is None
    bodies = await everything(opened)
    assert [int(str(body["sequence"])) for body in bodies] == [*range(1, len(bodies) + 1)]
    await opened.close()
    assert verified(tmp_path) is None


async def test_where_only_some_fit_the_word_about_what_is_under_way_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One turn has an intent and the outcome of another command, and the disk is full for both."""
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    commit, attempts = sqlite.Rows.commit, 0

    def full(of: sqlite.Rows) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise sqlite3.OperationalError("database or disk is full")
        return commit(of)

    with monkeypatch.context() as disk:
        disk.setattr(sqlite.Rows, "commit", full)
        intent = writing.append(opened, [PROMISE], [("intent", b"1")])
        outcome = entry("outcome")._replace(reserve=True)
        under_way = writing.append(opened, [outcome], [("outcome", b"1")])
        with pytest.raises(journal.JournalFull):
            await intent
        assert await under_way == 1
    assert await opened.get("intent") is None
    assert await opened.get("outcome") == b"1"
    await opened.close()


async def test_a_defect_in_the_journals_thread_leaves_nobody_waiting_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    seen: list[bool] = []
    opened.watch(lambda standing: seen.append(standing.full))

    def defective(_: store.Store) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(store.Store, "checkpoint", defective)
    await writing.append(opened, [entry()])
    with pytest.raises(ValueError, match="a defect"):
        await asyncio.wait_for(asyncio.shield(opened.broken), 5)
    for late in (writing.append(opened, [entry()]), opened.keep("key", b"value")):
        with pytest.raises(journal.JournalFull):
            await asyncio.wait_for(late, 5)
    assert seen == [True]
    assert opened.full
    await opened.close()


async def test_chores_that_wait_for_a_failing_disk_do_not_keep_the_thread_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await journal.Journal.open(tmp_path, quotas=SMALL)
    attempts = 0

    def failing(kept: store.Store) -> bool:
        nonlocal attempts
        attempts += 1
        return False

    monkeypatch.setattr(store.Store, "recover", failing)
    monkeypatch.setattr(store.Store, "is_failing", True)
    monkeypatch.setattr(store.Store, "has_chores", True)
    await opened.get("turn")
    await asyncio.sleep(0.3)
    assert attempts <= 1
    await opened.close()
