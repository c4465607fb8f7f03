"""What to change of a model, for whoever exported it: the remedies of a case, not of a reason.

The runtime's errors are text. What is recognised in one gets its remedy; what is not keeps the one
of its reason. Pure: read by `vet`, `schema` and `session`, and by whoever runs a model.
"""

import re
from typing import Final, NamedTuple

from foreshore_serving.refusal import Fault, Rejected

NO_ZIPMAP: Final = (
    'convert with options={"zipmap": False} (scikit-learn) or zipmap=False (LightGBM)'
)

LESS_MEMORY: Final = (
    "a model that takes less: fewer trees, smaller tensors; --memory-mib where you start the server"
)

_NOISE: Final = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |Exception during \w+: "
    r"|Non-zero status code returned while |status\.IsOK\(\) was false\. |Name:'' |Status Message: "
    r"|[\w/.+-]{1,200}\.(?:cc|h):\d+ (?:[^()'\"]{1,400}\([^()'\"]{0,400}\)(?: const)? )?"
    r"|\[with [^\]]{0,300}\] "
)
"""Error classes, source files and C++ signatures around what the runtime has to say."""

_OF_INPUTS: Final = re.compile(r"Unknown Category and zeros = 0")
"""What operators say of a value that none of their training had: of the input, not of the model."""

_OF_ERRORS: Final = (
    (
        re.compile(
            r"Opset (?P<had>\d+) is under development.*"
            r"support for domain (?P<domain>\S+) is till opset (?P<most>\d+)"
        ),
        "opset {had} of {domain} is newer than the runtime's {most}",
        "export with opset {most} of {domain} or older: opset_version (PyTorch), target_opset"
        " (converters)",
    ),
    (
        re.compile(
            r"Unsupported model IR version: (?P<had>\d+), max supported IR version: (?P<most>\d+)"
        ),
        "IR version {had} is newer than the runtime's {most}",
        "export with an older onnx, or set ir_version={most} and onnx.save it: operators stay",
    ),
    (
        re.compile(r"No Op registered for (?P<operator>\S+) with domain_version of (?P<had>-?\d+)"),
        "the runtime knows no operator {operator} in opset {had}",
        "export with another opset: the operator came later, or was taken out",
    ),
    (
        re.compile(r"Could not find an implementation for (?P<operator>\S+) node"),
        "the runtime cannot compute operator {operator} for the types that it is used with",
        "export in single precision (FP32), or with another opset",
    ),
    (
        re.compile(r"Op \(ZipMap\)"),
        "{text}",
        'convert with options={{"zipmap": False}}: ZipMap takes the classes of one target',
    ),
    (
        _OF_INPUTS,
        "a category that training had not",
        'a value that training had, or OneHotEncoder(handle_unknown="ignore")',
    ),
    (
        re.compile(r"graph is not acyclic"),
        "the graph runs in circles",
        "export the model anew: a graph of ONNX has no circle",
    ),
    (
        re.compile(r"bad_alloc|Failed to allocate memory|MemoryError"),
        "out of memory: {text}",
        LESS_MEMORY,
    ),
)

_OF_DOMAINS: Final = (
    ("ai.onnx.preview.training", "export it for inference: without loss, gradients and optimiser"),
    ("ai.onnx.training", "export it for inference: without loss, gradients and optimiser"),
    (
        "com.microsoft",
        "take the model as the converter wrote it: not quantised, fused or saved by ONNX Runtime",
    ),
    ("org.pytorch", "export without ATen fallback: operator_export_type=OperatorExportTypes.ONNX"),
    ("ai.onnx.contrib", "export without onnxruntime-extensions: tokens are made before the model"),
)


class ErrorAdvice(NamedTuple):
    """A refusal's two halves."""

    cause: str
    remedy: str
    """Empty: that of the reason."""


def of_error(error: BaseException) -> ErrorAdvice:
    """Return what the runtime's error says, without its noise, and what helps."""
    text = _NOISE.sub("", str(error)[:8192].strip()) or type(error).__name__
    for pattern, cause, remedy in _OF_ERRORS:
        match = pattern.search(text, 0, 4096)
        if match is not None:
            facts = {**match.groupdict(), "text": text}
            return ErrorAdvice(cause.format(**facts), remedy.format(**facts))
    return ErrorAdvice(text, "")


def is_of_input(error: BaseException) -> bool:
    """Whether the runtime's error lies in the values of an input, which another may not have."""
    return _OF_INPUTS.search(str(error)[:8192]) is not None


def rejected(error: Exception) -> Rejected:
    """Return why a request that the runtime failed on is not answered."""
    fault = Fault.UNKNOWN_CATEGORY if is_of_input(error) else Fault.INFERENCE_FAILED
    return Rejected(fault, str(error)[:500])


def of_domain(domain: str) -> str:
    """Return how a model is exported without the operators of a domain; empty: as for any."""
    return next((remedy for prefix, remedy in _OF_DOMAINS if domain.startswith(prefix)), "")


def of_type(kind: str) -> str:
    """Return what takes the place of a value that the protocol cannot carry.

    Args:
        kind: as the runtime writes it: `seq(map(int64,tensor(float)))`, `tensor(bfloat16)`.
    """
    if kind.startswith("seq(map"):
        return NO_ZIPMAP
    if kind.startswith(("seq", "optional", "sparse", "map")):
        return "export it as a tensor: of a sequence, take or stack its elements in the model"
    return "cast it in the model: FP32, FP64, an integer of 8 to 64 bits, BOOL or text"
