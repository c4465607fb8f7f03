"""Train the occupancy classifier of this example and write it as ONNX.

    python train.py datatraining.csv --test datatest.csv --output occupancy-v1.onnx

A logistic regression on the last light, CO2 and temperature; standardisation is part of the graph,
so that the agent feeds the numbers as the sensor says them. The fit is Newton's method on the whole
set and its coefficients are rounded, so that any machine writes the same bytes: the ModelVersion
names their SHA-256. Needs numpy and onnx (`uv run` of this repository has both).

Data: UCI data set 357 (see occupancy.csv.license); the full files are not part of this repository.
"""

import argparse
import csv
import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper

COLUMNS: Final = ("Light", "CO2", "Temperature")
"""In the order of the Model's features."""

THRESHOLD: Final = 0.8
"""The policy permits from this probability on; the accuracies below count with it."""

RIDGE: Final = 1.0
ROUNDS: Final = 50
DIGITS: Final = 4

Array = npt.NDArray[np.float64]


def read(path: Path) -> tuple[Array, Array]:
    """Return the features (rows, 3) and the labels (rows,) of a recording."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    features = [[float(row[column]) for column in COLUMNS] for row in rows]
    return np.array(features), np.array([float(row["Occupancy"]) for row in rows])


def fit(features: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return mean and scale of the features (3,), and the weights with the bias last (4,)."""
    mean, scale = features.mean(axis=0).round(DIGITS), features.std(axis=0).round(DIGITS)
    design = np.column_stack([(features - mean) / scale, np.ones(len(features))])
    penalty = RIDGE * np.diag([1.0, 1.0, 1.0, 0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        p = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (p - labels) + penalty @ weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + penalty
        weights -= np.linalg.solve(hessian, gradient)
    return mean, scale, weights.round(DIGITS)


def graph(mean: Array, scale: Array, weights: Array) -> bytes:
    """Return the classifier as ONNX: features in, probabilities of empty and occupied out."""
    constants = {
        "mean": mean,
        "scale": scale,
        "weights": weights[:3].reshape(3, 1),
        "bias": weights[3:],
        "one": np.ones(1),
    }
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("Gemm", ["standardised", "weights", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["occupied"]),
        helper.make_node("Sub", ["one", "occupied"], ["empty"]),
        helper.make_node("Concat", ["empty", "occupied"], ["probabilities"], axis=1),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "occupancy",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 3])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2])],
            [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,  # the oldest that goes with the operator set: older runtimes read it too
        producer_name="foreshore-example",
    )
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def predict(features: Array, mean: Array, scale: Array, weights: Array) -> Array:
    """Return the probability of occupied for each row."""
    logit: Array = ((features - mean) / scale) @ weights[:3] + weights[3]
    return 1 / (1 + np.exp(-logit))


def main() -> None:
    """Train, write, and say how good it is."""
    parser = argparse.ArgumentParser(description="Train the occupancy classifier of this example.")
    parser.add_argument("training", type=Path, help="datatraining.csv of the data set")
    parser.add_argument("--test", type=Path, help="datatest.csv of the data set")
    parser.add_argument("--output", type=Path, default=Path("occupancy-v1.onnx"))
    arguments = parser.parse_args()

    features, labels = read(arguments.training)
    model = fit(features, labels)
    body = graph(*model)
    arguments.output.write_bytes(body)
    print(f"{arguments.output}: {len(body)} bytes, sha256:{hashlib.sha256(body).hexdigest()}")
    for path in filter(None, (arguments.training, arguments.test)):
        features, labels = read(path)
        occupied = predict(features, *model) >= THRESHOLD
        right = float((occupied == (labels == 1)).mean())
        print(f"{path.name}: {right:.1%} of {len(labels)} rows right at {THRESHOLD}")


if __name__ == "__main__":
    main()
