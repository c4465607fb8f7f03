"""The record store on a real file: full, pruned, restored, opened twice."""

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from foreshore_api.wire import assignment, record
from foreshore_decision import record as record_chain
from foreshore_hub import ingest, packed, store
from foreshore_hub.renewals import RenewedHolder

pytestmark = pytest.mark.component

NODE = "edge-1"


@pytest_asyncio.fixture
async def kept(tmp_path: Path) -> AsyncIterator[store.RecordStore]:
    async with store.RecordStore(f"sqlite:///{tmp_path / 'hub.db'}") as opened:
        await opened.assign(assigned())
        yield opened


def assigned(node: str = NODE, site: str = "hq") -> packed.PackedAssignment:
    broker = {"host": "10.0.0.9", "port": 1883, "transport": "Plain"}
    document = assignment.Assignment.model_validate(
        {
            "node": node,
            "lineage": "l",
            "generation": 1,
            "digest": "d",
            "site": {"namespace": site, "name": site, "spec": {"broker": broker}},
        }
    )
    return packed.PackedAssignment.of(document)


def decided(number: int, verdict: str = "Commanded", second: int | None = None) -> str:
    moment = number if second is None else second
    return json.dumps(
        {
            "id": f"d-{number}",
            "type": record.DECISION,
            "time": f"2026-03-01T10:{moment // 60:02}:{moment % 60:02}Z",
            "data": {
                "decisionId": f"d-{number}",
                "device": {"namespace": "hq", "name": "room"},
                "policy": {"namespace": "hq", "name": "p"},
                "verdict": {"result": verdict, "reason": "R"},
            },
        }
    )


def named(identity: str) -> str:
    return decided(1).replace("d-1", identity)


def became(outcome: str, decision: str = "d-1", device: dict[str, str] | None = None) -> str:
    data = {"decisionId": decision, "device": device, "outcome": outcome}
    return json.dumps({"type": record.OUTCOME, "time": "2026-03-01T11:00:00Z", "data": data})


ROOM = {"namespace": "hq", "name": "room"}


async def outcomes(kept: store.RecordStore) -> list[str]:
    """What is shown to have become of the only decision of hq."""
    (found,) = await kept.find(store.Selection(namespace="hq"))
    return [json.loads(body)["data"]["outcome"] for body in found.outcomes]


def batch(
    *bodies: str, first: int = 1, previous: str = ingest.GENESIS, journal: str = "j"
) -> record.Batch:
    shipped = []
    for number, body in enumerate(bodies, start=first):
        hashed = record_chain.link(previous, body.encode())
        shipped.append(
            record.ShippedRecord(sequence=number, previous=previous, hash=hashed, body=body)
        )
        previous = hashed
    return record.Batch(journal=journal, records=tuple(shipped))


async def names(kept: store.RecordStore) -> list[str]:
    return [each.decision for each in await kept.find(store.Selection())]


async def test_the_beginning_of_an_identity_finds_its_decisions_newest_first(
    kept: store.RecordStore,
) -> None:
    identities = ("01a20307-9b3d-71f5", "01a20307-a17d-73d6", "01a20308-0000-7000", "01a2_307")
    await kept.append("edge-1", batch(*map(named, identities)))
    for beginning, expected in (
        ("01a20307", {"01a20307-9b3d-71f5", "01a20307-a17d-73d6"}),
        ("01a20307-9", {"01a20307-9b3d-71f5"}),
        ("01a2_", {"01a2_307"}),
        ("02", set()),
    ):
        found = await kept.find(store.Selection(beginning=beginning))
        assert {each.decision for each in found} == expected


