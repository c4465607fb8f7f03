"""`make nightly`: what is too long for every change, part after part.

A part that fails or does not end in its time stops no other; the summary names each with its
outcome and duration, and the command fails when any did. A new part is a row of PARTS.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "cluster")]

from harness import process  # noqa: E402


@dataclass(frozen=True)
class Part:
    """One long check, as a command of this Python."""

    name: str
    purpose: str
    arguments: tuple[str, ...]
    hours: float
    """Time after which it is ended, and has failed."""
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = TESTS.parent


PARTS: Final = (
    Part(
        "fold",
        "the planner's fold against its reference, over 3000 sequences of changes",
        ("-m", "pytest", "-q", "--timeout=0", "tests/unit/foreshore_planner/test_world_fold.py"),
        hours=4,
        environment={"FORESHORE_SEQUENCES": "3000", "FORESHORE_SEARCH": "1"},
    ),
    Part(
        "properties",
        "every property with examples of this night, ten times as many",
        ("-m", "pytest", "-q", "--timeout=0", "-n", "auto", "tests/unit"),
        hours=3,
        environment={"FORESHORE_SEARCH": "1"},
    ),
    Part(
        "tight",
        "the placement engine against a mixed-integer program, on 300 crowded fleets",
        ("tests/nightly/tight.py", "--fleets", "300"),
        hours=2,
    ),
    Part(
        "models",
        "20000 models with chance changes, each served or refused with a reason",
        ("-m", "builders.mutated_models", "1500", "20000"),
        hours=2,
        folder=TESTS,
    ),
    Part("bench", "make bench, without a cluster", ("tests/bench", "--skip-cluster"), hours=3),
)


@dataclass(frozen=True)
class PartResult:
    """What became of a part."""

    part: Part
    problem: str | None
    seconds: float


def main(words: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Run the parts that were asked for, and say what became of each."""
    chosen = _arguments(parts).parse_args(words)
    names = [part.name for part in parts]
    asked = chosen.only.split(",") if chosen.only else names
    unknown = sorted(set(asked) - set(names))
    if unknown:
        process.say(f"nightly: no part {', '.join(unknown)}; there are {', '.join(names)}")
        return 2
    results = [_run(part) for part in parts if part.name in asked]
    for result in results:
        outcome = "passed" if result.problem is None else f"FAILED: {result.problem}"
        print(f"{result.part.name:10}{result.seconds:10.0f} s   {outcome}")
    print(f"{'together':10}{sum(result.seconds for result in results):10.0f} s", flush=True)
    return 1 if any(result.problem is not None for result in results) else 0


def _arguments(parts: Sequence[Part]) -> argparse.ArgumentParser:
    listed = "\n".join(f"{part.name:10} {part.purpose}" for part in parts)
    parser = argparse.ArgumentParser(
        prog="nightly",
        description=f"{__doc__}\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="parts, with commas between them (all)")
    return parser


def _run(part: Part) -> PartResult:
    process.say(f"nightly: {part.name}: {part.purpose}")
    begun = time.monotonic()
    problem = _problem(part)
    return PartResult(part, problem, time.monotonic() - begun)


def _problem(part: Part) -> str | None:
    """Run a part to its end, and return what is wrong with it."""
    limit = part.hours * 3600
    command = [sys.executable, *part.arguments]
    environment = {**os.environ, **part.environment}
    with subprocess.Popen(
        command, cwd=part.folder, env=environment, start_new_session=True
    ) as child:
        try:
            code = child.wait(limit)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"not ended after {limit:g} s"
    return None if code == 0 else f"ended with {code}"


if __name__ == "__main__":
    sys.exit(main())
