"""Lines to copy for what has to change: one table, by reason and by the exporter of the file.

Called by `suitability`. The rule itself is the remedy of the reason's row; here is how it is said
to each exporter.
"""

import shlex
import string
from pathlib import PurePath
from typing import Final, NamedTuple

from foreshore_api.reasons.serving import ServingReason

_PYTHON: Final = "python -c 'import onnx, sys; "
_IN_OUT: Final = "' $file $other"
_SKLEARN: Final = "skl2onnx"
_ONNXMLTOOLS: Final = "OnnxMLTools"
_TORCH: Final = "pytorch"
_TENSORFLOW: Final = "tf2onnx"


class ExportAdvice(NamedTuple):
    """What to run for a reason."""

    reason: ServingReason
    producer: str
    """Beginning of the producer's name. Empty: any."""
    lines: tuple[str, ...]
    """`$file`, `$other`: the file and another to write, as a shell's words; `$name`: its name."""
    word: str = ""
    """Text that the finding's message has. Empty: any."""


ADVICE: Final = (
    ExportAdvice(
        ServingReason.EXTERNAL_DATA,
        _TORCH,
        ('torch.onnx.export(model, example, "$name", external_data=False)',),
    ),
    ExportAdvice(
        ServingReason.EXTERNAL_DATA,
        "",
        (f"{_PYTHON}onnx.save(onnx.load(sys.argv[1]), sys.argv[2]){_IN_OUT}",),
    ),
    ExportAdvice(
        ServingReason.LOCAL_FUNCTIONS,
        "",
        (
            f"{_PYTHON}from onnx import inliner;"
            " onnx.save(inliner.inline_local_functions(onnx.load(sys.argv[1])), sys.argv[2])"
            f"{_IN_OUT}",
        ),
    ),
    ExportAdvice(
        ServingReason.UNKNOWN_DOMAIN,
        _TORCH,
        ('torch.onnx.export(model.eval(), example, "$name", external_data=False)',),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_TYPE,
        _SKLEARN,
        ('skl2onnx.to_onnx(model, X[:1].astype("float32"), options={"zipmap": False})',),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_TYPE,
        _ONNXMLTOOLS,
        ("onnxmltools.convert_lightgbm(model, initial_types=…, zipmap=False)",),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_TYPE,
        _TORCH,
        ('torch.onnx.export(model.float().eval(), example, "$name", external_data=False)',),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_SHAPE,
        _TORCH,
        (
            'torch.onnx.export(model, example[:1], "$name", input_names=["x"],'
            ' dynamic_axes={"x": {0: "batch"}}, dynamo=False)',
            'torch.onnx.export(model, example[:1], "$name",'
            ' dynamic_shapes=({0: "batch"},), external_data=False)',
        ),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_SHAPE,
        _SKLEARN,
        ('skl2onnx.to_onnx(model, initial_types=[("X", FloatTensorType([None, n]))])',),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_SHAPE,
        _ONNXMLTOOLS,
        ('initial_types=[("X", FloatTensorType([None, n]))]',),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_SHAPE,
        _TENSORFLOW,
        ("tf2onnx.convert.from_keras(model, [tf.TensorSpec([None, n], tf.float32)])",),
    ),
    ExportAdvice(
        ServingReason.UNSUPPORTED_NAME,
        _TORCH,
        ('torch.onnx.export(model, example, "$name", input_names=["x"], output_names=["y"])',),
    ),
    ExportAdvice(
        ServingReason.LOAD_FAILED,
        _SKLEARN,
        ('skl2onnx.to_onnx(model, X[:1], target_opset={"": 21, "ai.onnx.ml": 3})',),
        word="opset",
    ),
    ExportAdvice(
        ServingReason.LOAD_FAILED,
        _TORCH,
        ('torch.onnx.export(model, example, "$name", opset_version=20, external_data=False)',),
        word="opset",
    ),
    ExportAdvice(
        ServingReason.LOAD_FAILED,
        "",
        (
            f"{_PYTHON}from onnx import version_converter;"
            " onnx.save(version_converter.convert_version(onnx.load(sys.argv[1]), 21),"
            f" sys.argv[2]){_IN_OUT}",
        ),
        word="opset",
    ),
)


def lines(reason: str, message: str, producer: str, file: str) -> tuple[str, ...]:
    """Return the lines to copy for a finding in a file of a producer's; none where none helps."""
    path = PurePath(file)
    places = {
        "file": shlex.quote(file),
        "other": shlex.quote(str(path.with_name(f"{path.stem}-mended.onnx"))),
        "name": path.name.replace('"', ""),
    }
    return tuple(
        string.Template(line).safe_substitute(places)
        for row in ADVICE
        if row.reason == reason and producer.startswith(row.producer)
        if row.word in message.casefold()
        for line in row.lines
    )
