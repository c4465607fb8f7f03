"""`make fresh-check`: the README's two commands on a Debian that has never seen this project.

Quick, it runs all unit and contract tests there, and of the component tests those that `sampling`
chooses: they start everything that the others need, and `make test` has run all of them already.

What a person brings, by README.md, is there: Debian's python3, git and make, and Go, which is this
machine's own, seen read-only. Everything else is installed by the commands themselves. `make demo`
needs a container engine, which no bare container can run: it must get that far and say so.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness import bare, cache, engine, process, tools

REPOSITORY = tools.HERE.parents[2]
PACKAGES = ("ca-certificates", "git", "make", "python3")
HOME = "/root/foreshore"
GOROOT = "/usr/local/go"
MODULES = "/lent/go-modules"
GIGABYTE = 1_000_000_000
TELLING = re.compile(r"^(SKIPPED|FAILED|ERROR|=+ .*\d+ (passed|failed|error).*=+$|error: |✗)")
GO_SETTINGS = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE")


@dataclass(frozen=True)
class Stage:
    """One command in the bare Debian.

    It ends well, or, where `stops` says a text, not well and with that text as the reason.
    """

    command: tuple[str, ...]
    timeout: float
    stops: str = ""
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Commands in their order, and the bytes of disk that they fill."""

    stages: tuple[Stage, ...]
    room: int


DEMO = Stage(("make", "demo"), timeout=1200, stops=engine.ABSENT, forbidden=("sys_admin",))
SAMPLED = ("make", "test-unit", "test-component", "ARGS=--one-per-module")
QUICK = Plan((Stage(SAMPLED, timeout=1800),), 5 * GIGABYTE)
FULL = Plan((Stage(("make", "test"), timeout=7200), DEMO), 20 * GIGABYTE)


def check(plan: Plan) -> None:
    """Run a plan on a bare Debian; HarnessError at the first command that ends otherwise."""
    with cache.lock("fresh-check"):
        log = cache.root() / "fresh-check.log"
        log.write_text("")
        process.say(f"the whole output: {log}")
        root = cache.work("fresh-check") / "root"
        require_room(root.parent, plan.room)
        with bare.Debian.made(root, PACKAGES) as machine:
            lend(machine)
            clone(machine)
            for stage in plan.stages:
                judge(stage, run(machine, stage, log), log)


def require_room(folder: Path, wanted: int) -> None:
    """HarnessError unless the disk has room for everything built anew."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise process.HarnessError(
            f"{folder} has {free / GIGABYTE:.1f} GB free; {wanted / GIGABYTE:.0f} GB are needed"
        )


def lend(machine: bare.Debian) -> None:
    """Go, as README.md asks for it, and the one cache: modules that Go downloaded before."""
    told = process.run([tools.go(), "env", "GOROOT", "GOMODCACHE", *GO_SETTINGS]).splitlines()
    goroot, modules, proxy, *others = told
    downloaded = Path(modules) / "cache" / "download"
    downloaded.mkdir(parents=True, exist_ok=True)
    machine.lent = {Path(goroot): GOROOT, downloaded: MODULES}
    machine.environment = {
        "GOPROXY": f"file://{MODULES},{proxy}",
        **{name: value for name, value in zip(GO_SETTINGS[1:], others, strict=True) if value},
    }
    process.say(f"brought, as README.md asks: Debian's {', '.join(PACKAGES)}; Go of {goroot}")
    process.say(
        f"download cache, read-only: Go modules of {downloaded}; of Python and Debian: none"
    )


def clone(machine: bare.Debian) -> None:
    """A clean clone of what is committed here."""
    head = process.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY).strip()
    target = machine.root / HOME.lstrip("/")
    process.run(["git", "clone", "--quiet", "--no-local", REPOSITORY, target], timeout=120)
    process.run(["git", "checkout", "--quiet", "--detach", head], cwd=target)
    process.say(f"the sources: a clone at {head[:12]}")
    if process.run(["git", "status", "--porcelain"], cwd=REPOSITORY).strip():
        process.say("NOT in it: what is changed here and not committed")


@dataclass(frozen=True)
class Outcome:
    """How a stage ended, and what it printed."""

    code: int
    output: str


def run(machine: bare.Debian, stage: Stage, log: Path) -> Outcome:
    """Run one stage, showing now and then where it is."""
    begun = log.stat().st_size

    def printed() -> str:
        with log.open("rb") as file:
            file.seek(begun)
            return process.decode(file.read())

    with process.step(f"bare Debian: {' '.join(stage.command)}", last=lambda: last_line(log)):
        code = machine.run(
            stage.command, folder=HOME, log=log, timeout=stage.timeout, forbidden=stage.forbidden
        )
    return Outcome(code, printed())


def last_line(log: Path) -> str:
    """The last line of a log that says anything."""
    lines = [line.strip() for line in process.tail(log).splitlines() if line.strip()]
    return lines[-1][:100] if lines else ""


def judge(stage: Stage, outcome: Outcome, log: Path) -> None:
    """HarnessError unless a stage ended as it must; what tells of it is shown either way."""
    for line in outcome.output.splitlines():
        if TELLING.match(line.strip()):
            process.say(f"  {line.strip()}")
    name = " ".join(stage.command)
    if not stage.stops:
        if outcome.code != 0:
            raise process.HarnessError(
                f"{name} fails on a bare Debian (code {outcome.code}; all of it: {log})\n"
                f"{outcome.output[-process.TAIL :]}"
            )
        process.say(f"{name}: passes on a bare Debian")
        return
    words = " ".join(outcome.output.split())  # the demo folds its lines
    if outcome.code == 0 or stage.stops not in words:
        raise process.HarnessError(
            f"{name} ended with code {outcome.code} without saying {stage.stops!r} ({log})\n"
            f"{outcome.output[-process.TAIL :]}"
        )
    process.say(f"{name}: gets as far as a container allows, and says: {stage.stops}")
