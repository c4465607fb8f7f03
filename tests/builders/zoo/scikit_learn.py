"""Models of scikit-learn, written by skl2onnx."""

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import numpy as np
import skl2onnx
from sklearn import (
    cluster,
    ensemble,
    linear_model,
    neural_network,
    pipeline,
    preprocessing,
    svm,
)

from builders.zoo import exported, readings
from builders.zoo.exported import Array, Declared, Entry, Exported, Refusal

DATA = readings.readings()
INPUT = exported.matrix("X")
INTEGER = Declared("output_label", "INT64", (-1,))
TEXT = Declared("output_label", "BYTES", (-1,))
ZIPPED = Declared("output_probability", "FP32", (-1, 2))
UNZIPPED = "the probabilities as a tensor: the one behind ZipMap, in the order of the labels"


def logistic() -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())


def forest() -> Any:
    return ensemble.RandomForestClassifier(8, max_depth=4, random_state=0, n_jobs=1)


def classified(
    model: Any, label: str = "output_label", probability: str = "output_probability"
) -> Callable[[Array], Mapping[str, Array]]:
    """Return what a classifier answers, under the names of the outputs."""
    return lambda rows: {label: model.predict(rows), probability: model.predict_proba(rows)}


def written(model: Any, answer: Callable[[Array], Mapping[str, Array]], **options: Any) -> Exported:
    """Convert as the documentation of skl2onnx shows it, and ask the original."""
    body = skl2onnx.to_onnx(model, DATA.features[:1], **options).SerializeToString()
    return Exported(body, exported.asked_by_row("X", readings.asked(), answer))


def logistic_default() -> Exported:
    model = logistic().fit(DATA.features, DATA.occupied)
    return written(model, classified(model))


def logistic_of_three() -> Exported:
    model = logistic().fit(DATA.features, DATA.level)
    return written(model, classified(model))


def forest_of_texts() -> Exported:
    model = forest().fit(DATA.features, DATA.words)
    return written(model, classified(model))


def forest_without_zipmap() -> Exported:
    model = forest().fit(DATA.features, DATA.words)
    answer = classified(model, "label", "probabilities")
    return written(model, answer, options={"zipmap": False})


def forest_in_columns() -> Exported:
    model = forest().fit(DATA.features, DATA.words)

    def answer(rows: Array) -> Mapping[str, Array]:
        busy, empty = model.predict_proba(rows).T
        return {"output_label": model.predict(rows), "sbusy": busy, "sempty": empty}

    return written(model, answer, options={"zipmap": "columns"})


def forest_of_truths() -> Exported:
    model = forest().fit(DATA.features, DATA.occupied == 1)
    return written(model, classified(model))


def forest_of_two() -> Any:
    return forest().fit(DATA.features, np.column_stack([DATA.occupied, DATA.level == 2]))


def two_outputs() -> Exported:
    return Exported(skl2onnx.to_onnx(forest_of_two(), DATA.features[:1]).SerializeToString())


def two_outputs_without_zipmap() -> Exported:
    model = forest_of_two()
    body = skl2onnx.to_onnx(model, DATA.features[:1], options={"zipmap": False})
    questions = exported.asked_by_row(
        "X", readings.asked(), lambda rows: {"label": model.predict(rows)}
    )
    return Exported(body.SerializeToString(), questions)


def boosted() -> Exported:
    model = ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0)
    model.fit(DATA.features, DATA.words)
    return written(model, classified(model))


def perceptron() -> Exported:
    network = neural_network.MLPClassifier((4,), random_state=0, max_iter=2000, tol=1e-3)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), network)
    model.fit(DATA.features, DATA.words)
    return written(model, classified(model))


def support_vectors() -> Exported:
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC(kernel="rbf"))
    model.fit(DATA.features, DATA.occupied)
    with warnings.catch_warnings():
        # skl2onnx 1.20 reads attributes that scikit-learn 1.9 deprecates.
        warnings.simplefilter("ignore", FutureWarning)
        return written(model, lambda rows: {"output_label": model.predict(rows)})


def forest_regressor() -> Exported:
    model = ensemble.RandomForestRegressor(8, max_depth=4, random_state=0, n_jobs=1)
    model.fit(DATA.features, DATA.airflow)
    return written(model, lambda rows: {"variable": model.predict(rows).reshape(-1, 1)})


