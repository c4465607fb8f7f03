"""A model's tensors against a policy: what is asked, and what is refused with its remedy."""

from typing import Any

import pytest

from builders import engine_rig, room
from foreshore_api.v1alpha1 import ModelSpec
from foreshore_decision import policy

Json = dict[str, Any]
WINDOW = {"steps": 30, "every": "1s"}
STATES = {"values": ["idle", "running"]}


def documents(
    *inputs: Json,
    preprocessing: tuple[Json, ...] = (),
    outputs: tuple[Json, ...] = (),
    policy_changes: Json | None = None,
) -> tuple[Json, ...]:
    """A device that says numbers, a state, a truth and a count, and a model of these inputs."""
    profile, document = room.profile(), room.policy()
    for name, kind in (("state", "String"), ("open", "Boolean"), ("people", "Integer")):
        profile["spec"]["properties"].append({"name": name, "type": kind})
        document["spec"]["inputs"].append(
            {"name": name, "property": name, "type": kind, "maximumAge": "90s"}
        )
    document["spec"]["features"] = [
        {"name": "mean", "input": "co2", "window": "1m", "aggregate": "Mean"},
        {"name": "last", "input": "co2"},
    ]
    document = room.changed(document, **(policy_changes or {}))
    changes: Json = {"spec__inputs": list(inputs), "spec__preprocessing": list(preprocessing)}
    if outputs:
        changes["spec__outputs"] = list(outputs)
    return profile, document, room.changed(room.model(), **changes)


def tensor(*features: str, kind: str = "FP32", **more: Any) -> Json:
    return {
        "name": "X",
        "dataType": kind,
        "shape": [-1, len(features)],
        "features": list(features),
        **more,
    }


def made(*written: Json) -> policy.CompiledPolicy:
    assigned = engine_rig.assign(*written)
    return policy.compile(assigned.policies[0], assigned.devices[0])


def problems(*written: Json) -> list[str]:
    with pytest.raises(policy.PolicyError) as error:
        made(*written)
    return [f"{problem.path}: {problem.message}" for problem in error.value.problems]


