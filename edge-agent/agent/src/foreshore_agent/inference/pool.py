"""Asking a policy's replicas in order, and turning to the next at the first failure or lateness.

Each ready replica has an equal share of the time; one that has not answered by then is not given
up, but the next is asked beside it, and the first answer counts (a model that needs more than its
share still decides). Whoever was overtaken, failed or never answered is rested: see `replica`. When
none is ready the resting ones are asked all the same: a wrong guess must not make a model silent.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from foreshore_agent.inference import answer, replica
from foreshore_api.wire import assignment, record, report

_WATCH_SECONDS: Final = 0.1
_READY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Answered:
    """Outputs by name, flat; `network` is what no server spent, failed attempts included."""

    outputs: Mapping[str, tuple[float | int | bool, ...]]
    attempts: tuple[record.Attempt, ...]
    node: str
    network: float
    inference: float | None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No replica answered in time; `is_late` if at least one had merely not answered yet."""

    reason: str
    attempts: tuple[record.Attempt, ...]
    is_late: bool


@dataclass(slots=True)
class _Route:
    """The replicas of one policy, in the order of the assignment."""

    policy: tuple[str, str]
    outputs: tuple[answer.Declared, ...]
    replicas: tuple[replica.Replica, ...]
    seconds: float = _READY_SECONDS
    trying: set[int] = field(default_factory=set)


