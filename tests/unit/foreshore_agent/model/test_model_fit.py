"""How features fill an input, by its shape alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.model import fit
from foreshore_api.v1alpha1 import model

SIZES = st.one_of(st.integers(-1, 2000), st.sampled_from(["batch", "steps", ""]))


@pytest.mark.parametrize(
    ("shape", "features"),
    [
        pytest.param((), 1, id="a scalar"),
        pytest.param((-1,), 1, id="a batch of single numbers"),
        pytest.param((3,), 3, id="a vector"),
        pytest.param((1, 3), 3, id="a batch of one"),
        pytest.param(("batch", 3), 3, id="a free batch"),
        pytest.param((-1, 1, 3), 3, id="a middle dimension of one"),
        pytest.param((-1, -1), None, id="features that the file leaves open"),
    ],
)
def test_one_sample_fills_an_input(shape: fit.Shape, features: int | None) -> None:
    assert fit.fit(shape) == fit.InputFit(features=features)


@pytest.mark.parametrize(
    ("shape", "steps"),
    [
        pytest.param((-1, 30, 3), 30, id="as many samples as the file says"),
        pytest.param(("batch", "steps", 3), None, id="as many as the person says"),
    ],
)
def test_a_middle_dimension_takes_a_window(shape: fit.Shape, steps: int | None) -> None:
    assert fit.fit(shape) == fit.InputFit(features=3, is_windowed=True, steps=steps)


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        pytest.param((32, 3), "32 samples at once", id="a batch of its own"),
        pytest.param((1, 3, 224, 224), "last dimension", id="an image"),
        pytest.param((-1, 784), "784 features", id="more features than a Model declares"),
        pytest.param((-1, 1025, 3), "1025", id="more samples than a window holds"),
        pytest.param((-1, 1000, 100), "8192", id="more values than a window holds"),
    ],
)
def test_what_no_features_fill_says_why(shape: fit.Shape, word: str) -> None:
    assert word in fit.fit(shape).problem


@given(st.lists(SIZES, max_size=6))
def test_every_shape_either_takes_features_or_says_why_not(shape: list[int | str]) -> None:
    filling = fit.fit(shape)
    if not filling.problem:
        assert filling.features is None or 1 <= filling.features <= fit.MAXIMUM_FEATURES
        assert filling.steps is None or 2 <= filling.steps <= fit.MAXIMUM_STEPS
        assert filling.is_windowed or filling.steps is None


def test_bounds_are_those_of_a_model() -> None:
    fields = model.ModelInput.model_fields["features"].metadata
    assert fit.MAXIMUM_FEATURES in [getattr(mark, "max_length", None) for mark in fields]
    steps = model.SampleWindow.model_fields["steps"].metadata
    assert fit.MAXIMUM_STEPS in [getattr(mark, "le", None) for mark in steps]
    rules = " ".join(rule.rule for rule in model.ModelInput.validations)
    assert str(fit.MAXIMUM_VALUES) in rules
