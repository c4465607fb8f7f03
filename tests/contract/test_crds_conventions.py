"""The taste of the API, as lint over the committed CRDs: no floats, no booleans, bounds, …"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from builders import refusals
from foreshore_api import v1alpha1

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]

YAML_BOOLEANS = {"y", "n", "yes", "no", "on", "off", "true", "false"}
ATOMIC = {
    "spec.placement.tolerations",  # core/v1 merges them as a whole, too
    "spec.inputs[].shape",
    "spec.outputs[].shape",
    "status.moves",  # a ring of ten
    "status.authority.succession",  # an order
}
LITERALS = (".value", ".default", ".equals", ".from", ".to", ".good[]")
"""What is written as a value of whichever type it is declared to be."""
ACRONYMS = {"ONNX", "TLS", "V5", "V311", "BOOL", "BYTES", "JSON", "RFC3339"}
PRODUCTS = {"CPU", "CUDA", "TensorRT", "OpenVINO", "MIGraphX", "XNNPACK"}
"""Spelt as their makers spell them."""


class Field(NamedTuple):
    """A node of a schema and where it stands."""

    kind: str
    path: str
    node: Json
    required: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


def crds() -> dict[str, Json]:
    found = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    return {crd["spec"]["names"]["kind"]: crd for crd in found}


CRDS = crds()


def root(kind: str) -> Json:
    node: Json = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return node


def walk(kind: str, node: Json, path: str, *, required: bool) -> Iterator[Field]:
    yield Field(kind, path, node, required)
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        if below != "metadata":
            yield from walk(kind, child, below, required=name in node.get("required", ()))
    if "items" in node:
        yield from walk(kind, node["items"], f"{path}[]", required=False)
    if "additionalProperties" in node:
        yield from walk(kind, node["additionalProperties"], f"{path}{{}}", required=False)


NODES = [field for kind in CRDS for field in walk(kind, root(kind), "", required=False)]
NAMED = [field for field in NODES if field.path and not field.path.endswith(("[]", "{}"))]
RULES = [
    (field, rule) for field in NODES for rule in field.node.get("x-kubernetes-validations", ())
]


def offences(*found: object) -> list[str]:
    return [str(each) for each in found]


def test_every_kind_has_its_crd() -> None:
    assert set(CRDS) == {kind.kind for kind in v1alpha1.KINDS}


def test_no_floats_no_booleans_and_nothing_untyped() -> None:
    allowed = {"string", "integer", "object", "array"}
    assert not [
        str(field)
        for field in NODES
        if field.node.get("type") not in allowed and "x-kubernetes-int-or-string" not in field.node
    ]


def test_no_escape_from_the_structural_schema() -> None:
    banned = {
        "nullable", "oneOf", "allOf", "not", "$ref", "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource", "additionalItems", "example", "title",
    }  # fmt: skip
    assert not [
        f"{field}: {banned & set(field.node)}" for field in NODES if banned & set(field.node)
    ]


def test_no_mark_of_ours_reaches_the_api_server() -> None:
    assert not [str(f) for f in NODES if any(key.startswith("x-foreshore") for key in f.node)]


def is_bounded(node: Json) -> bool:
    if "enum" in node or node.get("format") == "date-time":
        return True
    if node.get("type") == "string" or "x-kubernetes-int-or-string" in node:
        return "maxLength" in node
    if node.get("type") == "array":
        return "maxItems" in node
    if "additionalProperties" in node:
        return "maxProperties" in node
    if node.get("type") == "integer":
        return "minimum" in node and "maximum" in node
    return "properties" in node


def test_every_string_list_map_and_number_is_bounded() -> None:
    assert not [str(field) for field in NODES if not is_bounded(field.node)]


def test_every_list_says_how_it_merges_and_its_keys_are_required() -> None:
    wrong = []
    for field in NODES:
        if field.node.get("type") != "array":
            continue
        kind = field.node.get("x-kubernetes-list-type")
        items = field.node["items"]
        if kind == "atomic" and field.path not in ATOMIC:
            wrong.append(f"{field} is atomic")
        if kind == "map":
            keys = set(field.node["x-kubernetes-list-map-keys"])
            if not keys <= set(items.get("required", ())):
                wrong.append(f"{field}: keys {keys} are not required")
        elif items.get("type") == "object" and field.path not in ATOMIC:
            wrong.append(f"{field}: objects without keys")
    assert not wrong


def test_lists_are_keyed_as_the_contract_says() -> None:
    keys = {
        field.path: tuple(field.node["x-kubernetes-list-map-keys"])
        for field in NODES
        if "x-kubernetes-list-map-keys" in field.node
    }
    special = {path: key for path, key in keys.items() if key != ("name",)}
    assert special == {
        "status.conditions": ("type",),
        "spec.limits": ("action", "input"),
        "spec.properties[].values": ("from",),
        "spec.action.limits": ("input",),
        "spec.deviceSelector.matchExpressions": ("key", "operator"),
        "spec.placement.clusterSelector.matchExpressions": ("key", "operator"),
        "status.replicas": ("slot",),
        "status.agents": ("node",),
        "status.verdicts": ("node",),
        "status.budget.split": ("stage",),
        "status.candidates.rejected": ("reason",),
        "status.proposals": ("id",),
        "status.candidates.chosen": ("node",),
        "status.candidates.passed": ("node",),
    }


def test_every_field_is_explained_with_an_example_and_what_absence_means() -> None:
    wrong = []
    for field in NAMED:
        words = field.node.get("description", "")
        top = field.path in {"apiVersion", "kind", "metadata", "spec", "status"}
        leaf = "properties" not in field.node and "properties" not in field.node.get("items", {})
        if len(words.split()) < 2 and field.path != "metadata":
            wrong.append(f"{field}: no description")
        if top:
            continue
        if leaf and "Example: `" not in words:
            wrong.append(f"{field}: no example")
        if field.required != ("Required." in words.split("Example")[-1] or "Required." in words):
            wrong.append(f"{field}: does not say whether it is required")
        told = "default" in field.node or re.search(r"Absent:|Default", words)
        if not field.required and not told:
            wrong.append(f"{field}: does not say what absent means")
    assert not wrong


def test_defaults_are_said_in_words_too() -> None:
    assert not [
        str(field)
        for field in NAMED
        if "default" in field.node
        and "properties" not in field.node
        and "Default: " not in field.node.get("description", "")
    ]


def test_no_name_and_no_value_that_yaml_takes_for_a_boolean() -> None:
    names = [f for f in NAMED if f.path.rsplit(".", 1)[-1].lower() in YAML_BOOLEANS]
    values = [
        f"{f} {value}"
        for f in NODES
        for value in f.node.get("enum", ())
        if str(value).lower() in YAML_BOOLEANS and not f.path.endswith("conditions[].status")
    ]
    assert offences(*names, *values) == []


def test_fields_are_camel_case_and_values_are_words() -> None:
    names = [f for f in NAMED if not re.fullmatch(r"[a-z][A-Za-z0-9]*", f.path.split(".")[-1])]
    values = [
        f"{f} {value}"
        for f in NODES
        for value in f.node.get("enum", ())
        if value not in ACRONYMS | PRODUCTS
        and not re.fullmatch(r"([A-Z][a-z]+)+|(FP|U?INT)\d+", value)
        and not f.path.endswith("connection.type")
    ]
    assert offences(*names) + values == []


def test_durations_are_strings_with_the_one_pattern() -> None:
    durations = [f for f in NODES if "(ms|s|m|h)" in f.node.get("pattern", "")]
    assert len(durations) > 20
    assert not [
        str(f)
        for f in durations
        if f.node["pattern"] != r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$" or f.node["maxLength"] != 16
    ]
    assert {f.node["format"] for f in NODES if "format" in f.node} == {"date-time"}


def test_decimals_are_integers_or_strings_of_digits() -> None:
    either = [f for f in NODES if "x-kubernetes-int-or-string" in f.node]
    assert either
    assert not [str(f) for f in either if "pattern" not in f.node and not f.path.endswith(LITERALS)]


@pytest.mark.parametrize("kind", sorted(CRDS))
def test_status_is_a_subresource_that_starts_unseen(kind: str) -> None:
    version = CRDS[kind]["spec"]["versions"][0]
    status = root(kind)["properties"]["status"]
    assert version["subresources"] == {"status": {}}
    assert status["default"] == {"observedGeneration": -1}
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert status["properties"]["observedGeneration"]["minimum"] == -1


@pytest.mark.parametrize("kind", sorted(CRDS))
def test_names_and_columns_are_as_people_learn_them(kind: str) -> None:
    spec = CRDS[kind]["spec"]
    columns = spec["versions"][0]["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert spec["names"]["categories"] == ["foreshore"]
    assert all(name.startswith("fs") for name in spec["names"]["shortNames"])
    assert (shown[:2], len(shown), shown[-1]) == (["Ready", "Reason"], 4, "Age")
    assert spec["scope"] == ("Cluster" if kind == "Cluster" else "Namespaced")


def test_what_can_be_selected_by_field() -> None:
    selectable = {
        kind: [each["jsonPath"] for each in crd["spec"]["versions"][0].get("selectableFields", ())]
        for kind, crd in CRDS.items()
    }
    assert {kind: paths for kind, paths in selectable.items() if paths} == {
        "Device": [".spec.site", ".spec.profileRef.name", ".status.authority.holder"],
        "InferencePlacement": [".spec.policyRef.name", ".spec.site"],
    }


def test_every_rule_has_a_message_and_a_field_that_exists() -> None:
    wrong = []
    for field, rule in RULES:
        if not rule.get("message") or rule.get("reason") is None:
            wrong.append(f"{field}: {rule}")
        node = field.node
        for part in rule.get("fieldPath", "").split(".")[1:]:
            node = node.get("properties", {}).get(part)
            if node is None:
                wrong.append(f"{field}: no field {rule['fieldPath']}")
                break
    assert not wrong


def test_no_rule_says_a_duration_in_its_message() -> None:
    """`string(duration)` breaks the cost budget of messageExpression."""
    assert not [rule for _, rule in RULES if "duration(" in rule.get("messageExpression", "")]


def test_a_gate_that_is_absent_is_off_and_what_is_never_off_has_its_defaults() -> None:
    policy = root("DecisionPolicy")["properties"]["spec"]["properties"]
    profile = root("DeviceProfile")["properties"]["spec"]["properties"]
    never_off = {"placement", "trigger", "inference", "degraded", "record"}
    assert {name for name in policy if policy[name].get("default") == {}} == never_off
    assert {name for name in profile if profile[name].get("default") == {}} == {
        "authority",
        "guards",
    }


def test_a_device_inherits_so_it_has_no_defaults_of_its_own() -> None:
    device = root("Device")["properties"]["spec"]["properties"]
    assert {name for name in device if "default" in device[name]} == {"lock"}
    assert "default" not in str(
        {name: device[name] for name in ("authority", "guards", "limits")}.values()
    ).replace("Default", "")


def test_every_rule_has_a_document_that_it_refuses() -> None:
    """The documents meet a real API server in `tests/cluster/test_crds.py`."""
    cases = (*refusals.REFUSALS, *refusals.CHANGES, *refusals.AUTHORITIES)
    assert {rule["message"] for _, rule in RULES} == {case.rule for case in cases}


@pytest.mark.parametrize("path", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.name)
def test_a_crd_fits_the_annotation_of_a_client_side_apply(path: Path) -> None:
    """`kubectl apply -f crds/` keeps the last version in an annotation of at most 256 KiB."""
    assert len(path.read_bytes()) < 200_000
