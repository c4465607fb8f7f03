"""One word names one thing: no two classes of the product have one name."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
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


def test_no_class_takes_the_name_of_another() -> None:
    clashes = {name: places for name, places in classes().items() if len(places) > 1}
    assert clashes == {}, "name the newer class of each by what it is alone"
