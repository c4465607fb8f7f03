"""The agent's own client at the hub's own door: both sides of one contract."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from builders import resources
from component.hub import hub_under_test
from foreshore_agent.hub import door as agent_door
from foreshore_agent.journal import chain
from foreshore_api.wire import beat, record, report
from foreshore_hub import authn, ingest, listeners
from foreshore_hub import door as hub_door

pytestmark = pytest.mark.component


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[hub_under_test.Door]:
    async with hub_under_test.opened(tmp_path / "hub.db") as opened:
        yield opened


@pytest_asyncio.fixture
async def agent(hub: hub_under_test.Door, tmp_path: Path) -> AsyncIterator[agent_door.Door]:
    """The client of edge-1, over TLS, with its token in a file."""
    authority = trustme.CA()
    pair = listeners.KeyPair(hub_under_test.key_pair(tmp_path / "tls", authority, "127.0.0.1"))
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "token").write_text(hub_under_test.token("agent:edge-1"))
    app = hub_door.build(hub.desk, authn.Authenticator(hub.reviews))
    async with hub_under_test.serving(app, pair=pair) as url:
        way = agent_door.Door(url, "edge-1", tmp_path / "token", tmp_path / "ca.crt")
        yield way
        await way.close()


async def test_the_agent_gets_its_assignment(
    hub: hub_under_test.Door, agent: agent_door.Door
) -> None:
    fetched = await agent.assignment(None)
    assert fetched is not None
    assert [each.name for each in fetched.assignment.devices] == ["room-301"]
    hub.apply(resources.device("room-302"))
    later = await agent.assignment(fetched.etag)
    assert later is not None
    assert later.assignment.generation > fetched.assignment.generation


async def test_what_the_agents_journal_chained_the_hub_finds_intact(
    hub: hub_under_test.Door, agent: agent_door.Door
) -> None:
    shipped, previous = [], chain.GENESIS
    for number, body in zip(itertools.count(1), ("{}", "", '{"µ": "…"}'), strict=False):
        hashed = chain.link(previous, body.encode())
        shipped.append(
            record.ShippedRecord(sequence=number, previous=previous, hash=hashed, body=body)
        )
        previous = hashed
    answer = await agent.records(record.Batch(journal="j", records=tuple(shipped)))
    assert answer.acknowledged == 3
    assert b'reason="ChainBroken"' not in hub.desk.measured.render()
    assert chain.GENESIS == ingest.GENESIS


async def test_the_agent_reports_and_asks_for_renewal(
    hub: hub_under_test.Door, agent: agent_door.Door
) -> None:
    facts = report.Report.model_validate(
        {
            "node": "edge-1",
            "bootId": "b",
            "agentVersion": "0",
            "sentAt": "2026-03-01T10:00:00Z",
            "uptimeSeconds": 1,
        }
    )
    await agent.report(facts)
    held = beat.Held(namespace="hq", device="room-301", epoch=1)
    renewal = await agent.renew(
        beat.RenewalRequest(node="edge-1", boot_id="b", number=4, held=(held,))
    )
    assert (renewal.number, renewal.devices[0].standing) == (4, beat.RenewalStanding.UNKNOWN)


async def test_a_fork_is_refused_in_a_way_that_the_agent_does_not_repeat(
    agent: agent_door.Door,
) -> None:
    for body, is_last in (("{}", False), ("[]", True)):
        hashed = chain.link(chain.GENESIS, body.encode())
        shipped = record.ShippedRecord(sequence=1, previous=chain.GENESIS, hash=hashed, body=body)
        batch = record.Batch(journal="j", records=(shipped,))
        if is_last:
            with pytest.raises(agent_door.HubRefusedError, match="JournalForked"):
                await agent.records(batch)
        else:
            await agent.records(batch)