def linear_in_doubles() -> Exported:
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge())
    features = DATA.features.astype(np.float64)
    model.fit(features, DATA.airflow.astype(np.float64))
    rows = readings.asked().astype(np.float64)
    questions = exported.asked_by_row(
        "X", rows, lambda rows: {"variable": model.predict(rows).reshape(-1, 1)}
    )
    return Exported(skl2onnx.to_onnx(model, features[:1]).SerializeToString(), questions)


def two_numbers(*, is_mended: bool) -> Exported:
    """Export a forest of two targets, of which the file says that it were of one."""
    model = ensemble.RandomForestRegressor(8, max_depth=4, random_state=0, n_jobs=1)
    model.fit(DATA.features, np.column_stack([DATA.airflow, DATA.occupied]))
    converted = skl2onnx.to_onnx(model, DATA.features[:1])
    if is_mended:
        converted.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    questions = exported.asked_by_row(
        "X", readings.asked(), lambda rows: {"variable": model.predict(rows)}
    )
    return Exported(converted.SerializeToString(), questions)


def support_of_a_class() -> Exported:
    model = svm.OneClassSVM().fit(DATA.features)
    return written(model, lambda rows: outliers(model, rows))


def outliers(model: Any, rows: Array) -> Mapping[str, Array]:
    label, score = model.predict(rows), model.decision_function(rows)
    return {"label": label.reshape(-1, 1), "scores": score.reshape(-1, 1)}


def isolation_forest() -> Exported:
    model = ensemble.IsolationForest(n_estimators=10, random_state=0, n_jobs=1)
    model.fit(DATA.features)
    opsets = {"": 18, "ai.onnx.ml": 3}
    return written(model, lambda rows: outliers(model, rows), target_opset=opsets)


def k_means() -> Exported:
    # joblib would otherwise run programs to count the processors.
    with mock.patch.dict(os.environ, {"LOKY_MAX_CPU_COUNT": "1"}):
        model = cluster.KMeans(3, random_state=0, n_init=1).fit(DATA.features)
    return written(
        model, lambda rows: {"label": model.predict(rows), "scores": model.transform(rows)}
    )


