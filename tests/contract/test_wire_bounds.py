"""Nothing on a wire is without a bound: one number, text or list must not cost anybody anything.

The walk goes through every document that two processes share, and through every resource that
agents, hub and operator read: fields, what they nest, unions, tuples, keys and values of maps.
"""

import enum
import inspect
import pkgutil
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pydantic
import pydantic.dataclasses
import pytest
from pydantic.fields import FieldInfo

from foreshore_api import v1alpha1, wire
from foreshore_api.schema import documents
from foreshore_api.wire import assignment, beat, document, oip, record, report

LISTS = (tuple, list, set, frozenset, Sequence)
MAPS = (dict, Mapping)


def is_ours(kind: type[Any]) -> bool:
    """Whether it is a document, or a line of one."""
    return issubclass(kind, pydantic.BaseModel) or pydantic.dataclasses.is_pydantic_dataclass(kind)


def shared() -> tuple[type[Any], ...]:
    """Every document of every wire module, whether it travels alone or in another."""
    modules = [
        import_module(f"{wire.__name__}.{one.name}") for one in pkgutil.iter_modules(wire.__path__)
    ]
    found = {
        one
        for module in modules
        for _, one in inspect.getmembers(module, inspect.isclass)
        if is_ours(one) and one.__module__.startswith(wire.__name__)
    }
    return tuple(sorted(found | set(documents.DOCUMENTS), key=lambda one: one.__qualname__))


def marks(metadata: Sequence[Any]) -> list[Any]:
    """Every single constraint: `Field` and `StringConstraints` inside `Annotated` hold many."""
    found: list[Any] = []
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            found += marks(mark.metadata)
        elif isinstance(mark, annotated_types.GroupedMetadata):
            found += marks(list(mark))
        else:
            found.append(mark)
    return found


def has(metadata: Sequence[Any], *names: str) -> bool:
    return any(getattr(mark, name, None) is not None for mark in metadata for name in names)


def is_written_bounded(metadata: Sequence[Any]) -> bool:
    """Whether a type with a way of writing of its own (a decimal, a quantity) bounds that way."""
    return any(
        isinstance(mark, pydantic.WithJsonSchema) and "maxLength" in (mark.json_schema or {})
        for mark in metadata
    )


class Walk:
    """Collects what is unbounded, by path."""

    def __init__(self, *, is_fast: bool = True) -> None:
        self._is_fast = is_fast
        self.unbounded: list[str] = []
        self._above: list[type[Any]] = []

    def model(self, kind: type[Any], path: str) -> None:
        if kind in self._above:
            self.unbounded.append(f"{path}: nests itself without end")
            return
        self._above.append(kind)
        is_model = issubclass(kind, pydantic.BaseModel)
        settings = kind.model_config if is_model else kind.__pydantic_config__
        is_finite = settings.get("allow_inf_nan") is False
        for name, field in kind.__pydantic_fields__.items():
            self.look(field.annotation, field.metadata, f"{path}.{name}", is_finite=is_finite)
        self._above.pop()

    @property
    def _is_wire(self) -> bool:
        """Whether this is a document's own: of what people write every mistake is said at once."""
        return not self._above[-1].__module__.startswith(v1alpha1.__name__)

    def look(self, of: Any, metadata: Sequence[Any], path: str, *, is_finite: bool) -> None:
        metadata = marks(metadata)
        if get_origin(of) is Annotated:
            inner, *more = get_args(of)
            self.look(inner, [*metadata, *more], path, is_finite=is_finite)
        elif get_origin(of) in (Union, types.UnionType):
            if not is_written_bounded(metadata):
                for each in get_args(of):
                    self.look(each, metadata, path, is_finite=is_finite)
        elif get_origin(of) in MAPS or of in MAPS:
            key, value = get_args(of) or (str, Any)
            self._expect(path, "a map", is_bounded=has(metadata, "max_length"))
            self.look(key, (), f"{path}{{key}}", is_finite=is_finite)
            self.look(value, (), f"{path}{{}}", is_finite=is_finite)
        elif get_origin(of) in LISTS or of in LISTS:
            parts = [each for each in get_args(of) if each is not Ellipsis]
            self._list(metadata, path)
            for each in parts:
                self.look(each, (), f"{path}[]", is_finite=is_finite)
        else:
            self._scalar(of, metadata, path, is_finite=is_finite)

    def _list(self, metadata: Sequence[Any], path: str) -> None:
        self._expect(path, "a list", is_bounded=has(metadata, "max_length"))
        if self._is_fast and self._is_wire and has(metadata, "max_length"):
            is_fast = any(getattr(mark, "fail_fast", None) is True for mark in metadata)
            self._expect(path, "a list that goes on after a mistake,", is_bounded=is_fast)

    def _scalar(self, of: Any, metadata: Sequence[Any], path: str, *, is_finite: bool) -> None:
        if of is None or of is type(None) or get_origin(of) is Literal:
            return
        if not inspect.isclass(of):
            self.unbounded.append(f"{path}: {of} is nothing that has a bound")
        elif is_ours(of):
            self.model(of, path)
        elif issubclass(of, enum.Enum | bool | datetime):
            return
        elif issubclass(of, str):
            self._expect(path, "a text", is_bounded=has(metadata, "max_length"))
        elif issubclass(of, int):
            is_bounded = has(metadata, "ge", "gt") and has(metadata, "le", "lt")
            self._expect(path, "an integer", is_bounded=is_bounded)
        elif issubclass(of, float):
            is_finite |= any(getattr(mark, "allow_inf_nan", None) is False for mark in metadata)
            is_bounded = is_finite or (has(metadata, "ge", "gt") and has(metadata, "le", "lt"))
            self._expect(path, "a number", is_bounded=is_bounded)
        else:
            self.unbounded.append(f"{path}: {of} is nothing that has a bound")

    def _expect(self, path: str, what: str, *, is_bounded: bool) -> None:
        if not is_bounded:
            self.unbounded.append(f"{path}: {what} without a bound")


