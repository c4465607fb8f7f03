"""What requests ask for and what people see: selectors, pages, tables, ages, depth."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_hub import front_proxy, guard, ingest, selecting, store, views

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def found(**changes: Any) -> store.StoredDecision:
    event = {
        "id": "d-1",
        "type": "dev.foreshore.decision.v1",
        "time": "2026-03-01T11:59:15Z",
        "data": {
            "decisionId": "d-1",
            "node": "edge-1",
            "device": {"namespace": "hq", "name": "room-301"},
            "policy": {"namespace": "hq", "name": "ventilate"},
            "verdict": {"result": "Commanded", "reason": "RoomOccupied", "message": "someone"},
            "authority": {"epoch": 7},
        },
    }
    outcome = {"time": "2026-03-01T11:59:16Z", "data": {"outcome": "Confirmed"}}
    fields: dict[str, Any] = {
        "id": 5,
        "time": 1_772_366_355_000_000,
        "namespace": "hq",
        "decision": "d-1",
        "journal": "j",
        "sequence": 9,
        "hash": "sha256:x",
        "is_intact": True,
        "body": json.dumps(event),
        "outcomes": (json.dumps(outcome),),
        **changes,
    }
    return store.StoredDecision(**fields)


def test_a_decision_is_one_object_with_what_was_learnt_later() -> None:
    shown = views.decision(found())
    assert shown["metadata"] == {
        "name": "d-1",
        "namespace": "hq",
        "uid": "d-1",
        "resourceVersion": "5",
        "creationTimestamp": "2026-03-01T11:59:15Z",
    }
    assert shown["outcomes"] == [{"time": "2026-03-01T11:59:16Z", "outcome": "Confirmed"}]
    assert "data" not in shown["event"]


MALFORMED: list[dict[str, Any]] = [
    {"policy": "x"},
    {"authority": "x"},
    {"verdict": "x"},
    {"verdict": {"result": {}, "message": 7}},
    {"device": {"namespace": "hq", "name": ["x"]}, "node": {}},
]


@pytest.mark.parametrize("data", MALFORMED)
@pytest.mark.parametrize("time", ["2026-03-01T11:59:15", "0001-01-01T00:00:00Z"])
def test_a_malformed_record_leaves_the_table_readable(data: dict[str, Any], time: str) -> None:
    event = json.loads(found().body)
    poison = json.dumps(event | {"time": time, "data": event["data"] | data})
    outcome = json.dumps({"time": time, "data": {"outcome": {"not": "a word"}}})
    made = ingest.describe(poison).time
    shown = views.decision(found(body=poison, time=made, outcomes=(outcome,)))
    bad, good = views.table([shown, views.decision(found())], NOON)["rows"]
    assert all(isinstance(cell, str) for cell in bad["cells"])
    assert good["cells"][2:7] == ["room-301", "ventilate", "Commanded", "RoomOccupied", "Confirmed"]


def test_a_time_without_a_zone_counts_as_utc() -> None:
    body = found().body.replace("11:59:15Z", "11:59:15")
    (row,) = views.table([views.decision(found(body=body))], NOON)["rows"]
    assert row["cells"][-1] == "45s"


@pytest.mark.parametrize(
    ("micros", "written"),
    [
        (1_772_366_355_000_001, "2026-03-01T11:59:15.000001Z"),
        (-62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_moment_is_written_with_four_digits_of_the_year(micros: int, written: str) -> None:
    assert views.moment(micros) == written


def test_a_broken_chain_is_shown() -> None:
    assert views.decision(found(is_intact=False))["chain"]["integrity"] == "Broken"


@pytest.mark.parametrize(
    ("include", "kind"),
    [("None", None), ("Metadata", "PartialObjectMetadata"), ("Object", "Decision")],
)
def test_a_table_row_holds_as_much_of_the_object_as_is_asked_for(
    include: str, kind: str | None
) -> None:
    (row,) = views.table([views.decision(found())], NOON, include=include)["rows"]
    assert len(row["cells"]) == len(views.COLUMNS)
    assert row["cells"][-1] == "45s"
    assert row.get("object", {}).get("kind") == kind


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (130, "2m10s"), (3599, "59m"),
     (3600, "1h"), (5400, "1h30m"), (86400, "1d"), (90000, "1d1h"), (864000, "10d")],
)  # fmt: skip
def test_ages_read_as_kubectl_writes_them(seconds: float, shown: str) -> None:
    assert views.age(seconds) == shown


@given(st.integers(min_value=0, max_value=2**55), st.integers(min_value=1, max_value=2**40))
def test_a_page_goes_on_where_the_last_one_ended(time: int, id_: int) -> None:
    assert selecting.place(selecting.token(found(time=time, id=id_))) == (time, id_)


@pytest.mark.parametrize("written", ["x", "W10=", "e30=", "WyJhIiwgMV0=", "é"])
def test_a_page_token_of_somebody_elses_is_refused(written: str) -> None:
    with pytest.raises(selecting.BadSelectorError):
        selecting.place(written)


@pytest.mark.parametrize(
    "written",
    ["colour=red", "device", "device!=x", "device=a,device=b", "since=yesterday",
     "until=2026-03-01T10:00:00", "x" * 2000],
    ids=["unknown field", "no value", "another operator", "twice", "no time", "no zone",
         "too long"],
)  # fmt: skip
def test_a_selector_that_cannot_be_meant_is_refused(written: str) -> None:
    with pytest.raises(selecting.BadSelectorError):
        selecting.selection(written, "hq")


def test_a_namespace_in_the_selector_never_widens_the_one_in_the_path() -> None:
    assert selecting.selection("metadata.namespace=other", "hq") is None
    everywhere = selecting.selection("metadata.namespace=other", None)
    assert everywhere is not None
    assert everywhere.namespace == "other"


@pytest.mark.parametrize(("written", "expected"), [("", 500), ("0", 500), ("3", 3), ("9999", 500)])
def test_a_page_is_never_larger_than_ours(written: str, expected: int) -> None:
    assert selecting.page(written) == expected


json_texts = st.text() | st.text(st.sampled_from('"\\[]{}a'), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | json_texts | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_texts, inner, max_size=3),
    max_leaves=20,
)


def nesting(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max((nesting(each) for each in value), default=0)
    if isinstance(value, dict):
        return 1 + max((nesting(each) for each in value.values()), default=0)
    return 0


@given(json_values)
def test_depth_is_counted_without_decoding_and_brackets_in_text_do_not_count(value: Any) -> None:
    assert guard.depth(json.dumps(value).encode()) == nesting(value)


@given(st.binary(max_size=200))
def test_counting_depth_survives_any_bytes(body: bytes) -> None:
    assert guard.depth(body) >= 0


def test_a_front_proxy_is_known_by_its_name_where_names_are_given() -> None:
    certificate = {"subject": ((("organizationName", "x"),), (("commonName", "front"),))}
    assert front_proxy.FrontProxy("ca", frozenset({"front"})).admits(certificate)
    assert not front_proxy.FrontProxy("ca", frozenset({"other"})).admits(certificate)
    assert front_proxy.FrontProxy("ca", frozenset()).admits(certificate)
    assert not front_proxy.FrontProxy("ca", frozenset()).admits(None)


def test_an_api_server_without_aggregation_is_said_to_be_one() -> None:
    with pytest.raises(front_proxy.NotPublishedError):
        front_proxy.parse({"data": {"client-ca-file": "x"}})
