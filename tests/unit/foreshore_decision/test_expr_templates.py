"""Templates: maps and lists that are written out, typed to the last leaf before anything runs."""

import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.v1alpha1 import DataType
from foreshore_decision import expr

NAMES = expr.environment(
    {
        "on": DataType.BOOLEAN,
        "level": DataType.NUMBER,
        "step": DataType.INTEGER,
        "word": DataType.STRING,
        "parameters.id": DataType.STRING,
    }
)
VALUES: dict[str, expr.Value] = {
    "on": True,
    "level": 21.5,
    "step": 3,
    "word": "eco",
    "parameters.id": "12",
}


def made(source: str, **values: expr.Value) -> object:
    template = expr.compile_template(NAMES, source)
    return template.evaluate(NAMES.bind({**VALUES, **values}))


@pytest.mark.parametrize(
    ("source", "document"),
    [
        ('on ? "ON" : "OFF"', "ON"),
        ("level", 21.5),
        ('{"state": on ? "ON" : "OFF"}', {"state": "ON"}),
        ('{"a": {"b": [1, level, step, word, on]}}', {"a": {"b": [1, 21.5, 3, "eco", True]}}),
        ('{"id": int(parameters.id)}', {"id": 12}),
        ('({"a": (level)})', {"a": 21.5}),
        ('{"a": 1, }', {"a": 1}),
        ("[]", []),
        ("{}", {}),
        ('on ? {"on": true} : {"off": [step]}', {"on": True}),
        ('on && level > 30.0 ? {"a": 1} : level > 20.0 ? {"b": 1} : {"c": 1}', {"b": 1}),
        ('{"a,b:{": "x, y: }" }', {"a,b:{": "x, y: }"}),
        ('{"a": 1}.a', 1),
        ('[word, "x"][1]', "x"),
        ('{"a": 1} // {"b": 2}', {"a": 1}),
    ],
)
def test_what_is_written_out_comes_out(source: str, document: object) -> None:
    assert made(source) == document


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{word: 1}", "the key word is no text"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"a" 1}', "no entry of a map"),
        ("{1: 2}", "no text"),
        ('on ? {"a": 1}', "without its :"),
        ("[1, 2].map(x, x * 2)", "write maps and lists out"),
        ('{"a": [1] + [2]}', "write maps and lists out"),
        ('{"a": nowhere}', "undeclared reference"),
        ('{"a": dyn(level)}', "dyn() is not allowed"),
        ('{"a": level > 1.0 / level}', "calculates and decides at once"),
        ('step ? {"a": 1} : {"b": 1}', "BOOL is wanted"),
        ("", "a value is missing"),
        ('{"a": }', "a value is missing"),
        ("[" * 9 + "]" * 9, "8 deep at most"),
        ("[" + ",".join("1" * 65) + "]", "at most 64 entries"),
        ('{"a": "' + "x" * 4096 + '"}', "at most 4096 bytes"),
        ("on ? " * 500 + '{"a": 1}' + " : {}" * 500, "at most 4096 bytes"),
        ("on?" * 400 + '{"a":1}' + ":{}" * 400, ""),
        ("(" * 2000, ""),
        ('{"a": "\ud800"}', "half a character"),
    ],
)
def test_what_is_no_document_is_refused_with_the_place(source: str, why: str) -> None:
    with pytest.raises(expr.CompileError) as error:
        expr.compile_template(NAMES, source)
    assert why in str(error.value)


def test_a_leaf_without_a_value_leaves_the_whole_without_one() -> None:
    assert isinstance(made('{"a": [int(word)]}'), expr.NoValue)
    assert isinstance(made('{"a": level * 1e308}'), expr.NoValue)


def test_bare_is_what_gives_no_map_and_no_list_whatever_is_chosen() -> None:
    bare = {"level": True, 'on ? "a" : "b"': True, "[level]": False, 'on ? {"a": 1} : {}': False}
    for source, is_bare in bare.items():
        assert expr.compile_template(NAMES, source).is_bare is is_bare


def test_every_expression_is_there_to_be_timed() -> None:
    template = expr.compile_template(NAMES, 'on ? {"a": level} : {"b": [word, step]}')
    assert [part.source for part in template.expressions] == ["on", "level", "word", "step"]


LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-1e9, 1e9).map(abs),
    st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\')),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_a_json_document_is_a_template_of_itself(document: object) -> None:
    source = orjson.dumps(document).decode()
    try:
        template = expr.compile_template(NAMES, source)
    except expr.CompileError as error:
        problem = str(error)
    else:
        assert template.evaluate(NAMES.bind({})) == document
        return
    assert "deep at most" in problem or "at most 4096" in problem


@given(st.text(max_size=200))
def test_no_text_ends_the_process(source: str) -> None:
    try:
        expr.compile_template(NAMES, source)
    except expr.CompileError:
        return


@given(st.lists(st.sampled_from('{}[]():,?"a1 on'), max_size=60).map("".join))
def test_no_heap_of_brackets_ends_the_process(source: str) -> None:
    try:
        expr.compile_template(NAMES, source)
    except expr.CompileError:
        return


def test_parentheses_around_the_whole_are_looked_at_once() -> None:
    """As many as the longest text holds took seconds, looked at one pair after the other."""
    began = time.process_time()
    assert made("(" * 2040 + '{"a": 1}' + ")" * 2040) == {"a": 1}
    assert time.process_time() - began < 0.5
