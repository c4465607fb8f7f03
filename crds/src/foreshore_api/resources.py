"""From a document that a person wrote, or the API server sent, to a resource of the contract.

Strictly, where there is no API server to refuse a misspelt field (folder mode, tests); leniently,
where the object was admitted by a schema that may be newer than this program.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

import pydantic
import pydantic_core

from foreshore_api import hints, meta, scalars, v1alpha1
from foreshore_api.v1alpha1 import selection

KINDS: Mapping[str, type[meta.Resource]] = MappingProxyType(
    {kind.kind: kind for kind in v1alpha1.KINDS}
)
"""Every kind by its name."""

SHOWN = 8
"""Problems that one message tells; more do not help anybody."""

SHOWN_NAME = 80
"""Characters of a name that is none."""

LONGEST_NAMESPACE = 63


class InvalidError(ValueError):
    """The document is no resource of this release; the text names each field and its problem."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path: Final = path
        """The first field that is wrong, as people write it. Empty: the document itself."""


def parse(document: Mapping[str, Any], *, strict: bool = False) -> meta.Resource:
    """Return the resource that a document says.

    Args:
        document: plain data, as YAML or JSON was read.
        strict: refuse fields that the kind does not have. Metadata is read leniently all the same,
            because an export from a cluster carries much more than anyone writes.

    Raises:
        InvalidError: no kind of ours, or a field is missing, unknown or wrong.
    """
    kind = KINDS.get(str(document.get("kind")))
    if kind is None or document.get("apiVersion") != meta.API_VERSION:
        is_ours = document.get("apiVersion") == meta.API_VERSION
        raise InvalidError(_no_kind(document), "kind" if is_ours else "apiVersion")
    body = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
    if strict and isinstance(body.get("metadata"), Mapping):
        body["metadata"] = _known(body["metadata"])
    try:
        read = kind.model_validate(body, extra="forbid" if strict else None)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InvalidError(explain(error, kind), _path(first["loc"])) from error
    if strict:
        _check_names(read)
        _check_metadata(read)
    return read


def explain(error: pydantic.ValidationError, kind: type[meta.Resource]) -> str:
    """Return what is wrong and where, as people write it: `spec.rules[0].effect: …`."""
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    messages = [
        f"{_path(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        f"{_hint(problem, kind)}"
        for problem in errors[:SHOWN]
    ]
    if len(errors) > SHOWN:
        messages.append(f"and {len(errors) - SHOWN} more")
    return "; ".join(messages)


def _check_names(resource: meta.Resource) -> None:
    """Refuse the names that the API server refuses: labels, topics and documents carry them.

    Raises:
        InvalidError: the name or the namespace is none.
    """
    longest, pattern = resource.longest_name, resource.name_pattern
    if not is_name(resource.name, longest, pattern):
        message = f"{resource.name[:SHOWN_NAME]!r} is no name of a {resource.kind}"
        text = f"metadata.name: {message}: {pattern}, at most {longest} characters"
        raise InvalidError(text, "metadata.name")
    if resource.namespace and not is_name(resource.namespace, LONGEST_NAMESPACE):
        message = f"{resource.namespace[:SHOWN_NAME]!r} is no name of a namespace"
        text = f"metadata.namespace: {message}: {scalars.LABEL_PATTERN}, at most 63"
        raise InvalidError(text, "metadata.namespace")


_LABELS: Final[pydantic.TypeAdapter[Mapping[str, str]]] = pydantic.TypeAdapter(
    Annotated[
        Mapping[selection.LabelKey, selection.LabelValue], pydantic.Field(max_length=meta.LABELS)
    ]
)


def _check_metadata(resource: meta.Resource) -> None:
    """Refuse the labels that the API server refuses, and a uid that no document has room for.

    Raises:
        InvalidError: a label is none, there are too many, or the uid is too long.
    """
    try:
        _LABELS.validate_python(resource.metadata.labels)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = _path(("metadata", "labels", *problem["loc"]))[:SHOWN_NAME]
        raise InvalidError(f"{where}: {problem['msg']}", where) from error
    if len(resource.metadata.uid or "") > meta.LONGEST_UID:
        text = f"metadata.uid: at most {meta.LONGEST_UID} characters"
        raise InvalidError(text, "metadata.uid")


def is_name(name: str, longest: int, pattern: str = scalars.LABEL_PATTERN) -> bool:
    """Whether a name is one that the API server takes."""
    return len(name) <= longest and re.fullmatch(pattern, name) is not None


def _no_kind(document: Mapping[str, Any]) -> str:
    version, kind = str(document.get("apiVersion")), str(document.get("kind"))
    message = f"{version} {kind} is no kind of this release"
    if version != meta.API_VERSION:
        return f"{message}; apiVersion is {meta.API_VERSION}"
    return f"{message}; {hints.among(kind, KINDS)}"


UNIT_HINT: Final = ": a unit is a UCUM code, such as Cel for °C, [degF] for °F, m3/h or %"


def _hint(problem: pydantic_core.ErrorDetails, kind: type[meta.Resource]) -> str:
    """Return which fields there are where one that is not known was written, or how units are."""
    *parents, name = problem["loc"]
    if problem["type"] == "string_pattern_mismatch" and name == "unit":
        return UNIT_HINT
    if problem["type"] != "extra_forbidden":
        return ""
    fields = _fields(kind, parents)
    return f": there is no such field; {hints.among(str(name), fields)}" if fields else ""


def _fields(kind: type[pydantic.BaseModel], path: list[int | str]) -> tuple[str, ...]:
    """Return the names of the fields at a path of a kind, as people write them."""
    for part in path:
        if isinstance(part, int):
            continue
        by_alias = {field.alias or name: field for name, field in kind.model_fields.items()}
        inner = _model_in(by_alias[part].annotation) if part in by_alias else None
        if inner is None:
            return ()
        kind = inner
    return tuple(field.alias or name for name, field in kind.model_fields.items())


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """Return the model that a field holds, alone, optional or in a sequence."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    models = (_model_in(argument) for argument in typing.get_args(annotation))
    return next((model for model in models if model is not None), None)


def _known(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.alias or name for name, field in meta.ObjectMeta.model_fields.items()}
    return {key: value for key, value in metadata.items() if key in names}


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
