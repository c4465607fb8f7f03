"""A journal whose writer is killed again and again, and what became of what it had answered for.

The writer is a process of its own: `python killed.py STATE`. Each of its workers appends a record
together with a value that names it, and prints a line once that is durable.
"""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from foreshore_agent import journal
from foreshore_agent.journal import holes, reader, sqlite, store

WORKERS = 4
LONGEST = 0.12
"""Seconds from the first answer to the kill, at most."""
QUOTAS = journal.Quotas(critical=1 << 18, routine=1 << 16, ballast=1 << 16, log=1 << 18)
"""So small that house-keeping is always under way."""


class Answer(NamedTuple):
    """What the writer said is durable."""

    sequence: int
    worker: int
    number: int
    is_critical: bool


@dataclass
class KilledWriter:
    """One state directory and everything that was ever answered for."""

    state: Path
    chance: random.Random
    durable: dict[int, Answer] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    """The newest number of each worker."""
    twice: list[int] = field(default_factory=list)

    def kill(self) -> None:
        """Start a writer, kill it at some moment, and take its answers in."""
        command = [sys.executable, __file__, str(self.state)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline()]
            time.sleep(self.chance.uniform(0.0, LONGEST))
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith("\n"):  # the last one may be cut
                sequence, worker, number, is_critical = map(int, line.split())
                self._take(Answer(sequence, worker, number, bool(is_critical)))

    def _take(self, answer: Answer) -> None:
        if answer.sequence in self.durable:
            self.twice.append(answer.sequence)
        self.durable[answer.sequence] = answer
        self.newest[answer.worker] = answer.number

    def problems(self) -> list[str]:
        """Open what the last kill left, and name everything that is not as it was answered for."""
        with reader.open_reader(self.state) as opened:
            broken, acknowledged = opened.verify().broken, opened.acknowledged
        stored, gone, values = self._stored(), self.forgotten(), self._values()
        problems = [f"{sequence} was used twice" for sequence in self.twice]
        problems += [] if broken is None else [f"the chain is broken: {broken}"]
        for answer in self.durable.values():
            if answer.sequence not in gone and stored.get(answer.sequence) != answer[1:3]:
                problems.append(f"lost: {answer}")
            if answer.sequence in gone and answer.is_critical and answer.sequence > acknowledged:
                problems.append(f"forgotten too early: {answer}")
        for worker, number in self.newest.items():
            if values.get(worker, -1) < number:
                problems.append(f"worker {worker}: value {values.get(worker)}, answered {number}")
        return problems

    def forgotten(self) -> set[int]:
        """Return the numbers that are missing on purpose."""
        with self._read() as connection:
            table = sqlite.holes(connection.execute(sqlite.HOLES).fetchall())
        connection.close()
        return {
            number
            for hole in table
            if hole.kind in (holes.HoleKind.REMOVED, holes.HoleKind.EMPTIED)
            for number in range(hole.first, hole.last + 1)
        }

    def _stored(self) -> dict[int, tuple[int, int]]:
        with self._read() as connection:
            rows = connection.execute("SELECT sequence, body FROM record").fetchall()
        connection.close()
        bodies = {sequence: orjson.loads(body) for sequence, body in rows if body}
        return {
            sequence: (body["w"], body["n"]) for sequence, body in bodies.items() if "w" in body
        }

    def _values(self) -> dict[int, int]:
        with self._read() as connection:
            rows = connection.execute("SELECT key, value FROM value WHERE key LIKE 'agent/%'")
            values = {int(key.rpartition("/")[2]): int(value) for key, value in rows}
        connection.close()
        return values

    def _read(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.state / sqlite.FILE}?mode=ro", uri=True)


async def write(state: Path) -> None:
    """Write for ever, and print what is durable."""
    opened = await journal.Journal.open(state, quotas=QUOTAS)
    sequences = _watched()

    async def append(worker: int) -> None:
        number = time.time_ns() // 1000  # above those of the writers before
        while True:
            body = b'{"sequence":"","w":%d,"n":%d}' % (worker, number)
            entry = journal.JournalEntry(body, critical=number % 2 == 0, keep=2)
            durable: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            values = [(f"worker/{worker}", b"%d" % number)]
            opened.append([entry], values, then=durable.set_result)
            if (reason := await durable) is not None:
                raise AssertionError(reason)
            words = (sequences.pop(body), worker, number, int(entry.critical))
            os.write(1, (" ".join(map(str, words)) + "\n").encode())
            number += 1

    async def acknowledge() -> None:
        while True:
            await asyncio.sleep(0.02)
            await opened.acknowledge(opened.standing.last - 10)

    await asyncio.gather(*map(append, range(WORKERS)), acknowledge())


def _watched() -> dict[bytes, int]:
    """Return a table that the store fills: which number a body was given."""
    sequences: dict[bytes, int] = {}
    insert = store.Store.append

    def noted(kept: store.Store, entries: list[journal.JournalEntry], values: object = ()) -> None:
        given = insert(kept, entries, values)  # type: ignore[arg-type]
        sequences.update(zip((entry.body for entry in entries), given, strict=True))

    store.Store.append = noted  # type: ignore[method-assign, assignment]
    return sequences


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
