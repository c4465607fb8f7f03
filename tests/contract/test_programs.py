"""Every program that tests run is installed by something: the table says by what, for which target.

A machine that once got a program by hand hides that nothing installs it. Regression test of
`mosquitto_pub is missing`: a bare Debian failed three tests that passed everywhere else.
"""

import functools
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import called_programs
from harness import guard, programs, tools

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SOURCES = ("tests", "examples", "crds/src", "edge-agent", "operator")
TARGETS = {
    "unit": programs.Target.TEST,
    "contract": programs.Target.TEST,
    "component": programs.Target.TEST,
    "cluster": programs.Target.TEST,
    "e2e": programs.Target.E2E,
    "demo": programs.Target.DEMO,
    "bench": programs.Target.BENCH,
    "scale": programs.Target.SCALE,
}
NO_SUCH = {"no-such-thing"}  # what these tests and those of the harness call to see it refused


@functools.cache
def calls() -> list[tuple[Path, called_programs.Called]]:
    """Every call of a program in tests/ and in what they run of this tree, with its file."""
    return list(found())


def found() -> Iterator[tuple[Path, called_programs.Called]]:
    for path in sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")):
        module = path.stem if path.parent.name == "harness" else ""
        for called in called_programs.collect(path.read_text(), module=module):
            yield path, called


def target_of(path: Path) -> programs.Target | None:
    """The make target that runs a file; None for what several of them import."""
    parts = path.relative_to(ROOT).parts[1:]
    if not path.is_relative_to(TESTS) or "harness" in parts or len(parts) == 1:
        return None
    if "pytest.mark.e2e" in path.read_text():
        return programs.Target.E2E
    return TARGETS.get(parts[0])


def test_every_program_that_a_source_calls_is_in_the_table() -> None:
    unlisted = [
        f"{path.relative_to(ROOT)}:{called.line} {called.name}"
        for path, called in calls()
        if called.name is not None
        and called.name not in programs.ROWS
        and called.name not in NO_SUCH
    ]
    assert unlisted == [], "give each a row in tests/cluster/harness/programs.py"


def test_the_table_brings_a_program_for_the_target_whose_tests_call_it() -> None:
    missing = [
        f"{path.relative_to(ROOT)}:{called.line} {called.name} for make {target_of(path)}"
        for path, called in calls()
        if (row := programs.ROWS.get(called.name or "")) is not None
        and (target := target_of(path)) is not None
        and target not in row.targets
    ]
    assert missing == []


def test_what_tests_without_nodes_run_is_there_before_they_start() -> None:
    late = [
        f"{path.relative_to(ROOT)}:{called.line} {called.name}"
        for path, called in calls()
        if (row := programs.ROWS.get(called.name or "")) is not None
        and isinstance(row.source, programs.Debian | programs.Pinned)
        and target_of(path) is programs.Target.TEST
        and programs.Target.TEST not in row.before
    ]
    assert late == [], "a test has a time limit; a build within it may not be done in time"


def test_every_row_is_a_program_that_something_calls() -> None:
    called = {found.name for _, found in calls()}
    others = (programs.Brought, programs.SharedLibrary)
    installed = [row for row in programs.TABLE if not isinstance(row.source, others)]
    assert [row.name for row in installed if row.name not in called] == []


def test_every_library_of_the_table_is_one_that_a_package_loads() -> None:
    # A bare Debian has no libgomp.so.1: importing lightgbm ended there with an OSError.
    files = importlib.metadata.files("lightgbm") or []
    (library,) = (file for file in files if file.name == "lib_lightgbm.so")
    body = Path(str(library.locate())).read_bytes()
    libraries = [
        row.name for row in programs.TABLE if isinstance(row.source, programs.SharedLibrary)
    ]
    assert libraries
    assert [name for name in libraries if name.encode() not in body] == []


