"""The traps of the expression library, and that they stop in one module."""

import math
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api.v1alpha1 import DataType
from foreshore_decision import expr
from foreshore_decision.expr import lexis

SCOPE = expr.environment(
    {
        "co2": DataType.NUMBER,
        "score": DataType.NUMBER,
        "people": DataType.INTEGER,
        "open": DataType.BOOLEAN,
        "name": DataType.STRING,
        "parameters.setpoint": DataType.NUMBER,
    }
)


def condition(source: str) -> expr.Expression:
    return SCOPE.compile(source, DataType.BOOLEAN)


def evaluate(source: str, wanted: DataType = DataType.BOOLEAN, **values: expr.Value) -> object:
    return SCOPE.compile(source, wanted).evaluate(SCOPE.bind(values))


def test_the_engine_named_in_records_is_the_one_installed() -> None:
    assert f"cel-expr-python/{metadata.version('cel-expr-python')}" == expr.ENGINE


def test_false_of_the_library_is_not_truthy_here() -> None:
    assert evaluate("score >= 0.8", score=0.1) is False


def test_an_error_that_the_library_returns_is_a_problem_and_not_true() -> None:
    result = condition("people % 0 > 1").is_true(SCOPE.bind({"people": 3}))
    assert isinstance(result, expr.Problem)
    assert result.reason == expr.EXPRESSION_ERROR


def test_an_error_text_is_not_taken_for_a_string() -> None:
    assert isinstance(evaluate("name + name", DataType.STRING), expr.Problem)


def test_a_missing_value_is_a_problem() -> None:
    assert isinstance(evaluate("score >= 0.8"), expr.Problem)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_does_not_open_a_negated_gate(poison: float) -> None:
    assert isinstance(evaluate("!(score > 0.5)", score=poison), expr.Problem)


def test_a_result_that_is_not_finite_is_a_problem() -> None:
    result = evaluate("co2 / 0.0", DataType.NUMBER, co2=1.0)
    assert isinstance(result, expr.Problem)
    assert result.reason == expr.NON_FINITE


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("!(co2 / score > 1.0)", DataType.BOOLEAN),
        ("co2 / (score - 1.0) > 1.0 || true", DataType.BOOLEAN),
        ("co2 / 0.0 > 1.0 ? 600.0 : 300.0", DataType.NUMBER),
        ("math.greatest(co2 / score, 300.0)", DataType.NUMBER),
        ("!(math.sqrt(co2 - 500.0) > 3.0)", DataType.BOOLEAN),
        ("!(double(name) > 5.0)", DataType.BOOLEAN),
        ("!(double('NaN') > 5.0)", DataType.BOOLEAN),
    ],
)
def test_a_number_that_is_none_decides_nothing_unseen(source: str, wanted: DataType) -> None:
    with pytest.raises(expr.CompileError, match="in a variable of its own"):
        SCOPE.infer(source)
    with pytest.raises(expr.CompileError, match="in a variable of its own"):
        SCOPE.compile(source, wanted)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("co2 / score", DataType.NUMBER),
        ("co2 / math.greatest(score, 0.001)", DataType.NUMBER),
        ("co2 / 2.0 > 1.0", DataType.BOOLEAN),
        ("double(people) > 3.0", DataType.BOOLEAN),
        ("math.sqrt(co2)", DataType.NUMBER),
        ("name == 'a/b' // not / this\n", DataType.BOOLEAN),
    ],
)
def test_a_quotient_that_is_checked_or_has_a_value_may_stand(source: str, wanted: DataType) -> None:
    assert SCOPE.compile(source, wanted).source == source


@given(st.floats(), st.floats())
def test_no_number_that_is_not_finite_comes_out(left: float, right: float) -> None:
    result = evaluate("co2 * score + co2 / score", DataType.NUMBER, co2=left, score=right)
    assert isinstance(result, expr.Problem) or (isinstance(result, float) and math.isfinite(result))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("score >= 1", "write 1000.0, not 1000"),
        ("scoer >= 1.0", "undeclared reference to 'scoer'"),
        ("score", "is DOUBLE, but BOOL is wanted"),
        ("dyn(score) > 0.5", "dyn()"),
        ("[1, 'a'][0]", "is DYN, but BOOL is wanted"),
        ("score >", "Syntax error"),
        ("parameters.other > 1.0", "undeclared reference"),
        ("score > 0.5 || '" + "x" * 4096 + "' == name", "at most 4096 bytes"),
    ],
)
def test_what_cannot_be_checked_before_it_runs_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(expr.CompileError, match=complaint.replace("(", r"\(").replace(")", r"\)")):
        condition(source)


def test_an_integer_counts_as_a_number_and_a_boolean_does_not() -> None:
    assert evaluate("co2 > 1.0", co2=2) is True
    assert isinstance(evaluate("co2 > 0.0", co2=True), expr.Problem)


def test_an_integer_beyond_64_bits_is_missing() -> None:
    assert isinstance(evaluate("people > 0", people=2**63), expr.Problem)


def test_a_loop_that_runs_away_ends_as_a_problem() -> None:
    items = "[" + ",".join("1" * 200) + "]"
    source = f"{items}.all(a, {items}.all(b, {items}.all(c, a + b + c > 0)))"
    assert isinstance(evaluate(source), expr.Problem)


def test_operands_are_the_names_of_the_text_with_their_values() -> None:
    rule = condition("score >= parameters.setpoint && name != 'co2'")
    bound = SCOPE.bind({"score": 0.9, "parameters.setpoint": 0.8})
    assert rule.operands(bound) == {"name": None, "parameters.setpoint": 0.8, "score": 0.9}


@pytest.mark.parametrize(
    ("source", "margin"),
    [
        ("score >= 0.8", 0.1),
        ("score < 0.8", -0.1),
        ("co2 - 400.0 > 100.0 * score", 10.0),
        ("!(score >= 0.8)", None),
        ("score >= 0.8 && co2 > 1.0", None),
        ("name == 'a'", None),
        ("people > 3", None),
        ("'>' == name", None),
        ("[1.0].exists(x, x > score)", None),
    ],
)
def test_the_margin_is_the_distance_to_the_other_result(source: str, margin: float | None) -> None:
    bound = SCOPE.bind({"score": 0.9, "co2": 500.0, "name": "b", "people": 3})
    measured = condition(source).margin(bound)
    assert measured == (None if margin is None else pytest.approx(margin))


def test_the_margin_needs_both_sides() -> None:
    assert condition("score >= 0.8").margin(SCOPE.bind({})) is None


def test_environments_of_the_same_names_are_shared() -> None:
    assert expr.environment(dict(SCOPE.names)) is SCOPE
    first = expr.compile_shared(SCOPE, "score > 0.1", DataType.BOOLEAN)
    assert expr.compile_shared(SCOPE, "score > 0.1", DataType.BOOLEAN) is first


def test_names_in_texts_and_comments_are_no_names() -> None:
    assert "co2" not in lexis.names("name == 'co2' // co2\n")
    assert lexis.names("parameters.setpoint") == {"parameters", "parameters.setpoint"}
