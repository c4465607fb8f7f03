"""Every replica this agent may ask, by policy: the runtime's `InferencePort`.

Each ready replica has an equal share of the time; one that has not answered by then is not given
up, but the next is asked beside it, and the first answer counts (a model that needs more than its
share still decides). Whoever was overtaken, failed or never answered is rested: see `replica`. When
none is ready the resting ones are asked all the same: a wrong guess must not make a model silent.

Where a model runs in this process (an endpoint `agent:…`), it is asked before all others (see
`own_first`); while it is not loaded it is as if that endpoint were not there.
"""

import asyncio
import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from foreshore_agent.engine import effects
from foreshore_agent.inference import own_first, port, race, replica
from foreshore_agent.inference.local import replica as local
from foreshore_agent.inference.oip import answer, line, request
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import assignment, report
from foreshore_decision import served

_WATCH_SECONDS: Final = 0.1
_READY_SECONDS: Final = 1.0


@dataclass(slots=True)
class _PolicyRoute:
    """The replicas of one version of a policy, in the order of the assignment."""

    policy: tuple[str, str]
    devices: frozenset[str]
    """Those that this version is in force on."""
    expected: answer.Expected
    replicas: tuple[replica.ModelReplica, ...]
    own: local.LocalReplica | None
    """The model in this process."""
    seconds: float = _READY_SECONDS
    trying: set[int] = field(default_factory=set)