ENTRIES = (
    Entry(
        "sklearn-logistic",
        "StandardScaler and LogisticRegression, labels 0 and 1",
        "to_onnx(model, X[:1])",
        logistic_default,
        (INPUT,),
        (INTEGER, ZIPPED),
        UNZIPPED,
    ),
    Entry(
        "sklearn-logistic-3",
        "StandardScaler and LogisticRegression, labels 0, 1 and 2",
        "to_onnx(model, X[:1])",
        logistic_of_three,
        (INPUT,),
        (INTEGER, Declared("output_probability", "FP32", (-1, 3))),
        UNZIPPED,
    ),
    Entry(
        "sklearn-forest-text",
        "RandomForestClassifier, labels that are text",
        "to_onnx(model, X[:1])",
        forest_of_texts,
        (INPUT,),
        (TEXT, ZIPPED),
        UNZIPPED,
    ),
    Entry(
        "sklearn-forest-no-zipmap",
        "RandomForestClassifier, labels that are text",
        'to_onnx(model, X[:1], options={"zipmap": False})',
        forest_without_zipmap,
        (INPUT,),
        (Declared("label", "BYTES", (-1,)), Declared("probabilities", "FP32", (-1, 2))),
    ),
    Entry(
        "sklearn-forest-columns",
        "RandomForestClassifier, labels that are text",
        'to_onnx(model, X[:1], options={"zipmap": "columns"})',
        forest_in_columns,
        (INPUT,),
        (TEXT, Declared("sbusy", "FP32", (-1,)), Declared("sempty", "FP32", (-1,))),
    ),
    Entry(
        "sklearn-forest-boolean",
        "RandomForestClassifier, labels False and True",
        "to_onnx(model, X[:1])",
        forest_of_truths,
        (INPUT,),
        (INTEGER, ZIPPED),
        "the label is 0 or 1; " + UNZIPPED,
    ),
    Entry(
        "sklearn-forest-two",
        "RandomForestClassifier of two targets at once",
        "to_onnx(model, X[:1])",
        two_outputs,
        (INPUT,),
        (INTEGER._replace(shape=(-1, 2)), ZIPPED._replace(shape=(2, -1, 2))),
        'export with `options={"zipmap": False}`: ZipMap takes one target',
        Refusal("LoadFailed", 'options={"zipmap": False}'),
    ),
    Entry(
        "sklearn-forest-two-no-zipmap",
        "RandomForestClassifier of two targets at once",
        'to_onnx(model, X[:1], options={"zipmap": False})',
        two_outputs_without_zipmap,
        (INPUT,),
        (Declared("label", "INT64", (-1, 2)),),
        "the labels alone: the first dimension of the probabilities is the target and no batch,"
        " which no policy reads; a model for each target has both",
    ),
    Entry(
        "sklearn-boosting",
        "GradientBoostingClassifier, labels that are text",
        "to_onnx(model, X[:1])",
        boosted,
        (INPUT,),
        (TEXT, ZIPPED),
        UNZIPPED,
    ),
    Entry(
        "sklearn-perceptron",
        "StandardScaler and MLPClassifier, labels that are text",
        "to_onnx(model, X[:1])",
        perceptron,
        (INPUT,),
        (TEXT, ZIPPED),
        UNZIPPED,
    ),
    Entry(
        "sklearn-svc",
        "StandardScaler and SVC without probabilities",
        "to_onnx(model, X[:1])",
        support_vectors,
        (INPUT,),
        (INTEGER,),
    ),
    Entry(
        "sklearn-forest-regressor",
        "RandomForestRegressor",
        "to_onnx(model, X[:1])",
        forest_regressor,
        (INPUT,),
        (Declared("variable", "FP32", (-1, 1)),),
    ),
    Entry(
        "sklearn-forest-regressor-two",
        "RandomForestRegressor of two targets at once",
        "to_onnx(model, X[:1])",
        lambda: two_numbers(is_mended=False),
        (INPUT,),
        (Declared("variable", "FP32", (-1, 1)),),
        "the file states one column and answers two: `[-1, -1]`, or mended as below",
        Refusal("SchemaMismatch", "declare shape [-1, -1]"),
    ),
    Entry(
        "sklearn-forest-regressor-two-any",
        "RandomForestRegressor of two targets at once",
        "to_onnx(model, X[:1])",
        lambda: two_numbers(is_mended=False),
        (INPUT,),
        (Declared("variable", "FP32", (-1, -1)),),
        "`shape: [-1, -1]`: the file states one column and answers two",
    ),
    Entry(
        "sklearn-forest-regressor-two-mended",
        "RandomForestRegressor of two targets at once",
        "onx = to_onnx(…); onx.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2",
        lambda: two_numbers(is_mended=True),
        (INPUT,),
        (Declared("variable", "FP32", (-1, 2)),),
    ),
    Entry(
        "sklearn-ridge-fp64",
        "StandardScaler and Ridge, trained on float64",
        "to_onnx(model, X[:1])",
        linear_in_doubles,
        (exported.matrix("X", "FP64"),),
        (Declared("variable", "FP64", (-1, 1)),),
    ),
    Entry(
        "sklearn-isolation-forest",
        "IsolationForest",
        'to_onnx(model, X[:1], target_opset={"": 18, "ai.onnx.ml": 3})',
        isolation_forest,
        (INPUT,),
        (Declared("label", "INT64", (-1, 1)), Declared("scores", "FP32", (-1, 1))),
    ),
    Entry(
        "sklearn-one-class-svm",
        "OneClassSVM",
        "to_onnx(model, X[:1])",
        support_of_a_class,
        (INPUT,),
        (Declared("label", "INT64", (-1, 1)), Declared("scores", "FP32", (-1, 1))),
    ),
    Entry(
        "sklearn-kmeans",
        "KMeans of three clusters",
        "to_onnx(model, X[:1])",
        k_means,
        (INPUT,),
        (Declared("label", "INT64", (-1,)), Declared("scores", "FP32", (-1, 3))),
        tolerance=1e-3,  # distances of some hundreds, through a difference of squares
    ),
)