@pytest.mark.parametrize("kind", shared(), ids=lambda kind: kind.__name__)
def test_every_field_of_a_wire_document_has_a_bound(kind: type[Any]) -> None:
    walk = Walk()
    walk.model(kind, kind.__name__)
    assert walk.unbounded == []


@pytest.mark.parametrize("kind", v1alpha1.KINDS, ids=lambda kind: kind.__name__)
def test_every_field_of_a_resource_has_a_bound(kind: type[pydantic.BaseModel]) -> None:
    walk = Walk(is_fast=False)
    walk.model(kind, kind.__name__)
    assert walk.unbounded == []


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"nobodyReadsThis": ' + "[" * 100_000,
        '{"nobodyReadsThis": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
        '{"node": 1' + "0" * 5000 + "}",
    ],
    ids=["a list", "an unknown field", "an unknown field that ends", "a number without end"],
)
def test_a_body_that_is_too_deep_or_too_long_is_refused_as_malformed(body: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        report.Report.decode(body)


MEBIBYTE = 1 << 20
LISTS_OF = {
    oip.InferResponse: ('{"model_name": "m", "outputs": [', "{}"),
    oip.InferRequest: ('{"inputs": [', "{}"),
    oip.ModelMetadata: ('{"name": "m", "outputs": [], "inputs": [', "{}"),
    assignment.Assignment: ('{"devices": [', "{}"),
    report.Report: ('{"stages": [', "{}"),
    record.Batch: ('{"records": [', "{}"),
    beat.RenewalRequest: ('{"held": [', "{}"),
    beat.Renewal: ('{"devices": [', "{}"),
}


@pytest.mark.parametrize("kind", LISTS_OF, ids=lambda kind: kind.__name__)
def test_of_a_long_list_of_mistakes_the_first_is_enough(kind: type[pydantic.BaseModel]) -> None:
    head, entry = LISTS_OF[kind]
    count = (MEBIBYTE - len(head) - 2) // (len(entry) + 1)
    body = head + ",".join([entry] * count) + "]}"
    with pytest.raises(pydantic.ValidationError) as error:
        kind.model_validate_json(body)
    found = error.value.error_count()
    assert found < 20, "fields of one entry, not of all"


class _Loose(document.WireDocument):
    count: int
    half: Annotated[int, pydantic.Field(ge=0)]
    many: tuple[int, ...]
    slow: Annotated[tuple[bool, ...], pydantic.Field(max_length=3)]
    named: dict[str, Annotated[str, pydantic.Field(max_length=3)]]
    either: bool | int | None = None
    anything: Any = None
    nested: "tuple[_Loose, ...]" = ()


def test_the_walk_sees_what_has_no_bound_wherever_it_is() -> None:
    walk = Walk()
    walk.model(_Loose, "it")
    assert walk.unbounded == [
        "it.count: an integer without a bound",
        "it.half: an integer without a bound",
        "it.many: a list without a bound",
        "it.many[]: an integer without a bound",
        "it.slow: a list that goes on after a mistake, without a bound",
        "it.named: a map without a bound",
        "it.named{key}: a text without a bound",
        "it.either: an integer without a bound",
        "it.anything: typing.Any is nothing that has a bound",
        "it.nested: a list without a bound",
        "it.nested[]: nests itself without end",
    ]
