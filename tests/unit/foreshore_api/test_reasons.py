"""Reasons: one row a code, usable as its text, and every row says what a person needs."""

import copy
import json
import pickle
from collections.abc import Mapping

import orjson
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from foreshore_api import reasons
from foreshore_api.reasons import condition, decision, domains
from foreshore_api.wire import record

ROWS = [(name, row) for name, table in domains.TABLES.items() for row in table.values()]


@pytest.mark.parametrize(("domain", "row"), ROWS, ids=[f"{name}/{row}" for name, row in ROWS])
def test_a_row_says_what_it_means_in_one_sentence(domain: str, row: domains.Row) -> None:
    assert row.isalnum()
    assert row[0].isupper()
    assert len(row) <= 63, "a reason of a condition is no longer"
    assert row.meaning.endswith(".")
    assert not row.remedy.endswith("."), "it stands inside a sentence"


def test_two_rows_of_one_code_are_refused() -> None:
    twice = {"A": reasons.Reason("Late", "One."), "B": reasons.Reason("Late", "Another.")}
    with pytest.raises(ValueError, match="two rows have the code Late"):
        reasons.table(reasons.Reason, twice)


def test_a_code_of_two_domains_is_one_row_but_where_it_means_something_else() -> None:
    """A copied row would drift: the second domain imports the first one's, or says `but`."""
    rows: dict[str, list[domains.Row]] = {}
    for _, row in ROWS:
        rows.setdefault(str(row), []).append(row)
    several = {
        code
        for code, found in rows.items()
        if len({id(row) for row in found if isinstance(row, reasons.Reason)}) > 1
    }
    assert several == {
        "Accepted",  # a message, a command by its device
        "DeviceLocked",  # before the verdict, after it
        "ExpressionTooSlow",  # before the verdict, after it
        "Late",  # of a value, of a replica
        "MalformedAnswer",  # of a replica, of the hub
        "PolicyChanged",  # before the verdict, after it
        "RecorderFull",  # denies a command, caps a mode, is news of an agent, ends a command
        "Unreachable",  # a replica, the hub
    }


@pytest.mark.parametrize("dumped", [json.dumps, lambda row: orjson.dumps(row).decode()])
def test_a_row_is_written_as_its_code(dumped: object) -> None:
    assert callable(dumped)
    assert dumped(decision.INPUT_STALE) == '"InputStale"'


def test_a_row_is_a_code_for_models_labels_sets_and_comparisons() -> None:
    entry = record.GateEntry(
        gate=decision.VALIDITY, phase=record.Phase.FAIL, reason=decision.INPUT_STALE
    )
    assert json.loads(entry.model_dump_json())["reason"] == "InputStale"
    registry = CollectorRegistry()
    counter = Counter("x", "x", ("reason",), registry=registry)
    counter.labels(decision.INPUT_STALE).inc()
    assert b'x_total{reason="InputStale"} 1.0' in generate_latest(registry)
    assert decision.INPUT_STALE == "InputStale"
    assert {"InputStale": 1}[decision.INPUT_STALE] == 1
    assert f"{decision.INPUT_STALE}" == "InputStale"


@pytest.mark.parametrize(
    "through",
    [copy.copy, copy.deepcopy, lambda row: pickle.loads(pickle.dumps(row))],  # noqa: S301
)
def test_a_row_survives_copies_as_its_text(through: object) -> None:
    assert callable(through)
    assert through(decision.INPUT_STALE) == "InputStale"


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="InputStale is a constant"):
        decision.INPUT_STALE.meaning = "something else"


def test_a_reason_of_a_condition_is_found_by_its_code() -> None:
    row = condition.ConditionReason("Delivered")
    assert row is condition.ConditionReason.DELIVERED
    assert (row.value, f"{row}") == ("Delivered", "Delivered")


def test_every_table_is_a_constant() -> None:
    for table in domains.TABLES.values():
        assert isinstance(table, Mapping)
        with pytest.raises(TypeError):
            table["New"] = decision.ARMED  # type: ignore[index]
