"""Reading a journal from another process, beside a running agent or after it.

The file is opened read-only, in short transactions: readers commit and checkpoint nothing, so they
neither meet SQLite's WAL-reset race (see `sqlite`) nor hold the agent's log back; but for `verify`,
which looks at one moment of the whole journal, and lets the log grow for as long, up to a bound:
then it gives up and says so, because the log takes room of the records. After a clean stop in a
directory that cannot be written there is no log to share, and the file alone is whole.
"""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from foreshore_agent.journal import audit, head, holes, opening, sqlite
from foreshore_api.wire import record

_PAGE: Final = 500
_ATTEMPTS: Final = 3
_WANTED: Final = """
  FROM record WHERE length(body) > 0
  AND (:device IS NULL OR device = :device OR substr(device, -length(:device) - 1) = '/' || :device)
  AND (:policy IS NULL OR policy = :policy OR substr(policy, -length(:policy) - 1) = '/' || :policy)
  AND (:verdict IS NULL OR verdict = :verdict COLLATE NOCASE)"""
_FORWARD: Final = (
    f"SELECT sequence, body {_WANTED} AND sequence > :after ORDER BY sequence LIMIT :page"
)
_BACKWARD: Final = f"SELECT body {_WANTED} ORDER BY sequence DESC"
_BEGINNING: Final = "SELECT body FROM record WHERE instr(body, ?) > 0 ORDER BY sequence DESC"


_MOST_LOG_BYTES: Final = 256 << 20
_STEPS: Final = 10_000
"""Of SQLite's machine, between two looks at the log: about a thousand records."""
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Of a file that is no database, or one without the tables: it is there, and not as written."""


class NoJournalError(FileNotFoundError):
    """The directory holds no journal, or none that may be read; the text says which."""


class LogHeldError(RuntimeError):
    """Reading took so long beside a busy agent that its log outgrew the bound."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records are wanted; what is None does not matter."""

    device: str | None = None
    """`name` or `namespace/name`."""
    policy: str | None = None
    verdict: str | None = None
    """Of decisions; of outcomes their outcome."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What checking the chain came to."""

    journal: str
    records: int
    """Records that are there."""
    last: int
    acknowledged: int
    is_stated: bool
    """Whether holes are stated and the head is kept; an older release's journal does neither."""
    broken: audit.ChainBreak | None


