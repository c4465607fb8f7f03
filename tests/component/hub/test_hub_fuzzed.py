"""Whatever is sent to the hub, it is answered: taken, or refused with a reason, and never a 500.

Bodies are the committed samples of the wire, which hold every field of every document, with absurd
values put in at any place; paths, queries and headers are made of the same absurd parts. After each
request the hub still tells the operator of its fleet, and people of their decisions.
"""

import asyncio
import base64
import contextlib
import copy
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from component.hub import hub_under_test
from component.hub.hub_under_test import Answer, Door
from foreshore_api.wire import report
from foreshore_hub import guard, records

pytestmark = pytest.mark.component

GOLDEN = Path(__file__).parents[2] / "contract" / "golden"
ROUTES = {
    "/v1/agents/edge-1/records": "batch.json",
    "/v1/agents/edge-1/report": "report.json",
    "/v1/renewals": "renewal-request.json",
}
SAMPLES = {path: json.loads((GOLDEN / name).read_text()) for path, name in ROUTES.items()}
LISTED = "/apis/records.foreshore.dev/v1alpha1/namespaces/hq/decisions"
FUZZED = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

absurd_numbers = st.sampled_from(
    [-1, 0, 1, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, 1 << 64, 1 << 70, 10**400, -(10**400)]
) | st.sampled_from([0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf")])
absurd_texts = st.sampled_from(
    ["", "\x00", "\ud800", "é" * 300, "a" * 70_000, "2026-03-01T10:00:00Z", "0001-01-01T00:00:00"]
) | st.text(max_size=20)
absurd = st.recursive(
    st.none() | st.booleans() | absurd_numbers | absurd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(absurd_texts, inner, max_size=3),
    max_leaves=6,
)


def is_list(node: Any) -> bool:
    return isinstance(node, list)


def places(node: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON document, as steps from its root."""
    found = [above] if above else []
    steps = node.items() if isinstance(node, dict) else enumerate(node if is_list(node) else ())
    for step, below in steps:
        found += places(below, (*above, step))
    return found


@st.composite
def spoilt(draw: st.DrawFn, sample: Any) -> bytes:
    """A sample with absurd values at one to three places, or something that is no document."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200) | st.builds(lambda it: dumped(it), absurd))
    document = copy.deepcopy(sample)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(document)))
        holder = document
        for step in way:
            holder = holder[step]
        if draw(st.booleans()) and isinstance(holder, dict):
            holder[draw(st.sampled_from(["", "aFieldOfTheFuture", str(last)]))] = draw(absurd)
        else:
            holder[last] = draw(absurd)
    return dumped(document)


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode()


class Hub:
    """One hub for all examples of a test, in a loop of its own, with its aggregated API."""

    def __init__(self, runner: asyncio.Runner, database: Path) -> None:
        self._runner = runner
        self._stack = contextlib.AsyncExitStack()
        self.database = database
        self.door: Door
        self.records = ""
        runner.run(self._open())

    async def _open(self) -> None:
        rate = guard.Rate(per_second=1e6, burst=1e6)
        self.door = await self._stack.enter_async_context(
            hub_under_test.opened(self.database, rate=rate)
        )
        app = records.build(self.door.desk.store)

        async def trusted(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("state", {})["is_front_proxy"] = True
            await app(scope, receive, send)

        self.records = await self._stack.enter_async_context(hub_under_test.serving(trusted))
        await self.door.call("GET", "/v1/agents/edge-1/assignment?wait=5s")

    def close(self) -> None:
        self._runner.run(self._stack.aclose())

    def call(self, method: str, path: str, who: str = "agent:edge-1", **arguments: Any) -> Answer:
        return self._runner.run(self.door.call(method, path, who, **arguments))

    def listed(self, query: str = "") -> Answer:
        return self._runner.run(self._listed(query))

    async def _listed(self, query: str) -> Answer:
        headers = {"X-Remote-User": "jane"}
        async with self.door.session.get(
            f"{self.records}{LISTED}{query}", headers=headers
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with asyncio.Runner() as runner:
        opened = Hub(runner, tmp_path / "hub.db")
        yield opened
        opened.close()


def check(hub: Hub, answer: Answer) -> None:
    """It was answered with sense, and the hub goes on serving everybody."""
    assert answer.status < 500, answer.body[:500]
    if answer.status >= 400:
        assert json.loads(answer.body)["message"]
    fleet = hub.call("GET", "/v1/fleet", "operator")
    assert fleet.status == 200, fleet.body[:500]
    report.Fleet.decode(fleet.body)
    assert hub.listed().status == 200


@pytest.mark.parametrize("path", ROUTES)
def test_no_body_makes_the_hub_fail(hub: Hub, path: str) -> None:
    @FUZZED
    @given(spoilt(SAMPLES[path]))
    def every(body: bytes) -> None:
        check(hub, hub.call("POST", path, data=body))

    every()


def record_of(**data: Any) -> str:
    said = {
        "decisionId": "d-1",
        "device": {"namespace": "hq", "name": "room-301"},
        "policy": {"namespace": "hq", "name": "ventilate"},
        "verdict": {"result": "Commanded"},
        **data,
    }
    time = "2026-03-01T10:00:00Z"
    return json.dumps({"id": "1", "type": "dev.foreshore.decision.v1", "time": time, "data": said})


def test_no_content_of_a_record_makes_the_hub_fail(hub: Hub) -> None:
    """Records are bytes to the hub: it stores them first, and shows them to people later."""
    sample = json.loads((GOLDEN / "event.decision.json").read_text())
    sequences = iter(range(1, 1_000_000))

    @FUZZED
    @given(spoilt(sample))
    def every(body: bytes) -> None:
        text = body.decode("latin-1")
        shipped = {"sequence": next(sequences), "previous": "x", "hash": "y", "body": text}
        batch = dumped({"journal": "j-1", "records": [shipped]})
        check(hub, hub.call("POST", "/v1/agents/edge-1/records", data=batch))

    every()


@pytest.mark.parametrize("sequence", [1 << 53, 1 << 63, 1 << 64, 1 << 70, 10**400, 0, -1])
def test_a_sequence_beyond_every_bound_is_refused_or_taken_with_a_reason(
    hub: Hub, sequence: int
) -> None:
    shipped = {"sequence": sequence, "previous": "x", "hash": "y", "body": record_of()}
    batch = dumped({"journal": "j-1", "records": [shipped]})
    answer = hub.call("POST", "/v1/agents/edge-1/records", data=batch)
    assert answer.status == (200 if sequence == 1 << 53 else 422), answer.body
    check(hub, answer)


parts = st.text(max_size=12) | st.sampled_from(["9" * 30, "9" * 5000, "-1", "²", "٣", "1e400", ""])


@FUZZED
@given(wait=parts, revision=parts, node=parts, tag=st.text(st.characters(max_codepoint=255)))
@example(wait="9s", revision="9" * 5000, node="\x00", tag="")
def test_no_path_query_or_header_makes_the_door_fail(
    hub: Hub, wait: str, revision: str, node: str, tag: str
) -> None:
    etag = "".join(each for each in tag if each.isprintable())
    query = f"?wait={quote(wait[:1] + '0s' if wait[:1].isdigit() else wait)[:50]}"
    place = f"/v1/agents/{quote(node, safe='')}/assignment{query}"
    own = hub.call("GET", f"/v1/agents/edge-1/assignment{query}", headers={"If-None-Match": etag})
    assert own.status in (200, 304, 422)
    assert hub.call("GET", place).status in (200, 304, 307, 403, 404, 422)
    evidence = hub.call("GET", f"/v1/fleet?revision={quote(revision)}", "operator")
    assert evidence.status in (200, 422)
    query = f"since={quote(revision)}&boot={quote(node)}"
    assert hub.call("GET", f"/v1/fleet?{query}", "operator").status in (200, 422)


tokens = st.builds(
    lambda said: base64.urlsafe_b64encode(dumped(said)).decode(),
    st.lists(absurd_numbers | st.none() | st.text(max_size=5), max_size=3),
)


@FUZZED
@given(limit=parts, following=parts | tokens, selector=parts)
@example(limit="", following="WzFlMzAwLDFd", selector="")
@example(limit="", following="Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTksMV0=", selector="")
@example(limit="²", following="", selector="")
@example(limit="", following="", selector="since=0001-01-01T00:00:00+23:59")
@example(limit="", following="", selector="device=\x00")
def test_no_list_request_makes_the_records_api_fail(
    hub: Hub, limit: str, following: str, selector: str
) -> None:
    answer = hub.listed(
        f"?limit={quote(limit)}&continue={quote(following)}&fieldSelector={quote(selector)}"
    )
    assert answer.status in (200, 400), answer.body[:500]


def test_a_hub_whose_head_of_a_journal_cannot_go_on_says_so(hub: Hub) -> None:
    """The newest number there is was taken: what follows it is refused, and nothing else is."""
    last = {"sequence": 1 << 53, "previous": "x", "hash": "y", "body": record_of()}
    taken = hub.call(
        "POST",
        "/v1/agents/edge-1/records",
        data=dumped({"journal": "j-1", "records": [last]}),
    )
    assert taken.status == 200
    more = [last, {**last, "sequence": (1 << 53) + 1}]
    refused = hub.call(
        "POST", "/v1/agents/edge-1/records", data=dumped({"journal": "j-1", "records": more})
    )
    assert refused.status == 422
    with sqlite3.connect(hub.database) as kept:
        assert kept.execute("select count(*) from records").fetchone() == (1,)
