"""The number of a leader's term: how writes carry it, and who holds them to it.

    object    metadata.annotations[foreshore.dev/leader-epoch], of all that is created or applied
    status    status.writerEpoch: the API server takes no metadata from a write of a status
    Lease     the same annotation: the epoch of the replica that leads

The elector counts by it and `apply.Writer` stamps it. Two policies of the chart
(`templates/epochs.yaml`) refuse a write of the operator's account whose epoch lies below the
Lease's, or below the one that the object bears: what a leader sent that was paused over the end of
its term. A DELETE has no body that could carry an epoch: the uid and resourceVersion it names
protect the object, and a look at the epoch of the live object right before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from foreshore_api import meta
from foreshore_kube import api
from foreshore_kube.kinds import ResourceKind

POLICIES: Final = "foreshore-epoch"
"""What the names of the chart's policies begin with; a refusal names its policy."""
STATUS: Final = "status"
WRITER: Final = "writerEpoch"
OF_STATUS: Final = f"{STATUS}.{WRITER}"
"""Where a status says who wrote it."""
NUMBER = re.compile(r"[0-9]{1,16}")
"""As the policies read an annotation; anything else counts as no epoch."""


def parsed(text: object) -> int:
    """The epoch that an annotation's text says; 0 where it says none."""
    return int(text) if isinstance(text, str) and NUMBER.fullmatch(text) else 0


def of_object(document: Mapping[str, Any]) -> int:
    """The epoch of the leader that wrote an object, a Lease included; 0 if none says so."""
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    return parsed(annotations.get(meta.ANNOTATION_EPOCH))


def of_status(document: Mapping[str, Any]) -> int:
    """The epoch of the leader that wrote an object's status; 0 if none says so."""
    epoch = (document.get("status") or {}).get(WRITER)
    return epoch if isinstance(epoch, int) else 0


def borne(document: Mapping[str, Any], subresource: str) -> int:
    """The epoch that a write of this part of an object must not lie below."""
    return of_status(document) if subresource == STATUS else of_object(document)


def stamped(document: api.Json, epoch: int) -> api.Json:
    """The document of an object with the epoch of the leader that writes it."""
    metadata = dict(document["metadata"])
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        meta.ANNOTATION_EPOCH: str(epoch),
    }
    return {**document, "metadata": metadata}


def with_writer_epoch(kind: ResourceKind, document: api.Json, epoch: int) -> api.Json:
    """The document of a status with the same; kinds of others have no field for it."""
    if kind.group != meta.GROUP:
        return document
    return {**document, "status": {**document["status"], WRITER: epoch}}


def is_refusal(error: api.ApiError) -> bool:
    """Whether one of the chart's policies refused a write for its epoch."""
    return isinstance(error, api.RejectedError) and f"'{POLICIES}" in error.message
