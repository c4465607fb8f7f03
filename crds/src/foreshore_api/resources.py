"""From a document that a person wrote, or the API server sent, to a resource of the contract.

Strictly, where there is no API server to refuse a misspelt field (folder mode, tests); leniently,
where the object was admitted by a schema that may be newer than this program.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pydantic

from foreshore_api import meta, v1alpha1

KINDS: Mapping[str, type[meta.Resource]] = MappingProxyType(
    {kind.kind: kind for kind in v1alpha1.KINDS}
)
"""Every kind by its name."""

SHOWN = 8
"""Problems that one message tells; more do not help anybody."""


class InvalidError(ValueError):
    """The document is no resource of this release; the text names each field and its problem."""


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
        what = f"{document.get('apiVersion')} {document.get('kind')}"
        raise InvalidError(f"{what} is no kind of this release")
    body = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
    if strict and isinstance(body.get("metadata"), Mapping):
        body["metadata"] = _known(body["metadata"])
    try:
        return kind.model_validate(body, extra="forbid" if strict else None)
    except pydantic.ValidationError as error:
        raise InvalidError(explain(error)) from error


def explain(error: pydantic.ValidationError) -> str:
    """Return what is wrong and where, as people write it: `spec.rules[0].effect: …`."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    told = [
        f"{_path(each['loc'])}: {each['msg'].removeprefix('Value error, ')}"
        for each in found[:SHOWN]
    ]
    if len(found) > SHOWN:
        told.append(f"and {len(found) - SHOWN} more")
    return "; ".join(told)


def _known(metadata: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.alias or name for name, field in meta.ObjectMeta.model_fields.items()}
    return {key: value for key, value in metadata.items() if key in names}


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
