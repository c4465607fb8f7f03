"""What a parsed model file says of itself: inputs, outputs, operators, how much there is of each.

Called by `inspector`, in the limited child, with a message that protobuf has parsed. The answer is
plain data, as `foreshore_api.wire.inspection.ModelInspection` reads it. Nothing here trusts the
file: texts and lists are cut to the bounds of that document, counts to what it can carry, and the
walk keeps a list of its own in place of the interpreter's stack.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from foreshore_serving import schema, vet, zipmap
from foreshore_serving.refusal import Reason

TENSORS: Final = 64
LABELS: Final = 256
ENTRIES: Final = 16
CHARACTERS: Final = 256
SENTENCE: Final = 1024
LARGEST: Final = 1 << 53
"""Bounds of `wire.inspection`, which a test compares: the child has no room for its module."""
LARGEST_LENGTH: Final = 1 << 30
DEPTH: Final = 4
"""Sequences of sequences that are written out."""
UNKNOWN: Final = "?"

_LABELS: Final = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
"""Attributes in which the standard's classifiers have their labels."""
_FLOATS: Final = ("FP16", "FP32", "FP64")

Described = dict[str, Any]


def describe(model: Any) -> Described:
    """Return the fields of a ModelInspection that a parsed ModelProto gives."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    zipped = {output.output: output.labels for output in zipmap.find(model)}
    labels = _class_labels(graph)
    return {
        "irVersion": _count(model.ir_version),
        "producer": text(f"{_plain(model.producer_name)} {_plain(model.producer_version)}".strip()),
        "opsets": [
            {"domain": text(opset.domain), "version": _count(opset.version)}
            for opset in model.opset_import[:TENSORS]
        ],
        "inputs": [_tensor(value) for value in inputs[:TENSORS]],
        "inputCount": len(inputs),
        "outputs": [_output(value, zipped, labels) for value in graph.output[:TENSORS]],
        "outputCount": len(graph.output),
        "findings": list(itertools.islice(_channels_first(graph, inputs[:TENSORS]), ENTRIES)),
        **_contents(model),
    }


def _channels_first(graph: Any, inputs: Iterable[Any]) -> Iterator[Described]:
    """Yield the inputs that would take a window of samples turned by a quarter.

    A convolution slides over the last dimension, so that one which reads [batch, features, steps]
    from outside would be answered, wrongly, with the samples where its features belong.
    """
    convolved = {
        node.input[0]
        for node in graph.node
        if (node.op_type, node.domain) == ("Conv", "") and node.input
    }
    for value in inputs:
        shape = _tensor(value).get("shape", ())
        if value.name in convolved and len(shape) == 3 and shape[1] != 1:
            sizes = ", ".join(map(str, shape))
            yield {
                "reason": Reason.UNSUPPORTED_SHAPE,
                "message": text(
                    f"input {text(value.name)} [{sizes}] goes into a convolution as it is, which"
                    " takes [batch, features, steps]; windows of samples are [batch, steps,"
                    " features]",
                    SENTENCE,
                ),
                "remedy": "export the model with a transposition before it, in PyTorch"
                " x.transpose(1, 2) at the beginning of forward",
            }


def text(value: object, longest: int = CHARACTERS) -> str:
    """Return a text of the file's as a document may carry it; what is cut ends in an ellipsis."""
    plain = _plain(value)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _plain(value: object) -> str:
    """Return a text of the file's: bytes where it is no UTF-8."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _count(value: int) -> int:
    return min(max(0, value), LARGEST)


def _tensor(value: Any) -> Described:
    """Return an input or output as it stands in the file."""
    described: Described = {"name": text(value.name), "type": text(_type(value.type))}
    if value.type.WhichOneof("value") == "tensor_type":
        tensor = value.type.tensor_type
        data_type = schema.ELEMENTS.get(tensor.elem_type, (UNKNOWN, None))[1]
        if data_type is not None:
            described["dataType"] = data_type
        if tensor.HasField("shape"):
            described["shape"] = [_length(size) for size in tensor.shape.dim[:TENSORS]]
    return described


def _output(
    value: Any, zipped: Mapping[str, tuple[str | int, ...]], labels: tuple[str | int, ...]
) -> Described:
    """Return an output, a ZipMap's as the tensor that it is answered as."""
    described = _tensor(value)
    if value.name in zipped:
        columns = zipped[value.name]
        described |= {"dataType": "FP32", "shape": [-1, len(columns)], "isUnwrapped": True}
        return described | {"labels": _listed(columns)}
    shape = described.get("shape") or [0]
    if labels and shape[-1] == len(labels) and described.get("dataType") in _FLOATS:
        described["labels"] = _listed(labels)
    return described


