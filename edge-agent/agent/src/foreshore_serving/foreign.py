"""Files of other formats that people take for models: told by their first bytes, never read.

Called by `vet` before anything parses the file. A training framework's own file is no
mistake of its owner's: what helps is the line that exports it.
"""

from typing import Final, NamedTuple

from foreshore_serving.refusal import Reason, Refused

_TORCH: Final = 'torch.onnx.export(model, example, "model.onnx", external_data=False)'
_SKLEARN: Final = "skl2onnx.to_onnx(model, X[:1]).SerializeToString()"
_KERAS: Final = 'model.export("model.onnx", format="onnx"), or tf2onnx'
_LOADED: Final = f"load it where it was trained and export it: of PyTorch {_TORCH}"


class FileFormat(NamedTuple):
    """A format that begins with certain bytes at a place."""

    offset: int
    first: bytes
    name: str
    remedy: str
    is_text: bool = False
    """Whether spaces, line ends and the case of letters are left aside: `first` has none."""


FORMATS: Final = (
    FileFormat(0, b"PK\x03\x04", "a zip archive, as torch.save and Keras write", _LOADED),
    FileFormat(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", _KERAS),
    FileFormat(4, b"TFL3", "a TensorFlow Lite model", "python -m tf2onnx.convert --tflite FILE"),
    FileFormat(4, b"ORTM", "a model in ONNX Runtime's own format", "the .onnx it was made of"),
    FileFormat(0, b"GGUF", "a language model in GGUF", "a model that is exported to ONNX"),
    FileFormat(0, b"\x1f\x8b", "gzip-compressed", "unpack it with gunzip"),
    FileFormat(
        0,
        b"treeversion=",
        "a LightGBM model as text",
        "onnxmltools.convert_lightgbm(model, …)",
        is_text=True,
    ),
    FileFormat(
        0,
        b'{"',
        "JSON, as XGBoost saves models",
        "onnxmltools.convert_xgboost(model, …)",
        is_text=True,
    ),
    FileFormat(
        0, b"{L", "UBJSON, as XGBoost saves models", "onnxmltools.convert_xgboost(model, …)"
    ),
    FileFormat(
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS in the file's place",
        "git lfs pull brings the file itself",
    ),
    FileFormat(
        0, b"<!doctype", "a web page", "download the file itself: Raw, not the page", is_text=True
    ),
    FileFormat(
        0, b"<html", "a web page", "download the file itself: Raw, not the page", is_text=True
    ),
    *(
        FileFormat(
            0,
            bytes((0x80, protocol)),
            "a Python pickle, as joblib and torch.save write",
            f"load it where it was trained and export it: of scikit-learn {_SKLEARN}, of PyTorch"
            f" {_TORCH}",
        )
        for protocol in range(2, 6)
    ),
)
"""The first that fits counts. None of them is the beginning of an ONNX file, which is the tag of a
field of protobuf with its number below 32; a pickle's is 0x80, of no field with a length."""


_BEGINNING: Final = 512
"""Bytes in which a text is recognised."""
_MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's byte order mark."""


def check(body: bytes) -> None:
    """Refuse a file of another format that is recognised, or none. Raises Refused: NotONNX."""
    if not body:
        raise Refused(Reason.NOT_ONNX, "the file is empty: nothing was written, or fetched")
    text = b"".join(body[:_BEGINNING].removeprefix(_MARK).lower().split())
    for row in FORMATS:
        if (text if row.is_text else body).startswith(row.first, row.offset):
            raise Refused(Reason.NOT_ONNX, f"the file is {row.name}, no ONNX model", row.remedy)