THREE = ("light", "co2", "temperature")
ACCEPTED: dict[str, tuple[tuple[Json, ...], tuple[int, ...]]] = {
    "a free batch": ((tensor(*THREE),), (1, 3)),
    "a batch of one": ((tensor(*THREE, shape=[1, 3]),), (1, 3)),
    "free features": ((tensor(*THREE, shape=[-1, -1]),), (1, 3)),
    "a vector": ((tensor(*THREE, shape=[3]),), (3,)),
    "a free vector": ((tensor("co2", shape=[-1]),), (1,)),
    "a scalar": ((tensor("co2", shape=[]),), ()),
    "a dimension of one": ((tensor(*THREE, shape=[-1, 1, 3]),), (1, 1, 3)),
    "a fixed window": ((tensor(*THREE, shape=[-1, 30, 3], window=WINDOW),), (1, 30, 3)),
    "a free window": ((tensor(*THREE, shape=[-1, -1, 3], window=WINDOW),), (1, 30, 3)),
    "a window of all free": ((tensor(*THREE, shape=[-1, -1, -1], window=WINDOW),), (1, 30, 3)),
    "a window of last values": ((tensor("last", shape=[1, 30, 1], window=WINDOW),), (1, 30, 1)),
    "half floats": ((tensor(*THREE, kind="FP16"),), (1, 3)),
    "a truth": ((tensor("open", kind="BOOL"),), (1, 1)),
    "a text": ((tensor("state", kind="BYTES"),), (1, 1)),
    "64 tensors": (
        tuple({**tensor("co2"), "name": f"x{index}"} for index in range(64)),
        (1, 1),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_model_is_asked_with_the_shape_that_it_declares(name: str) -> None:
    inputs, shape = ACCEPTED[name]
    asked = made(*documents(*inputs)).inference
    assert asked is not None
    assert len(asked.tensors) == len(inputs)
    assert asked.tensors[0].shape == shape


REFUSED: dict[str, tuple[Json, str]] = {
    "a free middle": (
        tensor(*THREE, shape=[-1, -1, 3]),
        "the shape [-1, -1, 3] leaves its samples free, and a model is never asked with a number"
        " of them that nobody stated: declare window {steps, every} of the input in the Model",
    ),
    "a fixed middle": (
        tensor(*THREE, shape=[-1, 30, 3]),
        "the shape [-1, 30, 3] holds 30 samples: declare window {steps: 30, every: …}",
    ),
    "a batch of two": (tensor(*THREE, shape=[2, 3]), "has no batch of one: export the model with"),
    "a window of two": (
        tensor(*THREE, shape=[2, 30, 3], window=WINDOW),
        "has no batch of one: export the model with",
    ),
    "other steps": (
        tensor(*THREE, shape=[-1, 20, 3], window=WINDOW),
        "takes no window of 30 steps",
    ),
    "a flat window": (
        tensor(*THREE, shape=[-1, 90], window=WINDOW),
        "a flat window is for the model to turn, with a transposition or a reshape before it",
    ),
    "a window with its features first": (
        tensor(*THREE, shape=[-1, 3, 30], window=WINDOW),
        "another order or a flat window is for the model to turn",
    ),
    "a vector of any length": (
        tensor(*THREE, shape=[-1]),
        "leaves free how many there are: declare [3], or [-1, 3]",
    ),
    "a scalar of three": (tensor(*THREE, shape=[]), "3 features do not fill the shape []"),
    "too many columns": (
        tensor(*THREE, shape=[-1, 4]),
        "3 features do not fill the shape [-1, 4]: list 4 of them, in the order of training",
    ),
    "an aggregate in a window": (
        tensor("mean", shape=[-1, 30, 1], window=WINDOW),
        "a window holds samples, and mean is the Mean of many: take input co2 in its place",
    ),
    "a text for a number": (
        tensor("state"),
        "or list its categories under preprocessing of the Model as training encoded them",
    ),
    "a number for a text": (
        tensor("co2", kind="BYTES"),
        "a BYTES tensor takes texts, and co2 is a Number: read a String",
    ),
    "a truth for a text": (tensor("open", kind="BYTES"), "open is a Boolean: read a String"),
    "a number for a truth": (
        tensor("co2", kind="BOOL"),
        "a BOOL tensor takes Booleans, and co2 is a Number: map it to a Boolean",
    ),
    "an unknown name": (tensor("co3"), "did you mean co2?"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_shape_or_type_that_nobody_stated_is_refused_with_its_remedy(name: str) -> None:
    taking, said = REFUSED[name]
    [problem] = problems(*documents(taking))
    assert problem.startswith("spec.modelRef: input X: ")
    assert said in problem


def scale(name: str, mean: str = "400", deviation: str = "250") -> Json:
    return {"name": name, "scale": {"mean": mean, "deviation": deviation}}


def categories(name: str, **more: Any) -> Json:
    return {"name": name, "categories": {**STATES, **more}}


PREPARED: dict[str, tuple[Json, Json, str]] = {
    "nothing": (tensor("co2"), scale("co3"), "no input of the model takes co3; did you mean co2?"),
    "both": (
        tensor("co2"),
        {**scale("co2"), **categories("co2")},
        "exactly one of scale and categories is needed",
    ),
    "neither": (tensor("co2"), {"name": "co2"}, "exactly one of scale and categories is needed"),
    "no deviation": (tensor("co2"), scale("co2", deviation="0"), "a deviation is above zero"),
    "a scaled text": (
        tensor("state", shape=[-1, 1]),
        scale("state"),
        "state is a String, and a scale is of a number: declare its categories",
    ),
    "a scaled integer": (
        tensor("people", kind="INT64"),
        scale("people"),
        "a scaled people is no integer, and the tensor is INT64",
    ),
    "a scaled truth": (
        tensor("open", kind="BOOL"),
        scale("open"),
        "a BOOL tensor takes Booleans, and open is a Boolean",
    ),
    "a prepared text": (
        tensor("state", kind="BYTES", shape=[-1, -1]),
        categories("state"),
        "takes state as the text that it is: no preprocessing",
    ),
    "categories of a number": (
        tensor("co2", shape=[-1, 2]),
        categories("co2"),
        "co2 is a Number, and categories are of a String, an Integer or a Boolean",
    ),
    "categories of an aggregate": (
        tensor("mean", shape=[-1, 2]),
        categories("mean"),
        "mean is a Number, and categories are of",
    ),
    "a truth that is none": (
        tensor("open", shape=[-1, 2]),
        categories("open", values=["true", "no"]),
        "no is never measured: open is Boolean, which is written as true or false",
    ),
    "an integer that is none": (
        tensor("people", shape=[-1, 2]),
        categories("people", values=["1", "01"]),
        "01 is never measured: people is Integer, which is written as digits, as in 42",
    ),
    "two that are one number": (
        tensor("people", shape=[-1, 2]),
        categories("people", values=["9007199254740993", "9007199254740992"]),
        "9007199254740992 is the same number as another category",
    ),
    "zeros of an index": (
        tensor("state"),
        categories("state", encoding="Index", unknown="Zeros"),
        "an index has no zeros for what is no category",
    ),
    "too few columns": (
        tensor("state", "co2", shape=[-1, 2]),
        categories("state"),
        "3 features do not fill the shape [-1, 2]",
    ),
}


@pytest.mark.parametrize("name", PREPARED)
def test_preprocessing_that_fits_nothing_is_refused_with_its_remedy(name: str) -> None:
    taking, declared, said = PREPARED[name]
    found = problems(*documents(taking, preprocessing=(declared,)))
    assert any(said in problem for problem in found), found


def test_an_input_of_another_type_than_its_property_is_said_once() -> None:
    """Not again of the model, which takes what the property is."""
    profile, document, model = documents(tensor("state", kind="BYTES"))
    del document["spec"]["inputs"][-3]["type"]
    assert problems(profile, document, model) == [
        "spec.inputs[state].type: is Number, but the property is String: write that"
    ]


def test_an_integer_may_be_shifted() -> None:
    shifted = scale("people", mean="1", deviation="1")
    assert made(*documents(tensor("people", kind="INT64"), preprocessing=(shifted,)))


def test_a_model_of_too_many_elements_is_refused() -> None:
    window = {"steps": 1024, "every": "1s"}
    written = documents(
        tensor("state", shape=[-1, 1024, -1], window=window),
        preprocessing=(categories("state", values=[f"state {index}" for index in range(256)]),),
    )
    [problem] = problems(*written)
    assert problem.startswith("spec.modelRef: inputs: 262144 elements in all")
    taking = [
        {**tensor("co2", shape=[-1, 1024, 1], window=window), "name": f"x{index}"}
        for index in range(64)
    ]
    assert made(*documents(*taking))
    [problem] = problems(
        *documents(*taking[1:], tensor("co2", "light", shape=[-1, 1024, 2], window=window))
    )
    assert "66560 elements in all, and a model is asked with at most 65536" in problem


def reading(output: str, index: int = 0, expression: str = "label > 0.5") -> Json:
    return {
        "spec__inference": {"outputs": [{"name": "label", "output": output, "index": index}]},
        "spec__rules": [
            {"name": "o", "effect": "Permit", "expression": expression, "reason": "Occupied"}
        ],
    }


@pytest.mark.parametrize(
    ("shape", "index", "elements"),
    [
        ([], 0, None),
        ([], 1, 1),
        ([3], 2, None),
        ([3], 3, 3),
        ([-1], 0, None),
        ([-1, 2], 1, None),
        ([-1, 2], 2, 2),
        ([1, 30, 1], 29, None),
        ([1, 30, 1], 30, 30),
        ([-1, -1, 1], 7, None),
    ],
)
def test_an_output_holds_what_its_shape_says_of_one_sample(
    shape: list[int], index: int, elements: int | None
) -> None:
    outputs = ({"name": "y", "dataType": "FP32", "shape": shape},)
    written = documents(tensor("co2"), outputs=outputs, policy_changes=reading("y", index))
    if elements is None:
        assert made(*written)
    else:
        [problem] = problems(*written)
        assert f"{index} lies beyond the {elements} elements of y" in problem


@pytest.mark.parametrize(
    ("kind", "fits", "fails"),
    [
        ("BYTES", "label == 'a'", "label > 0.5"),
        ("BOOL", "label > 0.5", "label == 'a'"),
        ("INT64", "label == 1.0", "label == 'a'"),
    ],
)
def test_an_output_is_read_as_its_type(kind: str, fits: str, fails: str) -> None:
    outputs = ({"name": "y", "dataType": kind, "shape": [-1]},)
    written = documents(
        tensor("co2"), outputs=outputs, policy_changes=reading("y", expression=fits)
    )
    assert made(*written)
    written = documents(
        tensor("co2"), outputs=outputs, policy_changes=reading("y", expression=fails)
    )
    assert "spec.rules[o].expression" in problems(*written)[0]


def test_a_model_that_declares_nothing_new_is_what_it_was() -> None:
    spec = ModelSpec.model_validate(room.model()["spec"])
    assert spec.preprocessing == ()
    assert [taken.window for taken in spec.inputs] == [None]
