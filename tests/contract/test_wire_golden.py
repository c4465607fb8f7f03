"""Documents between processes keep their shape: samples are committed, and read by every version.

A sample that has to change is a break of the wire: an agent of the last release would send the old
one, or be sent the new one.
"""

import dataclasses
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pydantic
import pytest

from foreshore_api.schema import documents

GOLDEN = Path(__file__).with_name("golden")
KINDS = {documents.name(kind): kind for kind in documents.DOCUMENTS}
SAMPLES = sorted(GOLDEN.glob("*.json"))


def kind_of(sample: Path) -> type[pydantic.BaseModel]:
    """The document that a file is a sample of: `event.gap.json` is an Event."""
    return KINDS[sample.name.split(".")[0]]


def dumped(document: pydantic.BaseModel) -> Any:
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def is_ours(value: object) -> bool:
    """Whether it is a document or a line of one, not a plain value."""
    return isinstance(value, pydantic.BaseModel) or dataclasses.is_dataclass(value)


def fields(value: object) -> dict[str, pydantic.fields.FieldInfo]:
    return type(value).__pydantic_fields__  # type: ignore[attr-defined,no-any-return]


def with_news(node: Any, example: object) -> Any:
    """The document as a newer version may send it: with a field more in every object of ours."""
    if isinstance(example, tuple | list):
        return [with_news(*pair) for pair in zip(node, example, strict=True)]
    if not is_ours(example):
        return node
    news: dict[str, Any] = {"aFieldOfTheFuture": {"deep": [1]}}
    for name, field in fields(example).items():
        key = field.alias or name
        if key in node:
            news[key] = with_news(node[key], getattr(example, name))
    return news


def test_every_document_has_a_sample() -> None:
    assert {sample.name.split(".")[0] for sample in SAMPLES} == set(KINDS)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_read_and_written_as_it_stands(sample: Path) -> None:
    text = sample.read_text()
    assert dumped(kind_of(sample).model_validate_json(text)) == json.loads(text)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_newer_version_may_say_more_than_this_one_reads(sample: Path) -> None:
    kind, text = kind_of(sample), sample.read_text()
    known = kind.model_validate_json(text)
    newer = json.dumps(with_news(json.loads(text), known))
    assert "aFieldOfTheFuture" in newer
    assert kind.model_validate_json(newer) == known


def test_every_field_of_every_document_is_in_a_sample() -> None:
    seen: dict[type[Any], set[str]] = defaultdict(set)

    def look(value: object, node: Any) -> None:
        if is_ours(value):
            for name, field in fields(value).items():
                if (key := field.alias or name) in node:
                    seen[type(value)].add(name)
                    look(getattr(value, name), node[key])
        elif isinstance(value, tuple | list):
            for pair in zip(value, node, strict=True):
                look(*pair)

    for sample in SAMPLES:
        text = sample.read_text()
        look(kind_of(sample).model_validate_json(text), json.loads(text))
    missing = {
        kind.__name__: set(kind.__pydantic_fields__) - names
        for kind, names in seen.items()
        if kind.__module__.startswith("foreshore_api.wire")
        and set(kind.__pydantic_fields__) - names
    }
    assert missing == {}
