"""ZipMap, with which converters end a classifier: a tensor of probabilities made a list of maps.

The protocol carries tensors. What goes into a ZipMap is one, and the node's class labels say which
column is which, so that nothing is lost where the tensor is answered in its place:

    probabilities [batch, classes] ──► ZipMap(labels) ──► output, a sequence of maps
    probabilities [batch, classes] ──► Identity ────────► output, the tensor      (`unwrapped`)

Called by `session` on every model before the runtime sees it; whoever shows a model to people calls
`find`. Protobuf is imported only where the bytes name the operator.
"""

from typing import Any, Final, NamedTuple

OPERATOR: Final = "ZipMap"
DOMAIN: Final = "ai.onnx.ml"

_LABELS: Final = {"classlabels_int64s": "ints", "classlabels_strings": "strings"}
"""Where a ZipMap may have its labels, by the name of the attribute and of the attribute's field."""


class ZipMap(NamedTuple):
    """An output of a graph that is a ZipMap's."""

    output: str
    """Name of the output."""
    labels: tuple[str | int, ...]
    """Class labels in the order of the columns."""
    tensor: str
    """Name of the tensor of probabilities that goes into it."""


class UnwrappedModel(NamedTuple):
    """A model whose outputs that were a ZipMap's are the tensors behind them."""

    body: bytes
    """The bytes that were given where there was no such output."""
    zipped: tuple[ZipMap, ...] = ()
    """What was unwrapped."""


def find(model: Any) -> tuple[ZipMap, ...]:
    """Return the outputs of a parsed ModelProto that can be answered as the tensor behind them.

    An output whose maps are made elsewhere, in a branch or by other operators, is not among them.
    No operator of the runtime reads a sequence of maps, so that none misses it.
    """
    makers = {node.output[0]: node for node in model.graph.node if _is_zipmap(node)}
    zipped = []
    for output in model.graph.output:
        node = makers.get(output.name)
        if node is not None and (labels := _labels(node)):
            zipped.append(ZipMap(output.name, labels, node.input[0]))
    return tuple(zipped)


def unwrapped(body: bytes) -> UnwrappedModel:
    """Replace the outputs that are a ZipMap's; names, order and everything else stay.

    Args:
        body: a model, checked by `vet` here or in the trial.
    """
    if OPERATOR.encode() not in body:
        return UnwrappedModel(body)
    from foreshore_serving import onnx_ml_pb2

    model_type: Any = vars(onnx_ml_pb2)["ModelProto"]  # made when the module is imported
    model = model_type.FromString(body)
    zipped = {zipmap.output: zipmap for zipmap in find(model)}
    if not zipped:
        return UnwrappedModel(body)
    for node in model.graph.node:
        if _is_zipmap(node) and node.output[0] in zipped:
            _replace(node, zipped[node.output[0]])
    for output in model.graph.output:
        if output.name in zipped:
            _retype(output.type, len(zipped[output.name].labels))
    return UnwrappedModel(bytes(model.SerializeToString()), tuple(zipped.values()))


def _is_zipmap(node: Any) -> bool:
    """Whether a node is a ZipMap with names that are text; protobuf gives bytes where none is."""
    names = (*node.input, *node.output)
    is_whole = len(names) == 2 and len(node.output) == 1 and set(map(type, names)) == {str}
    return (node.op_type, node.domain) == (OPERATOR, DOMAIN) and is_whole


def _labels(node: Any) -> tuple[str | int, ...]:
    """Return a ZipMap's labels; none where it has both kinds, as the runtime refuses it."""
    kinds = [
        tuple(getattr(attribute, _LABELS[attribute.name]))
        for attribute in node.attribute
        if attribute.name in _LABELS
    ]
    if len(kinds) != 1:
        return ()
    return tuple(
        label.decode(errors="replace") if isinstance(label, bytes) else label for label in kinds[0]
    )


def _replace(node: Any, zipmap: ZipMap) -> None:
    """Make a node hand on the tensor; whatever else reads that still does."""
    node.Clear()
    node.op_type = "Identity"
    node.input.append(zipmap.tensor)
    node.output.append(zipmap.output)


def _retype(declared: Any, classes: int) -> None:
    """Declare an output as [any length, classes] of FLOAT, the only type that a ZipMap takes."""
    declared.Clear()
    declared.tensor_type.elem_type = 1
    declared.tensor_type.shape.dim.add()
    declared.tensor_type.shape.dim.add().dim_value = classes
