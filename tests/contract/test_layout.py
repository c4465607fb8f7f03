"""The layout and the seams of the workspace, held as tests: what no linter of imports sees."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP = {
    "operator", "crds", "charts", "edge-agent", "examples", "tests", "pyproject.toml", "Makefile",
    "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "uv.lock",
}  # fmt: skip
PURE = {
    "foreshore_api": ROOT / "crds/src/foreshore_api",
    "foreshore_decision": ROOT / "edge-agent/decision/src/foreshore_decision",
    "foreshore_planner": ROOT / "operator/control/src/foreshore_planner",
    "foreshore_agent.engine": ROOT / "edge-agent/agent/src/foreshore_agent/engine",
}
MEMBERS = ("crds", "edge-agent/decision", "edge-agent/agent", "operator/control", "operator/cli")
CLOCKS = {
    "now",
    "utcnow",
    "today",
    "time",
    "monotonic",
    "perf_counter",
    "uuid4",
    "uuid1",
    "urandom",
}
ACTING = {"open", "print", "input", "eval", "exec", "__import__"}
MAY_ACT = {ROOT / "crds/src/foreshore_api/schema/__main__.py"}


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return listed.stdout.splitlines()


def sources(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def test_nothing_but_the_agreed_names_stands_at_the_top() -> None:
    names = {path.split("/")[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= TOP


def test_no_init_file_makes_a_folder_shadow_the_standard_module_operator() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
    assert not list((ROOT / "tests").rglob("operator/__init__.py"))


@pytest.mark.parametrize("package", sorted(PURE))
def test_a_pure_package_neither_acts_nor_reads_a_clock(package: str) -> None:
    offences = []
    for path, tree in sources(PURE[package]):
        if path in MAY_ACT:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            called = name.rsplit(".", 1)[-1]
            clock = called in CLOCKS and re.match(
                r"(datetime|date|time|uuid|os|secrets|random)\b", name
            )
            if name in ACTING or clock:
                offences.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert offences == []


def test_every_distribution_has_the_same_version_and_pins_the_others_to_it() -> None:
    projects = [
        tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
        for member in MEMBERS
    ]
    versions = {project["version"] for project in projects}
    assert len(versions) == 1
    version = versions.pop()
    ours = {project["name"] for project in projects}
    for project in projects:
        for dependency in project["dependencies"]:
            name = re.split(r"[=<>\[]", dependency, maxsplit=1)[0]
            if name in ours:
                assert dependency.endswith(f"=={version}"), f"{project['name']}: {dependency}"


def test_no_process_is_started_through_a_shell() -> None:
    offences = [
        f"{path}:{number}"
        for path in tracked()
        if path.endswith(".py")
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if re.search(r"shell\s*=\s*True|os\.system\(|create_subprocess_shell", line)
        and "re.search" not in line
    ]
    assert offences == []


def test_every_top_level_folder_says_what_lives_there() -> None:
    for folder in ("operator", "crds", "charts", "edge-agent", "examples", "tests"):
        assert (ROOT / folder / "README.md").is_file(), folder
