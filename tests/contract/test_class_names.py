"""One word names one thing: no two classes of the product have one name.

`shared_class_names.txt` lists the names that were shared when this rule came, and how many classes
share each. It only shrinks: a new clash is renamed, and a line whose clash is gone is taken out.
"""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALLOWED = Path(__file__).with_name("shared_class_names.txt")
SOURCES = (
    "crds/src",
    "edge-agent/decision/src",
    "edge-agent/agent/src",
    "operator/control/src",
    "operator/cli/src",
)


def classes() -> Mapping[str, list[str]]:
    """Where each class of the product stands, by name."""
    places: dict[str, list[str]] = defaultdict(list)
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return places


def allowed() -> dict[str, int]:
    lines = (line.split() for line in ALLOWED.read_text().splitlines())
    return {name: int(count) for name, count in lines}


def test_no_class_takes_the_name_of_another() -> None:
    known = allowed()
    clashes = {
        name: places
        for name, places in classes().items()
        if len(places) > max(1, known.get(name, 1))
    }
    assert clashes == {}, "name the newer class of each by what it is alone"


def test_the_list_of_shared_names_shrinks_with_the_clashes() -> None:
    found = classes()
    gone = {
        name: len(found.get(name, ()))
        for name, count in allowed().items()
        if len(found.get(name, ())) < count
    }
    assert gone == {}, f"lower these counts in {ALLOWED.name}, and take out those below 2"


def test_the_list_is_in_order_and_holds_clashes_only() -> None:
    lines = ALLOWED.read_text().splitlines()
    assert lines == sorted(set(lines))
    assert min(allowed().values(), default=2) >= 2
