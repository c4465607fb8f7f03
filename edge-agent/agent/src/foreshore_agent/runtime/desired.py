"""The assignment in force: what is taken, made durable, and only then takes effect.

    hub ──take──► older, or another node's? refused ──► durable ──► in effect
    folder ──put───────────────────────────────────────► durable ──► in effect
    start ──recall──► the durable one takes effect at once, hub or no hub
                 └──► it cannot: set aside, until the hub sends another

`life` makes one and says what taking effect means.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import pydantic

from foreshore_agent import adoption
from foreshore_api.wire import assignment, report

KEY: Final = "assignment"
NODE: Final = "Node"
SET_ASIDE: Final = "AssignmentSetAside"
_LOG: Final = logging.getLogger(__name__)


class Values(Protocol):
    """The durable values of the journal."""

    def put(self, key: str, value: bytes) -> Awaitable[None]:
        """Keep a value durably."""
        ...

    def get(self, key: str) -> Awaitable[bytes | None]:
        """Return a value, or None."""
        ...


class Desired:
    """The assignment this agent works by."""

    def __init__(
        self, node: str, values: Values, effect: Callable[[assignment.Assignment], None]
    ) -> None:
        self._node: Final = node
        self._values: Final = values
        self._effect: Final = effect
        self._turn: Final = asyncio.Lock()
        self._aside: assignment.Assignment | None = None
        self.present: assignment.Assignment | None = None

    async def recall(self) -> assignment.Assignment | None:
        """Return what was durable when the agent last ran; it is not in effect yet."""
        body = await self._values.get(KEY)
        if body is None:
            return None
        try:
            return assignment.Assignment.decode(body)
        except pydantic.ValidationError as error:
            _LOG.warning("the last assignment cannot be read by this release: %s", error)
            return None

    def resume(self, recalled: assignment.Assignment) -> None:
        """Let a recalled assignment take effect."""
        self.present = recalled
        self._effect(recalled)

    def set_aside(self, recalled: assignment.Assignment) -> None:
        """Go on without an assignment on which this release fails: wait for another of the hub's.

        It stays durable, for the release that can work by it.
        """
        self.present, self._aside = None, recalled

    def problems(self) -> tuple[report.Problem, ...]:
        """Return what keeps this agent from working by its assignment."""
        if self._aside is None:
            return ()
        aside = self._aside
        message = f"assignment {aside.generation} makes this release fail; waiting for another"
        problem = report.Problem(
            kind=NODE, namespace="", name=self._node, reason=SET_ASIDE, message=message
        )
        return (problem,)

    async def take(self, fresh: assignment.Assignment) -> None:
        """Take an assignment from the hub, unless it is older or another node's.

        Raises:
            journal.JournalFull: it could not be made durable and does not take effect.
        """
        async with self._turn:
            last = self.present or self._aside
            if fresh.node != self._node:
                _LOG.error("an assignment for node %s is not ours, refused", fresh.node)
                return
            if adoption.is_stale(fresh, last):
                _LOG.warning("generation %d is older than ours, refused", fresh.generation)
                return
            if fresh == self._aside:
                return
            await self._put(fresh)

    async def put(self, taken: assignment.Assignment) -> None:
        """Take an assignment that folder mode has compiled. Raises as `take`."""
        async with self._turn:
            await self._put(taken)

    async def _put(self, taken: assignment.Assignment) -> None:
        if taken == self.present:
            return
        await self._values.put(KEY, taken.encode())
        self.present, self._aside = taken, None
        _LOG.info(
            "assignment %d: %d devices, %d policies",
            taken.generation,
            len(taken.devices),
            len(taken.policies),
        )
        self._effect(taken)
