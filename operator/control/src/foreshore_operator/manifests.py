"""How the objects look that the operator owns: placements, inference Pods, and what is beside them.

Pure: `act` writes what these render, `pods` reads the marks back. Pods pass the restricted Pod
Security profile, know no API credential, and are pinned to their node by affinity rather than by
`nodeName`, so that the scheduler still checks taints and room.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from foreshore_api import addresses, conditions, declared, meta, scalars, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_api.wire import serving
from foreshore_decision import served
from foreshore_planner import protection
from foreshore_planner.placement import case, figures

Json = dict[str, Any]

ANNOTATION_TEMPLATE = f"{meta.GROUP}/template"
"""On inference Pods: hash of everything the Pod was made from but its node."""
ANNOTATION_VERSION = f"{meta.GROUP}/version"
"""On inference Pods: name of the ModelVersion that is served."""
ANNOTATION_DIGEST = f"{meta.GROUP}/digest"
"""On inference Pods: digest of the bytes that are served."""
ANNOTATION_GENERATION = f"{meta.GROUP}/policy-generation"
"""On inference Pods: generation of the policy that the Pod was made for."""
NAME = "foreshore-serving"
LABELS = {
    "app.kubernetes.io/name": NAME,
    "app.kubernetes.io/managed-by": "foreshore-operator",
    "app.kubernetes.io/part-of": "foreshore",
}
SELECTOR = f"app.kubernetes.io/name={NAME}"
MANAGED = f"app.kubernetes.io/managed-by={LABELS['app.kubernetes.io/managed-by']}"
"""Selects all that the operator makes, pods or not."""
UNEVICTABLE = 10_000
"""Replicas of one policy that an eviction must leave ready: more than there ever are."""
MODEL_FOLDER = "/etc/foreshore/model"
CA_FOLDER = "/etc/foreshore/ca"
USER = 65532
"""Runs as nobody in particular: the number that distroless images call nonroot."""


def refusal(document: Json, why: str, now: datetime.datetime) -> v1alpha1.statuses.Observed:
    """The status of an object that this release does not understand."""
    generation = int(document["metadata"].get("generation") or 0)
    try:
        before = v1alpha1.statuses.Observed.model_validate(document.get("status") or {})
    except ValueError:
        before = v1alpha1.statuses.Observed()
    wanted = [
        conditions.Condition(
            type=type_.value,
            status=value,
            reason=conditions.Reason.INVALID.value,
            message=why[:1024],
            last_transition_time=scalars.timestamp(now),
            observed_generation=generation,
        )
        for type_, value in (
            (conditions.Type.READY, conditions.Status.FALSE),
            (conditions.Type.STALLED, conditions.Status.TRUE),
        )
    ]
    return v1alpha1.statuses.Observed(
        observed_generation=generation,
        conditions=conditions.merge(before.conditions, wanted, now),
    )


def without_figures(status: Json) -> Json:
    """A placement's status without what is measured anew all the time.

    Of the candidates the counts stay, by cause, but for two: latency wavers with every sample, and
    a node that joins another site would be a write for every placement. Examples name free room,
    which wavers with other people's pods.

    Condition messages go too: those of the budget name the nearest candidate with its figures. So
    do those of successors: a kubelet words the same trouble in turns. Who wrote it last is no news
    either.
    """
    budget = {key: status.get("budget", {}).get(key) for key in ("limit", "from")}
    left_out = ("candidates", "writerEpoch")
    shown = [
        {key: condition.get(key) for key in ("type", "status", "reason", "observedGeneration")}
        for condition in status.get("conditions") or ()
    ]
    return {
        **{key: value for key, value in status.items() if key not in left_out and value},
        "candidates": _counts(status.get("candidates") or {}),
        "replicas": [_without_words(replica) for replica in status.get("replicas") or ()],
        "budget": budget,
        "conditions": sorted(shown, key=lambda condition: str(condition["type"])),
    }


def _counts(candidates: Mapping[str, Any]) -> dict[str, int]:
    return {
        str(rejection["reason"]): int(rejection["count"])
        for rejection in candidates.get("rejected") or ()
        if rejection["reason"] not in (reasons.LATENCY_BUDGET, reasons.OTHER_SITE)
    }


def _without_words(replica: Json) -> Json:
    successor = replica.get("successor")
    if not successor:
        return replica
    return {**replica, "successor": {**successor, "message": None}}


def is_ours(metadata: Mapping[str, Any]) -> bool:
    """Whether a Pod is an inference pod that the operator made."""
    labels = metadata.get("labels") or {}
    return all(labels.get(key) == value for key, value in LABELS.items())


def wanted_node(spec: Mapping[str, Any]) -> str | None:
    """The node a Pod of ours is pinned to; it has no `nodeName` before it is scheduled."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and len(field.get("values") or ()) == 1:
                return str(field["values"][0])
    return None


