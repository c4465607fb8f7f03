"""What all programs say alike: their version, and what a word that they do not know is."""

import importlib
from importlib import metadata
from typing import Any

import pytest
from typer.testing import CliRunner, Result

PROGRAMS = {
    "foreshore-agent": ("foreshore_agent.main", "foreshore-agent"),
    "foreshore-serving": ("foreshore_serving.main", "foreshore-agent"),
    "foreshore-operator": ("foreshore_operator.main", "foreshore-operator"),
    "foreshore-hub": ("foreshore_hub.main", "foreshore-operator"),
    "kubectl-foreshore": ("foreshore_cli.main", "kubectl-foreshore"),
}
"""Module and distribution of each."""
LEVELS = ("debug", "info", "warning", "error")
NEEDED = {
    "foreshore-agent": ("--state", "/nowhere"),
    "foreshore-operator": ("--serving-image", "x", "--identity", "x"),
    "foreshore-hub": ("--database", "x", "--tls-dir", "/x", "--records-tls-dir", "/x"),
}
"""Programs that log at a level, and what `run` needs beside it."""


def invoke(program: str, *words: str, **environment: str) -> Result:
    module: Any = importlib.import_module(PROGRAMS[program][0])
    return CliRunner().invoke(module.application, list(words), env=environment)


def test_every_program_is_looked_at() -> None:
    scripts = metadata.entry_points(group="console_scripts")
    ours = {each.name for each in scripts if each.value.startswith("foreshore_")}
    assert set(PROGRAMS) == {name for name in ours if not name.startswith("kubectl_complete")}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_says_its_version_in_one_way(program: str) -> None:
    said = invoke(program, "--version")
    assert (said.exit_code, said.output) == (
        0,
        f"{program} {metadata.version(PROGRAMS[program][1])}\n",
    )


@pytest.mark.parametrize("program", NEEDED)
@pytest.mark.parametrize("way", ["option", "environment"])
def test_an_unknown_log_level_is_refused_with_those_that_are_known(program: str, way: str) -> None:
    if way == "option":
        said = invoke(program, "run", *NEEDED[program], "--log-level", "loud")
    else:
        said = invoke(program, "run", *NEEDED[program], FORESHORE_LOG_LEVEL="loud")
    assert said.exit_code == 2
    assert "loud" in said.output
    for level in LEVELS:
        assert f"'{level}'" in said.output
