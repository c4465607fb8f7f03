"""What is taken of a batch: duplicates, holes, forks, broken chains, bodies nobody understands."""

import json
from typing import Any

import pytest

from foreshore_api.wire import record
from foreshore_decision import record as record_chain
from foreshore_hub import ingest

HQ = ingest.JournalWriter("edge-1", frozenset({"hq"}))


def body(**data: Any) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": "1",
            "source": "/sites/hq/nodes/edge-1/journals/j",
            "type": record.DECISION,
            "time": "2026-03-01T10:00:00.000001Z",
            "data": {
                "decisionId": "d-1",
                "device": {"namespace": "hq", "name": "room-301"},
                "policy": {"namespace": "hq", "name": "ventilate"},
                "verdict": {"result": "Commanded"},
                **data,
            },
        }
    )


def chain(*bodies: str, first: int = 1, previous: str = ingest.GENESIS) -> record.Batch:
    shipped = []
    for number, text in enumerate(bodies, start=first):
        hashed = record_chain.link(previous, text.encode())
        shipped.append(
            record.ShippedRecord(sequence=number, previous=previous, hash=hashed, body=text)
        )
        previous = hashed
    return record.Batch(journal="j", records=tuple(shipped))


def test_a_first_batch_is_taken_whole() -> None:
    batch = chain(body(), body())
    examined = ingest.examine(batch, ingest.CommittedHead(), {}, HQ)
    assert [row.is_intact for row in examined.rows] == [True, True]
    assert examined.head == ingest.CommittedHead(2, batch.records[-1].hash)


def test_what_was_committed_before_is_not_taken_twice() -> None:
    batch = chain(body(), body(), body())
    known = {1: batch.records[0].hash, 2: batch.records[1].hash}
    examined = ingest.examine(batch, ingest.CommittedHead(2, batch.records[1].hash), known, HQ)
    assert [row.shipped.sequence for row in examined.rows] == [3]
    assert examined.flaws == 0


def test_a_fork_of_the_newest_is_refused_also_when_the_store_has_forgotten_it() -> None:
    """Only the rows were compared: after retention any history was acknowledged."""
    batch = chain(body(decisionId="other"))
    head = ingest.CommittedHead(1, chain(body()).records[0].hash)
    with pytest.raises(ingest.ForkedError):
        ingest.examine(batch, head, {}, HQ)


def test_the_same_number_with_other_bytes_is_a_fork_and_refused() -> None:
    batch = chain(body(decisionId="other"))
    with pytest.raises(ingest.ForkedError):
        ingest.examine(batch, ingest.CommittedHead(1, "x"), {1: "sha256:elsewhere"}, HQ)


def test_a_changed_body_is_kept_and_flagged() -> None:
    batch = chain(body(), body())
    changed = batch.records[0].model_copy(update={"body": body(decisionId="forged")})
    batch = batch.model_copy(update={"records": (changed, batch.records[1])})
    examined = ingest.examine(batch, ingest.CommittedHead(), {}, HQ)
    assert [row.is_intact for row in examined.rows] == [False, True]


def gap(**ranges: list[tuple[int, int]]) -> str:
    data = {"dropped": {}, "reason": "RoutineQuota", "ranges": ranges, "holes": "sha256:1"}
    return json.dumps(json.loads(body()) | {"type": record.GAP, "data": data})


def without_body(batch: record.Batch, number: int) -> record.Batch:
    empty = [
        each.model_copy(update={"body": ""}) if each.sequence == number else each
        for each in batch.records
    ]
    return batch.model_copy(update={"records": tuple(empty)})


def test_a_body_that_gave_way_is_intact_once_a_gap_record_says_so() -> None:
    stated = without_body(chain(body(), body(), gap(Emptied=[(2, 2)])), 2)
    examined = ingest.examine(stated, ingest.CommittedHead(), {}, HQ)
    assert [row.is_intact for row in examined.rows] == [True, True, True]
    assert (examined.flaws, examined.unstated, examined.emptied) == (0, 0, ((2, 2),))


def test_ranges_that_overlap_or_touch_are_one() -> None:
    stated = without_body(chain(body(), body(), gap(Emptied=[(4, 9), (2, 3), (5, 6)])), 2)
    examined = ingest.examine(stated, ingest.CommittedHead(), {}, HQ)
    assert examined.emptied == ((2, 9),)
    assert [row.is_intact for row in examined.rows] == [True, True, True]


