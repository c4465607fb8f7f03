"""A variable says what it holds: style rule 15, for the words that say nothing.

`reading`, `replica` or `condition` tells a reader what a line works on; `one`, `found` or `said`
makes them look it up.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VAGUE = frozenset({"one", "said", "each", "found", "told", "way", "known"})
PACKAGES = {
    path.name: path
    for area in ("crds", "edge-agent", "operator")
    for path in sorted((ROOT / area).rglob("src/foreshore_*"))
    if path.is_dir()
}


def bound_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that the code gives a name: variables, parameters, fields."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
                | ast.alias(asname=str(name))
            ):
                yield node.lineno, name


def vague_names(package: Path) -> list[str]:
    """Each vague name of a package, with its place."""
    return [
        f"{path.relative_to(package)}:{line} {name}"
        for path in sorted(package.rglob("*.py"))
        for line, name in bound_names(ast.parse(path.read_text()))
        if name in VAGUE
    ]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_names_what_its_variables_hold(package: str) -> None:
    assert vague_names(PACKAGES[package]) == [], "use the field's noun for what each of these holds"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("one = 1", id="variable"),
        pytest.param("one: int", id="field"),
        pytest.param("self.one = 1", id="attribute"),
        pytest.param("for _, (one, *_) in pairs: ...", id="loop"),
        pytest.param("[1 for one in readings]", id="comprehension"),
        pytest.param("(one := 1)", id="walrus"),
        pytest.param("lambda one: 1", id="lambda"),
        pytest.param("def f(*, one=1): ...", id="parameter"),
        pytest.param("def f(*one): ...", id="variadic"),
        pytest.param("with lock as one: ...", id="with"),
        pytest.param("try: ...\nexcept OSError as one: ...", id="except"),
        pytest.param("import json as one", id="import"),
        pytest.param("match reading:\n case [1, one]: ...", id="capture"),
        pytest.param("match reading:\n case [*one]: ...", id="star-capture"),
        pytest.param("match reading:\n case {**one}: ...", id="mapping-capture"),
    ],
)
def test_a_name_is_seen_wherever_it_is_given(source: str) -> None:
    assert "one" in [name for _, name in bound_names(ast.parse(source))]


def test_words_that_are_only_read_or_written_in_text_are_free() -> None:
    source = 'report.found(key, known="said")  # each one told its way'
    assert not VAGUE & {name for _, name in bound_names(ast.parse(source))}
