"""Why a model is not served: in the end of a pod, in conditions, in the troubles of a folder.

An enumeration, because parent and child exchange members by their code.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import unique
from types import MappingProxyType
from typing import Final

from foreshore_api.reasons import ReasonEnum


@unique
class ServingReason(ReasonEnum):
    """Every refusal of a model; but for `TRANSIENT`, it stands until the ModelVersion changes."""

    FETCH_FAILED = (
        "FetchFailed",
        "The source could not be read in time; it is tried again.",
        "a source that answers; or put the file into the folder of the resources, or of --models",
    )
    SECRET_MISSING = (
        "SecretMissing",
        "The file that the source's authority is in is not there.",
        "create the Secret, or add the key",
    )
    PROVIDER_MISSING = (
        "ProviderMissing",
        "The execution provider that the version requires does not compute the model here.",
        "an image whose ONNX Runtime has the provider, a node with its device and driver"
        " (resources.accelerator), or a new version with require: Any and CPU among its providers",
    )
    CRASHED = (
        "Crashed",
        "The child process ended by a signal while it loaded; it is started again.",
        "more memory for the replica; if it goes on, a model that the runtime can load",
    )
    CANNOT_START = (
        "CannotStart",
        "The child process could not be started; it is tried again.",
        "what the message says: memory, a limit of processes, the state directory",
    )
    MODEL_REFUSED = (
        "ModelRefused",
        "The child process refused the model and left no reason.",
        "look at the agent's log, which has what the child wrote",
    )
    STALLED = (
        "Stalled",
        "The child process stopped beating; it is started again.",
        "a model whose inferences are shorter, or a longer --stall-seconds",
    )
    NOT_FOUND = (
        "NotFound",
        "There is no file with this digest, and no source to ask.",
        "a path counts from the folder of the resources; --models names another folder",
    )
    TOO_LARGE = (
        "TooLarge",
        "The artefact has more bytes than maximumBytes.",
        "a larger maximumBytes, or a smaller model",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "The bytes are not the ones that were declared.",
        "put the declared file there, or declare the digest of this one",
    )
    NOT_ONNX = (
        "NotONNX",
        "The bytes are no ONNX model.",
        "the whole file, as the exporter wrote it: onnx.checker.check_model(path) reads it",
    )
    EXTERNAL_DATA = (
        "ExternalData",
        "A tensor's values lie in another file.",
        "export with external_data=False, or onnx.save(onnx.load(path), path) beside both files",
    )
    UNKNOWN_DOMAIN = (
        "UnknownDomain",
        "The model has an operator outside the allowed domains.",
        "export the model with standard operators",
    )
    LOCAL_FUNCTIONS = (
        "LocalFunctions",
        "The model defines operators itself, which expand without bound.",
        "inline them: onnx.inliner.inline_local_functions(onnx.load(path))",
    )
    TRAINING_GRAPH = (
        "TrainingGraph",
        "The model is one that trains: its answers depend on what was asked before or by chance.",
        "export it for inference: model.eval() before torch.onnx.export, training=False in Keras",
    )
    TOO_MANY_NODES = (
        "TooManyNodes",
        "The graph has too many nodes.",
        "a smaller model: fewer trees, or fewer layers",
    )
    SCHEMA_MISMATCH = (
        "SchemaMismatch",
        "Inputs or outputs are not what the Model declares.",
        "correct the Model, or a version that has what it declares",
    )
    UNSUPPORTED_TYPE = (
        "UnsupportedType",
        "An element type that the protocol's JSON cannot carry.",
        "export the model with tensors of numbers, booleans or text",
    )
    LOAD_FAILED = (
        "LoadFailed",
        "The runtime refused the model.",
        "export the model for the runtime's version; the message is the runtime's",
    )
    WARM_UP_FAILED = (
        "WarmUpFailed",
        "The first run failed.",
        "a model that runs on inputs of the declared shapes",
    )
    LOAD_TIMEOUT = (
        "LoadTimeout",
        "Loading and warm-up took too long and were ended.",
        "a smaller model, or more CPU for the replica",
    )
    LOADING = ("Loading", "No refusal: no child serves yet.")
    STOPPING = ("Stopping", "No refusal: it was asked to end.")


TRANSIENT: Final = (
    ServingReason.FETCH_FAILED,
    ServingReason.SECRET_MISSING,
    ServingReason.PROVIDER_MISSING,
    ServingReason.CRASHED,
    ServingReason.CANNOT_START,
    ServingReason.STALLED,
)
"""Tried again without a change of the ModelVersion."""
OF_THE_NODE: Final = frozenset({ServingReason.PROVIDER_MISSING})
"""Of these what lies in the node: another may do, and waiting at this one rarely helps."""
STATES: Final = (ServingReason.LOADING, ServingReason.STOPPING)
"""No refusals: what a server says while it does not serve."""
LASTING: Final = frozenset(ServingReason) - {*TRANSIENT, *STATES}
"""Lie in the model version: the same on every node, until it changes."""

TABLE: Final[Mapping[str, ServingReason]] = MappingProxyType(
    {row.value: row for row in ServingReason}
)
"""Every refusal of a model by its code."""
