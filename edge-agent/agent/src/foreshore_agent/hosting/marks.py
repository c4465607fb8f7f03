"""Which digests were loaded when the agent ended, so that a model that ends it is found out.

    trial, load ──► mark stands, durable first ──clean end──► taken away
                  └──the process is gone──► next start, same boot: one unclean end more
                                               └── MAXIMUM_UNCLEAN ──► quarantined until a new boot

Whatever leaves no time for a clean end counts: a signal of the model's own doing, the kernel out of
memory, a kill. An agent that is told to stop ends well, also for an upgrade, and so does one that a
defect of ours ends. A mark cannot say which of several models it was: all that were loaded, or were
being tried, are under suspicion. A new boot clears them, because a machine that lost its power
ended nothing by a model.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pydantic

PREFIX: Final = "inference/trying/"
"""Of the journal's values."""
MAXIMUM_UNCLEAN: Final = 2
Keep = Callable[[str, bytes], Awaitable[None]]
"""Keeps a value durably; empty bytes forget it."""
_LOG: Final = logging.getLogger(__name__)


class TryingMark(pydantic.BaseModel):
    """What is durable about one digest."""

    model_config = pydantic.ConfigDict(frozen=True)

    boot: str = pydantic.Field(max_length=64)
    ends: int = pydantic.Field(ge=0, le=1 << 20)
    """Unclean ends in this boot, before the life that wrote this."""
    standing: bool
    """Whether it was loaded when this was written."""


@dataclass(slots=True)
class _Suspicion:
    ends: int
    holders: int = 0


class UncleanEnds:
    """The marks of one agent in one boot."""

    def __init__(self, keep: Keep, boot_id: str, kept: Mapping[str, bytes]) -> None:
        """Read what the last life left.

        Args:
            keep: keeps a value durably.
            boot_id: of this boot of the machine.
            kept: all durable values whose key begins with `PREFIX`.
        """
        self._keep: Final = keep
        self._boot_id: Final = boot_id
        self._outdated: Final = [key for key, body in kept.items() if body]
        self._suspicions: Final = dict(_read(kept, boot_id))
        for digest, suspicion in self._suspicions.items():
            self._outdated.remove(PREFIX + digest)
            _LOG.warning(
                "model %s was in the agent's process when it ended uncleanly, since this machine"
                " started: %d",
                digest,
                suspicion.ends,
            )

    def count(self, digest: str) -> int:
        """Return how often the agent ended uncleanly in this boot with a digest loaded."""
        suspicion = self._suspicions.get(digest)
        return 0 if suspicion is None else suspicion.ends

    async def begin(self, digest: str) -> None:
        """Make durable that a digest is about to be used here; what other boots left is forgotten.

        Raises whatever `keep` raises: what cannot be marked must not be used.
        """
        while self._outdated:
            await self._keep(self._outdated.pop(), b"")
        suspicion = self._suspicions.setdefault(digest, _Suspicion(0))
        suspicion.holders += 1
        try:
            await self._write(digest, suspicion.ends, is_standing=True)
        except BaseException:
            with contextlib.suppress(Exception):  # it may be durable all the same; raised below
                await self.end(digest)
            raise

    async def end(self, digest: str) -> None:
        """Take the mark away: it is used no more, and nothing happened."""
        suspicion = self._suspicions.get(digest)
        if suspicion is None or suspicion.holders == 0:
            return
        suspicion.holders -= 1
        if suspicion.holders:
            return
        if suspicion.ends:
            await self._write(digest, suspicion.ends, is_standing=False)
        else:
            del self._suspicions[digest]
            await self._keep(PREFIX + digest, b"")

    async def _write(self, digest: str, ends: int, *, is_standing: bool) -> None:
        mark = TryingMark(boot=self._boot_id, ends=ends, standing=is_standing)
        await self._keep(PREFIX + digest, mark.model_dump_json().encode())


def _read(kept: Mapping[str, bytes], boot_id: str) -> Iterator[tuple[str, _Suspicion]]:
    """Yield the digests under suspicion in this boot."""
    for key, body in kept.items():
        if not body:
            continue
        try:
            mark = TryingMark.model_validate_json(body)
        except pydantic.ValidationError as error:
            _LOG.warning("the mark %s cannot be read and is forgotten: %s", key, error)
            continue
        ends = mark.ends + mark.standing
        if mark.boot == boot_id and ends:
            yield key.removeprefix(PREFIX), _Suspicion(ends)
