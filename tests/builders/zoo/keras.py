"""Networks as tf2onnx writes them, and quantised ones as the ONNX Runtime's own tools do.

The graphs of tf2onnx are made by hand with its structure; the quantiser is the real one.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime import quantization

from builders.zoo import exported, graphs, networks, pytorch_graphs
from builders.zoo.exported import Declared, Entry, Exported
from builders.zoo.graphs import node, value, weight


def dense(given: str, answered: str) -> Exported:
    """Return the perceptron in the layout of TensorFlow: MatMul by [in, out], then Add."""
    nodes, weights, last = [], [], given
    for at, layer in enumerate(networks.perceptron()):
        at_last = at == len(networks.perceptron()) - 1
        names = [
            f"StatefulPartitionedCall/sequential/dense_{at}/{part}:0"
            for part in ("MatMul/ReadVariableOp", "BiasAdd/ReadVariableOp", "MatMul", "BiasAdd")
        ]
        weights += [weight(names[0], layer.weight.T.copy()), weight(names[1], layer.bias)]
        active = answered if at_last else f"sequential/dense_{at}/Relu:0"
        nodes += [
            node("MatMul", [last, names[0]], [names[2]]),
            node("Add", [names[2], names[1]], [names[3]]),
            node("Sigmoid" if at_last else "Relu", [names[3]], [active]),
        ]
        last = active
    model = graphs.graph(
        nodes,
        [value(given, ["unk__12", 3])],
        [value(answered, ["unk__13", 1])],
        weights,
        producer="tf2onnx",
        opset=15,
        domains=["ai.onnx.ml"],
    )
    questions = exported.asked_by_row(
        given, networks.scaled(), lambda rows: {answered: networks.perceive(rows)}
    )
    return Exported(graphs.body(model), questions)


class Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]  # no types
    """The rows that the quantiser measures ranges on."""

    def __init__(self) -> None:
        self._rows = iter(np.split(networks.scaled(), len(networks.scaled())))

    def get_next(self) -> dict[str, Any] | None:
        row = next(self._rows, None)
        return None if row is None else {"input": row}


def quantised(*, is_static: bool) -> Exported:
    """Quantise the perceptron to INT8, with QDQ pairs or at each run."""
    logging.disable(logging.WARNING)  # it warns that the model was not preprocessed
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            onnx.save(pytorch_graphs.perceptron("input", "output", "batch"), source)
            if is_static:
                form = quantization.QuantFormat.QDQ
                quantization.quantize_static(source, target, Calibration(), quant_format=form)
            else:
                quantization.quantize_dynamic(source, target)
            return Exported(
                target.read_bytes(), pytorch_graphs.perceived("input", "output", "batch").questions
            )
    finally:
        logging.disable(logging.NOTSET)


MATRIX = exported.matrix("input")
OUTPUT = Declared("output", "FP32", (-1, 1))

KERAS = (
    Entry(
        "keras-sequential",
        "three Dense layers",
        "tf2onnx.convert.from_keras(model)",
        lambda: dense("dense_input", "dense_2"),
        (exported.matrix("dense_input"),),
        (Declared("dense_2", "FP32", (-1, 1)),),
    ),
    Entry(
        "keras-saved-model",
        "three Dense layers",
        "python -m tf2onnx.convert --saved-model DIR --output model.onnx",
        lambda: dense("dense_input:0", "StatefulPartitionedCall/sequential/dense_2/Sigmoid:0"),
        (exported.matrix("dense_input:0"),),
        (Declared("StatefulPartitionedCall/sequential/dense_2/Sigmoid:0", "FP32", (-1, 1)),),
        "the names as they are",
    ),
)

QUANTISED = (
    Entry(
        "quantised-qdq",
        "three dense layers, INT8 with QuantizeLinear and DequantizeLinear",
        "quantize_static(…, quant_format=QuantFormat.QDQ)",
        lambda: quantised(is_static=True),
        (MATRIX,),
        (OUTPUT,),
        tolerance=0.03,  # eight bits, of the values before the sigmoid
    ),
    Entry(
        "quantised-dynamic",
        "three dense layers, INT8 weights",
        "quantize_dynamic(source, target)",
        lambda: quantised(is_static=False),
        (MATRIX,),
        (OUTPUT,),
        tolerance=0.03,
    ),
)
