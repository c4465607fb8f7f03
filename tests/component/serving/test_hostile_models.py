"""Whatever a model file holds: a refusal in words, in bounded time and memory, or it is served.

The child is the real one, with the limits that a server gives it. Nobody else's process ends.
"""

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import hostile_models, local_models, onnx_models
from foreshore_api import printable
from foreshore_serving import settings, supervise
from foreshore_serving.contract import Contract
from foreshore_serving.refusal import CAUSE, REMEDY, Refused

pytestmark = pytest.mark.component

SECONDS = 60.0
"""That a child may take to load and warm up, whatever else the machine does meanwhile."""
ENDLESS_SECONDS = 3.0
"""What is given to a model that would use up any time."""


@contextlib.contextmanager
def artefact(body: bytes) -> Iterator[int]:
    """Hold bytes as a descriptor, as the server does."""
    with os.fdopen(os.memfd_create("model"), "w+b") as file:
        file.write(body)
        file.flush()
        yield file.fileno()


def contract(body: bytes, seconds: float = SECONDS) -> Contract:
    bounds = settings.ServingSettings(Path(), None)
    return dataclasses.replace(
        local_models.contract(body, onnx_models.config(body)),
        memory_bytes=bounds.memory_bytes(len(body)),
        load_seconds=seconds,
    )


@pytest.mark.parametrize(
    ("body", "reason"), hostile_models.REFUSED.values(), ids=hostile_models.REFUSED
)
def test_it_is_refused_in_words(body: bytes, reason: str) -> None:
    seconds = ENDLESS_SECONDS if reason == "LoadTimeout" else SECONDS
    with artefact(body) as model, pytest.raises(Refused) as caught:
        supervise.try_once(model, contract(body, seconds))
    refused = caught.value
    assert refused.reason == reason
    assert refused.remedy
    assert all(map(printable.is_fit, refused.message))
    assert len(refused.message) <= CAUSE + REMEDY + 2


@pytest.mark.parametrize("body", hostile_models.HARMLESS.values(), ids=hostile_models.HARMLESS)
def test_it_is_odd_and_works(body: bytes) -> None:
    with artefact(body) as model:
        assert supervise.try_once(model, contract(body))


def test_chance_changes_end_no_child_but_by_a_refusal() -> None:
    command = [sys.executable, "-m", "builders.mutated_models", "0", "1500"]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"seed {done.stdout.splitlines()[-1:]}: {done.stderr[-2000:]}"
    reasons = done.stdout.splitlines()[-1]
    assert all(outcome in reasons for outcome in ("served", "LoadFailed", "NotONNX"))
