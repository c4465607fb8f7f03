"""The journal's log: reserved, used over and over, torn anywhere, held by a reader."""

import errno
import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshore_agent import journal
from foreshore_agent.journal import head, log, reader, sqlite, store

pytestmark = pytest.mark.component

RESERVE = 1 << 20
QUOTAS = journal.Quotas(log=RESERVE, ballast=0)
WAL = f"{sqlite.FILE}-wal"


def opened(state: Path, quotas: journal.Quotas = QUOTAS) -> store.Store:
    return store.Store(state, quotas, lambda: datetime.now(UTC), is_collected=True)


def write(into: store.Store, size: int = 3000, value: bytes = b"v" * 2000) -> int:
    body = b'{"sequence":"","data":"%b"}' % (b"x" * size)
    with into.transaction():
        into.put("agent/device", value)
        (number,) = into.append([journal.JournalEntry(body, critical=True)])
    into.checkpoint()
    return number


def settle(kept: store.Store) -> None:
    while kept.has_chores:
        kept.chore()


def length(state: Path) -> int:
    return (state / WAL).stat().st_size


def test_the_log_is_written_out_once_and_no_commit_makes_it_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_DUE_PAGES", 100)
    kept = opened(tmp_path)
    settle(kept)
    assert length(tmp_path) == RESERVE
    assert (tmp_path / WAL).stat().st_blocks * 512 >= RESERVE, "its blocks exist"
    for _ in range(200):
        write(kept)
        assert length(tmp_path) == RESERVE
    kept.close()
    assert not (tmp_path / WAL).exists(), "a clean stop leaves one whole file"


def test_what_the_log_is_counted_to_be_is_not_less_than_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = opened(tmp_path)
    counted: list[int] = []
    monkeypatch.setattr(log.Log, "grow", lambda _, pages: counted.append(pages))
    for size in (300, 3000, 9000, 60_000):
        for _ in range(10):
            write(kept, size)
    with sqlite3.connect(tmp_path / sqlite.FILE) as beside:
        _, pages, _ = beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    beside.close()
    assert pages <= sum(counted) <= 3 * pages
    kept.close()


def test_a_log_that_a_reader_holds_is_named_and_is_cut_when_the_reader_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, pages in (("_DUE_PAGES", 50), ("_LONG_PAGES", 300), ("_HELD_PAGES", 300)):
        monkeypatch.setattr(log, name, pages)
    kept = opened(tmp_path)
    settle(kept)
    write(kept)
    with reader.open_reader(tmp_path) as beside:
        beside._connection.execute("BEGIN")
        assert len(list(beside.events(reader.Filters()))) == 1
        while length(tmp_path) < 2 * RESERVE:
            write(kept)
        beside._connection.execute("COMMIT")
    assert "has been reading the journal for long" in caplog.text
    for _ in range(100):
        write(kept)
    settle(kept)
    assert length(tmp_path) == RESERVE
    last = kept.standing.last
    kept.close()
    with reader.open_reader(tmp_path) as after:
        verified = after.verify()
    assert (verified.broken, verified.records) == (None, last)


def test_where_room_is_scarce_the_log_is_not_reserved_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = os.statvfs(tmp_path)
    room = RESERVE * 2 // disk.f_frsize
    fields = [*disk[:3], room, room, *disk[5:]]
    monkeypatch.setattr(os, "fstatvfs", lambda _: os.statvfs_result(fields))
    kept = opened(tmp_path)
    settle(kept)
    assert length(tmp_path) < RESERVE
    assert "records come first" in caplog.text
    assert kept.standing.reason is None
    kept.close()


def test_a_log_that_cannot_be_reserved_costs_speed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    kept = opened(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", fail)
        kept.chore()
    settle(kept)
    assert write(kept) == 1
    assert not kept.is_failing
    kept.close()


def test_values_of_an_older_release_are_there_and_take_one_page_a_change(tmp_path: Path) -> None:
    first = opened(tmp_path)
    write(first)
    with first.transaction():
        first.put("agent/empty", b"")
        first.put("agent/long", b"x" * 5000)
    first.close()
    with sqlite3.connect(tmp_path / sqlite.FILE, isolation_level=None) as older:
        older.execute("CREATE TABLE v (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        older.execute("INSERT INTO v SELECT key, value FROM value")
        older.execute("DROP TABLE value")
        older.execute("ALTER TABLE v RENAME TO value")
    older.close()
    with reader.open_reader(tmp_path) as before:
        assert before.verify().broken is None, "what the older release wrote can be read as it is"
    again = opened(tmp_path)
    assert again.standing.broken is None
    assert again.get("agent/long") == b"x" * 5000
    assert again.get("agent/device") == b"v" * 2000
    again.checkpoint()
    with sqlite3.connect(tmp_path / sqlite.FILE) as beside:
        beside.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        for number in range(10):
            with again.transaction():
                again.put("agent/device", b"%d" % number * 3000)
        _, pages, _ = beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    beside.close()
    assert pages == 10
    again.close()


class Torn:
    """A log that has come round, with old commits behind the newest; one head after each commit."""

    def __init__(self, place: Path) -> None:
        self.state = place / "state"
        kept = opened(self.state)
        settle(kept)
        for _ in range(40):
            write(kept)
        kept._log.checkpoint(kept._connection)
        self.first = kept.standing.last
        self.heads: dict[int, bytes] = {}
        for size in (10, 3000, 100, 9000, 50, 3000):
            number = write(kept, size, b"w" * size)
            self.heads[number] = (self.state / head.FILE).read_bytes()
        self.heads[self.first] = self.heads[self.first + 1]
        self.log = (self.state / WAL).read_bytes()
        self.whole = place / "whole"
        shutil.copytree(self.state, self.whole)
        kept.close()


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Torn:
    return Torn(tmp_path_factory.mktemp("torn"))


TEARS = st.sampled_from(["zeros", "cut", "noise"])


@given(offset=st.integers(32, 120_000), how=TEARS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_log_torn_anywhere_gives_back_whole_commits_in_their_order(
    torn: Torn, offset: int, how: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = tmp_path_factory.mktemp("after") / "state"
    shutil.copytree(torn.whole, state)
    end = {
        "zeros": bytes(len(torn.log) - offset),
        "noise": bytes(byte ^ 0x5A for byte in torn.log[offset:]),
        "cut": b"",
    }[how]
    (state / WAL).write_bytes(torn.log[:offset] + end)
    (state / f"{sqlite.FILE}-shm").unlink()
    with sqlite3.connect(f"file:{state / sqlite.FILE}?mode=rw", uri=True) as recovered:
        recovered.execute("PRAGMA wal_autocheckpoint=0")
        (last,) = recovered.execute("SELECT max(sequence) FROM record").fetchone()
        ((value,),) = recovered.execute("SELECT value FROM value WHERE key = 'agent/device'")
        assert last in torn.heads
        size = len(value)
        if last > torn.first:
            assert size == (10, 3000, 100, 9000, 50, 3000)[last - torn.first - 1]
    recovered.close()
    (state / head.FILE).write_bytes(torn.heads[last])
    if last > torn.first:
        kept = opened(state)
        assert kept.standing.broken is None
        assert write(kept) == last + 1, "no number is left out"
        kept.close()
        with reader.open_reader(state) as after:
            assert after.verify().broken is None
    shutil.rmtree(state.parent)
