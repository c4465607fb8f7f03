"""The exports of PyTorch, and files of its kind that are no models to serve."""

import numpy as np

from builders.zoo import exported, networks, pytorch_graphs
from builders.zoo.exported import Declared, Entry, Refusal

WINDOW = (networks.STEPS, "1s")
NO_SECOND_FILE = (
    "a version is one file: export with `external_data=False`,"
    " or `onnx.save(onnx.load(path), path)`"
)
FIXED = "shape `[1, …]`: the batch is fixed at 1"

ENTRIES = (
    Entry(
        "torch-default",
        "three dense layers",
        "torch.onnx.export(model, x, path)",
        pytorch_graphs.second_file,
        (exported.matrix("x", batch=1),),
        (Declared("sigmoid", "FP32", (1, 1)),),
        NO_SECOND_FILE,
        Refusal("ExternalData", "external_data=False"),
    ),
    Entry(
        "torch-one-file",
        "three dense layers",
        "torch.onnx.export(model, x, path, external_data=False)",
        pytorch_graphs.put_together,
        (exported.matrix("x", batch=1),),
        (Declared("sigmoid", "FP32", (1, 1)),),
        FIXED,
    ),
    Entry(
        "torch-unnamed",
        "three dense layers",
        "torch.onnx.export(model, x, path, dynamo=False)",
        lambda: pytorch_graphs.perceived("onnx::Gemm_0", "8", 1),
        (exported.matrix("onnx::Gemm_0", batch=1),),
        (Declared("8", "FP32", (1, 1)),),
        "the names as they are; a policy's output gives `8` a name of its own",
    ),
    Entry(
        "torch-named",
        "three dense layers",
        'torch.onnx.export(…, input_names=["input"], output_names=["output"], dynamic_axes=…)',
        lambda: pytorch_graphs.perceived("input", "output", "batch"),
        (exported.matrix("input"),),
        (Declared("output", "FP32", (-1, 1)),),
    ),
    Entry(
        "torch-half",
        "three dense layers after `model.half()`",
        'torch.onnx.export(…, input_names=["input"], output_names=["output"], dynamic_axes=…)',
        lambda: pytorch_graphs.perceived("input", "output", "batch", np.float16),
        (exported.matrix("input", "FP16"),),
        (Declared("output", "FP16", (-1, 1)),),
        "`dataType: FP16`",
        tolerance=5e-3,  # ten bits
    ),
    Entry(
        "torch-lstm",
        "LSTM over 30 samples",
        'torch.onnx.export(…, dynamic_axes={"window": {0: "batch"}})',
        lambda: pytorch_graphs.recurrent(networks.STEPS),
        (Declared("window", "FP32", (-1, networks.STEPS, 3), exported.FEATURES, WINDOW),),
        (Declared("score", "FP32", (-1, 1)),),
        "`window: {steps: 30, every: 1s}`, the distance of two samples in training",
    ),
    Entry(
        "torch-lstm-free",
        "LSTM over any number of samples",
        'torch.onnx.export(…, dynamic_axes={"window": {0: "batch", 1: "steps"}})',
        lambda: pytorch_graphs.recurrent("steps"),
        (Declared("window", "FP32", (-1, -1, 3), exported.FEATURES, WINDOW),),
        (Declared("score", "FP32", (-1, 1)),),
        "`window: {steps: 30, every: 1s}`; without it nothing is asked",
    ),
    Entry(
        "torch-conv",
        "convolution over 30 samples",
        "torch.onnx.export(model, x, path, external_data=False)",
        pytorch_graphs.convolutional,
        (Declared("window", "FP32", (1, networks.STEPS, 3), exported.FEATURES, WINDOW),),
        (Declared("probabilities", "FP32", (1, 2)),),
        "`window: {steps: 30, every: 1s}`, and shape `[1, …]`",
    ),
    Entry(
        "torch-autoencoder",
        "autoencoder, the rebuilt row as output",
        'torch.onnx.export(…, dynamic_axes={"x": {0: "batch"}})',
        pytorch_graphs.autoencoder,
        (exported.matrix("x"),),
        (Declared("output", "FP32", (-1, 3)),),
        "to hold the row against what it was, export the loss with the network",
    ),
    Entry(
        "torch-scalar",
        "autoencoder, its loss as output: a scalar",
        'torch.onnx.export(…, dynamic_axes={"x": {0: "batch"}})',
        pytorch_graphs.scalar,
        (exported.matrix("x"),),
        (Declared("loss", "FP32", ()),),
        "no `shape` for the output",
    ),
    Entry(
        "torch-boolean",
        "autoencoder, whether the loss is above a limit as output",
        'torch.onnx.export(…, dynamic_axes={"x": {0: "batch"}})',
        pytorch_graphs.truth_value,
        (exported.matrix("x"),),
        (Declared("anomaly", "BOOL", (-1,)),),
    ),
    Entry(
        "torch-embedding",
        "embedding of an index, beside numbers and a flag",
        'torch.onnx.export(…, input_names=["x", "state", "open"], dynamic_axes=…)',
        pytorch_graphs.embedded,
        (
            exported.matrix("x"),
            Declared("state", "INT64", (-1,), ("state",)),
            Declared("open", "BOOL", (-1, 1), ("open",)),
        ),
        (Declared("score", "FP32", (-1, 1)),),
        "one input a tensor; a text becomes its index with `preprocessing` (`categories`, `Index`)",
    ),
    Entry(
        "torch-list",
        "module that returns a list of tensors",
        "torch.onnx.export(model, x, path, dynamo=False)",
        pytorch_graphs.sequence,
        (exported.matrix("x"),),
        (Declared("outputs", "FP32", (-1, 3)),),
        "return tensors or a tuple of them, not a list",
        Refusal("UnsupportedType", "seq(tensor(float))"),
    ),
    Entry(
        "torch-functions",
        "exporter's own functions left in the file",
        "torch.onnx.dynamo_export(model, x).save(path)",
        lambda: pytorch_graphs.with_functions(is_inlined=False),
        (exported.matrix("x", batch=1),),
        (Declared("sigmoid", "FP32", (1, 1)),),
        "inline them, as in the next row",
        Refusal("LocalFunctions", "inline"),
    ),
    Entry(
        "torch-functions-inlined",
        "the same file, its functions inlined",
        "onnx.save(onnx.inliner.inline_local_functions(onnx.load(path)), path)",
        lambda: pytorch_graphs.with_functions(is_inlined=True),
        (exported.matrix("x", batch=1),),
        (Declared("sigmoid", "FP32", (1, 1)),),
        FIXED,
    ),
    Entry(
        "torch-training",
        "graph with a step of training",
        "onnxruntime.training.artifacts.generate_artifacts(…)",
        pytorch_graphs.training,
        (exported.matrix("x", batch=1),),
        (Declared("sigmoid", "FP32", (1, 1)),),
        "export the network for inference: `model.eval()`, then `torch.onnx.export`",
        Refusal("UnknownDomain", "ai.onnx.preview.training"),
    ),
    Entry(
        "ort-optimised",
        "graph that the ONNX Runtime saved after it optimised it",
        "SessionOptions.optimized_model_filepath",
        pytorch_graphs.optimised,
        (exported.matrix("x", batch=1),),
        (Declared("sigmoid", "FP32", (1, 1)),),
        "the exporter's file, not the optimised one: it is optimised again when it is loaded",
        Refusal("UnknownDomain", "com.microsoft"),
    ),
)
