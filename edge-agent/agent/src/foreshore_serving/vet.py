"""Read a model's structure before any runtime sees it, and refuse what it has no need of.

Called by `child`, inside its limits. onnxruntime refuses junk and operators it has not registered,
but loads what this module refuses: tensors in other files (a hard-linked file was read), vendor
operators, functions that expand without bound. The walk is over protobuf's own reflection, so that
a message type added to ONNX later cannot hide a node or a tensor.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from foreshore_api import printable
from foreshore_serving import advice, foreign
from foreshore_serving.refusal import Reason, Refused

DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")
"""Operator domains of the ONNX standard; a runtime's own are not portable between nodes."""

MAXIMUM_NODES: Final = 50_000
_NAME: Final = 64
_BOOL: Final = 9
"""ONNX's number of the type."""
_BROKEN: Final = (
    "the bytes are no ONNX model: they break off, are damaged or nest graphs too deeply"
)

LOOPS: Final = ("Loop", "Scan")
"""Operators that run as often as the values of their inputs say."""

RANDOM: Final = frozenset(
    (
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    )
)
"""Operators that draw numbers: an autoencoder of the variational kind is often exported so."""


class Structure(NamedTuple):
    """What the nodes of an accepted model show."""

    has_loops: bool
    """Whether how long it runs depends on the values of its inputs, not on their lengths alone."""
    random: tuple[str, ...] = ()
    """Its operators that draw numbers, by name."""

    @property
    def note(self) -> str:
        """What a person should know of what it answers; empty: nothing."""
        if not self.random:
            return ""
        operators = ", ".join(self.random)
        return (
            f"its answers are drawn by chance ({operators}), the same inputs get others each time;"
            " export it without: of a variational autoencoder take the mean in place of a sample"
        )


def check(body: bytes) -> Structure:
    """Refuse what `parse` or `check_model` refuses: a model comes as bytes. Raises Refused."""
    return check_model(parse(body))


def check_model(model: Any) -> Structure:
    """Refuse a parsed model unless it is self-contained, bounded and of standard operators.

    Raises:
        Refused: ExternalData, UnknownDomain, LocalFunctions, TrainingGraph or TooManyNodes.
    """
    nodes, has_loops = 0, False
    random: set[str] = set()
    switches: set[str] = set()
    truths: set[str] = set()
    for message in _messages(model):
        match message.DESCRIPTOR.name:
            case "NodeProto":
                nodes += 1
                _check_node(message, nodes)
                has_loops = has_loops or message.op_type in LOOPS
                random.update({message.op_type} & RANDOM)
                switches.update(message.input[2:3] if message.op_type == "Dropout" else ())
                truths.update(message.output if _is_true_constant(message) else ())
            case "TensorProto":
                _check_tensor(message)
                truths.update([message.name] if _is_true(message) else ())
            case "FunctionProto":
                name = _quoted(message.name)
                raise Refused(
                    Reason.LOCAL_FUNCTIONS, f"the model defines the operator {name} itself"
                )
            case "TrainingInfoProto":
                raise Refused(Reason.TRAINING_GRAPH, "the model carries a graph of its training")
    if switches & truths:
        raise Refused(Reason.TRAINING_GRAPH, "operator Dropout trains: it drops numbers by chance")
    return Structure(has_loops, tuple(sorted(random)))


def parse(body: bytes) -> Any:
    """Return the ModelProto that bytes are. Raises Refused: NotONNX."""
    foreign.check(body)
    # Here, because the parent never parses a model.
    from google.protobuf import message  # type: ignore[import-untyped]

    from foreshore_serving import onnx_ml_pb2

    model_type: Any = vars(onnx_ml_pb2)[
        "ModelProto"
    ]  # the class is made when the module is imported
    try:
        model = model_type.FromString(body)
    except message.DecodeError as error:
        raise Refused(Reason.NOT_ONNX, _BROKEN) from error
    # Many byte strings happen to parse: a model also has a version, an operator set and a graph.
    if model.ir_version < 1 or not model.opset_import or not model.HasField("graph"):
        raise Refused(Reason.NOT_ONNX, _BROKEN)
    return model


def _messages(root: Any) -> Iterator[Any]:
    pending = [root]
    while pending:
        message = pending.pop()
        yield message
        if message.DESCRIPTOR.name == "TensorProto":
            continue  # its values may be large, and it holds no node
        for field, value in message.ListFields():
            if field.message_type is not None:
                pending.extend(value if field.is_repeated else (value,))


def _check_node(node: Any, count: int) -> None:
    if count > MAXIMUM_NODES:
        raise Refused(Reason.TOO_MANY_NODES, f"the model has more than {MAXIMUM_NODES} nodes")
    if node.domain not in DOMAINS:
        operator, domain = _quoted(node.op_type), _quoted(node.domain)
        raise Refused(
            Reason.UNKNOWN_DOMAIN,
            f"operator {operator} is of domain {domain}, not of the standard",
            advice.of_domain(domain),
        )
    if any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute):
        raise Refused(Reason.TRAINING_GRAPH, f"operator {_quoted(node.op_type)} trains")


def _check_tensor(tensor: Any) -> None:
    if tensor.data_location != 0 or len(tensor.external_data) > 0:
        raise Refused(
            Reason.EXTERNAL_DATA, f"the values of tensor {_quoted(tensor.name)} lie in another file"
        )


def _is_true_constant(node: Any) -> bool:
    return node.op_type == "Constant" and any(map(_is_true, (a.t for a in node.attribute)))


def _is_true(tensor: Any) -> bool:
    """Whether a tensor is one Boolean, and true."""
    is_set = tensor.raw_data == b"\x01" or list(tensor.int32_data[:2]) == [1]
    return tensor.data_type == _BOOL and is_set


def _quoted(name: str | bytes) -> str:
    """Cut a name; protobuf gives bytes where it is no UTF-8."""
    return printable.line(name if isinstance(name, str) else name.decode(errors="replace"), _NAME)
