"""What listening makes of a broker's word on its filters."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from foreshore_agent.discover import listen


class RefusingSession:
    """A session whose broker refuses some filters."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.qos: int | None = None

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> tuple[str, ...]:
        self.qos = qos
        return tuple(name for name in filters if name in self.refused)


async def test_a_refused_filter_is_named_and_the_other_listened_to() -> None:
    lines: list[str] = []
    session = RefusingSession("#")
    await listen._subscribe(cast("Any", session), listen.FILTERS, lines.append)
    assert lines == ["the broker refuses to let us listen on #"]
    assert session.qos == 0


async def test_a_broker_that_refuses_every_filter_ends_it_with_what_to_do() -> None:
    session = RefusingSession(*listen.FILTERS)
    with pytest.raises(listen.ListeningError, match="give a --filter"):
        await listen._subscribe(cast("Any", session), listen.FILTERS, print)
