"""Pipelines of scikit-learn over columns of a DataFrame, and over what a script prepared before.

A DataFrame becomes one input a column. What a training script does outside the pipeline is no part
of the file: the Model declares it as `preprocessing`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import skl2onnx
from skl2onnx.common import data_types
from sklearn import compose, linear_model, pipeline, preprocessing

from builders.zoo import readings
from builders.zoo.exported import Array, Declared, Entry, Exported, Json, Question
from builders.zoo.scikit_learn import INTEGER, TEXT, UNZIPPED, ZIPPED, classified, forest

DATA = readings.readings()
TARGETS = np.where(DATA.states == "running", DATA.words, "empty")
"""Words that depend on a text too [rows]."""
WIDTH = 63
"""Columns: a device has 64 properties at most, and the policy commands one of them."""
KINDS: dict[str, tuple[Any, Any]] = {
    "FP32": (data_types.FloatTensorType, np.float32),
    "INT64": (data_types.Int64TensorType, np.int64),
    "BOOL": (data_types.BooleanTensorType, np.bool_),
    "BYTES": (data_types.StringTensorType, np.object_),
}
"""Types of a column, of skl2onnx and of NumPy, by the type that a Model declares."""


def column(feature: str, data_type: str) -> Declared:
    return Declared(feature, data_type, (-1, 1), (feature,))


def over_columns(model: Any, columns: Sequence[Declared], rows: Array) -> Exported:
    """Export a fitted pipeline with an input a column, and ask the original rows of objects."""
    initial_types = [
        (declared.name, KINDS[declared.data_type][0]([None, 1])) for declared in columns
    ]
    questions = tuple(
        Question(
            {
                declared.name: np.array([[cell]], KINDS[declared.data_type][1])
                for declared, cell in zip(columns, row, strict=True)
            },
            classified(model)(row[np.newaxis]),
        )
        for row in rows
    )
    body = skl2onnx.convert_sklearn(model, initial_types=initial_types).SerializeToString()
    return Exported(body, questions)


def objects(*columns: Sequence[Any] | Array) -> Array:
    """Return columns of several types as a table [rows, columns], as a DataFrame is one."""
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for place, values in enumerate(columns):
        table[:, place] = np.asarray(values).tolist()
    return table


THREE = (column("light", "FP32"), column("co2", "FP32"), column("state", "BYTES"))
STATES_ASKED = (*readings.STATES, "idle", "running", "unheard of")


def three_columns() -> Exported:
    """Export a pipeline that scales numbers and encodes texts."""
    transformer = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), [0, 1]),
            ("texts", preprocessing.OneHotEncoder(handle_unknown="ignore"), [2]),
        ]
    )
    model = pipeline.make_pipeline(transformer, linear_model.LogisticRegression())
    model.fit(objects(*DATA.features.T[:2], DATA.states), TARGETS)
    return over_columns(model, THREE, objects(*readings.asked().T[:2], STATES_ASKED))


FOUR = (
    column("light", "FP32"),
    column("people", "INT64"),
    column("state", "BYTES"),
    column("open", "BOOL"),
)


def four_types() -> Exported:
    """Export a pipeline over a number, an integer, a text and a truth value."""
    transformer = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), [0, 1]),
            ("texts", preprocessing.OrdinalEncoder(), [2]),
            ("others", "passthrough", [3]),
        ]
    )
    model = pipeline.make_pipeline(transformer, forest())
    people = (DATA.features[:, 1] // 100).astype(int)
    model.fit(objects(DATA.features[:, 0], people, DATA.states, DATA.level == 2), TARGETS)
    light, co2, _ = readings.asked().T
    people, is_open = (co2 // 100).astype(int), [True, False, True, False, True, False]
    return over_columns(model, FOUR, objects(light, people, [*readings.STATES] * 2, is_open))


WIDE = tuple(column(f"sensor{number}", "FP32") for number in range(1, WIDTH + 1))


def wide() -> Exported:
    """Export a pipeline over as many columns as a device can measure."""
    random = np.random.default_rng(21)
    rows = random.normal(20, 5, (readings.ROWS, WIDTH)).astype(np.float32)
    scaler = ("numbers", preprocessing.StandardScaler(), list(range(WIDTH)))
    transformer = compose.ColumnTransformer([scaler])
    model = pipeline.make_pipeline(transformer, linear_model.LogisticRegression())
    model.fit(rows, (rows[:, :8].mean(axis=1) > 20).astype(int))
    return over_columns(model, WIDE, random.normal(20, 5, (4, WIDTH)).astype(np.float32))


MEANS = {"light": (300, 200), "co2": (700, 150)}
"""Mean and deviation that a training script took of each column."""


def prepared(row: Array, state: str) -> Array:
    """Return a row FP32 [1, 5] as a training script prepares it: scaled, and one-hot."""
    pairs = zip(row, MEANS.values(), strict=False)
    scaled = [(float(value) - mean) / deviation for value, (mean, deviation) in pairs]
    return np.array([[*scaled, *(state == name for name in readings.STATES)]], np.float32)


def prepared_outside() -> Exported:
    """Export a classifier alone: the training script scaled and encoded before it."""
    rows = zip(DATA.features, DATA.states, strict=True)
    table = np.concatenate([prepared(row, state) for row, state in rows])
    model = linear_model.LogisticRegression()
    model.fit(table, TARGETS)
    questions = []
    for row, state in zip(readings.asked(), [*readings.STATES] * 2, strict=True):
        measured = np.array([[*map(float, row[:2]), state]], object)
        fed = prepared(row, state)
        questions.append(Question({"X": fed}, classified(model)(fed), {"X": measured}))
    return Exported(skl2onnx.to_onnx(model, table[:1]).SerializeToString(), tuple(questions))


OUTSIDE: tuple[Json, ...] = (
    *(
        {"name": name, "scale": {"mean": str(mean), "deviation": str(deviation)}}
        for name, (mean, deviation) in MEANS.items()
    ),
    {"name": "state", "categories": {"values": list(readings.STATES)}},
)


ONE_A_COLUMN = "one input a column; " + UNZIPPED

ENTRIES = (
    Entry(
        "sklearn-dataframe",
        "ColumnTransformer with StandardScaler and OneHotEncoder, and LogisticRegression",
        'convert_sklearn(model, initial_types=[("light", …), …])',
        three_columns,
        THREE,
        (TEXT, ZIPPED),
        ONE_A_COLUMN,
    ),
    Entry(
        "sklearn-dataframe-types",
        "ColumnTransformer over a number, an integer, a text and a truth value, and a forest",
        'convert_sklearn(model, initial_types=[("light", …), ("people", …), …])',
        four_types,
        FOUR,
        (TEXT, ZIPPED),
        ONE_A_COLUMN,
    ),
    Entry(
        "sklearn-dataframe-wide",
        f"ColumnTransformer over {WIDTH} columns",
        'convert_sklearn(model, initial_types=[("sensor1", …), …])',
        wide,
        WIDE,
        (INTEGER, ZIPPED),
        ONE_A_COLUMN,
    ),
    Entry(
        "sklearn-prepared-outside",
        "LogisticRegression alone; the training script scaled two columns and encoded one",
        "to_onnx(model, X[:1])",
        prepared_outside,
        (Declared("X", "FP32", (-1, 5), ("light", "co2", "state")),),
        (TEXT, ZIPPED),
        "`preprocessing: [{name: light, scale: {mean, deviation}}, …, {name: state, categories:"
        " {values: […]}}]`, the figures of training; " + UNZIPPED,
        preprocessing=OUTSIDE,
    ),
)