def _listed(labels: Iterable[str | int]) -> list[str | int]:
    return [
        label if isinstance(label, int) else text(label, SENTENCE)
        for label in list(labels)[:LABELS]
    ]


def _type(declared: Any, depth: int = 0) -> str:
    """Return a type in ONNX's words."""
    kind: str | None = declared.WhichOneof("value")
    if kind is None or depth > DEPTH:
        return UNKNOWN
    inner = getattr(declared, kind)
    word = kind.removesuffix("_type")
    match kind:
        case "tensor_type" | "sparse_tensor_type":
            return f"{word}({_element(inner.elem_type)})"
        case "map_type":
            return f"map({_element(inner.key_type)}, {_type(inner.value_type, depth + 1)})"
        case "sequence_type" | "optional_type":
            return f"{word}({_type(inner.elem_type, depth + 1)})"
    return word


def _element(number: int) -> str:
    return schema.ELEMENTS.get(number, (UNKNOWN, None))[0]


def _length(size: Any) -> int | str:
    """Return the length of a dimension: a free one by its name in the file, else -1."""
    match size.WhichOneof("value"):
        case "dim_value" if 0 < size.dim_value <= LARGEST_LENGTH:
            return int(size.dim_value)
        case "dim_param" if size.dim_param:
            return text(size.dim_param)
    return -1


def _class_labels(graph: Any) -> tuple[str | int, ...]:
    """Return the labels of the graph's classifier; none where it has not exactly one."""
    labels = [
        tuple(attribute.ints) or tuple(_plain(label) for label in attribute.strings)
        for node in graph.node
        for attribute in node.attribute
        if node.domain == zipmap.DOMAIN and node.op_type != zipmap.OPERATOR
        if attribute.name in _LABELS
    ]
    distinct = set(labels) - {()}
    return distinct.pop() if len(distinct) == 1 else ()


def _contents(model: Any) -> Described:
    """Return how much there is in the graph and all that it nests."""
    nodes, parameters = 0, 0
    loops: Counter[str] = Counter()
    foreign: Counter[tuple[str, str]] = Counter()
    files: Counter[str] = Counter()
    for message in _nested(model):
        if message.DESCRIPTOR.name == "NodeProto":
            nodes += 1
            parameters += sum(len(attribute.floats) for attribute in message.attribute)
            loops.update([message.op_type] if message.op_type in vet.LOOPS else [])
            if message.domain not in vet.DOMAINS:
                foreign[(text(message.domain), text(message.op_type))] += 1
        elif message.DESCRIPTOR.name == "TensorProto":
            parameters += _elements(message)
            if message.data_location != 0 or message.external_data:
                files.update(_locations(message) or [UNKNOWN])
    return {
        "nodes": nodes,
        "parameters": _count(parameters),
        "loops": sorted(loops),
        "foreign": [
            {"domain": domain, "name": name, "count": count}
            for (domain, name), count in foreign.most_common(ENTRIES)
        ],
        "externalFiles": [text(file) for file, _ in files.most_common(ENTRIES)],
        "functions": [text(function.name) for function in model.functions[:ENTRIES]],
    }


def _locations(tensor: Any) -> list[str]:
    """Return the files in which a tensor's values lie."""
    return [entry.value for entry in tensor.external_data if entry.key == "location"]


def _elements(tensor: Any) -> int:
    """Return how many elements a tensor says that it has; a hostile one says anything."""
    product = 1
    for length in tensor.dims[:TENSORS]:
        product = min(product * max(0, length), LARGEST)
    return product


def _nested(model: Any) -> Iterator[Any]:
    """Yield the nodes and the constants of a model, those of branches, loops and functions too."""
    pending: list[Any] = [model.graph, *model.functions]
    while pending:
        message = pending.pop()
        if message.DESCRIPTOR.name == "GraphProto":
            yield from message.initializer
            yield from (sparse.values for sparse in message.sparse_initializer)
        for node in message.node:
            yield node
            for attribute in node.attribute:
                pending.extend(attribute.graphs)
                yield from attribute.tensors
                if attribute.HasField("g"):
                    pending.append(attribute.g)
                if attribute.HasField("t"):
                    yield attribute.t
