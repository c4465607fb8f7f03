"""A reason and a gate's name are written in their table and nowhere else in the product.

Whoever needs one imports its row. A text that equals a code is allowed in two places: as a member
of an enumeration, which is a vocabulary of its own (a mode `Disabled` is no reason `Disabled`), and
in `__all__`, which lists names of Python. An enumeration of reasons is a table in the wrong place,
and so is a reason that has no row: what is raised, or given as `reason`, is looked at whether a
table has it or not.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshore_api.reasons import decision, domains

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for path in ROOT.glob("*/**/src/**/*.py") if "foreshore_api/reasons/" not in str(path)
)
assert len(SOURCES) > 200
GATES = {str(name) for name in vars(decision).values() if isinstance(name, decision.GateName)}
CODES = {code for table in domains.TABLES.values() for code in table} | GATES

OTHER_WORDS = {
    "foreshore_api/schema/definition.py": {"Mode", "Tier"},  # titles of columns of kubectl get
    "foreshore_api/v1alpha1/decisionpolicy.py": {"Disabled"},  # a mode, in a marker of the schema
    "foreshore_api/v1alpha1/device.py": {"Unknown"},  # the same, of a guard
    "foreshore_api/v1alpha1/deviceprofile.py": {"Unknown"},
    "foreshore_cli/product.py": {"Unknown"},  # a pod of which Kubernetes says nothing
    "foreshore_hub/records.py": {"NotFound"},  # a Status of the Kubernetes API
    "foreshore_operator/pods.py": {"Failed"},  # a pod's phase
    "foreshore_planner/placement_conditions.py": {"Failed"},  # a replica's phase
    "foreshore_agent/play/dialects/tasmota.py": {"Unknown"},  # its answer to what is no command
    "foreshore_agent/devices/mqtt/codec/codes.py": {"Banned"},  # what MQTT calls it
    "foreshore_agent/play/device.py": {"Retained"},  # what the played device says
    "foreshore_agent/play/show.py": {"Accepted"},
    "foreshore_agent/rehearse/view.py": {"Accepted"},
}
"""Texts that equal a code and are something else."""


KUBERNETES = {
    "Conflict",
    "Terminating",
    "Unauthorized",
    "FieldValueForbidden",
    "FieldValueRequired",
}
"""Reasons of Kubernetes, which our tables do not have: of a Status, and of a validation rule."""
CODE = re.compile(r"([A-Z][a-z0-9]*|[A-Z]+){2,}|[A-Z][a-z]+")


def spelled(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every code that a module spells."""
    tree = ast.parse(source)
    free = set(own_words(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in free and node.value in CODES:
            yield node.lineno, str(node.value)
        if isinstance(node, ast.ClassDef) and is_enum(node) and node.name.endswith("Reason"):
            yield node.lineno, node.name
        for text in given_as_reason(node):
            if CODE.fullmatch(str(text.value)) and text.value not in CODES | KUBERNETES:
                yield text.lineno, str(text.value)


def own_words(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in enumerations and in `__all__`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and is_enum(node):
            for line in node.body:
                yield from ast.walk(line)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield from ast.walk(node)


def is_enum(node: ast.ClassDef) -> bool:
    return any("Enum" in ast.unparse(base) for base in node.bases)


def given_as_reason(node: ast.AST) -> list[ast.Constant]:
    """Return texts that a statement raises, or that a call passes as `reason`."""
    given: list[ast.expr] = []
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        given += node.exc.args[:1]
    if isinstance(node, ast.Call):
        given += [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
    return [text for text in given if isinstance(text, ast.Constant)]


@pytest.mark.parametrize(
    "path", SOURCES, ids=[str(path.relative_to(ROOT)).replace("/", ".") for path in SOURCES]
)
def test_no_module_spells_a_reason_or_a_gate(path: Path) -> None:
    name = str(path).rpartition("/src/")[2]
    known = OTHER_WORDS.get(name, set())
    found = [(line, text) for line, text in spelled(path.read_text()) if text not in known]
    assert not found, f"import the row of foreshore_api.reasons instead: {found}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('entry.gate == "Rule"', [(1, "Rule")]),
        ('REASON = "InputStale"', [(1, "InputStale")]),
        ('class Mode(StrEnum):\n    DISABLED = "Disabled"', []),
        ('class Gate:\n    name = "Arm"', [(2, "Arm")]),
        ('__all__ = ["Mode"]', []),
        ('"InputStale is an old reading"', []),
        ('raise RefusedError("NoSuchRow")', [(1, "NoSuchRow")]),
        ('raise RefusedError("it is no row")', []),
        ('problem(reason="NoSuchRow")', [(1, "NoSuchRow")]),
        ('class EndReason(StrEnum):\n    LATE = "Late"', [(1, "EndReason")]),
    ],
)
def test_a_spelled_code_is_seen(source: str, expected: list[tuple[int, str]]) -> None:
    assert list(spelled(source)) == expected


def test_every_other_word_is_still_there() -> None:
    for name, words in OTHER_WORDS.items():
        path = next(path for path in SOURCES if str(path).endswith(name))
        assert {text for _, text in spelled(path.read_text())} >= words
