"""A report that is right is taken at once; whatever is amiss is left to the route that says so."""

import dataclasses
from typing import Any, Final

import orjson
import pytest
from starlette import types

from foreshore_hub import authn, reporting
from foreshore_hub import fleet as agents

RIGHT: Final = {
    "node": "edge-1",
    "bootId": "boot",
    "agentVersion": "1",
    "sentAt": "2026-03-01T10:00:00Z",
    "uptimeSeconds": 60.0,
}
JSON: Final = (b"content-type", b"application/json")
AGENT: Final = authn.Caller("agent", "edge-1")


@dataclasses.dataclass(frozen=True)
class Accounts:
    agent: str = "agent"


@dataclasses.dataclass
class Desk:
    accounts: Accounts = dataclasses.field(default_factory=Accounts)
    fleet: agents.FleetEvidence = dataclasses.field(
        default_factory=lambda: agents.FleetEvidence("lineage", 0.0, {})
    )

    def clock(self) -> float:
        return 10.0


class Routes:
    """The door's routes, which remember what they were left."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: Any, receive: types.Receive, send: types.Send) -> None:
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 422, "headers": []})


class Rig:
    def __init__(self) -> None:
        self.desk, self.routes = Desk(), Routes()
        self.app = reporting.PlainReports(self.routes, self.desk)

    async def post(
        self,
        body: bytes,
        *,
        caller: authn.Caller = AGENT,
        headers: tuple[tuple[bytes, bytes], ...] = (JSON,),
        **scope: Any,
    ) -> int:
        arriving: list[types.Message] = [
            {"type": "http.request", "body": part, "more_body": bool(number)}
            for number, part in ((1, body[:7]), (0, body[7:]))
        ]
        answer: list[types.Message] = []

        async def receive() -> types.Message:
            return arriving.pop(0)

        async def send(message: types.Message) -> None:
            answer.append(message)

        asked = {
            "type": "http",
            "method": "POST",
            "path": "/v1/agents/edge-1/report",
            "headers": list(headers),
            "state": {"identity": caller},
            **scope,
        }
        await self.app(asked, receive, send)
        return int(answer[0]["status"])


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_report_that_is_right_is_evidence_at_once(rig: Rig) -> None:
    assert await rig.post(orjson.dumps(RIGHT)) == 204
    known = rig.desk.fleet.agent("edge-1")
    assert known is not None
    assert known.at == 10.0
    assert known.newest.uptime_seconds == 60.0
    assert rig.routes.bodies == []


async def test_texts_that_are_alike_are_one_in_all_reports(rig: Rig) -> None:
    lines = [
        {"namespace": "greenhouse", "device": f"room-{number}", "connected": True}
        for number in range(3)
    ]
    for _ in range(2):
        assert await rig.post(orjson.dumps(RIGHT | {"devices": lines})) == 204
    known = rig.desk.fleet.agent("edge-1")
    assert known is not None
    assert known.passed_on is not known.newest
    devices = (*known.passed_on.devices, *known.newest.devices)
    assert len({id(line.namespace) for line in devices}) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"node": NaN}',
        orjson.dumps(RIGHT | {"node": "edge-2"}),
        orjson.dumps(RIGHT | {"uptimeSeconds": -1}),
        orjson.dumps(RIGHT | {"decisions": {str(number): 1 for number in range(65)}}),
        orjson.dumps([RIGHT]),
    ],
    ids=["empty", "cut", "no standard JSON", "of another node", "absurd", "too much", "a list"],
)
async def test_a_body_that_is_amiss_is_left_to_the_route_whole(rig: Rig, body: bytes) -> None:
    assert await rig.post(body) == 422
    assert rig.routes.bodies == [body]
    assert rig.desk.fleet.agent("edge-1") is None


@pytest.mark.parametrize(
    "asked",
    [
        {"caller": authn.Caller("agent", "edge-2")},
        {"caller": authn.Caller("operator", "edge-1")},
        {"caller": authn.Caller("agent", None)},
        {"headers": ()},
        {"headers": (JSON, JSON)},
        {"headers": ((b"content-type", b"text/plain"),)},
        {"method": "PUT"},
        {"path": "/v1/agents/edge-1/records"},
        {"path": "/v1/agents/edge-1/report/"},
        {"path": "/v1/agents/a/edge-1/report"},
    ],
    ids=lambda asked: str(asked)[:40],
)
async def test_whoever_else_asks_or_what_is_left_to_the_routes(
    rig: Rig, asked: dict[str, Any]
) -> None:
    assert await rig.post(orjson.dumps(RIGHT), **asked) == 422
    assert len(rig.routes.bodies) == 1
    assert rig.desk.fleet.agent("edge-1") is None