class Reader:
    """One opened journal."""

    def __init__(self, connection: sqlite3.Connection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory

    @property
    def journal_id(self) -> str:
        """The journal's UUID."""
        return (self._value("journal/id") or b"").decode()

    @property
    def acknowledged(self) -> int:
        """The highest number that the hub has."""
        tally = self._value("journal/tally")
        return int(orjson.loads(tally)["acknowledged"]) if tally else 0

    def events(self, filters: Filters, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events that pass, oldest first, by number; dropped bodies are left out."""
        page = _PAGE
        while page == _PAGE:
            wanted = {**_operands(filters), "after": after, "page": _PAGE}
            rows = self._connection.execute(_FORWARD, wanted).fetchall()
            page = len(rows)
            for sequence, body in rows:
                after = sequence
                event = orjson.loads(body)
                if _is_within(event, filters):
                    yield sequence, event

    def about(self, decision: str) -> list[bytes]:
        """Return the bodies of one decision: the decision itself, then what followed."""
        rows = self._connection.execute(
            "SELECT body FROM record WHERE instr(body, ?) > 0 ORDER BY sequence LIMIT 100",
            (f'"decisionId":"{decision}"'.encode(),),
        ).fetchall()
        return [bytes(body) for (body,) in rows]

    def beginning_with(self, beginning: str, most: int) -> list[dict[str, Any]]:
        """Return the newest decisions whose identity begins so, at most so many."""
        rows = self._connection.execute(_BEGINNING, (f'"decisionId":"{beginning}'.encode(),))
        decisions = (
            event for (body,) in rows if (event := orjson.loads(body))["type"] == record.DECISION
        )
        return list(itertools.islice(decisions, most))

    def last_decision(self, filters: Filters) -> str | None:
        """Return the identity of the newest decision that passes."""
        rows = self._connection.execute(_BACKWARD, _operands(filters))
        for (body,) in rows:
            event = orjson.loads(body)
            if event["type"] == record.DECISION and _is_within(event, filters):
                return str(event["data"]["decisionId"])
        return None

    def verify(self) -> Verified:
        """Check every record, every link, what is missing, and the newest against the head."""
        for _ in range(_ATTEMPTS):
            before = head.read(self._directory)  # first: the table may be ahead of it, not behind
            verified = self._verify(before)
            if verified.broken is None or before == head.read(self._directory):
                break  # else an agent started or stopped meanwhile
        return verified

    def _verify(self, file_head: head.Head | None) -> Verified:
        self._connection.execute("BEGIN")
        try:
            journal, is_stated = self.journal_id, self._is_stated(file_head)
            table = tuple(self._holes() if is_stated else holes.unstated(self._skeletons()))
            own = file_head if file_head is not None and file_head.journal == journal else None
            checked = audit.Audit(table, own, is_head_due=is_stated)
            for sequence, previous, digest, body in self._connection.execute(
                "SELECT sequence, previous, hash, body FROM record ORDER BY sequence"
            ):
                row = audit.ChainRow(sequence, str(previous), str(digest), sqlite.raw(body))
                checked.take(row)
            broken = checked.finish()
            return Verified(
                journal, checked.count, checked.last, self.acknowledged, is_stated, broken
            )
        finally:
            self._connection.execute("COMMIT")

    def _is_stated(self, file_head: head.Head | None) -> bool:
        rows = sqlite.Rows(self._connection)
        newest = rows.last()
        return opening.is_stated(
            has_format=self._value(opening.FORMAT_KEY) is not None,
            has_holes=rows.has_holes(),
            head=file_head,
            last=0 if newest is None else newest.sequence,
        )

    def _holes(self) -> Iterator[holes.Hole]:
        return sqlite.holes(self._connection.execute(sqlite.HOLES))

    def _skeletons(self) -> Iterator[holes.Skeleton]:
        return sqlite.Rows(self._connection).skeletons()

    def _value(self, key: str) -> bytes | None:
        row = self._connection.execute("SELECT value FROM value WHERE key = ?", (key,)).fetchone()
        return None if row is None else sqlite.raw(row[0])


@contextmanager
def open_reader(directory: Path) -> Iterator[Reader]:
    """Open the journal of a state directory for reading.

    Raises:
        NoJournalError: there is none, or it cannot be opened.
        LogHeldError: reading made the agent's log too long.
        sqlite3.DatabaseError: the file is damaged.
    """
    path = directory / sqlite.FILE
    if not path.exists():
        raise NoJournalError(f"{directory} holds no journal ({sqlite.FILE})")
    try:
        connection = _connect(path)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGED:  # the rest of an extended code is detail
            raise
        raise NoJournalError(f"{path} cannot be read: {error}") from error
    log = path.with_name(f"{path.name}-wal")
    connection.set_progress_handler(lambda: _is_long(log), _STEPS)
    try:
        yield Reader(connection, directory)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        raise LogHeldError(
            f"{log} has grown to more than {_MOST_LOG_BYTES >> 20} MiB while it was read; read on"
            " when the agent writes less, or stop it meanwhile"
        ) from error
    finally:
        connection.close()


def _is_long(log: Path) -> bool:
    try:
        return log.stat().st_size > _MOST_LOG_BYTES
    except OSError:
        return False


def _connect(path: Path) -> sqlite3.Connection:
    where = path.absolute().as_uri()
    options = ["mode=ro"]
    if not path.with_name(f"{path.name}-wal").exists():
        options.append("mode=ro&immutable=1")
    for number, option in enumerate(options, start=1):
        connection = sqlite3.connect(f"{where}?{option}", uri=True, isolation_level=None)
        try:
            connection.execute("SELECT max(sequence) FROM record").fetchone()
        except sqlite3.Error:
            connection.close()
            if number == len(options):
                raise
        else:
            return connection
    raise AssertionError("no way to open the journal was tried")


def _operands(filters: Filters) -> dict[str, str | None]:
    return {"device": filters.device, "policy": filters.policy, "verdict": filters.verdict}


def _is_within(event: dict[str, Any], filters: Filters) -> bool:
    if filters.since is None and filters.until is None:
        return True
    time = datetime.fromisoformat(event["time"])
    if filters.since is not None and time < filters.since:
        return False
    return filters.until is None or time < filters.until
