"""One CustomResourceDefinition a kind: the schema, and how `kubectl get` and selectors show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from foreshore_api import meta
from foreshore_api.schema import prose, structural

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """A column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0

    def document(self) -> Schema:
        """The column as a CRD writes it."""
        return {
            "name": self.name,
            "type": self.type,
            "description": self.description,
            "jsonPath": self.path,
            **({"priority": self.priority} if self.priority else {}),
        }


@dataclass(frozen=True, slots=True)
class Surface:
    """What a kind shows beside its schema: the one domain fact, what is selectable, its names."""

    facts: tuple[PrinterColumn, ...]
    selectable: tuple[str, ...] = ()


READY = (
    PrinterColumn(
        "Ready", '.status.conditions[?(@.type=="Ready")].status', "Accepted and delivered."
    ),
    PrinterColumn(
        "Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why Ready is as it is."
    ),
)
AGE = PrinterColumn("Age", ".metadata.creationTimestamp", "Time since creation.", type="date")

SURFACES: Mapping[str, Surface] = MappingProxyType(
    {
        "Site": Surface(
            (PrinterColumn("Agents", ".status.agents", "Agents that report.", type="integer"),),
        ),
        "DeviceProfile": Surface(
            (
                PrinterColumn(
                    "Devices", ".status.devices", "Devices of the profile.", type="integer"
                ),
            )
        ),
        "Device": Surface(
            (
                PrinterColumn(
                    "Holder", ".status.authority.holder", "Node whose agent may command."
                ),
                PrinterColumn("Site", ".spec.site", "Site of the device.", priority=1),
                PrinterColumn(
                    "Profile", ".spec.profileRef.name", "Profile of the device.", priority=1
                ),
                PrinterColumn(
                    "Epoch", ".status.authority.epoch", "Epoch of the grant.", "integer", 1
                ),
                PrinterColumn("Fence", ".status.fence", "Who fences the device.", priority=1),
            ),
            selectable=(".spec.site", ".spec.profileRef.name", ".status.authority.holder"),
        ),
        "Model": Surface(
            (
                PrinterColumn(
                    "Versions", ".status.versionCount", "Versions of the model.", type="integer"
                ),
            )
        ),
        "ModelVersion": Surface(
            (
                PrinterColumn("Model", ".spec.modelRef.name", "Model of the version."),
                PrinterColumn("Digest", ".spec.digest", "Digest of the bytes.", priority=1),
            )
        ),
        "DecisionPolicy": Surface(
            (
                PrinterColumn("Mode", ".status.effectiveMode", "Mode in force."),
                PrinterColumn(
                    "Model", ".spec.modelRef.version", "Version that is asked.", priority=1
                ),
                PrinterColumn("Devices", ".status.bound.devices", "Devices bound.", "integer", 1),
            )
        ),
        "Cluster": Surface(
            (PrinterColumn("Tier", ".spec.tier", "Tier of nodes of no site without a label."),)
        ),
        "InferencePlacement": Surface(
            (
                PrinterColumn(
                    "Node",
                    '.status.replicas[?(@.role=="Active")].node',
                    "Node of the first active replica.",
                ),
                PrinterColumn("Budget", ".status.budget.limit", "Latency budget.", priority=1),
                PrinterColumn("Measured", ".status.budget.measured", "Measured p99.", priority=1),
                PrinterColumn(
                    "InAgent",
                    '.status.conditions[?(@.type=="InAgent")].status',
                    "Whether the agents run the model themselves, where that is asked.",
                    priority=1,
                ),
            ),
            selectable=(".spec.policyRef.name", ".spec.site"),
        ),
    }
)


def document(kind: type[meta.Resource]) -> Schema:
    """Return the CustomResourceDefinition of a kind."""
    surface = SURFACES[kind.kind]
    version: Schema = {
        "name": meta.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.document() for column in (*READY, *surface.facts, AGE)],
        "schema": {"openAPIV3Schema": _root(kind, surface)},
    }
    if surface.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in surface.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{meta.GROUP}"},
        "spec": {
            "group": meta.GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": [meta.CATEGORY],
            },
            "versions": [version],
        },
    }


def _root(kind: type[meta.Resource], surface: Surface) -> Schema:
    spec, status, rules = structural.of(kind)
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "description": "Version of the schema of this object, foreshore.dev/v1alpha1.",
                "type": "string",
                "maxLength": 64,
            },
            "kind": {
                "description": f"Kind of this object, {kind.kind}.",
                "type": "string",
                "maxLength": 64,
            },
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string",
                        "maxLength": kind.longest_name,
                        "pattern": kind.name_pattern,
                    }
                },
            },
            "spec": prose.complete(spec, required=True),
            "status": prose.complete(status),
        },
        **rules,
    }
