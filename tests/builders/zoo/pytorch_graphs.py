"""Networks with the structure that `torch.onnx.export` gives them, by hand. Listed in `pytorch`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import inliner

from builders.zoo import exported, graphs, networks
from builders.zoo.exported import Array, Exported, Question
from builders.zoo.graphs import node, value, weight


def layers(kind: type[np.floating[Any]] = np.float32) -> list[onnx.TensorProto]:
    """Return the perceptron's weights as `nn.Sequential` names them."""
    return [
        weight(f"layers.{2 * at}.{name}", array.astype(kind))
        for at, layer in enumerate(networks.perceptron())
        for name, array in layer._asdict().items()
    ]


def perceptron(
    given: str, answered: str, batch: graphs.Dimension, kind: type[np.floating[Any]] = np.float32
) -> Any:
    """Return the perceptron under names of its own."""
    names = [tensor.name for tensor in layers()]
    nodes = [
        node("Gemm", [given, *names[0:2]], ["/layers.0/Gemm_output_0"], transB=1),
        node("Relu", ["/layers.0/Gemm_output_0"], ["/layers.1/Relu_output_0"]),
        node("Gemm", ["/layers.1/Relu_output_0", *names[2:4]], ["linear_1"], transB=1),
        node("Relu", ["linear_1"], ["relu_1"]),
        node("Gemm", ["relu_1", *names[4:6]], ["linear_2"], transB=1),
        node("Sigmoid", ["linear_2"], [answered]),
    ]
    element = graphs.FLOAT if kind is np.float32 else onnx.TensorProto.FLOAT16
    return graphs.graph(
        nodes,
        [value(given, [batch, 3], element)],
        [value(answered, [batch, 1], element)],
        layers(kind),
    )


def perceived(
    given: str, answered: str, batch: graphs.Dimension, kind: type[np.floating[Any]] = np.float32
) -> Exported:
    """Return it with what the original answers."""
    rows = networks.scaled().astype(kind)
    questions = exported.asked_by_row(
        given, rows, lambda rows: {answered: networks.perceive(rows.astype(np.float32))}
    )
    return Exported(graphs.body(perceptron(given, answered, batch, kind)), questions)


def second_file() -> Exported:
    """Write what the exporter writes since 2.9 when nothing is set: weights in a second file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save_model(
            perceptron("x", "sigmoid", 1),
            path,
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location="model.onnx.data",
            size_threshold=256,
        )
        return Exported(path.read_bytes())


def put_together() -> Exported:
    """Write the two files as one, with the line that the remedy names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save_model(
            perceptron("x", "sigmoid", 1), path, save_as_external_data=True, size_threshold=256
        )
        onnx.save(onnx.load(path), path)
        return Exported(path.read_bytes(), perceived("x", "sigmoid", 1).questions)