@pytest.mark.parametrize(
    "text", [body(), gap(Emptied=[(1, 1)]), gap(Removed=[(2, 2)])], ids=["none", "other", "kind"]
)
def test_a_body_that_is_gone_without_a_word_is_not_intact(text: str) -> None:
    examined = ingest.examine(
        without_body(chain(body(), body(), text), 2), ingest.CommittedHead(), {}, HQ
    )
    assert [row.is_intact for row in examined.rows] == [True, False, True]
    assert (examined.flaws, examined.unstated) == (0, 1)


@pytest.mark.parametrize(("last", "is_all"), [(0, False), (2, True), (3, False)])
def test_a_journal_is_here_when_its_newest_is(last: int, is_all: bool) -> None:
    batch = chain(body(), body()).model_copy(update={"last": last})
    assert ingest.examine(batch, ingest.CommittedHead(), {}, HQ).is_all is is_all


def test_a_gap_record_that_is_not_intact_itself_vouches_for_nothing() -> None:
    batch = without_body(chain(body(), body()), 2)
    forged = batch.records[0].model_copy(update={"body": gap(Emptied=[(2, 2)])})
    batch = batch.model_copy(update={"records": (forged, batch.records[1])})
    examined = ingest.examine(batch, ingest.CommittedHead(), {}, HQ)
    assert examined.emptied == ()
    assert [row.is_intact for row in examined.rows] == [False, False]


def test_a_store_restored_from_a_copy_takes_what_the_agent_still_has_and_flags_the_hole() -> None:
    batch = chain(body(), first=201, previous="sha256:" + "1" * 64)
    examined = ingest.examine(batch, ingest.CommittedHead(100, "sha256:" + "2" * 64), {}, HQ)
    assert examined.head.acknowledged == 201
    assert examined.flaws == 1


def test_a_batch_with_holes_is_refused() -> None:
    batch = chain(body(), body(), body())
    holes = batch.model_copy(update={"records": (batch.records[0], batch.records[2])})
    with pytest.raises(ValueError, match="does not follow"):
        ingest.examine(holes, ingest.CommittedHead(), {}, HQ)


@pytest.mark.parametrize(
    "text",
    ["", "no json", "[]", "1", '{"type": 1}', '{"data": null, "time": "x", "type": "t"}', "{"],
)
def test_a_body_that_nobody_understands_blocks_nothing(text: str) -> None:
    (row,) = ingest.examine(chain(text), ingest.CommittedHead(), {}, HQ).rows
    assert row.described.type == ingest.UNREADABLE
    assert row.is_intact is bool(text), "an empty body waits for the record that says why"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_a_record_of_a_year_that_nobody_can_write_is_shown_to_nobody(time: str) -> None:
    text = body().replace("2026-03-01T10:00:00.000001Z", time)
    (row,) = ingest.examine(chain(text), ingest.CommittedHead(), {}, HQ).rows
    assert row.described == ingest.Described()


def test_a_record_that_nests_too_deep_to_be_written_again_is_shown_to_nobody() -> None:
    deep = json.loads("[" * 300 + "]" * 300)
    (row,) = ingest.examine(chain(body(features=deep)), ingest.CommittedHead(), {}, HQ).rows
    assert row.described == ingest.Described()


def test_a_record_without_a_device_belongs_to_no_decision() -> None:
    (row,) = ingest.examine(chain(body(device=None)), ingest.CommittedHead(), {}, HQ).rows
    assert row.described == ingest.Described(record.DECISION, 1_772_359_200_000_001)


def test_a_record_is_described_by_what_people_look_for() -> None:
    (row,) = ingest.examine(chain(body()), ingest.CommittedHead(), {}, HQ).rows
    assert row.described == ingest.Described(
        type=record.DECISION,
        time=1_772_359_200_000_001,
        namespace="hq",
        decision="d-1",
        device="room-301",
        policy="ventilate",
        verdict="Commanded",
    )


def test_a_record_of_a_namespace_the_node_was_never_given_is_shown_to_nobody() -> None:
    text = body(device={"namespace": "bank", "name": "vault"})
    (row,) = ingest.examine(chain(text), ingest.CommittedHead(), {}, HQ).rows
    assert (row.described.namespace, row.described.decision) == ("", None)


@pytest.mark.parametrize(
    ("node", "is_shown"), [("edge-1", True), (None, True), ("edge-2", False), (7, True)]
)
def test_a_record_in_another_nodes_name_is_shown_to_nobody(node: Any, is_shown: bool) -> None:
    (row,) = ingest.examine(chain(body(node=node)), ingest.CommittedHead(), {}, HQ).rows
    assert (row.described.decision is not None) == is_shown
