"""The way into the journal and back: turns, callbacks, and what a stalled disk does to neither."""

import asyncio
import functools
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from builders import patience, stalled
from foreshore_agent import journal
from foreshore_agent.journal import store, writer

pytestmark = pytest.mark.component


def entry(text: str = "x") -> journal.JournalEntry:
    return journal.JournalEntry(b'{"sequence":"","data":"%b"}' % text.encode(), critical=True)


class Commits:
    """Transactions of a store: how many were begun, and whether they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        transaction = store.Store.transaction

        def counted(of: store.Store) -> AbstractContextManager[None]:
            self.count += 1
            self.may_go_on.wait(10)
            return transaction(of)

        monkeypatch.setattr(store.Store, "transaction", counted)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commits]:
    made = Commits(monkeypatch)
    yield made
    made.may_go_on.set()


async def answered(answers: list[str | None], count: int) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while len(answers) < count:  # noqa: ASYNC110 - a callback has no event
            await asyncio.sleep(0.001)


async def test_a_turn_is_one_transaction_and_its_answers_come_in_order(
    tmp_path: Path, commits: Commits
) -> None:
    opened = await journal.Journal.open(tmp_path)
    before, answers = commits.count, list[tuple[int, str | None]]()
    for number in range(5):
        opened.append([entry()], then=functools.partial(lambda *of: answers.append(of), number))
        opened.put(f"key-{number}", b"1")
    opened.flush()
    await opened.close()
    assert commits.count == before + 1
    assert answers == [(number, None) for number in range(5)]


async def test_what_nobody_flushes_is_written_all_the_same_and_once(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path)
    answers: list[str | None] = []
    opened.append([entry("a")], then=answers.append)
    await answered(answers, 1)
    opened.append([entry("b")], then=answers.append)
    opened.flush()
    opened.flush()
    await answered(answers, 2)
    await opened.close()
    assert answers == [None, None]
    assert opened.standing.last == 2


async def test_a_flush_does_not_wait_in_vain_for_company_nor_write_what_is_patient(
    tmp_path: Path, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 60.0)
    opened = await journal.Journal.open(tmp_path)
    before = commits.count
    opened.append([entry("patient")], is_patient=True)
    opened.flush()
    await asyncio.sleep(0.05)
    assert commits.count == before
    await opened.keep("key", b"1")
    assert commits.count == before + 1
    assert opened.standing.last == 1
    await opened.close()


@pytest.mark.parametrize("state", ["open", "closed", "broken"])
async def test_the_answer_never_comes_before_the_question_was_asked(
    tmp_path: Path, state: str
) -> None:
    opened = await journal.Journal.open(tmp_path)
    if state == "broken":
        opened.broken.set_result(None)
    elif state == "closed":
        await opened.close()
    answers: list[str | None] = []
    opened.append([entry()], then=answers.append)
    opened.flush()
    assert answers == []
    await answered(answers, 1)
    await opened.close()
    assert answers == [{"open": None, "closed": "RecorderFull", "broken": "DiskFailing"}[state]]


async def test_an_answer_that_fails_leaves_no_other_unanswered(tmp_path: Path) -> None:
    opened = await journal.Journal.open(tmp_path)
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, about: reported.append(about["exception"])
    )
    defect = ValueError("a defect")

    def fail(_: str | None) -> None:
        raise defect

    answers: list[str | None] = []
    opened.append([entry()], then=fail)
    opened.append([entry()], then=answers.append)
    await answered(answers, 1)
    await opened.close()
    assert answers == [None]
    assert reported == [defect]


async def test_answers_that_waited_together_leave_the_loop_its_turns(
    tmp_path: Path, commits: Commits
) -> None:
    """Hundreds wait behind a disk that stood still: each answer is work of the engine."""
    opened = await journal.Journal.open(tmp_path)
    ticks, answers = 0, list[tuple[int, int]]()
    commits.may_go_on.clear()
    for number in range(300):
        opened.append([entry()], then=lambda _, number=number: answers.append((ticks, number)))  # type: ignore[misc]
    opened.flush()
    commits.may_go_on.set()
    closing = asyncio.create_task(opened.close())
    while not closing.done():
        ticks += 1
        await asyncio.sleep(0)
    assert [number for _, number in answers] == list(range(300))
    assert max(Counter(tick for tick, _ in answers).values()) <= 40


async def test_a_disk_that_stands_still_holds_neither_the_loop_nor_an_answer_back_for_ever(
    tmp_path: Path, commits: Commits
) -> None:
    opened = await journal.Journal.open(tmp_path)
    answers: list[str | None] = []
    commits.may_go_on.clear()
    for _ in range(50):
        opened.append([entry()], then=answers.append)
        opened.flush()
        await asyncio.sleep(0)
    assert answers == []
    commits.may_go_on.set()
    await answered(answers, 50)
    await opened.close()
    assert answers == [None] * 50


STALLED = """
import asyncio, pathlib, sys
import uvloop
from foreshore_agent import journal

async def main(state, stall):
    opened = await journal.Journal.open(state)
    loop = asyncio.get_running_loop()
    entry = journal.JournalEntry(b'{"sequence":""}', critical=True)
    answers = []

    async def answered(count):
        while len(answers) < count:
            await asyncio.sleep(0.001)

    opened.append([entry], then=answers.append)
    await answered(1)
    stall.touch()
    opened.append([entry], [("key", b"1")], then=answers.append)
    opened.flush()
    while not stall.with_suffix(".held").exists():
        await asyncio.sleep(0.001)
    for number in range(100):
        opened.append([entry], [("key", b"%d" % number)], then=answers.append)
        opened.put("other", b"%d" % number)
        opened.lose([entry], "RecordTooLarge")
        opened.flush()
        await asyncio.sleep(0.001)
    print(len(answers), flush=True)
    stall.unlink()
    await answered(102)
    assert answers == [None] * 102
    await opened.close()
    print(opened.standing.dropped, flush=True)

uvloop.run(main(*map(pathlib.Path, sys.argv[1:])))
"""


@pytest.fixture
def disk(tmp_path: Path) -> stalled.StalledDisk:
    """Needs a compiler, once."""
    return stalled.StalledDisk(tmp_path)


def test_while_writes_and_syncs_stand_still_the_loop_turns_and_nothing_counts_as_durable(
    disk: stalled.StalledDisk, tmp_path: Path
) -> None:
    """The loop itself lets the disk go on: held by it, it never would."""
    done = subprocess.run(
        [sys.executable, "-c", STALLED, str(tmp_path / "state"), str(tmp_path / "stall")],
        env=disk.environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.stdout.split(), done.stderr) == (["1", "100"], "")
