"""The assignment in force: what is taken, made durable, and only then takes effect.

    hub ──take──► older, or another node's? held back ──► durable ──► in effect
    folder ──put────────────────────────────────────────► durable ──► in effect
    start ──recall──► the durable one takes effect at once, hub or no hub
                 └──► it cannot, or it is another node's: set aside, until the hub sends another

What stays is the rule of `foreshore_decision.in_force`. `life` makes one and says what taking
effect means.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import pydantic

from foreshore_agent import durable
from foreshore_api.reasons import agent as reasons
from foreshore_api.wire import assignment, report
from foreshore_decision import in_force

KEY: Final = "assignment"
NODE: Final = "Node"
_LOG: Final = logging.getLogger(__name__)


def judge(
    fresh: assignment.Assignment,
    node: str,
    last: assignment.Assignment | None,
    aside: assignment.Assignment | None,
) -> in_force.Option[assignment.Assignment]:
    """Return whether an assignment from the hub can be worked by.

    Whether a policy of it takes effect is for the engine to find out. `last` is the newest that was
    taken, `aside` one on which this release fails.
    """
    if fresh.node != node:
        return in_force.Option(None, _of_another_node(fresh, node))
    if is_stale(fresh, last):
        obstacle = in_force.Obstacle(
            reasons.ASSIGNMENT_REFUSED,
            "the hub's store has counted further before: it is an older copy",
            "give the hub the newest copy of its store, or an empty one",
        )
        return in_force.Option(None, obstacle)
    if fresh == aside:
        return in_force.Option(None, _fails())
    return in_force.good(fresh)


def is_stale(fresh: assignment.Assignment, last: assignment.Assignment | None) -> bool:
    """Whether a fresh assignment is older than the last one of the same lineage."""
    if last is None or fresh.lineage != last.lineage:
        return False
    return fresh.generation < last.generation


def _of_another_node(refused: assignment.Assignment, node: str) -> in_force.Obstacle:
    return in_force.Obstacle(
        reasons.ASSIGNMENT_REFUSED,
        f"it is for node {refused.node}, not for {node}",
        "look at the name that the agent is started with, and at its token",
    )


def _fails() -> in_force.Obstacle:
    remedy = "edit what was edited last, or run another release; the agent's log has the details"
    return in_force.Obstacle(reasons.ASSIGNMENT_SET_ASIDE, "this release fails on it", remedy)


def _unreadable(error: Exception) -> in_force.Obstacle:
    cause = f"this release cannot read it ({type(error).__name__})"
    return in_force.Obstacle(
        reasons.ASSIGNMENT_SET_ASIDE, cause, "the next that comes takes its place"
    )


class Desired:
    """The assignment this agent works by."""

    def __init__(
        self, node: str, values: durable.Values, effect: Callable[[assignment.Assignment], None]
    ) -> None:
        self._node: Final = node
        self._values: Final = values
        self._effect: Final = effect
        self._turn: Final = asyncio.Lock()
        self._aside: assignment.Assignment | None = None
        self._problem: report.Problem | None = None
        """What is said of the newest assignment, where it is held back."""
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
            self._hold_back(_unreadable(error), "the last assignment")
            return None

    def resume(self, recalled: assignment.Assignment) -> None:
        """Let a recalled assignment take effect, unless it is another node's.

        A state directory may come from another machine, or the agent be started by another name.
        """
        if recalled.node != self._node:
            self._hold_back(_of_another_node(recalled, self._node), _named(recalled))
            return
        self.present = recalled
        self._effect(recalled)

    def set_aside(self, recalled: assignment.Assignment) -> None:
        """Go on without an assignment on which this release fails: wait for another of the hub's.

        It stays durable, for the release that can work by it.
        """
        self.present, self._aside = None, recalled
        self._hold_back(_fails(), _named(recalled))

    def problems(self) -> tuple[report.Problem, ...]:
        """Return what keeps this agent from working by its newest assignment."""
        return () if self._problem is None else (self._problem,)

    async def take(self, fresh: assignment.Assignment) -> None:
        """Take an assignment from the hub, unless it is older or another node's.

        Raises:
            journal.JournalFull: it could not be made durable and does not take effect.
        """
        async with self._turn:
            newest = judge(fresh, self._node, self.present or self._aside, self._aside)
            chosen = in_force.choose((newest, in_force.Option(self.present)))
            if chosen.held_back is not None:
                self._hold_back(chosen.held_back, _named(fresh))
            else:
                await self._put(fresh)

    async def put(self, taken: assignment.Assignment) -> None:
        """Take an assignment that folder mode has compiled. Raises as `take`."""
        async with self._turn:
            await self._put(taken)

    async def _put(self, taken: assignment.Assignment) -> None:
        if taken == self.present:
            self._problem = None
            return
        await self._values.keep(KEY, taken.encode())
        self.present, self._aside, self._problem = taken, None, None
        _LOG.info(
            "assignment %d: %d devices, %d policies",
            taken.generation,
            len(taken.devices),
            len(taken.policies),
        )
        self._effect(taken)

    def _hold_back(self, obstacle: in_force.Obstacle, newest: str) -> None:
        """Say in the log, once, and in `problems`, that the newest is not in force."""
        kept = _named(self.present) if self.present is not None else ""
        problem = report.Problem(
            kind=NODE,
            namespace="",
            name=self._node,
            reason=obstacle.reason,
            message=in_force.message(obstacle, newest, kept),
        )
        if problem != self._problem:
            _LOG.error("%s", problem.message)
        self._problem = problem


def _named(assigned: assignment.Assignment) -> str:
    return f"assignment {assigned.generation}"
