"""Train a classifier on readings of your own, and export it as skl2onnx does by default.

    python train_room.py --training training.csv --output room.onnx

Nothing is prepared for the product: a scaler and a forest in a pipeline, labels that are text, the
defaults of the exporter. Needs scikit-learn and skl2onnx (`uv run` of this repository has both).
Another version of either may write other bytes: the digest of yours goes into the ModelVersion.
"""

import argparse
import csv
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS: Final = ("light", "co2", "temperature")
"""In the order of the model's columns: the Model's features name them in the same."""

FOLDER: Final = Path(__file__).parent


def read(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Return the readings (rows, 3) and the words (rows,) of a recording."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    readings = np.array([[row[column] for column in COLUMNS] for row in rows], np.float32)
    return readings, np.array([row["room"] for row in rows])


def main() -> None:
    """Train, say how good it is, and write it."""
    parser = argparse.ArgumentParser(description="Train the classifier of this example.")
    parser.add_argument("--training", type=Path, default=FOLDER / "training.csv")
    parser.add_argument("--output", type=Path, default=FOLDER / "room.onnx")
    arguments = parser.parse_args()

    readings, words = read(arguments.training)
    forest = RandomForestClassifier(10, max_depth=4, random_state=0)
    model = make_pipeline(StandardScaler(), forest)
    folds = cross_val_score(model, readings, words, cv=TimeSeriesSplit(4))
    model.fit(readings, words)
    body = to_onnx(model, readings[:1]).SerializeToString()
    arguments.output.write_bytes(body)
    print(f"{arguments.output}: {len(body)} bytes, classes {', '.join(model.classes_)}")
    print(f"{folds.mean():.1%} right on the days after those it was trained on")


if __name__ == "__main__":
    main()
