"""`records`, `why`, `verify`: beside an agent, after it, and on a journal tampered with."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer import testing

from builders import writing
from foreshore_agent import journal, records
from foreshore_agent.journal import reader, sqlite
from foreshore_api.wire import record

pytestmark = pytest.mark.component

APPLICATION = typer.Typer()
APPLICATION.command()(records.records)
APPLICATION.command()(records.why)
APPLICATION.command()(records.verify)


def run(*arguments: object) -> testing.Result:
    return testing.CliRunner().invoke(APPLICATION, [str(each) for each in arguments])


def decision(
    number: int, device: str = "room-301", verdict: str = "Commanded"
) -> journal.JournalEntry:
    data: dict[str, Any] = {
        "decisionId": f"d{number}",
        "site": "hq",
        "node": "edge-1",
        "trigger": {"kind": "Property", "name": "co2"},
        "engine": {"agent": "0", "expressions": "cel"},
        "policy": {
            "namespace": "hq",
            "name": "ventilate",
            "mode": "Autonomous",
            "effectiveMode": "Autonomous",
        },
        "device": {"namespace": "hq", "name": device},
        "inputs": [{"name": "co2", "value": 1200.0}],
        "recommendation": {"action": "setAirflow", "input": {"value": 600.0}},
        "gates": [{"gate": "Rule", "phase": "Pass", "reason": "RoomOccupied", "margin": 0.2}],
        "verdict": {"result": verdict, "reason": "RoomOccupied", "message": "occupied"},
    }
    return entry(record.DECISION, number, data, device, verdict)


def outcome(number: int, device: str = "room-301") -> journal.JournalEntry:
    data = {"decisionId": f"d{number}", "outcome": "Confirmed", "reason": "ReadBack"}
    return entry(record.OUTCOME, number, data, device, "Confirmed")


def entry(kind: str, number: int, data: object, device: str, verdict: str) -> journal.JournalEntry:
    body = {"type": kind, "time": f"2026-01-01T00:00:{number:02}Z", "sequence": "", "data": data}
    return journal.JournalEntry(orjson.dumps(body), True, "hq/ventilate", f"hq/{device}", verdict)


async def written(state: Path, *entries: journal.JournalEntry) -> journal.Journal:
    opened = await journal.Journal.open(state, quotas=journal.Quotas(log=0))
    for each in entries:
        await writing.append(opened, [each])
    return opened


def identities(result: testing.Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["data"]["decisionId"] for line in result.output.splitlines()]


async def test_filters_choose_beside_a_running_agent(tmp_path: Path) -> None:
    opened = await written(
        tmp_path,
        decision(1),
        decision(2, verdict="Denied"),
        decision(3, device="room-302"),
        outcome(3, device="room-302"),
    )
    assert identities(run("records", "--state", tmp_path)) == ["d1", "d2", "d3", "d3"]
    assert identities(run("records", "--state", tmp_path, "--device", "room-302")) == ["d3", "d3"]
    assert identities(run("records", "--state", tmp_path, "--device", "hq/room-301")) == [
        "d1",
        "d2",
    ]
    assert identities(run("records", "--state", tmp_path, "--device", "301")) == []
    assert identities(run("records", "--state", tmp_path, "--verdict", "denied")) == ["d2"]
    assert identities(
        run("records", "--state", tmp_path, "--policy", "ventilate", "--limit", 1)
    ) == ["d3"]
    since = ("--since", "2026-01-01T00:00:02Z", "--until", "2026-01-01T00:00:03Z")
    assert identities(run("records", "--state", tmp_path, *since)) == ["d2"]
    await writing.append(opened, [decision(5)])
    await opened.close()
    assert identities(run("records", "--state", tmp_path, "--limit", 1)) == ["d5"]


async def test_why_explains_the_last_decision_and_what_followed(tmp_path: Path) -> None:
    opened = await written(tmp_path, decision(1), decision(2), outcome(2))
    last = run("why", "--last", "--state", tmp_path)
    assert last.exit_code == 0, last.output
    assert "d2" in last.output
    assert "Commanded" in last.output
    assert "Confirmed" in last.output
    assert "RoomOccupied" in last.output
    first = run("why", "d1", "--state", tmp_path, "-o", "json")
    assert json.loads(first.output)["decision_id"] == "d1"
    assert run("why", "d9", "--state", tmp_path).exit_code == 1
    assert run("why", "--state", tmp_path).exit_code == 2
    await opened.close()


async def test_verify_names_the_first_record_that_was_changed(tmp_path: Path) -> None:
    opened = await written(tmp_path, *(decision(number) for number in range(1, 8)))
    await opened.close()
    whole = run("verify", "--state", tmp_path)
    assert (whole.exit_code, "7 records" in whole.output) == (0, True), whole.output
    with sqlite3.connect(tmp_path / sqlite.FILE) as tampered:
        tampered.execute(
            "UPDATE record SET body = replace(body, 'Commanded', 'Suppressed') WHERE sequence = 4"
        )
    tampered.close()
    broken = run("verify", "--state", tmp_path, "-o", "json")
    assert broken.exit_code == 1
    assert json.loads(broken.output)["broken"] == {
        "sequence": 4,
        "reason": "HashMismatch",
        "until": None,
    }


def deleted(table: sqlite3.Connection, _: Path) -> None:
    table.execute("DELETE FROM record WHERE sequence = 4")


def cut_off(table: sqlite3.Connection, _: Path) -> None:
    table.execute("DELETE FROM record WHERE sequence >= 6")


def emptied(table: sqlite3.Connection, _: Path) -> None:
    table.execute("UPDATE record SET body = x'' WHERE sequence = 4")


def deleted_and_listed(table: sqlite3.Connection, _: Path) -> None:
    table.execute("INSERT INTO hole SELECT 4, 4, previous, hash, 'Removed' FROM record"
                  " WHERE sequence = 4")  # fmt: skip
    table.execute("DELETE FROM record WHERE sequence = 4")


def chained_anew(table: sqlite3.Connection, _: Path) -> None:
    rows = table.execute("SELECT sequence, previous, body FROM record WHERE sequence >= 4")
    previous = None
    for sequence, named, body in rows.fetchall():
        changed = body.replace(b"Commanded", b"Suppressed") if sequence == 4 else body
        previous = previous or named
        digest = journal.link(previous, changed)
        table.execute(
            "UPDATE record SET previous = ?, hash = ?, body = ? WHERE sequence = ?",
            (previous, digest, changed, sequence),
        )
        previous = digest


def added(table: sqlite3.Connection, _: Path) -> None:
    (previous,) = table.execute("SELECT hash FROM record WHERE sequence = 7").fetchone()
    table.execute(
        "INSERT INTO record SELECT 8, ?, ?, critical, policy, device, verdict, keep,"
        " critical_written, routine_written, body FROM record WHERE sequence = 7",
        (previous, journal.link(previous, b"{}")),
    )
    table.execute("UPDATE record SET body = ? WHERE sequence = 8", (b"{}",))


def deleted_as_if_an_older_release_had_forgotten_it(table: sqlite3.Connection, _: Path) -> None:
    table.execute("DELETE FROM record WHERE sequence = 4")
    table.execute("DELETE FROM value WHERE key = 'journal/format'")


def identified_anew(table: sqlite3.Connection, _: Path) -> None:
    table.execute("UPDATE value SET value = 'text' WHERE key = 'journal/id'")


def headed_by_a_directory(_: sqlite3.Connection, state: Path) -> None:
    (state / "journal.head").unlink()
    (state / "journal.head").mkdir()


def beheaded(_: sqlite3.Connection, state: Path) -> None:
    (state / "journal.head").unlink()


@pytest.mark.parametrize(
    ("tamper", "where", "reason"),
    [
        (deleted, "record 4", "RecordMissing"),
        (cut_off, "record 6 to 7", "Truncated"),
        (emptied, "record 4", "BodyMissing"),
        (deleted_and_listed, "record 7", "StatementMismatch"),
        (chained_anew, "record 1 to 7", "HeadMismatch"),
        (added, "record 8", "BeyondHead"),
        (beheaded, "record 1 to 7", "HeadMissing"),
        (deleted_as_if_an_older_release_had_forgotten_it, "record 4", "RecordMissing"),
        (identified_anew, "record 1 to 7", "HeadMissing"),
        (headed_by_a_directory, "record 1 to 7", "HeadMissing"),
    ],
)
async def test_verify_says_what_was_done_to_a_journal_where_and_what_to_do(
    tmp_path: Path,
    tamper: Callable[[sqlite3.Connection, Path], None],
    where: str,
    reason: str,
) -> None:
    opened = await written(tmp_path, *(decision(number) for number in range(1, 8)))
    await opened.close()
    with sqlite3.connect(tmp_path / sqlite.FILE) as table:
        tamper(table, tmp_path)
    table.close()
    for _ in range(2):
        found = run("verify", "--state", tmp_path)
        assert found.exit_code == 1, found.output
        assert f"broken at {where} ({reason})" in found.output
        assert "keep a copy of the directory as evidence" in found.output


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO value VALUES ('journal/tally', x'00ff')",
        "DROP TABLE hole",
        "DROP TABLE hole; DELETE FROM value WHERE key = 'journal/format'",
        "DROP TABLE value",
    ],
)
async def test_verify_says_of_what_it_cannot_read_at_all_what_to_do(
    tmp_path: Path, statement: str
) -> None:
    """It ended in a traceback."""
    opened = await written(tmp_path, *(decision(number) for number in range(1, 4)))
    await opened.close()
    with sqlite3.connect(tmp_path / sqlite.FILE) as tampered:
        tampered.executescript(statement)
    tampered.close()
    result = run("verify", "--state", tmp_path)
    assert result.exit_code == 1
    assert "is not as it was written (" in result.output
    assert "keep a copy of the directory as evidence" in result.output


async def test_every_verb_says_of_a_damaged_file_what_to_do(tmp_path: Path) -> None:
    """It was said as if there were no journal: exit code 2, and no remedy."""
    opened = await written(tmp_path, decision(1))
    await opened.close()
    (tmp_path / sqlite.FILE).write_bytes(b"x" * 5000)
    for verb in (["records"], ["why", "--last"], ["verify"]):
        result = run(*verb, "--state", tmp_path)
        assert result.exit_code == 1
        assert "file is not a database" in result.output
        assert "keep a copy of the directory as evidence" in result.output


async def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / sqlite.FILE).mkdir()
    result = run("verify", "--state", tmp_path)
    assert result.exit_code == 2
    assert "cannot be read: disk I/O error" in result.output
    assert "evidence" not in result.output


async def test_records_says_of_a_body_that_is_none_what_to_do(tmp_path: Path) -> None:
    opened = await written(tmp_path, decision(1))
    await opened.close()
    with sqlite3.connect(tmp_path / sqlite.FILE) as tampered:
        tampered.execute("UPDATE record SET body = x'7b'")
    tampered.close()
    result = run("records", "--state", tmp_path)
    assert result.exit_code == 1
    assert "is not as it was written (JSONDecodeError" in result.output


async def test_verify_raises_no_false_alarm_beside_an_agent_that_writes_and_forgets(
    tmp_path: Path,
) -> None:
    opened = await journal.Journal.open(tmp_path)
    checked = 0
    is_done = asyncio.Event()

    async def write() -> None:
        number = 0
        while not is_done.is_set():
            number += 1
            await writing.append(opened, [outcome(number % 60, device=f"room-{number % 3}")])
            if number % 40 == 0:
                await opened.acknowledge(opened.standing.last)

    def verify() -> journal.ChainBreak | None:
        with reader.open_reader(tmp_path) as beside:
            return beside.verify().broken

    background = asyncio.create_task(write())
    while opened.standing.kept == opened.standing.last or checked < 10:
        assert await asyncio.to_thread(verify) is None
        checked += 1
    is_done.set()
    await background
    await opened.close()


async def test_reading_gives_up_before_the_log_that_it_holds_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MOST_LOG_BYTES", 1 << 20)
    monkeypatch.setattr(reader, "_STEPS", 100)
    opened = await written(tmp_path, *(decision(number) for number in range(100)))
    assert run("verify", "--state", tmp_path).exit_code == 0
    with sqlite3.connect(tmp_path / sqlite.FILE) as held:
        held.execute("BEGIN")
        held.execute("SELECT count(*) FROM record").fetchone()
        while (tmp_path / f"{sqlite.FILE}-wal").stat().st_size <= 1 << 20:
            await opened.keep("filler", os.urandom(100_000))
    held.close()
    result = run("verify", "--state", tmp_path)
    assert result.exit_code == 2, "it is not finished, and nothing is broken"
    assert "has grown to more than 1 MiB while it was read" in result.output
    await opened.close()


async def test_a_directory_without_a_journal_is_said(tmp_path: Path) -> None:
    for verb in (["records"], ["why", "--last"], ["verify"]):
        result = run(*verb, "--state", tmp_path)
        assert result.exit_code == 2
        assert "holds no journal" in result.output


async def test_a_stopped_agents_journal_in_a_read_only_place_can_be_read(tmp_path: Path) -> None:
    opened = await written(tmp_path / "state", decision(1))
    await opened.close()
    for name in ("journal.db-wal", "journal.db-shm"):
        assert not (tmp_path / "state" / name).exists(), "a clean stop leaves one whole file"
    (tmp_path / "state").chmod(0o555)
    try:
        assert identities(run("records", "--state", tmp_path / "state")) == ["d1"]
    finally:
        (tmp_path / "state").chmod(0o755)


LONG = ("01a20307-9b3d-71f5-af7f-39e9f642cdfa", "01a20307-a17d-73d6-a337-14c63e8ae98a")


def identified(number: int, identity: str) -> journal.JournalEntry:
    """A decision whose identity is as long as a real one's."""
    found = decision(number)
    body = orjson.loads(found.body)
    body["data"]["decisionId"] = identity
    return journal.JournalEntry(orjson.dumps(body), True, found.policy, found.device, found.verdict)


