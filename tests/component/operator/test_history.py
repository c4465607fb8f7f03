"""Priors from a real Prometheus that scrapes what agents expose; and from what is none."""

import asyncio
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from builders import patience
from foreshore_agent import health, meters, series
from foreshore_agent.engine import effects, events
from foreshore_api.wire import histogram
from foreshore_operator.history import bounded, keeping, prometheus, source
from foreshore_planner import priors
from harness import prometheus as servers

pytestmark = [pytest.mark.component, pytest.mark.enable_socket]

POLICY = events.Key("hq", "ventilate")
PI, LARGE = series.CalledNode("hq", "arm64-pi"), series.CalledNode("", "amd64-large")


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class ExposingAgent:
    """The meters of an agent behind an agent's own port."""

    def __init__(self, node: str) -> None:
        self.meters = meters.Meters()
        self.meters.assign(
            series.SeriesLabels(
                node=node,
                site="hq",
                versions={POLICY: "occupancy-v1"},
                nodes={"edge-1": PI, "edge-2": PI, "cloud-1": LARGE},
                peers=frozenset({"edge-1", "edge-2", "cloud-1"}),
            )
        )
        served = health.application(self.meters.registry, tuple)
        self.port = health.Port(served, servers.ADDRESS, 0)

    def infer(self, node: str, seconds: float, times: int) -> None:
        for _ in range(times):
            self.meters.observe(effects.Observe(POLICY, "Inference", seconds, node), at=1.0)

    def echo(self, node: str, seconds: float, times: int) -> None:
        for _ in range(times):
            self.meters.observe_probe(node, seconds, at=1.0)


@pytest.fixture
async def agents() -> AsyncIterator[tuple[list[ExposingAgent], list[str]]]:
    exposing = [ExposingAgent("edge-1"), ExposingAgent("edge-2")]
    ports = [await agent.port.start() for agent in exposing]
    yield exposing, [f"{servers.ADDRESS}:{port}" for port in ports]
    for agent in exposing:
        await agent.port.close()


async def scraped(server: servers.Prometheus, query: str, at_least: float) -> None:
    """Wait until the sum of a query is as large as that."""
    async with asyncio.timeout(patience.SECONDS):
        while True:
            answer = await asyncio.to_thread(server.query, f"sum({query})")
            if answer and float(answer[0]["value"][1]) >= at_least:
                return
            await asyncio.sleep(0.2)


async def test_priors_are_what_agents_measured_and_stay_when_prometheus_is_pulled_out(
    tmp_path: Path, agents: tuple[list[ExposingAgent], list[str]]
) -> None:
    exposing, targets = agents
    for agent in exposing:  # a counter's first value is no increase
        agent.infer("edge-1", 0.5, 1)
        agent.infer("cloud-1", 0.5, 1)
        agent.echo("edge-2", 0.5, 1)
        agent.echo("cloud-1", 0.5, 1)
    with servers.Prometheus(tmp_path / "prometheus", targets=targets) as server:
        await scraped(server, "foreshore_decision_stage_seconds_count", 4)
        await scraped(server, "foreshore_probe_seconds_count", 4)
        for agent in exposing:
            agent.infer("edge-1", 0.004, 200)
            agent.infer("edge-2", 0.008, 200)
            agent.infer("cloud-1", 0.002, 400)
            agent.echo("edge-2", 0.001, 300)
            agent.echo("cloud-1", 0.04, 300)
        await scraped(server, "foreshore_decision_stage_seconds_count", 1604)
        await scraped(server, "foreshore_probe_seconds_count", 1204)
        client = prometheus.PrometheusHistory(server.url)
        history = keeping.History(client, "Prometheus")
        await history.ask()
        measured = history.priors()
        version = ("hq", "occupancy-v1")
        assert measured.inference.keys() == {(version, "arm64-pi"), (version, "amd64-large")}
        pooled = measured.inference[version, "arm64-pi"]
        half = pooled.buckets[histogram.bucket(0.004)], pooled.buckets[histogram.bucket(0.008)]
        assert half[0] == pytest.approx(half[1], rel=0.02)
        assert histogram.quantile(pooled, 0.99) == histogram.BOUNDS[histogram.bucket(0.008)]
        assert measured.network.keys() == {("hq", "hq", "arm64-pi"), ("hq", "", "amd64-large")}
        assert (
            histogram.quantile(measured.network["hq", "", "amd64-large"], 0.5)
            == (histogram.BOUNDS[histogram.bucket(0.04)])
        )
        server.kill()
        await history.ask()
        assert history.priors() == measured
        client.close()


async def test_a_prometheus_that_hangs_is_given_up_and_wakes_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.Prometheus(tmp_path / "prometheus", targets=[]) as server:
        client = prometheus.PrometheusHistory(server.url)
        assert await client.read(now()) == priors.LatencyPriors()
        server.pause()
        monkeypatch.setattr(prometheus, "SERVER_SECONDS", 0)
        with pytest.raises(source.HistoryError):
            await client.read(now())


def answering(body: bytes, status: int = 200) -> web.Application:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application


def vector(**more: object) -> bytes:
    data = {"resultType": "vector", "result": []}
    return json.dumps({"status": "success", "data": data, **more}).encode()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        pytest.param(b"<html>", 200, "no Prometheus", id="a page"),
        pytest.param(b"[" * 100_000, 200, "no Prometheus", id="deep nesting"),
        pytest.param(b'{"status":"success"}', 200, "no Prometheus", id="no data"),
        pytest.param(b'{"data":{"result":[1]}}', 200, "no Prometheus", id="no vector"),
        pytest.param(b"1" * 5000, 200, "no Prometheus", id="a number that nobody can read"),
        pytest.param(b"x" * 5000, 200, "more than", id="an answer without an end"),
        pytest.param(b"bad_data: parse error", 400, "refuses: bad_data", id="a refusal"),
        pytest.param(b"\x1b[31mno", 503, "refuses: ", id="a refusal with control characters"),
        pytest.param(
            vector(warnings=["store unreachable"]), 200, "store unreachable", id="partial"
        ),
    ],
)
async def test_what_is_no_whole_answer_is_an_error_that_says_so(
    body: bytes, status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "MAXIMUM_BYTES", 4096)
    if "more" not in message and len(body) > 4096:
        monkeypatch.setattr(bounded, "MAXIMUM_BYTES", 1 << 20)
    runner = web.AppRunner(answering(body, status), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    client = prometheus.PrometheusHistory(f"http://{host}:{port}")
    try:
        with pytest.raises(source.HistoryError, match=message) as failure:
            await client.read(now())
        assert str(failure.value).isprintable()
    finally:
        client.close()
        await runner.cleanup()


async def test_no_redirect_is_followed_with_a_token(tmp_path: Path) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", elsewhere)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    token = tmp_path / "token"
    token.write_text("secret\n")
    client = prometheus.PrometheusHistory(f"http://{host}:{port}", token_file=token)
    try:
        with pytest.raises(source.HistoryError) as failure:
            await client.read(now())
        assert "secret" not in str(failure.value)
        assert asked == ["/api/v1/query"]
    finally:
        client.close()
        await runner.cleanup()
