"""What `verify` finds: every single tampering of a generated journal, at its place; nothing else.

The journal under test is made by the product's own ledger, in memory: records, forgetting, emptied
bodies. Each tampering is one edit that somebody with the database open could make.
"""

import itertools
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_agent.journal import audit, chain, holes, ledger, opening, schema, sqlite, tally
from foreshore_agent.journal.head import FILE, Head, HeadFile
from foreshore_agent.journal.head import read as read_head
from foreshore_api.reasons import journal as reasons

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORGED = b'{"forged":true}'


class Bench:
    """A journal in memory, and the head of it."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        schema.prepare(self.connection)
        self.rows = sqlite.Rows(self.connection)
        self.rows.make_holes()
        self.books = ledger.Ledger(self.rows, lambda: NOW)
        self.emptied: set[int] = set()
        for what, start, count in steps:
            self.step(what, start, count)
        self.step("write", 0, 1)
        self.head = Head("j", self.books.newest.sequence, self.books.newest.hash)

    def step(self, what: str, start: int, count: int) -> None:
        present = self.numbers()
        chosen = present[start % len(present) :][:count] if present else []
        self.rows.begin()
        if what == "write":
            for number in range(count):
                body = b'{"sequence":"","n":%d}' % number
                self.books.insert(tally.JournalEntry(body, critical=True))
        elif what == "forget":
            self.books.remove(chosen, "Acknowledged")
        else:
            full = [number for number in chosen if number not in self.emptied]
            self.books.empty(full, "RoutineQuota")
            self.emptied |= set(full)
        self.books.commit()
        self.rows.commit()
        self.books.settle(is_committed=True)

    def numbers(self) -> list[int]:
        rows = self.connection.execute("SELECT sequence FROM record ORDER BY sequence")
        return [number for (number,) in rows]

    def row(self, number: int) -> audit.ChainRow:
        query = "SELECT sequence, previous, hash, body FROM record WHERE sequence = ?"
        return audit.ChainRow(*self.connection.execute(query, (number,)).fetchone())

    def change(self, number: int, **fields: object) -> None:
        for name, value in fields.items():
            self.connection.execute(
                f"UPDATE record SET {name} = ? WHERE sequence = ?",  # noqa: S608 - no input
                (value, number),
            )

    def forge(self, number: int, *, until: int | None = None) -> None:
        """Change a body and compute the hashes anew, up to `until`."""
        previous = self.row(number).previous
        for each in self.numbers():
            if each < number or (until is not None and each > until):
                continue
            body = FORGED if each == number else self.row(each).body
            digest = chain.link(previous, body) if body else self.row(each).hash
            self.change(each, previous=previous, hash=digest, body=body)
            previous = digest

    def verify(self, head: Head | None = None) -> audit.ChainBreak | None:
        table = list(sqlite.holes(self.connection.execute(sqlite.HOLES)))
        checked = audit.Audit(table, head or self.head, is_head_due=True)
        for number in self.numbers():
            checked.take(self.row(number))
        return checked.finish()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "forget", "empty"]),
        st.integers(0, 40),
        st.integers(1, 6),
    ),
    max_size=12,
).map(lambda steps: [("write", 0, 4), *steps])


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_what_the_journal_itself_forgot_and_emptied_is_no_break(
    steps: list[tuple[str, int, int]],
) -> None:
    bench = Bench(steps)
    assert bench.verify() is None
    table = list(sqlite.holes(bench.connection.execute(sqlite.HOLES)))
    assert bench.books.total == holes.Total.of(table), "the running total is that of the table"
    missing = [hole for hole in sorted(table) if hole.kind == holes.HoleKind.REMOVED]
    for before, behind in itertools.pairwise(missing):
        assert before.last + 1 < behind.first, "neighbours are one hole: the table stays small"


def delete(bench: Bench, number: int) -> tuple[int, str]:
    last = bench.numbers()[-1]
    bench.connection.execute("DELETE FROM record WHERE sequence = ?", (number,))
    return number, reasons.TRUNCATED if number == last else reasons.RECORD_MISSING


def cut(bench: Bench, number: int) -> tuple[int, str]:
    bench.connection.execute("DELETE FROM record WHERE sequence >= ?", (number,))
    return number, reasons.TRUNCATED


def edit(bench: Bench, number: int) -> tuple[int, str]:
    bench.change(number, body=b'{"edited":true}')
    return number, reasons.HASH_MISMATCH


def empty(bench: Bench, number: int) -> tuple[int, str]:
    bench.change(number, body=b"")
    return number, reasons.BODY_MISSING


def relink(bench: Bench, number: int) -> tuple[int, str]:
    bench.change(number, previous="sha256:" + "1" * 64)
    return number, reasons.HASH_MISMATCH


def replace_alone(bench: Bench, number: int) -> tuple[int, str]:
    last = bench.numbers()[-1]
    bench.forge(number, until=number)
    return number, reasons.HEAD_MISMATCH if number == last else reasons.LINK_MISMATCH


def rechain(bench: Bench, number: int) -> tuple[int, str]:
    bench.forge(number)
    return number, reasons.HEAD_MISMATCH


Tampering = Callable[[Bench, int], tuple[int, str]]


def knowable(bench: Bench, done: list[tuple[int, Tampering]]) -> int:
    """The first number that something left in the journal still vouches against."""
    table = tuple(sqlite.holes(bench.connection.execute(sqlite.HOLES)))
    numbers = set(bench.numbers())
    fixed = {hole.first - 1 for hole in table} | ({bench.head.sequence} & numbers)
    found = []
    for number, tamper in done:
        if tamper is rechain:
            found.append(min((end for end in fixed if end >= number), default=None))
        elif tamper is not replace_alone or number in fixed or number + 1 in numbers:
            found.append(number)
    return min(number for number in found if number is not None)


@given(STEPS, st.sampled_from([delete, cut, edit, empty, relink, replace_alone]), st.data())
@settings(max_examples=250, deadline=None)
def test_any_single_tampering_is_found_at_its_place(
    steps: list[tuple[str, int, int]],
    tamper: Callable[[Bench, int], tuple[int, str]],
    data: st.DataObject,
) -> None:
    bench = Bench(steps)
    full = [number for number in bench.numbers() if number not in bench.emptied]
    number, reason = tamper(bench, data.draw(st.sampled_from(full)))
    found = bench.verify()
    assert found is not None
    if reason == reasons.HEAD_MISMATCH:
        assert found.sequence <= number <= (found.until or 0), found
    else:
        assert (found.sequence, found.reason) == (number, reason)


@given(STEPS, st.data())
@settings(max_examples=300, deadline=None)
def test_of_two_tamperings_the_first_is_found_and_no_place_behind_it_is_named(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    bench = Bench(steps)
    full = [number for number in bench.numbers() if number not in bench.emptied]
    tamperings = st.sampled_from([delete, cut, edit, empty, relink, replace_alone, rechain])
    done: list[tuple[int, Tampering]] = []
    for tamper in (data.draw(tamperings, label="first"), data.draw(tamperings, label="second")):
        left = [number for number in full if number in bench.numbers()]
        if left:
            number = data.draw(st.sampled_from(left), label=tamper.__name__)
            before = list(bench.connection.execute("SELECT * FROM record"))
            tamper(bench, number)
            if before == list(bench.connection.execute("SELECT * FROM record")):
                continue  # it was forged to the same bytes before
            if tamper is rechain:  # what it chains anew is as good as new
                mended = (edit, relink, replace_alone)
                done = [(at, was) for at, was in done if at < number or was not in mended]
            done = [(at, was) for at, was in done if at != number]
            done.append((number, tamper))
    found = bench.verify()
    assert found is not None
    first = knowable(bench, done)
    assert found.sequence <= first, found
    if all(tamper is not rechain for _, tamper in done) and found.reason != reasons.HEAD_MISMATCH:
        assert first - found.sequence <= (found.reason == reasons.LINK_MISMATCH), found


@given(STEPS, st.data())
@settings(max_examples=100, deadline=None)
def test_an_edit_with_all_later_hashes_computed_anew_is_found_by_the_head_or_before(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    bench = Bench(steps)
    full = [number for number in bench.numbers() if number not in bench.emptied]
    number = data.draw(st.sampled_from(full))
    bench.forge(number)
    found = bench.verify()
    assert found is not None
    assert found.sequence >= number or number <= (found.until or 0)


@given(STEPS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_hole_that_is_taken_off_the_list_or_put_on_it_is_found(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    bench = Bench(steps)
    table = list(sqlite.holes(bench.connection.execute(sqlite.HOLES)))
    is_taken_off = bool(table) and data.draw(st.booleans(), label="taken off")
    if is_taken_off:
        bench.books._rows.delete_hole(table[data.draw(st.integers(0, len(table) - 1))])
    else:
        number = data.draw(st.sampled_from(bench.numbers()[:-1]))
        row = bench.row(number)
        bench.connection.execute("DELETE FROM record WHERE sequence = ?", (number,))
        bench.books._rows.insert_hole(
            holes.Hole(number, number, row.previous, row.hash, holes.HoleKind.REMOVED)
        )
    assert bench.verify() is not None


def test_chained_anew_behind_what_the_hub_has_the_place_is_narrowed_to_what_it_has_not() -> None:
    bench = Bench([("write", 0, 10)])
    acknowledged = bench.head._replace(acknowledged=6, acknowledged_hash=bench.row(6).hash)
    bench.forge(8)
    assert bench.verify(acknowledged) == audit.ChainBreak(7, reasons.HEAD_MISMATCH, 11)


def test_chained_anew_in_front_of_what_the_hub_has_the_place_is_narrowed_to_what_it_has() -> None:
    bench = Bench([("write", 0, 10)])
    acknowledged = bench.head._replace(acknowledged=6, acknowledged_hash=bench.row(6).hash)
    bench.forge(3)
    assert bench.verify(acknowledged) == audit.ChainBreak(1, reasons.HEAD_MISMATCH, 6)


def test_a_table_ahead_of_its_head_is_normal_but_not_after_a_clean_stop() -> None:
    bench = Bench([("write", 0, 5)])
    behind = Head("j", 3, bench.row(3).hash)
    assert bench.verify(behind) is None
    final = behind._replace(is_final=True)
    assert bench.verify(final) == audit.ChainBreak(4, reasons.BEYOND_HEAD, 6)


def test_a_break_that_was_noticed_when_the_journal_was_opened_is_told_for_ever() -> None:
    bench = Bench([("write", 0, 5)])
    last, digest = bench.books.newest.sequence, bench.books.newest.hash
    lost = holes.Hole(last + 1, last + 4, digest, "sha256:" + "2" * 64, holes.HoleKind.CUT)
    bench.books.note("JournalCut", lost)
    bench.step("write", 0, 3)
    assert bench.numbers()[last] == last + 5, "the numbers that are gone are not used again"
    head = Head("j", bench.books.newest.sequence, bench.books.newest.hash)
    assert bench.verify(head) == audit.ChainBreak(last + 1, reasons.TRUNCATED, last + 4)


def test_every_break_says_what_is_wrong_and_what_to_do() -> None:
    source = Path(audit.__file__).read_text()
    named = [name for name in vars(reasons) if f"reasons.{name}" in source]
    assert len(named) == 10
    for name in named:
        row = vars(reasons)[name]
        assert row.message, name
        assert row.remedy == reasons.BREAK_REMEDY, name


HEAD = Head("j", 5, "sha256:five", 3, "sha256:three")
FOUND = opening.Found("j", 5, "sha256:five", True, True, HEAD, "sha256:five", "sha256:three")
UNMARKED = replace(FOUND, has_format=False)
OLDER = replace(UNMARKED, has_holes=False, head=None)


@pytest.mark.parametrize(
    ("found", "reason", "span"),
    [
        (FOUND, None, None),
        (replace(FOUND, last=7), None, None),
        (replace(FOUND, hash_at_head=None, hash_at_acknowledged=None), None, None),
        (replace(FOUND, last=2, hash_at_head=None), "JournalCut", (3, 5)),
        (replace(OLDER, journal="", last=0, head=HEAD), "JournalCut", (1, 5)),
        (replace(FOUND, hash_at_head="sha256:other"), "HeadMismatch", (4, 5)),
        (replace(FOUND, hash_at_acknowledged="sha256:other"), "HeadMismatch", (1, 3)),
        (replace(FOUND, journal="other"), "HeadMismatch", (1, 5)),
        (replace(FOUND, head=None), "HeadMissing", (1, 5)),
        (replace(FOUND, last=7, head=HEAD._replace(is_final=True)), "BeyondHead", (6, 7)),
        (OLDER, "FormatUpgraded", None),
        (replace(OLDER, last=0), None, None),
        (replace(UNMARKED, last=0, head=None), None, None),
        (replace(UNMARKED, head=None), "HeadMissing", (1, 5)),
        (replace(OLDER, head=Head("j", 0, "")), None, None),
        (replace(OLDER, head=Head("j", 0, "", is_final=True)), "BeyondHead", (1, 5)),
        (replace(UNMARKED, last=2, hash_at_head=None), "JournalCut", (3, 5)),
    ],
    ids=[
        "as it was left",
        "ahead after a crash",
        "the record at the head was forgotten",
        "behind the head",
        "the database is gone",
        "other hash at the head",
        "other hash where the hub acknowledged",
        "another journal's table",
        "no head",
        "ahead of a final head",
        "written by an older release",
        "new",
        "made, and nothing written",
        "no head and no format",
        "no format, and a head from before the first record",
        "no format, and a final head from before the first record",
        "no format and behind the head",
    ],
)
def test_what_is_noticed_when_a_journal_is_opened(
    found: opening.Found, reason: str | None, span: tuple[int, int] | None
) -> None:
    noticed = opening.notice(found)
    assert (noticed and noticed[0]) == reason
    hole = noticed[1] if noticed else None
    assert (hole and (hole.first, hole.last)) == span


def test_a_torn_write_of_the_head_leaves_the_one_before(tmp_path: Path) -> None:
    file = HeadFile(tmp_path)
    for number in (1, 2, 3):
        file.write(Head("j", number, f"sha256:{number}"))
    file.close()
    content = bytearray((tmp_path / FILE).read_bytes())
    newest = content.index(b'"sequence":3')
    content[newest + 11 : newest + 12] = b"9"
    (tmp_path / FILE).write_bytes(bytes(content))
    assert read_head(tmp_path) == Head("j", 2, "sha256:2")
    (tmp_path / FILE).write_bytes(b"")
    assert read_head(tmp_path) is None
