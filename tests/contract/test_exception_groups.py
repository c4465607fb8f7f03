"""Nothing is raised inside `except*`: Python before 3.11.4 wraps it in a group that nobody catches.

Debian bookworm has 3.11.2. Regression: there a rehearsal whose model was refused ended with 1 and a
traceback in place of 2 and the reason.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for area in ("crds", "edge-agent", "operator")
    for path in (ROOT / area).rglob("src/**/*.py")
)


def raised_inside(source: str) -> list[int]:
    """Lines of a raise in a handler of a group; a bare one goes on with the group itself."""
    return [
        inner.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        for inner in ast.walk(handler)
        if isinstance(inner, ast.Raise) and inner.exc is not None
    ]


def test_no_handler_of_a_group_raises_anew() -> None:
    places = {str(path.relative_to(ROOT)): raised_inside(path.read_text()) for path in SOURCES}
    assert {path: lines for path, lines in places.items() if lines} == {}


@pytest.mark.parametrize(("raised", "lines"), [("raise ValueError", [4]), ("raise", [])])
def test_what_is_raised_anew_is_seen(raised: str, lines: list[int]) -> None:
    assert raised_inside(f"try:\n    ...\nexcept* OSError:\n    {raised}\n") == lines