def placement(plan: case.PlacementPlan, policy: v1alpha1.DecisionPolicy) -> Json:
    """The InferencePlacement of a policy at a site, owned by the policy."""
    return {
        "metadata": {
            "namespace": plan.namespace,
            "name": plan.name,
            "labels": {
                **_managed(),
                meta.LABEL_POLICY: plan.policy,
                meta.LABEL_SITE: plan.site,
            },
            "ownerReferences": [owner(policy)],
        },
        "spec": {"policyRef": {"name": plan.policy}, "site": plan.site},
    }


def disruption_budget(policy: v1alpha1.DecisionPolicy) -> Json:
    """What makes an eviction of a ready replica wait, as `kubectl drain` does.

    A drain cordons first, and that moves the replicas: each goes when its successor serves and
    agents have turned to it. To allow as many evictions as there are replicas to spare would be
    less: a successor that is ready is not yet one that agents know. What does not serve may be
    evicted at any time. Always the same, so that it is created and never written again.
    """
    return {
        "metadata": {
            "namespace": policy.namespace,
            "name": protection.key(policy.namespace, policy.name)[1],
            "labels": {**_managed(), meta.LABEL_POLICY: policy.name},
            "ownerReferences": [owner(policy)],
        },
        "spec": {
            "minAvailable": UNEVICTABLE,
            "selector": {
                "matchLabels": {"app.kubernetes.io/name": NAME, meta.LABEL_POLICY: policy.name}
            },
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def config_map(
    intent: case.PodIntent, pod_uid: str, model: v1alpha1.Model, version: v1alpha1.ModelVersion
) -> Json:
    """`model.json` of one Pod, under the Pod's name.

    Owned by the Pod, so that it goes away with it and the operator need not list, watch or delete
    ConfigMaps, which would be a right to read everybody's. Immutable: another model is another Pod.
    """
    owned_by = {"apiVersion": "v1", "kind": "Pod", "name": intent.name, "uid": pod_uid}
    return {
        "metadata": {
            "namespace": intent.namespace,
            "name": intent.name,
            "labels": _labels(intent),
            "ownerReferences": [{**owned_by, "controller": True, "blockOwnerDeletion": False}],
        },
        "immutable": True,
        "data": {"model.json": model_config(model, version).encode().decode()},
    }


def model_config(model: v1alpha1.Model, version: v1alpha1.ModelVersion) -> serving.ModelConfig:
    """What the serving process is told. Raises ValueError for a source no Pod can reach."""
    https = version.spec.source.https
    if https is None:
        raise ValueError(f"ModelVersion {version.name} has no source that a Pod can reach")
    ca = f"{CA_FOLDER}/ca.crt" if https.ca_secret_ref is not None else None
    return serving.ModelConfig(
        name=model.name,
        version=version.name,
        digest=version.spec.digest,
        source=serving.Source(https=serving.HttpsSource(url=https.url, ca_file=ca)),
        inputs=declared.inputs(model.spec),
        outputs=declared.outputs(model.spec),
        providers=tuple(version.spec.runtime.providers),
        is_first_required=served.is_first_required(version.spec.runtime),
    )


def pod(
    intent: case.PodIntent,
    owned_by: v1alpha1.InferencePlacement,
    policy: v1alpha1.DecisionPolicy,
    version: v1alpha1.ModelVersion,
    *,
    image: str,
) -> Json:
    """One inference replica on its node."""
    asked = policy.spec.placement
    https = version.spec.source.https
    ca = https.ca_secret_ref.name if https is not None and https.ca_secret_ref else None
    spec: Json = {
        "affinity": _pinned(intent.node),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [*_waiting(), *(toleration.document() for toleration in asked.tolerations)],
        "containers": [_container(version, image, has_ca=ca is not None)],
        "volumes": _volumes(intent.name, ca),
    }
    if asked.runtime_class_name is not None:
        spec["runtimeClassName"] = asked.runtime_class_name
    if asked.priority_class_name is not None:
        spec["priorityClassName"] = asked.priority_class_name
    if asked.image_pull_secrets:
        spec["imagePullSecrets"] = [reference.document() for reference in asked.image_pull_secrets]
    return {
        "metadata": {
            "namespace": intent.namespace,
            "name": intent.name,
            "labels": {**_labels(intent), meta.LABEL_SLOT: intent.slot},
            "annotations": {
                ANNOTATION_TEMPLATE: intent.template,
                ANNOTATION_VERSION: intent.version,
                ANNOTATION_DIGEST: intent.digest,
                ANNOTATION_GENERATION: str(intent.generation),
            },
            "ownerReferences": [owner(owned_by)],
        },
        "spec": spec,
    }


def owner(resource: meta.Resource) -> Json:
    """The reference to the controlling owner, in the same namespace."""
    return {
        "apiVersion": meta.API_VERSION,
        "kind": resource.kind,
        "name": resource.name,
        "uid": resource.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _managed() -> dict[str, str]:
    return {key: LABELS[key] for key in LABELS if not key.endswith("/name")}


def _labels(intent: case.PodIntent) -> dict[str, str]:
    return {**LABELS, meta.LABEL_POLICY: intent.policy, meta.LABEL_SITE: intent.site}


def _pinned(node: str) -> Json:
    match = {"key": "metadata.name", "operator": "In", "values": [node]}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchFields": [match]}]
            }
        }
    }


