"""Nothing is silently ignored: every field is acted on, or refused; walked, not listed."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from builders import room
from foreshore_api import contract, meta, resources, support, v1alpha1
from foreshore_api.schema import reference, structural

ROOT = Path(__file__).parents[2]
PRODUCT = (
    "edge-agent/decision/src",
    "edge-agent/agent/src",
    "operator/control/src",
    "operator/cli/src",
)
Json = dict[str, Any]

STARTS: dict[str, Json] = {
    "Site": room.site(),
    "DeviceProfile": room.profile(),
    "Device": room.device(),
    "Model": room.model(),
    "ModelVersion": room.version(),
    "DecisionPolicy": room.policy(),
    "Cluster": room.resource("Cluster", "", "local", {"connection": {"type": "InCluster"}}),
    "InferencePlacement": room.resource(
        "InferencePlacement", "hq", "p.hq", {"policyRef": {"name": "p"}, "site": "hq"}
    ),
}


class Field(NamedTuple):
    """A field of a spec."""

    kind: type[meta.Resource]
    path: str
    node: Json
    refused: bool

    def __str__(self) -> str:
        return f"{self.kind.kind}.{self.path}"


@cache
def schema(kind: type[meta.Resource]) -> Json:
    return structural.of(kind)[0]


def fields() -> Iterator[Field]:
    for kind in v1alpha1.KINDS:
        spec = schema(kind)
        for path, node, _, refused in reference.fields(spec, "spec"):
            yield Field(kind, path, node, refused)


FIELDS = list(fields())


def sample(node: Json) -> Any:
    """A valid value for a node: the example of its description, or its required parts."""
    if "properties" in node:
        return {name: sample(node["properties"][name]) for name in node.get("required", ())}
    if "properties" in node.get("items", {}):
        return [sample(node["items"])]
    example = re.search(r"Example: `(.*?)`\.?( |$)", node["description"])
    assert example is not None, node
    if node.get("type") != "string":
        return yaml.safe_load(example[1])
    quoted = re.fullmatch(r'"([^"]*)"', example[1])
    return quoted[1] if quoted else example[1]


def with_field(field: Field, value: Any) -> meta.Resource:
    """A valid object whose spec also says `value` at the field."""
    document = room.changed(STARTS[field.kind.kind])
    place, node = document, {"properties": {"spec": schema(field.kind)}}
    *parents, last = field.path.split(".")
    for part in parents:
        name = part.removesuffix("[]")
        node = node["properties"][name]
        if part.endswith("[]"):
            place[name] = place.get(name, [sample(node["items"])])[:1]
            place = place[name][0]
            node = node["items"]
        else:
            place = place.setdefault(name, sample(node))
    place[last] = value
    return resources.parse(document, strict=True)


def said(resource: meta.Resource) -> set[str]:
    found = support.unsupported(resource, in_cluster=False)
    return {re.sub(r"\[\d+\]", "[]", each.path) for each in found}


def is_refused(field: Field, value: Any) -> bool:
    """Whether the object is refused for this field or for the block that it stands in."""
    return any(
        f"{field.path}.".startswith(f"{path}.") or f"{field.path}.".startswith(f"{path}[]")
        for path in said(with_field(field, value))
    )


def test_the_objects_that_the_walk_starts_from_are_supported() -> None:
    for kind in v1alpha1.KINDS:
        start = resources.parse(STARTS[kind.kind], strict=True)
        assert support.unsupported(start) == ()


def test_the_whole_schema_is_walked() -> None:
    assert len(FIELDS) > 250
    assert {field.kind.kind for field in FIELDS} == {kind.kind for kind in v1alpha1.KINDS}


@pytest.mark.parametrize("field", [f for f in FIELDS if f.refused], ids=str)
def test_a_field_that_is_not_built_yet_is_refused_and_has_no_default(field: Field) -> None:
    assert is_refused(field, sample(field.node))
    assert "default" not in field.node


@pytest.mark.parametrize("field", [f for f in FIELDS if not f.refused], ids=str)
def test_the_example_of_a_field_is_valid_and_of_a_live_one_supported(field: Field) -> None:
    acted = field.node.get(contract.NOT_SUPPORTED_KEY)
    value = acted[0] if acted else sample(field.node)
    assert not is_refused(field, value)


@pytest.mark.parametrize(
    "field", [f for f in FIELDS if f.node.get(contract.NOT_SUPPORTED_KEY)], ids=str
)
def test_every_value_is_supported_or_refused_and_the_default_is_supported(field: Field) -> None:
    acted = field.node[contract.NOT_SUPPORTED_KEY]
    values = field.node.get("enum") or range(field.node["minimum"], field.node["maximum"] + 1)
    assert set(acted) < set(values), "nothing is refused: drop the mark"
    for value in values:
        assert is_refused(field, value) == (value not in acted), value
    assert field.node.get("default", acted[0]) in acted


PASSED_ON = {"spec.placement.tolerations[].tolerationSeconds"}
"""Fields that are handed to Kubernetes in one piece with their parent."""


OF_THE_CONTRACT = {"spec.guards.duplicates"}
"""Fields that the contract itself reads for others: `Guards.fenced_by`."""


CALLED = {"deviceselector": "selector"}
"""Blocks that go by another name where they are read."""


@cache
def modules() -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """Of each product module outside the contract: attributes it reads, and all names in it."""
    found = []
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            read = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
            names = [node.id for node in nodes if isinstance(node, ast.Name)]
            names += [node.arg for node in nodes if isinstance(node, ast.arg)]
            names += [node.name for node in nodes if isinstance(node, ast.alias)]
            found.append((frozenset(map(plain, read)), frozenset(map(plain, [*read, *names]))))
    return tuple(found)


def plain(name: str) -> str:
    """A name as it is compared: `time_to_live` and `timeToLive` are one."""
    return name.replace("_", "").lower()


def is_read(kind: str, path: str) -> bool:
    """Whether some module reads an attribute of the field's name and speaks of its block.

    The name alone says little: many blocks have a `name`, a `timeout`, a `unit`. This is no proof
    either, as a module may speak of two blocks and read it of the other.
    """
    *parents, last = [plain(part.removesuffix("[]")) for part in path.split(".")]
    block = parents[-1] if len(parents) > 1 else plain(kind)
    stem = CALLED.get(block, re.sub("ies$", "y", block).removesuffix("s"))
    return any(last in read and any(stem in name for name in names) for read, names in modules())


def says_nothing_new(node: Json, *, refused: bool) -> bool:
    """Whether all that can be said here is what happens anyway: one value, or nothing at all."""
    mark = node.get(contract.NOT_SUPPORTED_KEY)
    if refused or mark == [] or (mark is not None and len(mark) == 1):
        return True
    if len(node.get("enum", ())) == 1:
        return True
    children = node.get("properties", {})
    return bool(children) and all(
        says_nothing_new(each, refused=False) for each in children.values()
    )


def is_ruled_on(field: Field) -> bool:
    """Whether a rule of the schema reads it: the API server acts on it."""
    rules = schema(field.kind).get("x-kubernetes-validations", ())
    return any(f"self.{field.path.removeprefix('spec.')} " in rule["rule"] for rule in rules)


@pytest.mark.parametrize("field", [f for f in FIELDS if not f.refused], ids=str)
def test_a_field_that_is_not_refused_is_read_by_somebody(field: Field) -> None:
    if field.path in PASSED_ON | OF_THE_CONTRACT:
        return
    if says_nothing_new(field.node, refused=False) or is_ruled_on(field):
        return
    assert is_read(field.kind.kind, field.path), (
        "nobody acts on it: mark it NotSupported or act on it"
    )


def test_a_field_of_another_block_with_the_same_name_is_not_enough() -> None:
    assert is_read("DeviceProfile", "spec.actions[].input[].maximumStep")
    assert not is_read("Site", "spec.broker.maximumStep")
