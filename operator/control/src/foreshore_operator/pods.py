"""What a pass needs of a Pod: the room it takes, and, of one of ours, how it is doing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic

from foreshore_api import conditions, meta, scalars
from foreshore_api.wire import serving
from foreshore_operator import manifests, nodes
from foreshore_planner import snapshot

EXIT_REFUSED = 3
"""Exit code of `foreshore-serving`: this model version will never serve, wherever it runs."""
VERSION = re.compile(rf"(?=.{{1,52}}$){scalars.LABEL_PATTERN[1:-1]}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
GENERATION = re.compile(r"[0-9]{1,15}")
IMAGE_REASONS = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""What a kubelet calls an image that it cannot get, in turns."""
LABEL_NAME = "app.kubernetes.io/name"
LABEL_PRODUCT = "app.kubernetes.io/part-of"
PRODUCT = "foreshore"


@dataclass(frozen=True, slots=True)
class InferencePod:
    """What the mirror keeps of an inference pod of ours beyond its room."""

    policy: str
    site: str
    slot: str
    template: str
    phase: snapshot.PodPhase
    address: str | None
    restarts: int
    reason: str | None
    message: str | None
    version: str | None = None
    digest: str | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class PodRecord:
    """What the mirror keeps of a Pod; two equal records need no pass."""

    namespace: str
    name: str
    uid: str
    node: str
    requests: snapshot.ComputeResources
    inference: InferencePod | None
    part: snapshot.ProductPod | None = None
    """What messages say of it where it is the product's own agent or hub."""
    resource_version: str = ""
    """Compared by nobody: `is_same` says whether two records differ."""