class Pool:
    """The replicas of every policy; an `InferencePort`."""

    def __init__(self, runners: local.Runners = lambda _: None) -> None:
        """Ask nobody yet; `runners` returns the models in this process."""
        self._runners: Final = runners
        self._routes: dict[tuple[str, str], tuple[_PolicyRoute, ...]] = {}
        self._lines: dict[str, line.Line] = {}

    def assign(self, policies: Sequence[assignment.AssignedPolicy]) -> None:
        """Take the endpoints of every version in force; a replica that stays keeps its standing.

        A policy may come in several versions, each with the devices that it is in force on; for
        any other device none is asked, for another version must not answer in its place.
        """
        fresh: dict[tuple[str, str], tuple[_PolicyRoute, ...]] = {}
        for policy in policies:
            if policy.model is not None and policy.endpoints:
                key = (policy.namespace, policy.name)
                fresh[key] = (*fresh.get(key, ()), self._route(policy, policy.model))
        self._routes = fresh
        used = {candidate.endpoint.url for route in self._every() for candidate in route.replicas}
        for url in set(self._lines) - used:
            self._lines.pop(url).close()

    def _route(
        self, policy: assignment.AssignedPolicy, model: assignment.AssignedModel
    ) -> _PolicyRoute:
        key = (policy.namespace, policy.name)
        old = self._routes.get(key, ())
        present = {candidate.identity: candidate for route in old for candidate in route.replicas}
        fresh = (
            replica.ModelReplica(endpoint, model.name, self._line(endpoint.url))
            for endpoint in policy.endpoints
            if not endpoint.is_in_agent
        )
        replicas = tuple(present.get(candidate.identity, candidate) for candidate in fresh)
        expected = answer.Expected(served.of(model), model.model.outputs)
        own = self._own(policy, expected.model, old)
        return _PolicyRoute(key, frozenset(policy.devices), expected, replicas, own)

    def _own(
        self,
        policy: assignment.AssignedPolicy,
        model: served.Served,
        old: Sequence[_PolicyRoute],
    ) -> local.LocalReplica | None:
        """Return the model in this process, if the policy's version names it."""
        url = assignment.in_agent(model.digest)
        endpoint = next((endpoint for endpoint in policy.endpoints if endpoint.url == url), None)
        if endpoint is None:
            return None
        fresh = local.LocalReplica(endpoint, model, self._runners)
        present = (route.own for route in old if route.own is not None)
        return next((own for own in present if own.identity == fresh.identity), fresh)

    def _every(self) -> Iterator[_PolicyRoute]:
        return itertools.chain.from_iterable(self._routes.values())

    def _line(self, url: str) -> line.Line:
        shared = self._lines.get(url)
        if shared is None:
            shared = self._lines[url] = line.Line(url)
        return shared

    def ask(self, asked: effects.Infer, then: port.Then) -> None:
        """Ask the replicas of the policy's version that is in force on a device.

        For at most the question's timeout in all; `then` is called exactly once.
        """
        routes = self._routes.get(asked.policy, ())
        route = next((route for route in routes if asked.device.name in route.devices), None)
        if route is None:
            asyncio.get_running_loop().call_soon(then, _NO_ENDPOINT)
            return
        route.seconds = asked.timeout
        own = route.own
        model = None if own is None else own.loaded
        if own is None or model is None:
            _ask_others(route, asked, asked.timeout, then)
        elif not route.replicas:
            own_first.ask(own, model, asked, None, then)
        elif not own.has_rested(time.monotonic()) and any(map(_is_rested, route.replicas)):
            _ask_others(route, asked, asked.timeout, then)
        else:
            others = functools.partial(_ask_others, route, asked)
            own_first.ask(own, model, asked, others, then)

    def reports(self) -> tuple[report.EndpointReport, ...]:
        """Return how the calls of every replica went lately."""
        at = time.monotonic()
        return tuple(
            candidate.report(*route.policy, at)
            for route in self._every()
            for candidate in (*_loaded(route.own), *route.replicas)
        )

    async def watch(self) -> None:
        """Try resting replicas again and ask idle ones whether they are ready, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                at = time.monotonic()
                for route in self._every():
                    for candidate in route.replicas:
                        if id(candidate) not in route.trying and _is_due(candidate, at):
                            route.trying.add(id(candidate))
                            tasks.create_task(_try(route, candidate))
                await asyncio.sleep(_WATCH_SECONDS)

    def close(self) -> None:
        """Drop every connection."""
        self._routes = {}
        while self._lines:
            self._lines.popitem()[1].close()


def _ask_others(route: _PolicyRoute, asked: effects.Infer, seconds: float, then: port.Then) -> None:
    """Ask the replicas elsewhere; without any, there is no answer."""
    if not route.replicas:
        asyncio.get_running_loop().call_soon(then, _NO_ENDPOINT)
        return
    race.Race(route.replicas, route.expected, request.encode(asked), seconds, then).start()


def _is_rested(candidate: replica.ModelReplica) -> bool:
    return candidate.is_rested()


def _loaded(own: local.LocalReplica | None) -> tuple[local.LocalReplica, ...]:
    return () if own is None or own.loaded is None else (own,)


_NO_ENDPOINT: Final = port.Unanswered(reasons.NO_ENDPOINT, (), is_late=False)


def _is_due(candidate: replica.ModelReplica, at: float) -> bool:
    if candidate.resting_until is not None:
        return at >= candidate.resting_until
    return at - candidate.asked_at > replica.IDLE_PROBE_SECONDS


async def _try(route: _PolicyRoute, candidate: replica.ModelReplica) -> None:
    """Ask in the background; the answer decides whether it rests (on).

    One that callers blame is asked what they asked, whether it rests or not: being ready is no
    answer. It is free of blame only when it answers within its share, as in a race.
    """
    began = time.monotonic()
    try:
        if candidate.last_body is None or (candidate.is_rested() and not candidate.is_blamed()):
            ready = answer.completed((await _over(candidate, None, _READY_SECONDS)).answer)
            candidate.provider = answer.provider(ready.body)
        else:
            replica.read(await _over(candidate, candidate.last_body, route.seconds), route.expected)
        is_in_time = time.monotonic() - began <= route.seconds / len(route.replicas)
        (candidate.recover if is_in_time or candidate.last_body is None else candidate.resume)()
    except answer.BadRequestError:
        candidate.recover()
    except answer.OtherVersionError:
        candidate.set_aside(time.monotonic())
    except (TimeoutError, answer.FailedError) as error:
        reason = error.reason if isinstance(error, answer.FailedError) else reasons.LATE
        candidate.rest(reason, time.monotonic())
    finally:
        route.trying.discard(id(candidate))


async def _over(
    candidate: replica.ModelReplica, body: bytes | None, seconds: float
) -> replica.Asked:
    """Ask and wait until the call is over, well or badly. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        asked = candidate.ask_ready() if body is None else candidate.ask(body)
        await _end(asked)
        if asked.is_stale:
            asked = (
                candidate.ask_ready(anew=True) if body is None else candidate.ask(body, anew=True)
            )
            await _end(asked)
    return asked


async def _end(asked: replica.Asked) -> None:
    try:
        await asyncio.wait((asked.answer,))
    finally:
        asked.answer.cancel()
