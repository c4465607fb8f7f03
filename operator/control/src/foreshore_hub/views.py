"""How a stored decision looks to people: the object, the row of a table, the error.

`records` serves these; nothing here asks the store or the clock.
"""

import datetime
from collections.abc import Sequence
from typing import Any, Final

import orjson

from foreshore_api import printable
from foreshore_hub import ingest, store

GROUP: Final = "records.foreshore.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "Decision"
PLURAL: Final = "decisions"

COLUMNS: Final[tuple[tuple[str, str, str, int], ...]] = (
    ("Name", "name", "Identity of the decision.", 0),
    ("Time", "date-time", "When it was decided, by the engine's clock.", 1),
    ("Device", "", "Device it is about.", 0),
    ("Policy", "", "Policy that decided.", 0),
    ("Verdict", "", "How the chain ended.", 0),
    ("Reason", "", "Why it ended so.", 0),
    ("Outcome", "", "What was learnt afterwards, the latest.", 0),
    ("Node", "", "Node whose agent decided.", 1),
    ("Epoch", "", "Number of the right under which it was decided.", 1),
    ("Message", "", "The verdict in words.", 1),
    ("Age", "", "Time since the decision.", 0),
)
"""Name, format, description and priority of each column; priority 1 shows with `-o wide`."""


def decision(stored: store.StoredDecision) -> dict[str, Any]:
    """Return the Decision object: the record's data, what was learnt later, and its place."""
    event = orjson.loads(stored.body)
    data = event["data"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": stored.decision,
            "namespace": stored.namespace,
            "uid": stored.decision,
            "resourceVersion": str(stored.id),
            "creationTimestamp": moment(stored.time)[:19] + "Z",
        },
        "decision": data,
        "outcomes": [_outcome(outcome) for outcome in stored.outcomes],
        "event": {key: value for key, value in event.items() if key != "data"},
        "chain": {
            "journal": stored.journal,
            "sequence": stored.sequence,
            "hash": stored.hash,
            "integrity": "Intact" if stored.is_intact else "Broken",
        },
    }


def listing(
    objects: Sequence[dict[str, Any]], resource_version: str, following: str
) -> dict[str, Any]:
    """Return a DecisionList."""
    return {
        "apiVersion": API_VERSION,
        "kind": f"{KIND}List",
        "metadata": list_metadata(resource_version, following),
        "items": list(objects),
    }


def table(
    objects: Sequence[dict[str, Any]],
    now: datetime.datetime,
    *,
    include: str = "Metadata",
    metadata: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a meta.k8s.io/v1 Table; `include` is None, Metadata or Object, as kubectl asks."""
    return {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "Table",
        "metadata": metadata or {},
        "columnDefinitions": [
            {
                "name": name,
                "type": "string",
                "format": form,
                "description": description,
                "priority": priority,
            }
            for name, form, description, priority in COLUMNS
        ],
        "rows": [
            {"cells": _cells(document, now), **_object_of(document, include)}
            for document in objects
        ],
    }


def list_metadata(resource_version: str, following: str) -> dict[str, Any]:
    """Return the metadata of a list or table."""
    return {"resourceVersion": resource_version, **({"continue": following} if following else {})}


def failure(
    code: int, reason: str, message: str, details: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a Status, as Kubernetes says that something did not work."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        **({"details": details} if details else {}),
        "code": code,
    }


def moment(micros: int) -> str:
    """Return RFC 3339 in UTC with microseconds, for the years 1 to 9999."""
    written = datetime.datetime.fromtimestamp(0, datetime.UTC) + datetime.timedelta(
        microseconds=micros
    )
    return written.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def age(seconds: float) -> str:
    """Return a duration as kubectl shows ages: `45s`, `3m10s`, `5h`, `12d`."""
    whole = max(0, int(seconds))
    for unit, length, finer, below in (
        ("d", 86400, "h", 8),
        ("h", 3600, "m", 8),
        ("m", 60, "s", 10),
    ):
        if whole >= 2 * length or (unit != "m" and whole >= length):
            count, rest = divmod(whole, length)
            fine = rest // {"h": 3600, "m": 60, "s": 1}[finer]
            return f"{count}{unit}{fine}{finer}" if count < below and fine else f"{count}{unit}"
    return f"{whole}s"


def _outcome(body: str) -> dict[str, Any]:
    event = orjson.loads(body)
    data = event.get("data") or {}
    shown = ("outcome", "reason", "message", "commandId", "readBack", "latency")
    return {"time": event.get("time"), **{key: data[key] for key in shown if key in data}}


def _cells(shown: dict[str, Any], now: datetime.datetime) -> list[str]:
    """Return a row's cells; what is not of the shape it should have is left out.

    Agents write records, and one that is malformed must not hide all others.
    """
    data = shown["decision"]
    outcomes = shown["outcomes"]
    epoch = _field(data, "authority", "epoch")
    made = ingest.micros(datetime.datetime.fromisoformat(shown["event"]["time"]))
    return [
        shown["metadata"]["name"],
        shown["event"]["time"],
        _word(data, "device", "name"),
        _word(data, "policy", "name"),
        _word(data, "verdict", "result"),
        _word(data, "verdict", "reason"),
        _word(outcomes[-1], "outcome") if outcomes else "",
        _word(data, "node"),
        str(epoch) if isinstance(epoch, int) else "",
        _word(data, "verdict", "message"),
        age((ingest.micros(now) - made) / 1_000_000),
    ]


def _field(document: Any, *names: str) -> Any:
    """Return what is found along these names, or None."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _word(document: Any, *names: str) -> str:
    value = _field(document, *names)
    return printable.clean(value) if isinstance(value, str) else ""


def _object_of(shown: dict[str, Any], include: str) -> dict[str, Any]:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": shown}
    return {
        "object": {
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": shown["metadata"],
        }
    }