async def test_a_full_store_acknowledges_nothing_and_goes_on_when_there_is_room(
    kept: store.RecordStore,
) -> None:
    small, large = batch(decided(1)), batch(decided(1), "x" * 60000)
    pages = 0
    async with kept._engine.connect() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()

    async def limit(most: int) -> None:
        async with kept._engine.connect() as connection:
            await connection.exec_driver_sql(f"PRAGMA max_page_count={most}")

    await limit(pages)
    with pytest.raises(store.StoreUnavailableError):
        await kept.append(NODE, large)
    assert await names(kept) == []
    await limit(pages + 1000)
    assert (await kept.append(NODE, small))[0] == 1
    assert await names(kept) == ["d-1"]


@pytest.mark.parametrize(
    "device",
    [None, {"namespace": "branch", "name": "room"}, ROOM],
    ids=["no device", "its own device", "a device of the decision's site"],
)
async def test_no_other_site_says_what_became_of_a_decision(
    kept: store.RecordStore, device: dict[str, str] | None
) -> None:
    other = assigned("edge-9", "branch")
    await kept.assign(other)
    await kept.append(NODE, batch(decided(1), became("Unknown", device=ROOM)))
    await kept.append("edge-9", batch(became("Confirmed", device=device), journal="k"))
    assert await outcomes(kept) == ["Unknown"]


async def test_of_one_site_only_the_journal_that_decided_says_what_became_of_it(
    kept: store.RecordStore,
) -> None:
    await kept.assign(assigned("edge-2"))
    await kept.append(NODE, batch(decided(1), became("Unknown", device=ROOM)))
    await kept.append("edge-2", batch(became("Confirmed", device=ROOM), journal="k"))
    assert await outcomes(kept) == ["Unknown"]


async def test_of_endless_outcomes_the_newest_are_shown_oldest_first(
    kept: store.RecordStore,
) -> None:
    many = [became(str(number), device=ROOM) for number in range(20)]
    await kept.append(NODE, batch(decided(1), *many))
    assert await outcomes(kept) == [str(number) for number in range(12, 20)]


async def test_the_newest_assignment_of_each_node_comes_back_but_for_what_is_not_understood(
    kept: store.RecordStore, tmp_path: Path
) -> None:
    whole = [assigned(f"edge-{number}") for number in range(2 * store.ASSIGNMENTS)]
    for entry in (*whole, assigned("edge-0", "branch"), assigned("broken")):
        await kept.assign(entry)
    with sqlite3.connect(tmp_path / "hub.db") as connection:
        connection.execute("UPDATE assignments SET body = '{}' WHERE node = 'broken'")
    connection.close()
    expected = {entry.node: entry for entry in (*whole, assigned("edge-0", "branch"), assigned())}
    assert await kept.assignments() == expected


async def test_routine_decisions_are_forgotten_before_commands(kept: store.RecordStore) -> None:
    verdicts = ["Commanded", "NotTriggered", "Commanded", "Suppressed", "Commanded"]
    bodies = [decided(number, verdict) for number, verdict in enumerate(verdicts)]
    await kept.append(NODE, batch(*bodies))
    assert await kept.prune(before=0, most=4) == 1
    assert await names(kept) == ["d-4", "d-3", "d-2", "d-0"]
    assert await kept.prune(before=0, most=2) == 2
    assert await names(kept) == ["d-4", "d-2"]


async def test_what_is_too_old_is_forgotten_and_stays_acknowledged(kept: store.RecordStore) -> None:
    bodies = [decided(number) for number in range(5)]
    await kept.append(NODE, batch(*bodies))
    before = ingest.describe(bodies[3]).time
    assert await kept.prune(before=before, most=1000) == 3
    acknowledged, added, flaws = await kept.append(NODE, batch(*bodies))
    assert (acknowledged, added, flaws) == (5, 0, 0)


