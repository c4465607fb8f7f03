"""What is generated is committed, reads back as it was meant, and needs nothing but the types."""

import json
from pathlib import Path

import pytest
import yaml

from foreshore_api import schema, v1alpha1
from foreshore_api.schema import blocks, chart, definition, structural

ROOT = Path(__file__).parents[2]
FILES = schema.render()


@pytest.mark.parametrize("path", sorted(FILES))
def test_what_is_committed_is_what_the_types_say(path: str) -> None:
    assert (ROOT / path).read_text() == FILES[path], "run `make generate`"


def test_nothing_generated_is_left_over_from_a_renamed_kind() -> None:
    patterns = (
        "crds/*.yaml",
        "crds/wire/*",
        "charts/foreshore-crds/templates/*",
    )
    found = {str(path.relative_to(ROOT)) for each in patterns for path in ROOT.glob(each)}
    assert found <= set(FILES)


def test_rendering_twice_gives_the_same_bytes() -> None:
    assert schema.render() == FILES


@pytest.mark.parametrize("kind", v1alpha1.KINDS, ids=lambda kind: kind.kind)
def test_a_yaml_reader_sees_what_was_rendered(kind: type[v1alpha1.Site]) -> None:
    crd = definition.document(kind)
    assert yaml.safe_load(blocks.render(crd)) == crd


@pytest.mark.parametrize(
    "text",
    ["on", "No", "null", "~", "1", "1.0", "- a", "a: b", "#a", "{site}/x", 'a"b\\', "é\n", ""],
)
def test_no_string_changes_its_type_on_the_way_through_yaml(text: str) -> None:
    assert yaml.safe_load(blocks.render({"key": text, "list": [text]})) == {
        "key": text,
        "list": [text],
    }


@pytest.mark.parametrize("kind", v1alpha1.KINDS, ids=lambda kind: kind.kind)
def test_the_chart_carries_the_same_spec_and_keeps_it_behind_a_value(
    kind: type[v1alpha1.Site],
) -> None:
    text = chart.template(definition.document(kind))
    plain = "\n".join(line for line in text.splitlines() if "{{" not in line)
    read = yaml.safe_load(plain)
    assert read["spec"] == definition.document(kind)["spec"]
    assert "{{- if .Values.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}" in text
    assert read["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "-10"


@pytest.mark.parametrize("path", sorted(path for path in FILES if path.endswith(".json")))
def test_a_wire_schema_is_json_with_an_address_of_its_own(path: str) -> None:
    read = json.loads(FILES[path])
    assert read["$id"].endswith(Path(path).name)
    assert "x-kubernetes" not in FILES[path]
    assert "x-foreshore" not in FILES[path]


@pytest.mark.parametrize(
    "node",
    [
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object"},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {"type": "string", "contentEncoding": "base64"},
    ],
    ids=["a union", "a free map", "a tuple", "an unknown word"],
)
def test_what_a_crd_cannot_say_is_refused_here_and_not_by_a_users_api_server(
    node: dict[str, object],
) -> None:
    with pytest.raises((ValueError, KeyError)):
        structural.convert(node, {})


def test_an_exclusive_bound_becomes_a_bound_with_a_flag() -> None:
    read = structural.convert({"type": "integer", "exclusiveMinimum": 3}, {})
    assert read == {"type": "integer", "minimum": 3, "exclusiveMinimum": True}


def test_an_optional_reference_becomes_the_thing_itself_with_the_nearer_description() -> None:
    definitions = {"Part": {"description": "far", "type": "string", "maxLength": 3}}
    node = {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}], "description": "near"}
    assert structural.convert({**node, "default": None}, definitions) == {
        "description": "near",
        "type": "string",
        "maxLength": 3,
    }
