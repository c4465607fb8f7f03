"""Every export of the zoo, by the exporter that writes it; each is made once in a run of tests."""

import functools
from typing import NamedTuple

from builders.zoo import boosted, columns, keras, pytorch, scikit_learn
from builders.zoo.exported import Entry, Exported


class House(NamedTuple):
    """The exports of one exporter."""

    title: str
    packages: tuple[str, ...]
    """Whose versions the table names: they are in the lock file."""
    made: str
    """How the tests come by the files."""
    entries: tuple[Entry, ...]


REAL = "written by the exporter, compared with `predict` and `predict_proba`"

SCIKIT_LEARN = (*scikit_learn.ENTRIES, *columns.ENTRIES)

HOUSES = (
    House("scikit-learn", ("scikit-learn", "skl2onnx"), REAL, SCIKIT_LEARN),
    House("LightGBM", ("lightgbm", "onnxmltools"), REAL, boosted.LIGHTGBM),
    House("XGBoost", ("xgboost-cpu", "onnxmltools"), REAL, boosted.XGBOOST),
    House(
        "PyTorch",
        (),
        "built as `torch.onnx.export` builds them, PyTorch itself is not installed in the tests;"
        " compared with the network in NumPy",
        pytorch.ENTRIES,
    ),
    House(
        "Keras",
        (),
        "built as tf2onnx builds them, TensorFlow itself is not installed in the tests;"
        " compared with the network in NumPy",
        keras.KERAS,
    ),
    House(
        "Quantised",
        ("onnxruntime",),
        "written by the quantiser of the ONNX Runtime, compared with the network before it",
        keras.QUANTISED,
    ),
)

ENTRIES = tuple(entry for house in HOUSES for entry in house.entries)
WORKING = tuple(entry for entry in ENTRIES if entry.refused is None)
REFUSED = tuple(entry for entry in ENTRIES if entry.refused is not None)
MISDECLARED = ("sklearn-forest-regressor-two",)
"""Refused though declared as the file states it: it answers another shape, to be declared."""


def by_name(name: str) -> Entry:
    (entry,) = (entry for entry in ENTRIES if entry.name == name)
    return entry


@functools.cache
def made(name: str) -> Exported:
    """Export a model, or return what was exported before."""
    return by_name(name).make()
