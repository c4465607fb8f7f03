"""The kinds of foreshore.dev/v1alpha1, one module a kind.

`from foreshore_api import v1alpha1`, then `v1alpha1.Device`; parts of a kind are in its module
(`v1alpha1.device.DeviceAuthority`) and what kinds share in `protection`, `evaluation`, `actuation`,
`placing`, `selection`, `isolation`, `judging`.
"""

from __future__ import annotations

from foreshore_api import meta
from foreshore_api.v1alpha1 import (
    actuation,
    cluster,
    commanding,
    datatype,
    decisionpolicy,
    device,
    deviceprofile,
    evaluation,
    inferenceplacement,
    isolation,
    judging,
    model,
    modelversion,
    placing,
    protection,
    selection,
    site,
    statuses,
    telemetry,
)
from foreshore_api.v1alpha1.cluster import Cluster, ClusterSpec, ClusterStatus, Tier
from foreshore_api.v1alpha1.datatype import DataType
from foreshore_api.v1alpha1.decisionpolicy import (
    DecisionPolicy,
    DecisionPolicySpec,
    DecisionPolicyStatus,
    Hazard,
    Mode,
)
from foreshore_api.v1alpha1.device import Device, DeviceAuthority, DeviceSpec, DeviceStatus
from foreshore_api.v1alpha1.deviceprofile import (
    DeviceProfile,
    DeviceProfileSpec,
    DeviceProfileStatus,
)
from foreshore_api.v1alpha1.inferenceplacement import (
    BudgetStage,
    InferencePlacement,
    InferencePlacementSpec,
    InferencePlacementStatus,
)
from foreshore_api.v1alpha1.isolation import Isolation
from foreshore_api.v1alpha1.model import Model, ModelSpec, ModelStatus
from foreshore_api.v1alpha1.modelversion import ModelVersion, ModelVersionSpec, ModelVersionStatus
from foreshore_api.v1alpha1.site import Site, SiteSpec, SiteStatus

KINDS: tuple[type[meta.Resource], ...] = (
    Site,
    DeviceProfile,
    Device,
    Model,
    ModelVersion,
    DecisionPolicy,
    Cluster,
    InferencePlacement,
)
"""Every kind, in the order in which people meet them."""

__all__ = [
    "KINDS",
    "BudgetStage",
    "Cluster",
    "ClusterSpec",
    "ClusterStatus",
    "DataType",
    "DecisionPolicy",
    "DecisionPolicySpec",
    "DecisionPolicyStatus",
    "Device",
    "DeviceAuthority",
    "DeviceProfile",
    "DeviceProfileSpec",
    "DeviceProfileStatus",
    "DeviceSpec",
    "DeviceStatus",
    "Hazard",
    "InferencePlacement",
    "InferencePlacementSpec",
    "InferencePlacementStatus",
    "Isolation",
    "Mode",
    "Model",
    "ModelSpec",
    "ModelStatus",
    "ModelVersion",
    "ModelVersionSpec",
    "ModelVersionStatus",
    "Site",
    "SiteSpec",
    "SiteStatus",
    "Tier",
    "actuation",
    "cluster",
    "commanding",
    "datatype",
    "decisionpolicy",
    "device",
    "deviceprofile",
    "evaluation",
    "inferenceplacement",
    "isolation",
    "judging",
    "model",
    "modelversion",
    "placing",
    "protection",
    "selection",
    "site",
    "statuses",
    "telemetry",
]
