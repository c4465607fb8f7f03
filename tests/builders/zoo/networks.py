"""Small networks in NumPy: the weights, and the answers that an exported graph is held against.

Neither PyTorch nor TensorFlow is installed for the tests (each is hundreds of megabytes): the
graphs of `pytorch` and `keras` are built by hand as their exporters build them, and what is here
stands for the original.
"""

import functools
from typing import NamedTuple

import numpy as np

from builders.zoo import readings
from builders.zoo.exported import Array

STEPS = 30
HIDDEN = 4


class Layer(NamedTuple):
    """A dense layer, in the layout of PyTorch: weight [out, in]."""

    weight: Array
    bias: Array

    def __call__(self, rows: Array) -> Array:
        product: Array = rows @ self.weight.T + self.bias
        return product


def drawn(seed: int, *shape: int) -> Array:
    """Return weights FP32 of a seed."""
    return np.random.default_rng(seed).normal(0, 0.4, shape).astype(np.float32)


def layer(seed: int, inputs: int, outputs: int) -> Layer:
    return Layer(drawn(seed, outputs, inputs), drawn(seed + 1, outputs))


@functools.cache
def perceptron() -> tuple[Layer, Layer, Layer]:
    """Return three layers, 3-16-16-1, of which the middle one has more than 64 weights."""
    return layer(1, 3, 16), layer(3, 16, 16), layer(5, 16, 1)


def relu(rows: Array) -> Array:
    return np.maximum(rows, 0)


def sigmoid(rows: Array) -> Array:
    positive: Array = 1 / (1 + np.exp(-rows))
    return positive


def perceive(rows: Array) -> Array:
    """Return the sigmoid [rows, 1] of the perceptron."""
    first, second, third = perceptron()
    return sigmoid(third(relu(second(relu(first(rows))))))


def scaled() -> Array:
    """Return rows FP32 [6, 3] of about the size 1, as a network wants them."""
    scaled: Array = (readings.asked() - np.array([300, 700, 21])) / np.array([200, 150, 1.5])
    return scaled.astype(np.float32)


def windows() -> Array:
    """Return windows FP32 [3, steps, 3] of about the size 1."""
    return np.random.default_rng(12).normal(0, 1, (3, STEPS, 3)).astype(np.float32)


class Recurrent(NamedTuple):
    """An LSTM and a dense layer, in the layout of ONNX: gates in the order i, o, f, c."""

    inputs: Array
    """[1, 4 hidden, 3]."""
    states: Array
    """[1, 4 hidden, hidden]."""
    bias: Array
    """[1, 8 hidden]: of inputs, then of states."""
    dense: Layer


@functools.cache
def recurrent() -> Recurrent:
    return Recurrent(
        drawn(7, 1, 4 * HIDDEN, 3),
        drawn(8, 1, 4 * HIDDEN, HIDDEN),
        drawn(9, 1, 8 * HIDDEN),
        layer(10, HIDDEN, 1),
    )


def remember(window: Array) -> Array:
    """Return the score [batch, 1] of windows [batch, steps, 3]."""
    net = recurrent()
    hidden = cell = np.zeros((len(window), HIDDEN), np.float32)
    bias = net.bias[0, : 4 * HIDDEN] + net.bias[0, 4 * HIDDEN :]
    for step in range(window.shape[1]):
        gates = window[:, step] @ net.inputs[0].T + hidden @ net.states[0].T + bias
        entry, exit_, forget, fresh = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(entry) * np.tanh(fresh)
        hidden = sigmoid(exit_) * np.tanh(cell)
    return sigmoid(net.dense(hidden))


@functools.cache
def kernel() -> Layer:
    """Return a convolution over time: weight [4, 3, 5], bias [4]."""
    return Layer(drawn(12, 4, 3, 5), drawn(13, 4))


@functools.cache
def pooled() -> Layer:
    return layer(14, 4, 2)


def convolve(window: Array) -> Array:
    """Return the probabilities [batch, 2] of windows [batch, steps, 3]."""
    weight, bias = kernel()
    width = weight.shape[2]
    pieces = np.lib.stride_tricks.sliding_window_view(window, width, axis=1)
    mapped = relu(np.einsum("btcw,ocw->bto", pieces, weight) + bias)
    logits = pooled()(mapped.mean(axis=1))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


@functools.cache
def autoencoder() -> tuple[Layer, Layer]:
    return layer(16, 3, 2), layer(18, 2, 3)


def reconstruct(rows: Array) -> Array:
    """Return the rows [rows, 3] as the autoencoder rebuilds them."""
    down, up = autoencoder()
    return up(np.tanh(down(rows)))
