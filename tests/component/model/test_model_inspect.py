"""`foreshore-agent model inspect` with the real limited child, over exporters' files."""

import json
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner, Result

from builders import onnx_models
from foreshore_agent import main

pytestmark = pytest.mark.component

RECORDING = "Light,CO2,Temp\n0,440,20.1\n0,441,20.2\n430,900,21.0\nabc,900,21.0\n431,,21.1\n"
COLUMNS = ("--features", "light,co2,temp")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a classifier as scikit-learn's and LightGBM's converters write it."""
    folder = tmp_path_factory.mktemp("exports")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the trainers and their converters
        import lightgbm
        import onnxmltools
        import skl2onnx
        from onnxmltools.convert.common.data_types import FloatTensorType
        from sklearn.linear_model import LogisticRegression

        numbers = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
        words = np.where(numbers[:, 0] > 0, "busy", "empty")
        linear = LogisticRegression().fit(numbers, words)
        default = skl2onnx.to_onnx(linear, numbers[:1])
        (folder / "default.onnx").write_bytes(default.SerializeToString())
        plain = skl2onnx.to_onnx(linear, numbers[:1], options={"zipmap": False})
        (folder / "plain.onnx").write_bytes(plain.SerializeToString())
        boosted = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(numbers, words)
        types = [("input", FloatTensorType([None, 3]))]
        converted = onnxmltools.convert_lightgbm(boosted, initial_types=types)
        (folder / "boosted.onnx").write_bytes(converted.SerializeToString())
        yield folder


def inspect(*words: object) -> Result:
    return CliRunner().invoke(main.application, ["model", "inspect", *map(str, words)])


def data(*words: object) -> Any:
    """What is said of one file, as programs read it."""
    return json.loads(inspect(*words, "-o", "json").stdout)["models"][0]


def windowed(shape: list[Any]) -> bytes:
    """A model that takes the mean of a window."""
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0)
    graph = helper.make_graph(
        [node],
        "window",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


@pytest.mark.parametrize("name", ["default", "plain", "boosted"])
def test_a_classifier_is_supported_with_its_classes_in_order(exports: Path, name: str) -> None:
    model = data(exports / f"{name}.onnx")
    assert model["isSupported"]
    assert model["findings"] == []
    probabilities = model["outputs"][1]
    assert (probabilities["dataType"], probabilities["shape"]) == ("FP32", [-1, 2])
    assert probabilities["labels"] == ["busy", "empty"]
    assert model["measured"]["usualSeconds"] > 0
    assert any("ZipMap" in note for note in model["notes"]) == probabilities["isUnwrapped"]
    assert probabilities["isUnwrapped"] == (name != "plain")


def test_a_page_shows_what_a_person_declares(exports: Path) -> None:
    result = inspect(exports / "default.onnx")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("default.onnx --features a,b,c --write FOLDER\n")
    for word in ("supported", "sha256:", "output_probability", "0: busy, 1: empty", "takes them"):
        assert word in result.stdout


def test_what_is_written_passes_lint_and_is_never_replaced(exports: Path, tmp_path: Path) -> None:
    words = (exports / "default.onnx", "--write", tmp_path / "room", "--name", "occupancy")
    first = inspect(*words, *COLUMNS)
    assert first.exit_code == 0, first.output
    file = tmp_path / "room/occupancy-model.yaml"
    model, version = yaml.safe_load_all(file.read_text())
    assert model["spec"]["inputs"][0]["features"] == ["light", "co2", "temp"]
    assert version["spec"]["source"] == {"file": {"path": "default.onnx"}}
    assert "cp " in first.stderr
    linted = CliRunner().invoke(main.application, ["lint", str(tmp_path / "room"), "--strict"])
    assert linted.exit_code == 0, linted.output
    again = inspect(*words)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert "light" in file.read_text()
    assert inspect(*words, "--force").exit_code == 0
    assert "light" not in file.read_text()


def test_a_file_in_the_folder_is_named_by_its_path_there(exports: Path) -> None:
    text = inspect(exports / "default.onnx", "--write", exports.parent, "--name", "there").stderr
    written = (exports.parent / "there-model.yaml").read_text()
    assert f"path: {exports.name}/default.onnx" in written
    assert "cp " not in text


def test_yaml_alone_goes_to_standard_output(exports: Path) -> None:
    source = "https://models.example/m.onnx"
    result = inspect(exports / "boosted.onnx", "--write", "-", "--source", source)
    model, version = yaml.safe_load_all(result.stdout)
    assert model["metadata"]["name"] == "boosted"
    assert version["spec"]["source"] == {"https": {"url": source}}


def test_a_recording_is_asked_and_what_cannot_be_read_is_said(
    exports: Path, tmp_path: Path
) -> None:
    csv = tmp_path / "rec.csv"
    csv.write_text(RECORDING)
    words = (exports / "default.onnx", *COLUMNS, "--try", csv, "--rows", 2)
    result = inspect(*words)
    assert result.exit_code == 0, result.output
    assert "asked with 3 of 5 rows" in result.stdout
    assert "rows left out: 2; the first: line 5, light: 'abc'" in result.stdout
    model = data(*words)
    answers = model["answers"]
    assert answers["asked"] == 3
    assert len(answers["examples"]) == 2
    by_element = {(row["output"], row["index"]): row for row in answers["summaries"]}
    busy = by_element["output_probability", 0]
    assert 0 <= busy["minimum"] <= busy["mean"] <= busy["maximum"] <= 1
    assert sum(by_element["output_label", 0]["values"].values()) == 3


def test_a_recording_is_cut_and_it_is_said(exports: Path, tmp_path: Path) -> None:
    csv = tmp_path / "rec.csv"
    csv.write_text(RECORDING)
    result = inspect(exports / "plain.onnx", *COLUMNS, "--try", csv, "--limit", 2)
    assert "only the first 2 are looked at (--limit)" in result.stdout


def test_a_recording_with_row_names_or_of_several_devices_is_asked(
    exports: Path, tmp_path: Path
) -> None:
    """Regression: the refusal named an option that was not there."""
    csv = tmp_path / "rec.csv"
    words = (exports / "default.onnx", *COLUMNS, "--try", csv)
    csv.write_text('"light","co2","temp","device"\n"1",430,900,21,"a"\n"2",1,500,20,"b"\n')
    assert "--row-names" in inspect(*words).output
    result = inspect(*words, "--row-names")
    assert result.exit_code == 0, result.output
    assert "asked with 2 of 2 rows" in result.stdout


def test_one_answer_to_everything_is_said_to_be_odd(exports: Path, tmp_path: Path) -> None:
    csv = tmp_path / "rec.csv"
    csv.write_text("light,co2,temp\n" + "430,900,21\n" * 20)
    result = inspect(exports / "default.onnx", *COLUMNS, "--try", csv)
    assert "every row got the same answer" in result.stdout


def test_yaml_and_json_say_the_same(exports: Path) -> None:
    words = (exports / "plain.onnx", "-o")
    models = [
        yaml.safe_load(inspect(*words, "yaml").stdout),
        json.loads(inspect(*words, "json").stdout),
    ]
    for model in models:
        model["models"][0].pop("measured")
    assert models[0] == models[1]


def test_columns_are_mapped_by_hand_or_asked_for(exports: Path, tmp_path: Path) -> None:
    csv = tmp_path / "rec.csv"
    csv.write_text(RECORDING)
    words = (exports / "plain.onnx", "--try", csv)
    refused = inspect(*words)
    assert refused.exit_code == 2
    assert "--features" in refused.stderr
    partly = inspect(*words, "--map", "Light=feature1")
    assert partly.exit_code == 2
    assert "--map COLUMN=feature2" in partly.stderr
    pairs = ["--map", "Light=feature1", "--map", "CO2=feature2", "--map", "Temp=feature3"]
    assert inspect(*words, *pairs).exit_code == 0


def test_a_window_is_rows_that_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(windowed(["batch", "steps", 1]))
    (tmp_path / "rec.csv").write_text("x\n1\n2\n3\n4\n")
    words = (tmp_path / "w.onnx", "--features", "x", "--try", tmp_path / "rec.csv")
    assert "--window" in inspect(*words).stderr
    answers = data(*words, "--window", "2/1s")["answers"]
    assert [row["outputs"] for row in answers["examples"]] == [[[1.5]], [[2.5]], [[3.5]]]
    assert "windows of 2 rows that follow" in inspect(*words, "--window", "2/1s").stdout


@pytest.mark.parametrize(
    ("shape", "words", "message"),
    [
        (["batch", 30, 1], ("--window", "20/1s"), "says 20 steps, and input x takes 30"),
        (["batch", 30, 2], ("--features", "a,b,c"), "gives 3 names; x takes 2"),
        (["batch", 30, 2], ("--features", "a,a"), "a is given twice"),
    ],
)
def test_what_was_said_of_the_inputs_and_is_not_so_is_refused_before_it_is_written(
    tmp_path: Path, shape: list[Any], words: tuple[str, ...], message: str
) -> None:
    """It was passed over unless something was written or tried."""
    (tmp_path / "w.onnx").write_bytes(windowed(shape))
    result = inspect(tmp_path / "w.onnx", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_window_that_no_input_takes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx_models.model())
    result = inspect(tmp_path / "m.onnx", "--window", "20/1s")
    assert result.exit_code == 2
    assert "no input takes a window" in result.stderr
    assert inspect(tmp_path / "m.onnx", tmp_path / "m.onnx", "--window", "20/1s").exit_code == 0


def test_the_line_that_declares_it_keeps_what_was_said(tmp_path: Path) -> None:
    """It is run as it stands, also after a recording was tried."""
    (tmp_path / "w.onnx").write_bytes(windowed(["batch", "steps", 1]))
    (tmp_path / "rec.csv").write_text("x\n1\n2\n3\n")
    words = ("--features", "x", "--window", "2/1s", "--name", "hall", "--namespace", "shop")
    printed = inspect(tmp_path / "w.onnx", *words, "--try", tmp_path / "rec.csv").stdout
    (line,) = [line for line in printed.splitlines() if line.startswith("to declare it: ")]
    shown = shlex.split(line.removeprefix("to declare it: foreshore-agent model inspect "))
    assert inspect(*shown[:-1], tmp_path / "out").exit_code == 0
    written = (tmp_path / "out/hall-model.yaml").read_text()
    assert "namespace: shop" in written
    assert "features: [x]\n    window: {steps: 2, every: 1s}" in written


def test_a_window_longer_than_the_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(windowed(["batch", 30, 1]))
    (tmp_path / "rec.csv").write_text("x\n1\n2\n")
    result = inspect(tmp_path / "w.onnx", "--features", "x", "--try", tmp_path / "rec.csv")
    assert result.exit_code == 2
    assert "a window holds 30" in result.stderr


def categorical() -> bytes:
    """A model that refuses what training had not, as scikit-learn's OneHotEncoder does."""
    nodes = [
        helper.make_node(
            "OneHotEncoder", ["state"], ["y"], domain="ai.onnx.ml", cats_strings=["on"], zeros=0
        )
    ]
    graph = helper.make_graph(
        nodes,
        "categories",
        [helper.make_tensor_value_info("state", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1, 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_a_model_that_takes_no_empty_text_is_none_the_worse(tmp_path: Path) -> None:
    """Warm-up knows no category of the model's; a row that has none gets no answer, and says so."""
    (tmp_path / "m.onnx").write_bytes(categorical())
    (tmp_path / "rec.csv").write_text("state,x\non,1\noff,2\n")
    result = inspect(tmp_path / "m.onnx", "--try", tmp_path / "rec.csv")
    assert result.exit_code == 0, result.output
    assert "asked with 1 of 2 rows" in result.stdout
    assert "rows without an answer: 1: " in result.stdout
    assert "handle_unknown" in result.stdout


def test_a_model_that_ends_the_child_at_a_row_does_not_work(tmp_path: Path) -> None:
    """On zeros it works; what ended the child at a row was not said at all."""
    (tmp_path / "m.onnx").write_bytes(onnx_models.endless_on_request())
    (tmp_path / "rec.csv").write_text("a,b,c\n1,1,1\n")
    words = (tmp_path / "m.onnx", "--features", "a,b,c", "--load-seconds", 3)
    assert inspect(*words).exit_code == 0
    result = inspect(*words, "--try", tmp_path / "rec.csv")
    assert result.exit_code == 1, result.output
    assert "LoadTimeout: " in result.stdout
    assert "to change: " in result.stdout
    assert "recording: no answer to its 1 rows came back" in result.stdout


def wordy() -> bytes:
    """A model that answers with sixteen long texts, whatever it is asked."""
    text = numpy_helper.from_array(np.full((1, 16), "é" * 1024, np.object_), "text")
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["text"], ["texts"]),
            helper.make_node("Identity", ["x"], ["y"]),
        ],
        "wordy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [
            helper.make_tensor_value_info("texts", TensorProto.STRING, [1, 16]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1]),
        ],
        [text],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_answers_that_are_too_long_to_be_shown_are_said(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(wordy())
    (tmp_path / "rec.csv").write_text("x\n" + "1\n" * 100)
    words = (tmp_path / "m.onnx", "--features", "x", "--try", tmp_path / "rec.csv")
    result = inspect(*words, "--rows", 100)
    assert result.exit_code == 2, result.output
    assert "--rows" in result.stderr
    assert inspect(*words).exit_code == 0


def drawn() -> bytes:
    """A model whose second output adds noise to the first, as a variational autoencoder's does."""
    nodes = [
        helper.make_node("Identity", ["x"], ["y"]),
        helper.make_node("RandomNormalLike", ["y"], ["noise"]),
        helper.make_node("Add", ["y", "noise"], ["sample"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1])
        for name in ("x", "y", "sample")
    ]
    graph = helper.make_graph(nodes, "drawn", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_answers_that_are_drawn_by_chance_are_said_as_a_server_says_them(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(drawn())
    result = inspect(tmp_path / "m.onnx")
    assert result.exit_code == 0, result.output
    assert "note: its answers are drawn by chance (RandomNormalLike)" in result.stdout
    assert "take the mean in place of a sample" in result.stdout


def misstated() -> bytes:
    """A model that answers two columns where its file states one, as skl2onnx writes forests."""
    nodes = [
        helper.make_node(
            "LinearRegressor",
            ["X"],
            ["y"],
            domain="ai.onnx.ml",
            coefficients=[1.0] * 6,
            intercepts=[0.0, 1.0],
            targets=2,
        )
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, length])
        for name, length in (("X", 3), ("y", 1))
    ]
    graph = helper.make_graph(nodes, "forest", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_an_output_that_the_file_misstates_is_declared_as_it_comes(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(misstated())
    model = data(tmp_path / "m.onnx")
    assert model["isSupported"]
    assert model["outputs"][0]["shape"] == [-1, -1]
    assert "came as [1, 2]" in model["notes"][0]
    drafted, _ = yaml.safe_load_all(inspect(tmp_path / "m.onnx", "--write", "-").stdout)
    assert drafted["spec"]["outputs"][0]["shape"] == [-1, -1]


def test_a_file_larger_than_may_be_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "m.onnx").open("wb") as file:
        file.truncate(1 << 40)
    result = inspect(tmp_path / "m.onnx")
    assert result.exit_code == 1
    assert "TooLarge: the file has 1099511627776 bytes" in result.stdout


REFUSED = {
    "weights in another file": (onnx_models.external_weights(), "ExternalData"),
    "a vendor's operator": (onnx_models.custom_operator(), "UnknownDomain"),
    "an operator of its own": (onnx_models.local_function(), "LocalFunctions"),
    "24 GB asked for": (onnx_models.memory_bomb(), "WarmUpFailed"),
    "an endless loop": (onnx_models.endless(), "LoadTimeout"),
    "nothing at all": (b"", "NotONNX"),
    "half a file": (onnx_models.model()[:100], "NotONNX"),
    "a pickle": (b"\x80\x04\x95\x10\x00", "NotONNX"),
    "an archive of torch.save": (b"PK\x03\x04" + bytes(60), "NotONNX"),
    "a batch of its own": (windowed([32, 1, 3]), "UnsupportedShape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_work_says_why_and_what_to_change(case: str, tmp_path: Path) -> None:
    body, reason = REFUSED[case]
    (tmp_path / "m.onnx").write_bytes(body)
    result = inspect(tmp_path / "m.onnx", "--load-seconds", 3)
    assert result.exit_code == 1, result.output
    assert f"{reason}: " in result.stdout
    assert "to change: " in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("nowhere.onnx", "is not there; there are here.onnx"),
        ("saved", "tf2onnx"),
        ("plain", "a folder: name the files in it"),
        ("pipe", "no regular file"),
    ],
)
def test_what_is_no_file_is_refused_in_a_sentence(name: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "here.onnx").write_bytes(b"")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/saved_model.pb").write_bytes(b"")
    (tmp_path / "plain").mkdir()
    os.mkfifo(tmp_path / "pipe")
    result = inspect(tmp_path / name)
    assert result.exit_code == 2
    assert word in result.stderr


def test_of_several_files_the_worst_decides_and_nothing_is_left_out(
    exports: Path, tmp_path: Path
) -> None:
    (tmp_path / "split.onnx").write_bytes(onnx_models.external_weights())
    gone = tmp_path / "gone.onnx"
    both = (exports / "plain.onnx", tmp_path / "split.onnx")
    assert inspect(*both).exit_code == 1
    result = inspect(*both, gone)
    assert result.exit_code == 2
    assert "no: ExternalData" in result.stdout
    assert "plain.onnx" in result.stdout
    assert "gone.onnx is not there" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--features", "a"),
        ("--name", "x"),
        ("--source", "https://x/y"),
        ("--try", "r.csv"),
    ],
)
def test_what_is_of_one_file_is_refused_for_several(words: tuple[str, ...]) -> None:
    result = inspect("a.onnx", "b.onnx", *words)
    assert result.exit_code == 2
    assert f"{words[0]} is of one file" in result.stderr


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("-o", "xml"), "text, json or yaml"),
        (("--window", "30"), "STEPS/EVERY"),
        (("--map", "a=b"), "--try CSV"),
        (("--source", "http://x"), "https://"),
        (("--namespace", "A"), "namespace"),
    ],
)
def test_options_that_make_no_sense_are_refused(words: tuple[str, ...], word: str) -> None:
    result = inspect("m.onnx", *words)
    assert result.exit_code == 2
    assert word in result.stderr


def test_a_model_that_was_never_onnx_is_parsed_by_nobody_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb's own process imports neither protobuf nor the runtime."""
    (tmp_path / "m.onnx").write_bytes(onnx_models.model())
    for name in ("onnxruntime", "foreshore_serving.vet", "foreshore_serving.structure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert inspect(tmp_path / "m.onnx").exit_code == 0


def test_onnx_itself_takes_what_the_line_to_copy_writes(tmp_path: Path) -> None:
    """The remedy for weights in another file works as it stands."""
    (tmp_path / "m.onnx").write_bytes(onnx_models.external_weights("w.bin"))
    (tmp_path / "w.bin").write_bytes(np.ones((3, 2), dtype=np.float32).tobytes())
    lines = data(tmp_path / "m.onnx")["findings"][0]["lines"]
    (line,) = [line for line in lines if line.startswith("python -c ")]
    subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True, timeout=60)
    mended = tmp_path / "m-mended.onnx"
    assert onnx.load(mended, load_external_data=False).graph.initializer[0].raw_data
    assert inspect(mended).exit_code == 0
