"""The loop of operator and hub does not wait long for a thread that computes."""

import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from foreshore_hub import main as hub
from foreshore_kube import logs, turns
from foreshore_operator import main as operator


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    seconds = sys.getswitchinterval()
    yield
    sys.setswitchinterval(seconds)


PROGRAMS: list[tuple[ModuleType, Callable[[], None]]] = [
    (operator, lambda: operator.run(serving_image="serving", identity="replica-1")),
    (
        hub,
        lambda: hub.run(database="sqlite://", tls_dir=Path("tls"), records_tls_dir=Path("tls")),
    ),
]


@pytest.mark.parametrize(("program", "run"), PROGRAMS, ids=["operator", "hub"])
def test_a_program_shortens_the_turns_of_threads_before_its_loop_begins(
    program: ModuleType, run: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def noted(loop: Coroutine[Any, Any, None]) -> None:
        loop.close()
        seen.append(sys.getswitchinterval())

    monkeypatch.setattr(program.uvloop, "run", noted)
    monkeypatch.setattr(logs, "configure", lambda _level: None)
    run()
    assert seen == [pytest.approx(turns.SECONDS)]