async def test_a_store_that_was_restored_from_a_copy_catches_up_and_says_so(
    tmp_path: Path,
) -> None:
    path, copy = tmp_path / "hub.db", tmp_path / "copy.db"
    bodies = [decided(number) for number in range(4)]
    whole = batch(*bodies)
    async with store.RecordStore(f"sqlite:///{path}") as kept:
        await kept.assign(assigned())
        await kept.append(NODE, batch(bodies[0]))
        with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        await kept.append(NODE, batch(*bodies[:3]))
        lineage = kept.lineage
    async with store.RecordStore(f"sqlite:///{copy}") as kept:
        rest = record.Batch(journal="j", records=whole.records[3:])
        acknowledged, added, flaws = await kept.append(NODE, rest)
        assert (acknowledged, added, flaws) == (4, 1, 1)
        assert kept.lineage == lineage
        assert [each.is_intact for each in await kept.find(store.Selection())] == [False, True]


async def test_whom_was_renewed_last_survives_a_restart_without_its_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with store.RecordStore(url) as kept:
        await kept.renew({("hq", "room"): RenewedHolder(5, "edge-1", 15.0, at=12.0)})
        await kept.renew({("hq", "room"): RenewedHolder(6, "edge-2", 10.0, at=20.0)})
    async with store.RecordStore(url) as kept:
        assert dict(await kept.last_renewals()) == {
            ("hq", "room"): RenewedHolder(6, "edge-2", 10.0)
        }


def gap(first: int, last: int) -> str:
    data = {"dropped": {}, "reason": "RoutineQuota", "ranges": {"Emptied": [[first, last]]}}
    head = {"id": "g", "source": "/j", "time": "2026-03-01T10:00:00Z"}
    return json.dumps({**head, "type": record.GAP, "data": data})


async def intact(path: Path) -> list[bool]:
    with sqlite3.connect(path) as opened:
        rows = opened.execute("SELECT is_intact FROM records ORDER BY sequence").fetchall()
    opened.close()
    return [bool(value) for (value,) in rows]


async def test_a_body_that_gave_way_is_intact_once_a_later_batch_says_so_unless_its_link_is_unfit(
    kept: store.RecordStore, tmp_path: Path
) -> None:
    whole = batch(*(decided(number) for number in range(1, 5)), gap(1, 4))
    empty = [each.model_copy(update={"body": ""}) for each in whole.records[:4]]
    empty[2] = empty[2].model_copy(update={"previous": "sha256:" + "1" * 64})
    first = whole.model_copy(update={"records": tuple(empty)})
    assert await kept.append(NODE, first) == (4, 4, 1), "a body that gave way is no flaw"
    assert await intact(tmp_path / "hub.db") == [False] * 4
    rest = whole.model_copy(update={"records": whole.records[4:], "last": 5})
    assert await kept.append(NODE, rest) == (5, 1, 0), "what is stated is none either"
    assert await intact(tmp_path / "hub.db") == [True, True, False, True, True]


async def test_a_body_that_is_gone_is_a_flaw_once_the_journal_is_here_and_never_stated_it(
    kept: store.RecordStore,
) -> None:
    whole = batch(*(decided(number) for number in range(1, 7)), gap(1, 1))
    empty = [each.model_copy(update={"body": ""}) for each in whole.records[:3]]

    def part(*records: record.ShippedRecord, last: int = 7) -> record.Batch:
        return record.Batch(journal="j", records=records, last=last)

    assert await kept.append(NODE, part(*empty)) == (3, 3, 0), "it may still be stated"
    assert await kept.append(NODE, part(*whole.records[3:6])) == (6, 3, 0), "even now"
    assert await kept.append(NODE, part(whole.records[6])) == (7, 1, 2), "two never were"
    following = batch(decided(8), first=8, previous=whole.records[6].hash)
    assert await kept.append(NODE, part(*following.records, last=8)) == (8, 1, 0), "told once"


async def test_a_record_that_nobody_can_read_is_not_the_first_to_be_forgotten(
    kept: store.RecordStore,
) -> None:
    await kept.append(NODE, batch("no event", decided(1)))
    assert await kept.prune(before=ingest.describe(decided(1)).time + 1, most=1000) == 1
    assert await kept.prune(before=0, most=0) == 1, "what is left is the one without a time"
