"""Tensors are laid out at once where they can be, and then as one by one."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.engine import tensors
from foreshore_decision.policy import compiled

VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.just(-0.0)
PREPARATIONS = st.none() | st.builds(compiled.Scaling, st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))


@given(st.data(), st.sampled_from(["FP16", "FP32", "FP64"]), st.booleans())
def test_values_at_once_are_those_one_by_one_to_the_last_bit(
    data: st.DataObject, kind: str, is_prepared: bool
) -> None:
    width, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    rows = data.draw(
        st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=steps, max_size=steps)
    )
    prepared = data.draw(st.lists(PREPARATIONS, min_size=width, max_size=width))
    names = tuple(f"f{index}" for index in range(width))
    preparations = tuple(prepared) if is_prepared else ()
    tensor = compiled.InputTensor("x", kind, (1, width), names, False, preparations)
    at_once = tensors._at_once(tensor, rows)
    try:
        expected = tensors._one_by_one(tensor, rows)
    except tensors.UnfitError:
        assert at_once is None
        return
    assert at_once is not None
    numbers = [value for value in expected if isinstance(value, float)]
    assert len(numbers) == len(expected) == len(at_once)
    assert struct.pack(f"{len(numbers)}d", *numbers) == struct.pack(f"{len(at_once)}d", *at_once)
