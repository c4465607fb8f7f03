"""Durable values that cannot be read: what is kept of them, and what the next start meets."""

import asyncio
from typing import cast

import orjson

from foreshore_agent import journal
from foreshore_agent.engine import durable, state
from foreshore_agent.runtime import agent

DEVICE = f"{durable.DEVICE}hq/room-301"
POLICY = f"{durable.POLICY}hq/ventilate"


class Book:
    """A journal's values."""

    def __init__(self) -> None:
        self.puts: list[tuple[str, bytes]] = []

    async def keep(self, key: str, value: bytes) -> None:
        self.puts.append((key, value))


def set_aside(kept: dict[str, bytes], *unreadable: tuple[str, str]) -> list[tuple[str, bytes]]:
    book = Book()
    who = state.Identity("edge-1", "boot-1", "journal-1", "0.1.0")
    restored = state.start(who)._replace(unreadable=unreadable)
    asyncio.run(agent.set_aside(restored, kept, cast("journal.Journal", book)))
    return book.puts


def test_a_device_keeps_its_spoilt_value_until_another_is_written() -> None:
    puts = dict(set_aside({DEVICE: b"{", POLICY: b"["}, (DEVICE, "why"), (POLICY, "why too")))
    assert puts[f"aside/{DEVICE}"] == b"{"
    assert DEVICE not in puts, "a restart before the next assignment has to spend its limits too"
    assert puts[POLICY] == b""


def test_rights_are_put_aside_once_with_the_cause_of_each() -> None:
    whole = b"x" * 1000
    unreadable = [(f"{durable.AUTHORITIES}/hq/d{n}", f"cause {n}") for n in range(50)]
    puts = set_aside({durable.AUTHORITIES: whole}, *unreadable)
    assert [key for key, value in puts if value == whole] == [f"aside/{durable.AUTHORITIES}"]
    causes = orjson.loads(dict(puts)[f"aside/{durable.AUTHORITIES}/why"])
    assert causes == dict(unreadable)
    assert len(puts) == 2
