"""JSON Schemas of the wire documents, for programs that are not ours: devices, collectors."""

from __future__ import annotations

import json
from typing import Any

import pydantic
from pydantic import alias_generators

from foreshore_api.wire import (
    assignment,
    beat,
    command,
    evidence,
    inspection,
    oip,
    record,
    report,
    serving,
)

DOCUMENTS: tuple[type[pydantic.BaseModel], ...] = (
    assignment.Assignment,
    beat.Beat,
    beat.RenewalRequest,
    beat.Renewal,
    command.Command,
    command.Acknowledgement,
    command.Advice,
    inspection.ModelInspection,
    oip.InferRequest,
    oip.InferResponse,
    oip.ModelMetadata,
    record.Event,
    record.Batch,
    record.BatchAnswer,
    report.Report,
    report.Fleet,
    evidence.FleetDelta,
    evidence.FleetPart,
    serving.ModelConfig,
)
"""Every document that crosses a process boundary as a whole."""

BASE = "https://foreshore.dev/schemas"


def name(document: type[pydantic.BaseModel]) -> str:
    """The file name of a document's schema: `renewal-request`."""
    return alias_generators.to_snake(document.__name__).replace("_", "-")


def render(document: type[pydantic.BaseModel]) -> str:
    """Return the JSON Schema (2020-12) of a document as text."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{BASE}/{name(document)}.schema.json",
        **_plain(document.model_json_schema(by_alias=True)),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    """The schema without what only Kubernetes reads."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if not _is_extension(key)}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    return node


def _is_extension(key: str) -> bool:
    return key.startswith(("x-kubernetes-", "x-foreshore-"))
