"""Gradient boosting of LightGBM and XGBoost, written by onnxmltools."""

from functools import partial
from typing import Any

import lightgbm
import onnxmltools
import skl2onnx
import xgboost
from onnxmltools.convert.common import data_types
from onnxmltools.convert.lightgbm.operator_converters import LightGbm
from skl2onnx.common import shape_calculator
from sklearn import pipeline, preprocessing

from builders.zoo import exported, readings, scikit_learn
from builders.zoo.exported import Declared, Entry, Exported
from builders.zoo.scikit_learn import UNZIPPED, classified

DATA = readings.readings()
INPUT = exported.matrix("input")
KINDS = [("input", data_types.FloatTensorType([None, 3]))]
LABEL = Declared("label", "INT64", (1,))
"""LightGBM's converter fixes the label at one row, whatever the batch."""
PROBABILITIES = Declared("probabilities", "FP32", (-1, 2))
VARIABLE = Declared("variable", "FP32", (-1, 1))


def light(kind: Any) -> Any:
    return kind(
        n_estimators=6, num_leaves=7, random_state=0, n_jobs=1, verbose=-1, deterministic=True
    )


def extreme(kind: Any) -> Any:
    return kind(n_estimators=6, max_depth=3, random_state=0, n_jobs=1)


def asked(body: bytes, model: Any) -> Exported:
    """Ask a classifier of either library."""
    answer = classified(model, "label", "probabilities")
    return Exported(body, exported.asked_by_row("input", readings.asked(), answer))


def regressed(body: bytes, model: Any) -> Exported:
    """Ask a regressor of either library."""
    questions = exported.asked_by_row(
        "input", readings.asked(), lambda rows: {"variable": model.predict(rows).reshape(-1, 1)}
    )
    return Exported(body, questions)


def from_lightgbm(model: Any, **options: Any) -> bytes:
    converted = onnxmltools.convert_lightgbm(model, initial_types=KINDS, **options)
    return bytes(converted.SerializeToString())


def from_xgboost(model: Any) -> bytes:
    return bytes(onnxmltools.convert_xgboost(model, initial_types=KINDS).SerializeToString())


def light_classifier(target: exported.Array, **options: Any) -> Exported:
    model = light(lightgbm.LGBMClassifier).fit(DATA.features, target)
    return asked(from_lightgbm(model, **options), model)


def light_regressor() -> Exported:
    model = light(lightgbm.LGBMRegressor).fit(DATA.features, DATA.airflow)
    return regressed(from_lightgbm(model), model)


def extreme_classifier(target: exported.Array) -> Exported:
    model = extreme(xgboost.XGBClassifier).fit(DATA.features, target)
    return asked(from_xgboost(model), model)


def extreme_regressor() -> Exported:
    model = extreme(xgboost.XGBRegressor).fit(DATA.features, DATA.airflow)
    return regressed(from_xgboost(model), model)


def light_in_pipeline() -> Exported:
    """Convert a pipeline of both libraries, as the documentation of skl2onnx registers LightGBM."""
    skl2onnx.update_registered_converter(
        lightgbm.LGBMClassifier,
        "LightGbmLGBMClassifier",
        shape_calculator.calculate_linear_classifier_output_shapes,
        LightGbm.convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), light(lightgbm.LGBMClassifier))
    model.fit(DATA.features, DATA.words)
    return scikit_learn.written(model, classified(model), target_opset={"": 17, "ai.onnx.ml": 3})


LIGHTGBM = (
    Entry(
        "lightgbm-classifier",
        "LGBMClassifier, labels 0 and 1",
        "convert_lightgbm(model, initial_types=…)",
        partial(light_classifier, DATA.occupied),
        (INPUT,),
        (LABEL, PROBABILITIES),
        UNZIPPED,
    ),
    Entry(
        "lightgbm-classifier-text",
        "LGBMClassifier, labels that are text",
        "convert_lightgbm(model, initial_types=…)",
        partial(light_classifier, DATA.words),
        (INPUT,),
        (LABEL._replace(data_type="BYTES"), PROBABILITIES),
        UNZIPPED,
    ),
    Entry(
        "lightgbm-classifier-no-zipmap",
        "LGBMClassifier, labels 0 and 1",
        "convert_lightgbm(model, initial_types=…, zipmap=False)",
        partial(light_classifier, DATA.occupied, zipmap=False),
        (INPUT,),
        (LABEL, PROBABILITIES),
    ),
    Entry(
        "lightgbm-pipeline",
        "StandardScaler and LGBMClassifier in a pipeline, labels that are text",
        "update_registered_converter(…); to_onnx(model, X[:1], target_opset=…)",
        light_in_pipeline,
        (exported.matrix("X"),),
        (scikit_learn.TEXT, scikit_learn.ZIPPED),
        UNZIPPED,
    ),
    Entry(
        "lightgbm-regressor",
        "LGBMRegressor",
        "convert_lightgbm(model, initial_types=…)",
        light_regressor,
        (INPUT,),
        (VARIABLE,),
    ),
)

XGBOOST = (
    Entry(
        "xgboost-classifier",
        "XGBClassifier, labels 0 and 1",
        "convert_xgboost(model, initial_types=…)",
        partial(extreme_classifier, DATA.occupied),
        (INPUT,),
        (LABEL._replace(shape=(-1,)), PROBABILITIES),
    ),
    Entry(
        "xgboost-classifier-3",
        "XGBClassifier, labels 0, 1 and 2",
        "convert_xgboost(model, initial_types=…)",
        partial(extreme_classifier, DATA.level),
        (INPUT,),
        (LABEL._replace(shape=(-1,)), PROBABILITIES._replace(shape=(-1, 3))),
    ),
    Entry(
        "xgboost-regressor",
        "XGBRegressor",
        "convert_xgboost(model, initial_types=…)",
        extreme_regressor,
        (INPUT,),
        (VARIABLE,),
    ),
)
