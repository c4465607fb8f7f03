"""Elections in worlds that go wrong: pauses, an API server that is away, a Lease that people touch.

Whatever happens, a write of a term that is over is one that the chart's policies refuse: its epoch
lies below the Lease's.
"""

import asyncio
import copy
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from foreshore_api import meta
from foreshore_kube import api, elector, epochs, kinds

CANDIDATES = ("a", "b", "c")
START = 1_800_000_000.0
NONSENSE = ("", "soon", "-1", "²", "1" + "0" * 400, str(1 << 53), str(int(START) + 400_000_000))


@dataclass
class SharedLease:
    """One Lease with compare and swap that everybody sees, if the API server is there."""

    lease: api.Json | None = None
    version: int = 0
    is_down: bool = False

    async def get(self, *_: object) -> api.Json:
        if self.is_down:
            raise api.UnavailableError(0, "connection refused")
        if self.lease is None:
            raise api.NotFoundError(404, "no lease")
        return copy.deepcopy(self.lease)

    async def create(self, _kind: kinds.ResourceKind, document: api.Json) -> api.Json:
        if not self.is_down and self.lease is not None:
            raise api.ConflictError(409, "exists", reason="AlreadyExists")
        return self._store(document)

    async def replace(self, _kind: kinds.ResourceKind, document: api.Json) -> api.Json:
        held = await self.get()
        if document["metadata"].get("resourceVersion") != held["metadata"]["resourceVersion"]:
            raise api.ConflictError(409, "moved on", reason="Conflict")
        return self._store(document)

    def annotate(self, text: str) -> None:
        """Write an epoch by hand."""
        if self.lease is not None:
            self.lease["metadata"]["annotations"][meta.ANNOTATION_EPOCH] = text
            self._touch()

    def _store(self, document: api.Json) -> api.Json:
        if self.is_down:
            raise api.UnavailableError(0, "connection refused")
        self.lease = copy.deepcopy(document)
        self._touch()
        return copy.deepcopy(self.lease)

    def _touch(self) -> None:
        assert self.lease is not None
        self.version += 1
        self.lease["metadata"]["resourceVersion"] = str(self.version)


@dataclass
class World:
    """Candidates that attempt when they are not paused, in virtual time."""

    shared: SharedLease = field(default_factory=SharedLease)
    now: float = 1000.0
    wall: float = START
    paused: set[str] = field(default_factory=set)
    is_checked: bool = True
    """Whether the fence must hold throughout: not while people write nonsense into the Lease."""
    terms: list[int] = field(default_factory=list)
    """Epochs in the order in which they began."""

    def __post_init__(self) -> None:
        self.candidates = {name: self._candidate(name) for name in CANDIDATES}

    def _candidate(self, name: str) -> elector.Elector:
        return elector.Elector(
            cast(api.KubeApi, self.shared),
            namespace="foreshore-system",
            name="foreshore-operator",
            identity=name,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    async def step(self, seconds: float) -> None:
        """Let time pass; whoever is not paused takes part once a second."""
        until = self.now + seconds
        while self.now < until:
            passed = min(1.0, until - self.now)
            self.now += passed
            self.wall += passed
            for name, candidate in self.candidates.items():
                if name not in self.paused:
                    await candidate.attempt()
                    self._note(candidate)
                if self.is_checked:
                    self.check()

    def _note(self, candidate: elector.Elector) -> None:
        if candidate.is_leader and candidate.epoch not in self.terms:
            self.terms.append(candidate.epoch)

    @property
    def writers(self) -> list[elector.Elector]:
        """Who believes that it may write."""
        return [candidate for candidate in self.candidates.values() if candidate.may_write()]

    def check(self) -> None:
        """Of several who may write, all but one are refused by the Lease's epoch."""
        led = epochs.of_object(self.shared.lease or {})
        unfenced = [candidate for candidate in self.writers if candidate.epoch >= led]
        assert len({candidate.epoch for candidate in self.writers}) == len(self.writers)
        if self.shared.lease is not None and led:
            assert len(unfenced) <= 1, [candidate.epoch for candidate in self.writers]


WAITS = st.floats(0.1, 9.0).map(lambda seconds: ("wait", seconds))
PAUSES = st.tuples(st.sampled_from(["pause", "wake"]), st.sampled_from(CANDIDATES))
OUTAGES = st.tuples(st.just("reach"), st.booleans())
DELETIONS = st.just(("delete", ""))
SCRIBBLES = st.tuples(st.just("annotate"), st.sampled_from(NONSENSE))
CLOCKS = st.floats(-1e6, 1e6).map(lambda seconds: ("clock", seconds))


async def play(world: World, story: list[tuple[str, object]]) -> None:
    """One thing after the other, with a moment between."""
    for act, value in story:
        if act == "wait":
            await world.step(cast(float, value))
        else:
            happen(world, act, value)
        await world.step(0.2)


def happen(world: World, act: str, value: object) -> None:
    """Let one thing happen to the world."""
    match act:
        case "pause":
            world.paused.add(str(value))
        case "wake":
            world.paused.discard(str(value))
        case "reach":
            world.shared.is_down = not value
        case "delete":
            world.shared.lease = None
        case "annotate":
            world.shared.annotate(str(value))
        case "clock":
            world.wall = max(0.0, world.wall + cast(float, value))


@given(st.lists(st.one_of(WAITS, PAUSES, OUTAGES, CLOCKS), max_size=25))
@settings(max_examples=150, deadline=None)
def test_never_two_leaders_and_epochs_only_rise(story: list[tuple[str, object]]) -> None:
    """Nobody touches the Lease: pauses, outages and jumping clocks alone."""
    world = World()
    asyncio.run(play(world, story))
    assert len(world.writers) <= 1
    assert world.terms == sorted(world.terms)


@given(st.lists(st.one_of(WAITS, PAUSES, OUTAGES, DELETIONS), max_size=25))
@settings(max_examples=150, deadline=None)
def test_a_lease_that_is_deleted_gives_two_leaders_of_which_the_policies_refuse_one(
    story: list[tuple[str, object]],
) -> None:
    """The first believes in its term for seconds yet; the new Lease's epoch lies above, also in the
    second in which the first began: who follows remembers what it saw."""
    world = World()
    asyncio.run(play(world, story))
    assert world.terms == sorted(world.terms)


@given(st.lists(st.one_of(WAITS, PAUSES, OUTAGES, DELETIONS, SCRIBBLES, CLOCKS), max_size=25))
@settings(max_examples=150, deadline=None)
def test_whatever_happened_somebody_leads_a_minute_after_it_ended(
    story: list[tuple[str, object]],
) -> None:
    async def tell(world: World) -> None:
        await play(world, story)
        world.paused.clear()
        world.shared.is_down = False
        await world.step(elector.LONGEST + 10)

    world = World(is_checked=False)
    asyncio.run(tell(world))
    (leader,) = world.writers
    assert epochs.of_object(world.shared.lease or {}) == leader.epoch
