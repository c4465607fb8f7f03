"""The command line itself: quick to answer, honest in its help, clear when it is used wrongly."""

import re
import subprocess
import sys
from importlib import metadata
from types import ModuleType

import pytest

from foreshore_cli import completion, errors, main, why

VERBS = ("status", "placements", "move", "nodes", "why-placed", "why", "lint")
HEAVY = (
    "kubernetes",
    "rich",
    "foreshore_api.contract",
    "foreshore_decision",
    "yaml",
    "urllib3",
    "pydantic",
)
"""What makes a person wait; every model of the contract loads `foreshore_api.contract`."""

LIGHT = f"""
import sys
from foreshore_cli import main
sys.argv[0] = "kubectl-foreshore"
try:
    main.main()
except SystemExit as ended:
    found = sorted(name for name in {HEAVY!r} if name in sys.modules)
    print("loaded:", *found, file=sys.stderr)
    raise
"""


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIGHT, *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
    )


@pytest.mark.parametrize(
    "args",
    [
        ["status", "-h"],
        ["placements", "--help"],
        ["move", "--help"],
        ["nodes", "--help"],
        ["nodes", "--end-hold", "hq"],
        ["why", "--help"],
        ["lint", "--help"],
        ["lint"],
        ["--show-completion", "bash"],
        ["why"],
        ["status", "--nonsense"],
    ],
    ids=" ".join,
)
def test_help_completion_and_mistakes_load_nothing_that_is_slow(args: list[str]) -> None:
    loaded = run(*args).stderr.splitlines()[-1]
    assert loaded in ("loaded:", "loaded: pydantic")  # typer checks a verb's options with it


@pytest.mark.parametrize("args", [["--help"], ["--version"]], ids=" ".join)
def test_the_first_help_loads_nothing_but_the_parser(args: list[str]) -> None:
    assert run(*args).stderr.splitlines()[-1] == "loaded:"


@pytest.mark.parametrize(
    ("name", "module"),
    [("kubectl-foreshore", main), ("kubectl_complete-foreshore", completion)],
)
def test_kubectl_finds_the_program_by_its_name(name: str, module: ModuleType) -> None:
    (script,) = metadata.entry_points(group="console_scripts", name=name)
    assert script.load() is module.main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], {"status", "placements", "move", "nodes", "why-placed", "why", "lint"}),
        (["st"], {"status"}),
        (["status", "--all"], {"--all-namespaces"}),
        (["status", "-n", "hq", "-o", "j"], {"json"}),
        (["why", "--device", "a b"], set()),
    ],
    ids=lambda given: " ".join(sorted(given)),  # a set has no order
)
def test_tab_behind_kubectl_foreshore_proposes_words(words: list[str], expected: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "foreshore_cli.completion", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    *proposed, directive = done.stdout.splitlines()
    assert set(proposed) == expected
    assert directive == ":4"


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_of_the_help_is_a_command_that_is_understood(verb: str) -> None:
    text = run(verb, "--help").stdout
    known = set(re.findall(r"(?:^|\s)(--?[a-zA-Z-]+)", text.partition("Examples:")[0]))
    examples = [line.strip() for line in text.partition("Examples:")[2].splitlines() if line]
    assert len(examples) >= 3
    for example in examples:
        words = example.partition("|")[0].split()
        assert words[:3] == ["kubectl", "foreshore", verb]
        assert {word for word in words if word.startswith("-")} <= known


def test_help_names_every_verb_in_a_line_that_is_not_cut_off() -> None:
    listed = run("--help").stdout.partition("Commands:")[2]
    assert "..." not in listed
    for verb in VERBS:
        assert f"  {verb} " in listed


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["why"], "which decision? Give an ID, or --device NAME, or --last"),
        (["why", "x", "--last"], "an ID names one decision"),
        (["why", "x", "--device", "y"], "an ID names one decision"),
        (["status", "-o", "xml"], "xml"),
        (["nodes", "edge-1", "--end-hold", "hq"], "leave NODE and --site out"),
        (["nodes", "--yes"], "--yes answers the question of --end-hold"),
        (["nodes", "--end-hold", "hq"], "nobody can be asked here"),
        (["lint"], "--filename"),
        (["lint", "-f", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
    ],
)
def test_wrong_usage_is_said_on_standard_error_with_code_two(args: list[str], words: str) -> None:
    done = run(*args)
    assert done.returncode == errors.EXIT_USAGE
    assert done.stdout == ""
    assert words in done.stderr


def test_a_question_that_cannot_be_answered_ends_with_code_three_and_one_line() -> None:
    done = run("status", "--kubeconfig", "/nowhere/config")
    assert done.returncode == errors.EXIT_FAILED
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "error: there is no kubeconfig /nowhere/config"


@pytest.mark.parametrize(
    "written",
    ["abc", "decision/abc", "decisions.records.foreshore.dev/abc", "abc/1", "decision/ABC/2"],
    ids=["plain", "of a kind", "of a group", "a command", "a command of a kind"],
)
def test_a_decision_may_be_named_as_kubectl_names_objects(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[why.Question] = []

    def remember(_: object, __: object, question: why.Question) -> int:
        asked.append(question)
        return 0

    monkeypatch.setattr(why, "run", remember)
    monkeypatch.setattr("sys.argv", ["kubectl-foreshore", "why", written])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
    assert asked == [why.Question(identity="abc")]


def test_words_of_a_server_move_no_cursor_in_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise errors.ForbiddenError("no\x1b[2J\nerror: all is well \u202eeslaf")

    monkeypatch.setattr(main, "application", fails)
    with pytest.raises(SystemExit):
        main.main()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "\u202e" not in said
