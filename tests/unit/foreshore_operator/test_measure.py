"""What is read of the hub's fleet when one agent's report cannot be."""

import json
from typing import Any

import aiohttp
import pytest

from builders import planning as build
from foreshore_operator import measure


def fleet() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(build.fleet(renewals=[build.renewal(5, 1.0)]).encode())
    return found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.update(uptimeSeconds=10**400),
        lambda said: said.update(agentVersion="x" * 10_000),
        lambda said: said["probes"][0]["histogram"]["buckets"].update({"3": 10**400}),
        lambda said: said.update(devices="none"),
    ],
    ids=["an uptime without end", "a text without end", "a count without end", "no list"],
)
def test_an_agent_whose_report_cannot_be_read_hides_no_other(spoil: Any) -> None:
    document = fleet()
    spoil(document["agents"][1]["report"])
    found, unread = measure.read(json.dumps(document).encode())
    assert [each.node for each in found.agents] == ["edge-1", "edge-3"]
    assert unread == {"edge-2"}
    assert len(found.renewals) == 1


def test_what_is_whole_is_read_whole() -> None:
    found, unread = measure.read(json.dumps(fleet()).encode())
    assert len(found.agents) == 3
    assert unread == frozenset()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document["renewals"][0].update(epoch=1 << 70),
        lambda document: document.pop("revision"),
        lambda document: document.update(agents=7),
    ],
    ids=["a renewal that cannot be read", "no revision", "no agents"],
)
def test_without_the_renewals_nothing_is_read(spoil: Any) -> None:
    document = fleet()
    spoil(document)
    with pytest.raises(aiohttp.ClientPayloadError):
        measure.read(json.dumps(document).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 10_000])
def test_what_is_no_fleet_is_none(body: bytes) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        measure.read(body)