class Pool:
    """Every replica this agent may ask, by policy."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], _Route] = {}
        self._sessions: dict[str, replica.Session] = {}

    async def assign(self, policies: Sequence[assignment.AssignedPolicy]) -> None:
        """Take the endpoints of an assignment; a replica that stays keeps its standing."""
        fresh: dict[tuple[str, str], _Route] = {}
        for policy in policies:
            if policy.model is not None and policy.endpoints:
                fresh[policy.namespace, policy.name] = self._route(policy, policy.model)
        self._routes = fresh
        used = {one.endpoint.url for route in fresh.values() for one in route.replicas}
        for url in set(self._sessions) - used:
            await self._sessions.pop(url).close()

    def _route(self, policy: assignment.AssignedPolicy, model: assignment.AssignedModel) -> _Route:
        key = (policy.namespace, policy.name)
        old = self._routes.get(key)
        known = {(one.endpoint, one.model): one for one in (old.replicas if old else ())}
        replicas = tuple(
            known.get((endpoint, model.name))
            or replica.Replica(endpoint, model.name, self._session(endpoint.url))
            for endpoint in policy.endpoints
        )
        return _Route(key, model.model.outputs, replicas)

    def _session(self, url: str) -> replica.Session:
        session = self._sessions.get(url)
        if session is None:
            session = self._sessions[url] = replica.Session(url)
        return session

    async def infer(
        self, namespace: str, policy: str, body: bytes, seconds: float
    ) -> Answered | Unanswered:
        """Ask the policy's replicas for at most `seconds` in all."""
        route = self._routes.get((namespace, policy))
        if route is None:
            return Unanswered("NoEndpoint", (), is_late=False)
        route.seconds = seconds
        return await _Race(route, body, seconds).run()

    def reports(self) -> tuple[report.EndpointReport, ...]:
        """Return how the calls of every replica went lately."""
        at = asyncio.get_running_loop().time()
        return tuple(
            one.report(*route.policy, at)
            for route in self._routes.values()
            for one in route.replicas
        )

    async def watch(self) -> None:
        """Try resting replicas again and ask idle ones whether they are ready, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                at = asyncio.get_running_loop().time()
                for route in self._routes.values():
                    for one in route.replicas:
                        if id(one) not in route.trying and _is_due(one, at):
                            route.trying.add(id(one))
                            tasks.create_task(_try(route, one))
                await asyncio.sleep(_WATCH_SECONDS)

    async def close(self) -> None:
        """Drop every connection."""
        self._routes = {}
        while self._sessions:
            await self._sessions.popitem()[1].close()


def _is_due(one: replica.Replica, at: float) -> bool:
    if one.resting_until is not None:
        return at >= one.resting_until
    return at - one.asked_at > replica.IDLE_PROBE_SECONDS


async def _try(route: _Route, one: replica.Replica) -> None:
    """Ask in the background; the answer decides whether it rests (on)."""
    try:
        if one.is_rested() or one.last_body is None:
            await one.is_ready(_READY_SECONDS)
        else:
            answer.read((await one.infer(one.last_body, route.seconds)).body, route.outputs)
        one.recover()
    except replica.RejectedError:
        one.recover()
    except replica.LateError:
        one.rest("Late", asyncio.get_running_loop().time())
    except (replica.FailedError, answer.BadAnswerError) as error:
        one.rest(error.reason, asyncio.get_running_loop().time())
    finally:
        route.trying.discard(id(one))


def _retrieve(task: asyncio.Task[replica.Reply]) -> None:
    """Look at the result of a call that nobody waits for, or asyncio reports it as forgotten."""
    if not task.cancelled():
        task.exception()


class _Race:
    """One inference: who was asked, who answers first."""

    def __init__(self, route: _Route, body: bytes, seconds: float) -> None:
        self._route = route
        self._body = body
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._deadline = self._started + seconds
        ready = [one for one in route.replicas if one.is_rested()]
        resting = [one for one in route.replicas if not one.is_rested()]
        self._waiting = ready + resting
        self._share = seconds / max(1, len(ready) or len(resting))
        self._asked: dict[asyncio.Task[replica.Reply], tuple[replica.Replica, float]] = {}
        self._attempts: list[record.Attempt] = []

    async def run(self) -> Answered | Unanswered:
        """Return the first answer, or why there was none."""
        try:
            return await self._run()
        finally:
            for task in self._asked:
                task.add_done_callback(_retrieve)
                task.cancel()

    async def _run(self) -> Answered | Unanswered:
        while True:
            now = self._loop.time()
            if now >= self._deadline or not (self._waiting or self._asked):
                return self._give_up()
            if self._waiting:
                self._ask(self._waiting.pop(0), now)
            until = min(self._deadline, now + self._share) if self._waiting else self._deadline
            answered = await self._first_of(until)
            if answered is not None:
                return answered

    def _ask(self, one: replica.Replica, now: float) -> None:
        task = self._loop.create_task(one.infer(self._body, max(0.001, self._deadline - now)))
        self._asked[task] = (one, now)

    async def _first_of(self, until: float) -> Answered | None:
        """Wait for those asked; None when the next should be asked (or the time is over)."""
        wait = until - self._loop.time()
        done, _ = await asyncio.wait(self._asked, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            one, asked = self._asked.pop(task)
            answered = self._settle(task, one, self._loop.time() - asked)
            if answered is not None:
                return answered
        return None

    def _settle(
        self, task: asyncio.Task[replica.Reply], one: replica.Replica, seconds: float
    ) -> Answered | None:
        now = self._loop.time()
        try:
            reply = task.result()
            outputs = answer.read(reply.body, self._route.outputs)
        except replica.LateError:
            one.count_bad("late", "Late", now)
            self._note(one, "Late", "Deadline", seconds)
        except replica.RejectedError as error:
            self._waiting.clear()
            self._note(one, "Failed", error.reason, seconds)
        except (replica.FailedError, answer.BadAnswerError) as error:
            one.count_bad("failed", error.reason, now)
            self._note(one, "Failed", error.reason, seconds)
        else:
            one.count_good(now)
            self._overtaken()
            self._note(one, "Answered", None, seconds)
            server = reply.server
            network = max(0.0, now - self._started - (server or 0.0))
            return Answered(outputs, tuple(self._attempts), one.endpoint.node, network, server)
        return None

    def _overtaken(self) -> None:
        now = self._loop.time()
        for one, asked in self._asked.values():
            one.count_bad("late", "Overtaken", now)
            self._note(one, "Late", "Overtaken", now - asked)

    def _give_up(self) -> Unanswered:
        now = self._loop.time()
        for one, asked in self._asked.values():
            one.count_bad("late", "Late", now)
            self._note(one, "Late", "Deadline", now - asked)
        is_late = any(attempt.result == "Late" for attempt in self._attempts)
        reason = self._attempts[-1].reason if self._attempts else None
        return Unanswered(reason or "Deadline", tuple(self._attempts), is_late)

    def _note(self, one: replica.Replica, result: str, reason: str | None, seconds: float) -> None:
        self._attempts.append(
            record.Attempt(
                slot=one.endpoint.slot,
                node=one.endpoint.node,
                result=result,
                reason=reason,
                seconds=round(seconds, 6),
            )
        )
