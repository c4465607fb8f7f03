"""Rows that are gathered read as if each had been written at once, and go or stay together."""

import sqlite3
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_agent.journal import chain, schema, sqlite, tally

KEYS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.binary(max_size=4)),
        st.tuples(st.just("insert"), st.integers(1, 12), st.none()),
        st.tuples(st.sampled_from(["read", "commit", "roll back"]), st.none(), st.none()),
    ),
    max_size=40,
)


class Model:
    """What the tables hold: now, and as of the last commit."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.last = 0
        self.kept: tuple[dict[str, bytes], int] = ({}, 0)

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value
        if not value:
            del self.values[key]

    def settle(self, *, is_committed: bool) -> None:
        if is_committed:
            self.kept = dict(self.values), self.last
        else:
            self.values, self.last = dict(self.kept[0]), self.kept[1]


def insert(rows: sqlite.Rows, sequence: int) -> None:
    place = sqlite.RowPlace(sequence, chain.GENESIS, chain.GENESIS, 0, 0)
    rows.insert(tally.JournalEntry(b"{}", critical=True), place, b"{}")


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_what_was_gathered_is_read_committed_and_undone_as_if_written_at_once(
    steps: list[tuple[str, object, object]],
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.prepare(connection)
    rows, model = sqlite.Rows(connection), Model()
    rows.begin()
    for what, first, second in [*steps, ("commit", None, None), ("read", None, None)]:
        match what, first, second:
            case "put", str(key), bytes(value):
                rows.put(key, value)
                model.put(key, value)
            case "insert", int(count), _:
                for _ in range(count):
                    model.last += 1
                    insert(rows, model.last)
            case "read", _, _:
                newest = rows.last()
                assert rows.values("") == model.values
                assert (0 if newest is None else newest.sequence) == model.last
            case _:
                if what == "commit":
                    rows.commit()
                else:
                    rows.roll_back()
                model.settle(is_committed=what == "commit")
                assert not connection.in_transaction
                rows.begin()
    connection.close()


class Statements:
    """A connection that notes the first word of everything it is asked."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.asked: list[str] = []
        self._connection = connection

    def execute(self, statement: str, *operands: Any) -> sqlite3.Cursor:
        self.asked.append(statement.split()[0])
        return self._connection.execute(statement, *operands)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction


def test_records_and_a_value_are_one_statement_and_more_than_fit_are_one_transaction() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.prepare(connection)
    statements = Statements(connection)
    rows = sqlite.Rows(cast("sqlite3.Connection", statements))
    for count, expected in ((2, ["INSERT"]), (20, ["BEGIN", *["INSERT"] * 3, "COMMIT"])):
        statements.asked.clear()
        rows.begin()
        for sequence in range(count):
            insert(rows, 100 * count + sequence)
        rows.put("key", b"value")
        rows.commit()
        assert statements.asked == expected
    connection.close()