def recurrent(steps: graphs.Dimension) -> Exported:
    """Return a recurrent network, and what it answers to whole windows."""
    net = networks.recurrent()
    nodes = [
        node("Transpose", ["window"], ["time_first"], perm=[1, 0, 2]),
        node(
            "LSTM",
            ["time_first", "onnx::LSTM_71", "onnx::LSTM_72", "onnx::LSTM_73"],
            ["", "/lstm/LSTM_output_1"],
            hidden_size=networks.HIDDEN,
        ),
        node("Squeeze", ["/lstm/LSTM_output_1", "first"], ["state"]),
        node("Gemm", ["state", "dense.weight", "dense.bias"], ["logit"], transB=1),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    weights = [
        weight("onnx::LSTM_71", net.inputs),
        weight("onnx::LSTM_72", net.states),
        weight("onnx::LSTM_73", net.bias),
        weight("dense.weight", net.dense.weight),
        weight("dense.bias", net.dense.bias),
        weight("first", np.array([0])),
    ]
    given, answered = [value("window", ["batch", steps, 3])], [value("score", ["batch", 1])]
    questions = exported.asked_by_row(
        "window", networks.windows(), lambda rows: {"score": networks.remember(rows)}
    )
    return Exported(graphs.body(graphs.graph(nodes, given, answered, weights)), questions)


def convolutional() -> Exported:
    """Return a convolution over time, with the batch fixed at 1."""
    kernel, pooled = networks.kernel(), networks.pooled()
    nodes = [
        node("Transpose", ["window"], ["channels"], perm=[0, 2, 1]),
        node("Conv", ["channels", "conv.weight", "conv.bias"], ["mapped"], kernel_shape=[5]),
        node("Relu", ["mapped"], ["positive"]),
        node("GlobalAveragePool", ["positive"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights = [
        weight("conv.weight", kernel.weight),
        weight("conv.bias", kernel.bias),
        weight("head.weight", pooled.weight),
        weight("head.bias", pooled.bias),
    ]
    given = [value("window", [1, networks.STEPS, 3])]
    model = graphs.graph(nodes, given, [value("probabilities", [1, 2])], weights)
    questions = exported.asked_by_row(
        "window", networks.windows(), lambda rows: {"probabilities": networks.convolve(rows)}
    )
    return Exported(graphs.body(model), questions)


def rebuilt(
    nodes: Sequence[onnx.NodeProto],
    answered: onnx.ValueInfoProto,
    more: Sequence[onnx.TensorProto] = (),
) -> bytes:
    """Return the autoencoder from `x` to `rebuilt`, followed by nodes with weights of their own."""
    down, up = networks.autoencoder()
    weights = [
        weight("encoder.weight", down.weight),
        weight("encoder.bias", down.bias),
        weight("decoder.weight", up.weight),
        weight("decoder.bias", up.bias),
        *more,
    ]
    inner = [
        node("Gemm", ["x", "encoder.weight", "encoder.bias"], ["code"], transB=1),
        node("Tanh", ["code"], ["squashed"]),
        node("Gemm", ["squashed", "decoder.weight", "decoder.bias"], ["rebuilt"], transB=1),
        *nodes,
    ]
    return graphs.body(graphs.graph(inner, [value("x", ["batch", 3])], [answered], weights))


ERROR = (
    node("Sub", ["rebuilt", "x"], ["difference"]),
    node("Mul", ["difference", "difference"], ["square"]),
)


def autoencoder() -> Exported:
    """Return an autoencoder that answers the row as it rebuilds it."""
    questions = exported.asked_by_row(
        "x", networks.scaled(), lambda rows: {"output": networks.reconstruct(rows)}
    )
    body = rebuilt([node("Identity", ["rebuilt"], ["output"])], value("output", ["batch", 3]))
    return Exported(body, questions)


def scalar() -> Exported:
    """Return an autoencoder whose loss is the output: a number without a dimension."""
    mean = node("ReduceMean", ["square"], ["loss"], keepdims=0)
    questions = tuple(
        Question({"x": row}, {"loss": np.mean((networks.reconstruct(row) - row) ** 2)})
        for row in np.split(networks.scaled(), len(networks.scaled()))
    )
    return Exported(rebuilt([*ERROR, mean], value("loss", [])), questions)


def truth_value() -> Exported:
    """Return an autoencoder that says itself whether a row is an anomaly."""
    nodes = [
        *ERROR,
        node("ReduceMean", ["square", "last"], ["loss"], keepdims=0),
        node("Greater", ["loss", "limit"], ["anomaly"]),
    ]

    def answer(rows: Array) -> dict[str, Array]:
        return {"anomaly": np.mean((networks.reconstruct(rows) - rows) ** 2, axis=1) > 1.0}

    weights = [weight("limit", np.array(1.0, np.float32)), weight("last", np.array([1]))]
    body = rebuilt(nodes, value("anomaly", ["batch"], onnx.TensorProto.BOOL), weights)
    return Exported(body, exported.asked_by_row("x", networks.scaled(), answer))


def sequence() -> Exported:
    """Return a module whose output is a list of tensors."""
    nodes = [node("SequenceConstruct", ["rebuilt", "code"], ["outputs"])]
    kind = onnx.helper.make_tensor_type_proto(graphs.FLOAT, ["batch", None])
    answered = onnx.helper.make_value_info("outputs", onnx.helper.make_sequence_type_proto(kind))
    return Exported(rebuilt(nodes, answered))


def embedded() -> Exported:
    """Return a network with an embedding: an index beside numbers, and a flag."""
    table, head = networks.drawn(20, 3, 2), networks.layer(21, 6, 1)
    nodes = [
        node("Gather", ["embedding.weight", "state"], ["embedded"]),
        node("Cast", ["open"], ["opened"], to=graphs.FLOAT),
        node("Concat", ["x", "embedded", "opened"], ["joined"], axis=1),
        node("Gemm", ["joined", "head.weight", "head.bias"], ["score"], transB=1),
    ]
    weights = [
        weight("embedding.weight", table),
        weight("head.weight", head.weight),
        weight("head.bias", head.bias),
    ]
    given = [
        value("x", ["batch", 3]),
        value("state", ["batch"], onnx.TensorProto.INT64),
        value("open", ["batch", 1], onnx.TensorProto.BOOL),
    ]
    model = graphs.graph(nodes, given, [value("score", ["batch", 1])], weights)
    questions = []
    for at, row in enumerate(networks.scaled()):
        state, is_open = at % 3, at % 2 == 0
        joined = np.concatenate([row, table[state], [np.float32(is_open)]])[np.newaxis]
        feeds = {
            "x": row[np.newaxis],
            "state": np.array([state]),
            "open": np.array([[is_open]]),
        }
        questions.append(Question(feeds, {"score": head(joined)}))
    return Exported(graphs.body(model), tuple(questions))


def with_functions(*, is_inlined: bool) -> Exported:
    """Return what an exporter with functions of its own leaves, or what inlining makes of it."""
    function = onnx.helper.make_function(
        "pkg.onnxscript.torch_lib",
        "aten_sigmoid",
        ["x"],
        ["y"],
        [node("Sigmoid", ["x"], ["y"])],
        [onnx.helper.make_opsetid("", 18)],
    )
    model = perceptron("x", "sigmoid", 1)
    model.graph.node[-1].op_type, model.graph.node[-1].domain = function.name, function.domain
    model.functions.append(function)
    model.opset_import.append(onnx.helper.make_opsetid(function.domain, 1))
    if is_inlined:
        model = inliner.inline_local_functions(model)
    return Exported(graphs.body(model), perceived("x", "sigmoid", 1).questions)


def training() -> Exported:
    """Return a graph with a step of training in it, as on-device training writes it."""
    model = perceptron("x", "sigmoid", 1)
    step = node(
        "Momentum",
        ["rate", "count", "layers.0.bias", "layers.0.bias", "layers.0.bias"],
        ["bias_after", "momentum_after"],
        domain="ai.onnx.preview.training",
        alpha=0.9,
        beta=1.0,
        mode="standard",
        norm_coefficient=0.0,
    )
    model.graph.node.append(step)
    model.graph.initializer.extend(
        [weight("rate", np.array(0.1, np.float32)), weight("count", np.array(0))]
    )
    model.opset_import.append(onnx.helper.make_opsetid(step.domain, 1))
    return Exported(bytes(model.SerializeToString()))


def optimised() -> Exported:
    """Return a graph with an operator of the ONNX Runtime, as its optimiser writes it."""
    model = perceptron("x", "sigmoid", 1)
    model.graph.node[-1].op_type = "QuickGelu"
    model.graph.node[-1].domain = "com.microsoft"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    return Exported(graphs.body(model))