def test_a_library_that_is_absent_is_brought() -> None:
    source = programs.SharedLibrary("libgomp1")
    assert programs.is_there(programs.Program("libgomp.so.1", source))
    assert not programs.is_there(programs.Program("libno-such-thing.so.1", source))


def test_no_program_has_two_rows() -> None:
    assert len(programs.ROWS) == len(programs.TABLE)


def test_a_program_from_a_pin_has_one() -> None:
    pinned = {row.name for row in programs.TABLE if isinstance(row.source, programs.Pinned)}
    assert pinned <= set(tools.PROGRAMS)


def test_what_is_installed_before_a_target_can_be_installed() -> None:
    able = (programs.Debian, programs.SharedLibrary, programs.Pinned)
    assert [
        row.name for row in programs.TABLE if row.before and not isinstance(row.source, able)
    ] == []


@pytest.mark.parametrize("target", sorted({t for row in programs.TABLE for t in row.before}))
def test_a_make_target_brings_its_programs_before_it_starts(target: programs.Target) -> None:
    recipe = re.search(rf"^{target}:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None, f"the Makefile has no target {target}"
    assert f"tools-{target}" in recipe[1].partition("##")[0].split()


# -- the collector, which must be able to find -------------------------------------------------


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("subprocess.run(['curl', url])", ["curl"], id="a list"),
        pytest.param("subprocess.Popen(('curl', url))", ["curl"], id="a tuple"),
        pytest.param("process.run(['curl', *more], timeout=1)", ["curl"], id="the harness' runner"),
        pytest.param(
            "process.eventually(lambda: process.succeeds(['curl']))", ["curl"], id="lambda"
        ),
        pytest.param("asyncio.create_subprocess_exec('curl', url)", ["curl"], id="asyncio"),
        pytest.param("shutil.which('curl')", ["curl"], id="a search of PATH"),
        pytest.param("process.run([tools.binary('etcd'), '-v'])", [None, "etcd"], id="built"),
        pytest.param("def f():\n c = ['curl']\n subprocess.run(c)", ["curl"], id="a local name"),
        pytest.param("C = ['curl']\ndef f():\n subprocess.run(C)", ["curl"], id="a module's name"),
        pytest.param("class A:\n def f(self):\n  process.start(['curl'])", ["curl"], id="a method"),
        pytest.param(
            "run = process.start(['unshare', '--', 'curl'])", ["unshare", "curl"], id="wrapped"
        ),
        pytest.param("subprocess.run([sys.executable])", [None], id="computed"),
        pytest.param("world.run(['curl'])", [], id="another thing's run"),
    ],
)
def test_the_collector_finds_a_program_called_by(source: str, found: list[str | None]) -> None:
    assert [called.name for called in called_programs.collect(source)] == found


def test_the_collector_knows_the_harness_own_runner_at_home() -> None:
    assert called_programs.collect("run(['curl'])", module="process")[0].name == "curl"
    assert called_programs.collect("run(['curl'])") == []


def test_the_collector_sees_this_tree() -> None:
    assert {"mosquitto_pub", "curl", "git", "docker", "kube-apiserver"} <= {
        called.name for _, called in calls()
    }


# -- the guard, which sees what is computed ---------------------------------------------------


def test_a_test_that_runs_a_program_without_a_row_fails() -> None:
    with pytest.raises(guard.UnlistedProgramError, match="no-such-thing is no row of"):
        subprocess.run(["no-such-thing"], check=False)


def test_a_program_without_a_row_is_refused_behind_a_wrapper_too() -> None:
    with pytest.raises(guard.UnlistedProgramError):
        subprocess.run(["setpriv", "--pdeathsig", "KILL", "--", "no-such-thing"], check=False)


def test_this_python_and_programs_of_its_environment_need_no_row() -> None:
    guard.check([sys.executable, "-c", ""])
    guard.check([str(Path(sys.executable).with_name("foreshore-agent"))])
    with pytest.raises(guard.UnlistedProgramError):
        guard.check(["/usr/bin/foreshore-agent"])
