"""ModelVersion: one immutable artefact by digest, where its bytes come from, what it needs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

import pydantic
from pydantic import StringConstraints

from foreshore_api import meta, scalars
from foreshore_api.contract import Document, FolderOnly, ListSet, NotSupported, Rule
from foreshore_api.v1alpha1.isolation import Isolation
from foreshore_api.v1alpha1.statuses import Observed


class HttpsSourceSpec(Document):
    """Bytes from a web server."""

    url: Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$", max_length=2048)]
    """Address of the artefact. Example: `https://172.18.0.1:8443/occupancy-v1.onnx`."""

    ca_secret_ref: meta.SecretReference | None = None
    """Secret with the server's CA under `ca.crt`; where agents run the model (isolation Agent) one
    of this name in their namespace too, listed in modelAuthorities of their chart. Absent: the CAs
    that the image trusts."""


class FileSourceSpec(Document):
    """Bytes from a folder, in folder mode."""

    path: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_./]*$", max_length=512)
    ]
    """Path below the folder of the resources. Example: `model/occupancy-v1.onnx`."""

    validations = (
        Rule(
            rule="!self.path.matches('(^|/)[.][.](/|$)')",
            message="the path leads out of the folder",
            field_path=".path",
        ),
    )


class OciSource(Document):
    """Bytes from an OCI registry."""

    reference: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z0-9][-a-z0-9.:]*(/[-a-z0-9._]+)+(:[-A-Za-z0-9._]+)?(@sha256:[a-f0-9]{64})?$",
            max_length=512,
        ),
    ]
    """Artefact in the registry. Example: `registry.example/models/occupancy:v1`."""

    pull_secret_ref: meta.SecretReference | None = None
    """Secret of type dockerconfigjson. Absent: the registry is open."""


class SourceSpec(Document):
    """Where the bytes come from: exactly one of the fields."""

    https: HttpsSourceSpec | None = None
    """Bytes from a web server. Absent: from another source."""

    file: Annotated[FileSourceSpec | None, FolderOnly()] = None
    """Bytes from the folder of the resources; folder mode only. Absent: from another source."""

    oci: Annotated[OciSource | None, NotSupported()] = None
    """Bytes from an OCI registry. Absent: from another source."""

    validations = (
        Rule(
            rule="[has(self.https), has(self.file), has(self.oci)].filter(x, x).size() == 1",
            message="exactly one of https, file and oci is needed",
        ),
    )


class Accelerator(Document):
    """Devices of the node that a replica needs for itself."""

    name: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
            max_length=317,
        ),
    ]
    """Extended resource, as the node's device plug-in names it. Example: `nvidia.com/gpu`."""

    count: Annotated[int, pydantic.Field(ge=1, le=16)] = 1
    """How many. Example: `1`."""


class ModelResources(Document):
    """What a replica that serves the version asks its node for."""

    cpu: scalars.Quantity = "100m"
    """CPU that is requested, in cores. Example: `100m`."""

    memory: scalars.Quantity = "128Mi"
    """Memory that is requested, in bytes, and its limit. Example: `128Mi`."""

    accelerator: Accelerator | None = None
    """What it needs of the node beside a processor: in requests and limits of its pod. Where pods
    see it under a runtime class alone, as NVIDIA's on K3s, the policy's placement names that as
    runtimeClassName. Absent: nothing."""


class ExecutionProvider(StrEnum):
    """What of ONNX Runtime computes a model; all but CPU need a runtime that is built with it."""

    CPU = "CPU"
    CUDA = "CUDA"
    TENSOR_RT = "TensorRT"
    OPEN_VINO = "OpenVINO"
    MI_GRAPH_X = "MIGraphX"
    XNNPACK = "XNNPACK"


class RequiredProvider(StrEnum):
    """Which of the providers must compute the model."""

    ANY = "Any"
    """Whichever is there, the first before the next; status and records name it."""
    FIRST = "First"
    """The first: a replica that would fall back to another refuses the model."""


class ModelRuntime(Document):
    """What runs the version."""

    isolation: Isolation = Isolation.CHILD
    """Child: in a limited process of its own, in a pod. Agent: in the process of every agent that
    may hold a device of the policy, after it ran in a child there, where the Site allows it, the
    agent has room (value modelMemory of its chart) and the version wants CPU first and no
    accelerator; elsewhere as Child, and InAgent says why. The placement in a policy's spec chooses
    nodes for pods alone. Example: `Child`."""

    providers: Annotated[
        tuple[ExecutionProvider, ...], pydantic.Field(min_length=1, max_length=6), ListSet()
    ] = (ExecutionProvider.CPU,)
    """Execution providers, the most wanted first; CPU takes over only where it is listed. All but
    CPU are asked and read as ONNX Runtime documents them, and tried on no device so far.
    Example: `[CUDA, CPU]`."""

    require: RequiredProvider = RequiredProvider.ANY
    """Which of them must compute the model: what ONNX Runtime falls back to by itself is seen and
    held to this. Example: `First`."""


class ExpectedInference(Document):
    """What is expected of an inference until it is measured."""

    p99: scalars.PositiveDuration
    """99th percentile of one inference on a common node. Example: `10ms`."""


class ModelVersionSpec(Document):
    """Desired state of a ModelVersion; it cannot change."""

    model_ref: meta.ObjectReference
    """The Model whose inputs and outputs this version has."""

    source: SourceSpec
    """Where the bytes come from."""

    digest: scalars.Digest
    """SHA-256 of the bytes; anything else is refused.
    Example: `sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`."""

    resources: ModelResources = ModelResources()
    """What a replica asks its node for."""

    runtime: ModelRuntime = ModelRuntime()
    """What runs the version."""

    expected_inference: ExpectedInference | None = None
    """What is expected until it is measured. Absent: nothing, so that a placement says
    BudgetMet=Unknown until there are samples."""

    validations = (
        Rule(
            rule="self == oldSelf",
            message="a ModelVersion never changes: create another one",
            reason="FieldValueForbidden",
        ),
    )


class ModelVersionStatus(Observed):
    """What the operator knows of a ModelVersion."""


class ModelVersion(meta.Resource):
    """One immutable ONNX artefact by digest."""

    kind: ClassVar[str] = "ModelVersion"
    plural: ClassVar[str] = "modelversions"
    short_name: ClassVar[str] = "fsmv"

    spec: ModelVersionSpec
    """Desired state."""

    status: ModelVersionStatus = ModelVersionStatus()
    """Observed state, written by the operator."""
