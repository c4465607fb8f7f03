from importlib import util
from pathlib import Path

import foreshore_serving


def test_the_schema_kept_here_is_that_of_the_locked_onnx_package() -> None:
    spec = util.find_spec("onnx")
    assert spec is not None
    assert spec.origin is not None
    theirs = Path(spec.origin).with_name("onnx_ml_pb2.py").read_text()
    ours = Path(foreshore_serving.__file__).with_name("onnx_ml_pb2.py").read_text()

    header, marker, body = ours.partition("# -*- coding: utf-8 -*-")

    assert marker + body == theirs, "copy it anew, below the header"
    assert "SPDX-License-Identifier: Apache-2.0" in header