def record(document: Mapping[str, Any]) -> PodRecord:
    """The record of a Pod document. Raises ValueError on a quantity that nobody understands."""
    metadata, spec = document["metadata"], document.get("spec") or {}
    is_over = (document.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return PodRecord(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        node=spec.get("nodeName") or manifests.wanted_node(spec) or "",
        requests=snapshot.ComputeResources() if is_over else requests(spec),
        inference=_inference(document) if manifests.is_ours(metadata) else None,
        part=_part(document),
        resource_version=metadata.get("resourceVersion", ""),
    )


def is_same(record: PodRecord, other: PodRecord) -> bool:
    """Whether nothing changed that a pass would look at."""
    return (record.uid, record.node, record.requests, record.inference, record.part) == (
        other.uid,
        other.node,
        other.requests,
        other.inference,
        other.part,
    )


def may_start_anew(record: PodRecord) -> bool:
    """Whether the kubelet may be starting a pod once more, for which it wants all that it reads.

    A container that runs has it, whatever became of it since.
    """
    pod = record.inference
    return pod is not None and pod.phase is snapshot.PodPhase.UNREADY and pod.reason is not None


def requests(spec: Mapping[str, Any]) -> snapshot.ComputeResources:
    """What the scheduler counts: all containers, or the largest init container if that is more."""
    running, starting = snapshot.ComputeResources(), snapshot.ComputeResources()
    for container in spec.get("containers") or ():
        running += _asked(container)
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":  # a sidecar runs beside the others
            running += _asked(container)
        else:
            starting = starting.at_least(_asked(container))
    return running.at_least(starting) + nodes.resources(spec.get("overhead") or {})


def _asked(container: Mapping[str, Any]) -> snapshot.ComputeResources:
    return nodes.resources((container.get("resources") or {}).get("requests") or {})


def _part(document: Mapping[str, Any]) -> snapshot.ProductPod | None:
    metadata, status = document["metadata"], document.get("status") or {}
    labels = metadata.get("labels") or {}
    component = labels.get(LABEL_NAME)
    if labels.get(LABEL_PRODUCT) != PRODUCT or component not in (snapshot.AGENT, snapshot.HUB):
        return None
    spec = document.get("spec") or {}
    return snapshot.ProductPod(
        component=component,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        node=spec.get("nodeName") or manifests.wanted_node(spec) or "",
        reason=_part_trouble(document, status),
    )


def _part_trouble(document: Mapping[str, Any], status: Mapping[str, Any]) -> str | None:
    """Why a pod of ours is not ready, in one word; None where it is, or nothing says why.

    How it ended the last time says less than what it waits for now: a crash loop is one although
    its last ending was an ordinary error.
    """
    if document["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if _condition(status, "Ready").get("status") == "True":
        return None
    containers = [
        *(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())
    ]  # fmt: skip
    for container in containers:
        waiting = ((container.get("state") or {}).get("waiting") or {}).get("reason")
        if waiting and waiting not in ("ContainerCreating", "PodInitializing"):
            return str(waiting)[:64]
    reason, _ = _trouble(document, status, next(iter(status.get("containerStatuses") or ()), {}))
    phase = status.get("phase") or "Pending"
    return str(reason or ("NotReady" if phase == "Running" else phase))[:64]


def _inference(document: Mapping[str, Any]) -> InferencePod:
    metadata, status = document["metadata"], document.get("status") or {}
    labels = metadata.get("labels") or {}
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    reason, message = _trouble(document, status, container)
    marks = metadata.get("annotations") or {}
    generation = str(marks.get(manifests.ANNOTATION_GENERATION) or "")
    return InferencePod(
        policy=labels.get(meta.LABEL_POLICY, ""),
        site=labels.get(meta.LABEL_SITE, ""),
        slot=labels.get(meta.LABEL_SLOT, ""),
        template=marks.get(manifests.ANNOTATION_TEMPLATE, ""),
        phase=_phase(metadata, status),
        address=status.get("podIP") or None,
        restarts=int(container.get("restartCount") or 0),
        reason=reason,
        message=message,
        version=_marked(VERSION, marks.get(manifests.ANNOTATION_VERSION)),
        digest=_marked(DIGEST, marks.get(manifests.ANNOTATION_DIGEST)),
        generation=int(generation) if GENERATION.fullmatch(generation) else None,
    )


def _marked(pattern: re.Pattern[str], mark: object) -> str | None:
    """A mark as we write it; whoever may edit Pods may write another, which says nothing."""
    return str(mark) if mark is not None and pattern.fullmatch(str(mark)) else None


def _phase(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> snapshot.PodPhase:
    if metadata.get("deletionTimestamp"):
        return snapshot.PodPhase.TERMINATING
    match status.get("phase"):
        case "Failed" | "Succeeded":
            return snapshot.PodPhase.FAILED
        case "Running":
            ready = _condition(status, "Ready").get("status") == "True"
            return snapshot.PodPhase.READY if ready else snapshot.PodPhase.UNREADY
        case _:
            return snapshot.PodPhase.PENDING


def _trouble(
    document: Mapping[str, Any], status: Mapping[str, Any], container: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """Why it does not serve, from the first of: how it ended, what it waits for, the scheduler."""
    if container.get("ready"):
        return None, None
    spec = document.get("spec") or {}
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        ended = state.get("terminated")
        if ended:
            return _ending(ended, spec)
    waiting = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason"):
        return _waiting(waiting, spec)
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return scheduled.get("reason"), _short(scheduled.get("message"))
    return status.get("reason"), _short(status.get("message"))


def _waiting(waiting: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """What its container waits for.

    A kubelet goes on without a pull Secret that is not there: only its Events say so, which the
    operator may not read. What the registry answers is told, with the Secrets to look at.
    """
    reason, message = str(waiting["reason"]), _short(waiting.get("message"))
    if reason in IMAGE_REASONS:
        secrets = ", ".join(
            str(reference.get("name")) for reference in spec.get("imagePullSecrets") or ()
        )
        asked = f" (pulled with Secret {secrets}, if it is there)" if secrets else ""
        return conditions.Reason.IMAGE_PULL.value, f"{message or reason}{asked}"
    if reason == "CreateContainerConfigError" and "secret" in (message or "").lower():
        return conditions.Reason.SECRET_MISSING.value, message
    return reason, message


def _ending(ended: Mapping[str, Any], spec: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """How the serving process ended, by its own words where it left any."""
    is_refused = ended.get("exitCode") == EXIT_REFUSED
    try:
        ending = serving.Ending.decode(str(ended.get("message") or ""))
    except pydantic.ValidationError:
        reason = ended.get("reason") or "Ended"
        return (conditions.Reason.MODEL_REJECTED if is_refused else reason), _short(
            ended.get("message")
        )
    if ending.reason == conditions.Reason.SECRET_MISSING:
        named = [volume["secret"] for volume in spec.get("volumes") or () if volume.get("secret")]
        secrets = ", ".join(str(secret.get("secretName")) for secret in named)
        return ending.reason, _short(f"Secret {secrets}: {ending.message}")
    return ending.reason, _short(ending.message)


def _condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    matching = (
        condition for condition in status.get("conditions") or () if condition.get("type") == name
    )
    return next(matching, {})


def _short(message: object) -> str | None:
    return str(message)[:512] if message else None