def _waiting() -> list[Json]:
    """Without these the taint manager evicts after 300 s what we decided to hold."""
    return [
        {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute"}
        for state in ("not-ready", "unreachable")
    ]


def _container(version: v1alpha1.ModelVersion, image: str, *, has_ca: bool) -> Json:
    mounts = [{"name": "model", "mountPath": MODEL_FOLDER, "readOnly": True}]
    if has_ca:
        mounts.append({"name": "ca", "mountPath": CA_FOLDER, "readOnly": True})
    return {
        "name": "serving",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["foreshore-serving"],
        "args": [
            "run",
            "--model-config",
            f"{MODEL_FOLDER}/model.json",
            "--listen",
            addresses.joined(addresses.EVERY, figures.PORT),
        ],
        "ports": [{"name": "http", "containerPort": figures.PORT, "protocol": "TCP"}],
        "resources": _resources(version.spec.resources),
        "readinessProbe": _probe("ready", period=1, failures=2),
        "livenessProbe": _probe("live", period=10, failures=6),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts, {"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 (a volume of its own)
    }


def _resources(asked: v1alpha1.modelversion.ModelResources) -> Json:
    """What a replica asks for; of an extended resource the API server wants both to be equal."""
    requests: Json = {"cpu": asked.cpu, "memory": asked.memory}
    limits: Json = {"memory": asked.memory}
    if asked.accelerator is not None:
        requests[asked.accelerator.name] = limits[asked.accelerator.name] = str(
            asked.accelerator.count
        )
    return {"requests": requests, "limits": limits}


def _probe(what: str, *, period: int, failures: int) -> Json:
    return {
        "httpGet": {"path": f"/v2/health/{what}", "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 1 if period < 5 else 5,
        "failureThreshold": failures,
    }


def _volumes(config: str, ca: str | None) -> list[Json]:
    volumes: list[Json] = [
        {"name": "model", "configMap": {"name": config}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    if ca is not None:
        items = [{"key": "ca.crt", "path": "ca.crt"}]
        # optional: without it the serving process itself says what is missing, and tries again
        secret = {"secretName": ca, "items": items, "optional": True}
        volumes.append({"name": "ca", "secret": secret})
    return volumes