async def test_why_takes_the_beginning_of_an_identity_or_a_command(tmp_path: Path) -> None:
    opened = await written(tmp_path, *(identified(n, each) for n, each in enumerate(LONG, 1)))
    for asked in (LONG[1][:12], LONG[1].upper(), f"{LONG[1]}/1", f"{LONG[1][:12]}/1"):
        found = run("why", asked, "--state", tmp_path)
        assert found.exit_code == 0, found.output
        assert f"decision  {LONG[1]}" in found.output
    await opened.close()


async def test_why_lists_the_decisions_that_begin_alike(tmp_path: Path) -> None:
    opened = await written(tmp_path, *(identified(n, each) for n, each in enumerate(LONG, 1)))
    found = run("why", LONG[0][:8], "--state", tmp_path)
    assert found.exit_code == 2
    assert f"2 decisions begin with {LONG[0][:8]}" in found.output
    for each in LONG:
        assert f"{each}  2026-01-01" in found.output
        assert "room-301" in found.output
    await opened.close()


async def test_why_lists_a_bounded_number_of_decisions_that_begin_alike(tmp_path: Path) -> None:
    many = (identified(n, f"01a20307-0000-7000-8000-{n:012}") for n in range(1, 40))
    opened = await written(tmp_path, *many)
    found = run("why", "01a20307", "--state", tmp_path)
    assert found.exit_code == 2
    assert found.output.count("01a20307-0000") == 10
    assert "more than 10 decisions begin with 01a20307" in found.output
    assert "000000000039" in found.output, "the newest are shown"
    await opened.close()


async def test_why_says_that_a_beginning_is_too_short(tmp_path: Path) -> None:
    opened = await written(tmp_path, identified(1, LONG[0]))
    found = run("why", LONG[0][:3], "--state", tmp_path)
    assert found.exit_code == 2
    assert "too short" in found.output
    assert "4 characters" in found.output
    await opened.close()


@pytest.mark.parametrize("verb", [("records",), ("why", "--last")], ids=["records", "why"])
async def test_a_verdict_that_is_none_is_refused_with_those_that_are(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    opened = await written(tmp_path, decision(1))
    found = run(*verb, "--state", tmp_path, "--verdict", "Comanded")
    assert found.exit_code == 2
    assert "Comanded" in found.output
    for each in record.Verdict:
        assert each.value in found.output
    assert (record.Outcome.CONFIRMED in found.output) is (verb == ("records",))
    await opened.close()
