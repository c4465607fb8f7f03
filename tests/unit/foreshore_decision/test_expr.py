"""The traps of the expression library, and that they stop in one module."""

import contextlib
import json
import math
import re
import time
import timeit
from importlib import metadata

import pytest
from hypothesis import example, given, settings
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
    assert isinstance(result, expr.NoValue)
    assert result.reason == "ExpressionError"


def test_an_error_text_is_not_taken_for_a_string() -> None:
    assert isinstance(evaluate("name + name", DataType.STRING), expr.NoValue)


def test_a_missing_value_is_a_problem() -> None:
    assert isinstance(evaluate("score >= 0.8"), expr.NoValue)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_does_not_open_a_negated_gate(poison: float) -> None:
    assert isinstance(evaluate("!(score > 0.5)", score=poison), expr.NoValue)


def test_a_result_that_is_not_finite_is_a_problem() -> None:
    result = evaluate("co2 / 0.0", DataType.NUMBER, co2=1.0)
    assert isinstance(result, expr.NoValue)
    assert result.reason == "ValueNotFinite"


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
    assert isinstance(result, expr.NoValue) or (isinstance(result, float) and math.isfinite(result))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("people > 1.5", r"write double(...) around the Integer"),
        ("score > people", r"write double(...) around the Integer"),
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
    assert isinstance(evaluate("co2 > 0.0", co2=True), expr.NoValue)


def test_an_integer_beyond_64_bits_is_missing() -> None:
    assert isinstance(evaluate("people > 0", people=2**63), expr.NoValue)


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


@pytest.mark.parametrize(
    ("source", "wanted", "value"),
    [
        ("co2 > 75", DataType.BOOLEAN, True),
        ("75 < co2 && people > 3", DataType.BOOLEAN, True),
        ("co2 == 80", DataType.BOOLEAN, True),
        ("co2 != 80", DataType.BOOLEAN, False),
        ("co2 in [1, 80]", DataType.BOOLEAN, True),
        ("co2 + 1 > 2.5", DataType.BOOLEAN, True),
        ("(co2 - 30) * 2 / 4 <= 25", DataType.BOOLEAN, True),
        ("-co2 > -81", DataType.BOOLEAN, True),
        ("co2 > - 5 && -5 < co2 && co2 > 0x10", DataType.BOOLEAN, True),
        ("co2 > 7 / 2 - 3", DataType.BOOLEAN, True),
        ("open ? co2 : 1", DataType.NUMBER, 80.0),
        ("open ? 600 : 300", DataType.NUMBER, 600.0),
        ("7 / 2", DataType.NUMBER, 3.5),
        ("600", DataType.NUMBER, 600.0),
        ("math.greatest(co2, 5, 3)", DataType.NUMBER, 80.0),
        ("math.least([co2, 5])", DataType.NUMBER, 5.0),
        ("math.abs(co2 - 100) + math.round(5)", DataType.NUMBER, 25.0),
        ("[1, 200].exists(x, x > co2)", DataType.BOOLEAN, True),
        ("[1, 2].map(x, x * co2)[1]", DataType.NUMBER, 160.0),
        ("{'low': 1}['low'] + co2", DataType.NUMBER, 81.0),
        ("parameters.setpoint > 3", DataType.BOOLEAN, True),
        ("people % 2 == 0 && size([1, 2]) == 2 && co2 > 5", DataType.BOOLEAN, True),
        ("double(people) * 2 > 7.5", DataType.BOOLEAN, True),
        ("name == '75' || name == 'é😀' || co2 > 75", DataType.BOOLEAN, True),
    ],
)
def test_an_integer_literal_is_a_number_where_numbers_stand(
    source: str, wanted: DataType, value: object
) -> None:
    values: dict[str, expr.Value] = {
        "co2": 80.0,
        "people": 4,
        "open": True,
        "name": "b",
        "parameters.setpoint": 4.0,
    }
    assert evaluate(source, wanted, **values) == value
    assert type(evaluate(source, wanted, **values)) is type(value)


@pytest.mark.parametrize(
    ("source", "kind"),
    [("1 / 2 == 0", True), ("people / 2 == 1", True), ("people > 2 && 7 / 2 == 3", True)],
)
def test_what_is_about_integers_alone_stays_so(source: str, kind: object) -> None:
    assert evaluate(source, people=3) is kind


def test_a_complaint_is_about_what_is_wrong_and_not_about_a_literal() -> None:
    with pytest.raises(expr.CompileError, match="undeclared reference to 'scoer'"):
        condition("score > 75 && scoer > 1")


def test_a_name_that_is_not_known_is_told_which_are() -> None:
    with pytest.raises(expr.CompileError, match=r"'scoer'; did you mean score\? Known: .*co2"):
        condition("scoer > 0.5")


def test_an_integer_where_a_number_is_wanted_names_the_remedy() -> None:
    with pytest.raises(expr.CompileError, match="around the Integer"):
        SCOPE.compile("people + 1", DataType.NUMBER)


def test_the_margin_of_a_comparison_with_an_integer_literal_is_measured() -> None:
    rule = condition("co2 > 75")
    assert rule.source == "co2 > 75"
    assert rule.margin(SCOPE.bind({"co2": 80.0})) == 5.0


@pytest.mark.parametrize(
    "source",
    [
        "score > " + " + ".join(["1"] * 1500),
        "(" * 400 + "score" + ")" * 400 + " > 1",
        "!" * 3000 + "open",
        "name.matches('a')" + "".join(["\n"] * 10) + " || score > " + " + ".join(["1"] * 1200),
    ],
    ids=["a long sum", "many brackets", "many negations", "a long sum and a pattern"],
)
def test_a_text_that_nests_deeply_is_compiled_or_refused(source: str) -> None:
    try:
        condition(source)
    except expr.CompileError as error:
        complaint = str(error)
    else:
        complaint = "none"
    assert complaint


def test_a_text_of_any_length_does_not_go_in() -> None:
    assert evaluate("name.matches('a+')", name="a" * 1024) is True
    assert isinstance(evaluate("name.matches('a+')", name="a" * 1025), expr.NoValue)


NUMBERS = st.sampled_from(["co2", "score", "parameters.setpoint"])
LITERALS = st.integers(min_value=0, max_value=40).map(lambda number: f"#{number}#")


def _numeric(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*"])
    return st.one_of(
        st.builds(lambda a, o, b: f"({a} {o} {b})", inner, operators, inner),
        st.builds(lambda a, n: f"({a} / #{n}#)", inner, st.integers(1, 9)),
        st.builds(lambda a: f"-{a}", inner),
        st.builds(lambda a, b: f"math.greatest({a}, {b})", inner, inner),
        st.builds(lambda a, b: f"(open ? {a} : {b})", inner, inner),
        st.builds(lambda a, b: f"[{a}, {b}][people - 2]", inner, inner),
    )


NUMERIC = st.recursive(NUMBERS | LITERALS, _numeric, max_leaves=6)
"""Where `#n#` is a literal that may be written `n` or `n.0`."""
RELATIONS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
CONDITION = st.builds(lambda a, o, n, b: f"{a} {o} {n} + {b}", NUMERIC, RELATIONS, NUMBERS, NUMERIC)


def _written(template: str, suffix: str) -> str:
    return re.sub(r"#(\d+)#", rf"\g<1>{suffix}", template)


@settings(deadline=None)
@given(st.one_of(CONDITION, st.builds(lambda a, b: f"{a} && {b}", CONDITION, CONDITION)))
def test_any_condition_means_the_same_with_and_without_the_point(template: str) -> None:
    values: dict[str, expr.Value] = {
        "co2": 20.0,
        "score": 0.5,
        "people": 3,
        "open": True,
        "parameters.setpoint": 7.0,
    }
    try:
        with_point: object = evaluate(_written(template, ".0"), DataType.BOOLEAN, **values)
    except expr.CompileError as error:
        with_point = str(error)
    try:
        without: object = evaluate(_written(template, ""), DataType.BOOLEAN, **values)
    except expr.CompileError as error:
        without = str(error)
    if isinstance(with_point, str):
        assert isinstance(without, str)
    else:
        assert without == with_point


@settings(deadline=None)
@given(NUMERIC)
def test_any_number_means_the_same_with_and_without_the_point(template: str) -> None:
    values: dict[str, expr.Value] = {
        "co2": 20.0,
        "score": 0.5,
        "people": 3,
        "open": True,
        "parameters.setpoint": 7.0,
    }
    results: list[object] = []
    for suffix in (".0", ""):
        try:
            results.append(evaluate(_written(template, suffix), DataType.NUMBER, **values))
        except expr.CompileError:
            results.append(None)
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("name.matches('a{1000}')", "at most 100 times, not 1000"),
        ("name.matches('(a{1,40}){1,40}')", "unroll to 1641 states, and 500 is the most"),
        ("name.matches('((a{9}){9}){9}')", "unroll to"),
        ("name.matches(r'[\\pL\\pN]{50}z')", "unroll to"),
        ("name.matches('" + "a" * 300 + "')", "at most 256 characters"),
        ("matches(name, '(a{99}){99}')", "unroll to"),
        ("name. // away\nmatches('(a{99}){99}')", "unroll to"),
        (" || ".join(["name.matches('(ab){99}')"] * 4), "unroll to"),
        ("name.matches(name)", "written out, in quotes"),
        ("name.matches('a' + name)", "written out, in quotes"),
        ("(name + name).matches('a')", "one text"),
        ("string(co2).matches('a')", "one text"),
        ("[name].exists(x, x.matches('a'))", "not allowed inside a loop"),
        ("[1, 2].all(x, name.matches('a'))", "not allowed inside a loop"),
    ],
)
def test_a_pattern_that_could_hold_an_evaluation_up_is_refused(source: str, complaint: str) -> None:
    with pytest.raises(expr.CompileError, match=complaint):
        condition(source)


@pytest.mark.parametrize(
    ("pattern", "text", "is_match"),
    [
        ("^[A-Z]{2}[0-9]{4,8}$", "AB12345", True),
        ("^(open|closed)$", "ajar", False),
        ("a{2,}", "baab", True),
        ("^{x}$", "{x}", True),
        ("[]{}]{2}", "}]", True),
        ("(?i)^error: .*", "Error: 7", True),
    ],
)
def test_a_pattern_of_everyday_size_may_stand(pattern: str, text: str, is_match: bool) -> None:
    assert evaluate(f"name.matches({json.dumps(pattern)})", name=text) is is_match


SLOWEST = (
    "(a|b|ab|ba){49}c",
    "(.{0,9}a){9}$",
    "([^a]?){40}b",
    "[\\\\pL\\\\pN]?(a?){20}",
    "((a?){12}){12}b",
)


@pytest.mark.parametrize("pattern", SLOWEST)
def test_the_slowest_pattern_that_passes_takes_no_time_that_matters(pattern: str) -> None:
    rule = condition(f'name.matches("{pattern}")')
    bound = SCOPE.bind({"name": "ab" * 512})
    spent = timeit.repeat(lambda: rule.evaluate(bound), time.thread_time, number=1, repeat=5)
    assert min(spent) < 0.01, "seconds of a processor, for a text as long as any property may be"


def _ones(count: int) -> str:
    return f"[{', '.join(['1'] * count)}]"


@pytest.mark.parametrize(
    "source",
    [
        f"{_ones(200)}.all(a, {_ones(200)}.all(b, {_ones(200)}.all(c, a + b + c > 0)))",
        "[name]" + ".map(x, x + x)" * 25 + ".size() > 0",
        "[name].exists(x, [x+x+x+x+x+x+x+x].exists(y, [y+y+y+y+y+y+y+y].exists(z,"
        " [z+z+z+z+z+z+z+z].exists(w, w.contains(z + 'b')))))",
        f"{_ones(90)}.all(x, {_ones(90)}.all(y, name + name != name))",
        f"open || {_ones(90)}.all(x, {_ones(90)}.all(y, x == y))",
        "[1]" + ".map(x, [x, x])" * 28 + " == []",
        "[[1]]" + ".map(x, x + x)" * 28 + " == [[]]",
        f"{{1: {_ones(300)}}}[1].all(x, {_ones(300)}.exists(y, y > x))",
    ],
    ids=[
        "a loop that runs away",
        "texts that double",
        "a large text sought in a larger one",
        "long texts in nested loops",
        "nested loops behind what is true by chance",
        "lists in lists",
        "lists that double",
        "a list out of a map",
    ],
)
def test_an_expression_that_could_take_long_is_refused_before_it_runs(source: str) -> None:
    with pytest.raises(expr.CompileError, match="steps, and 50000 is the most: use shorter lists"):
        condition(source)


@pytest.mark.parametrize(
    "source",
    [
        " && ".join(["score > 1.0"] * 250),
        f"{_ones(900)}.exists(x, x == people)",
        "name in ['open', 'closed', 'ajar'] && name.startsWith('a')",
        "[co2, score].map(x, x * 2.0).all(x, x > 1.0)",
        "name.contains(name + 'b')",
    ],
)
def test_an_expression_of_everyday_size_is_not_too_dear(source: str) -> None:
    assert condition(source)


TEXTS = st.recursive(
    st.sampled_from(["name", "'ab'", "x", "string(score)"]),
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a} + {b})", inner, inner),
        st.builds(lambda a, b: f"[{a}, {b}].map(x, x + {a})[1]", inner, inner),
        st.builds(lambda a, b: f"(open ? {a} : {b})", inner, inner),
        st.builds(lambda a, k: f"{_ones(k)}.map(y, {a})[0]", inner, st.integers(1, 60)),
    ),
    max_leaves=12,
)
TESTS = st.one_of(
    st.builds(lambda a, b: f"{a}.contains({b})", TEXTS, TEXTS),
    st.builds(lambda a, b: f"{a} == {b}", TEXTS, TEXTS),
    st.builds(lambda a, b: f"{a} in [{b}, {a}]", TEXTS, TEXTS),
    st.builds(lambda a: f"size({a}) > 3", TEXTS),
    st.builds(lambda a: f"{a}.matches('a+b')", st.just("name")),
)
LOOPED = st.builds(
    lambda test, counts, text: (
        f"[{text}].all(x, "
        + "".join(f"{_ones(count)}.all(y{at}, " for at, count in enumerate(counts))
        + test
        + ")" * (len(counts) + 1)
    ).replace("[x", "[name"),
    TESTS,
    st.lists(st.integers(1, 60), max_size=3),
    st.sampled_from(["name", "name + name"]),
)


@settings(deadline=None, max_examples=200)
@given(LOOPED)
def test_whatever_passes_is_over_soon(source: str) -> None:
    try:
        rule = condition(source)
    except expr.CompileError:
        return
    for text in ("a" * 1024, "\U0001f600" * 1024):
        values: dict[str, expr.Value] = {
            "name": text,
            "score": 0.1,
            "co2": 1.5,
            "people": 1,
            "open": True,
        }
        bound = SCOPE.bind(values)
        spent = timeit.repeat(lambda: rule.evaluate(bound), time.thread_time, number=1, repeat=5)  # noqa: B023
        assert min(spent) < 0.01, "seconds of a processor"


@given(st.text(alphabet="ab(){}[]^\\.*+?|,019pQEd-", max_size=24))
def test_any_pattern_is_judged(pattern: str) -> None:
    source = f"name.matches({json.dumps(pattern)})"
    try:
        rule = condition(source)
    except expr.CompileError:
        return
    rule.evaluate(SCOPE.bind({"name": "ab" * 512}))


@pytest.mark.parametrize("source", ["{1.5: 1}", "{null: 1}", "{[]: 1}", "{{true: 1}: 1}"])
def test_a_type_that_the_library_cannot_say_is_refused_as_any_other(source: str) -> None:
    with pytest.raises(expr.CompileError, match="Unsupported map key type"):
        condition(source)
    with pytest.raises(expr.CompileError, match="Unsupported map key type"):
        SCOPE.infer(source)


ATOMS = st.sampled_from(
    [*SCOPE.names, "parameters", "1", "1.5", "-1", "0x1F", "1u", "null", "true", "'a'", "{}", "int"]
)
PIECES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "%", "<", "==", "in", "&&", "/"]), inner).map(
            " ".join
        ),
        st.tuples(inner, inner).map(lambda of: f"{{{of[0]}: {of[1]}}}"),
        st.tuples(inner, inner).map(lambda of: f"[{of[0]}, {of[1]}]"),
        st.tuples(inner, inner).map(lambda of: f"{of[0]}[{of[1]}]"),
        st.tuples(inner, inner).map(lambda of: f"{of[0]}.matches({of[1]})"),
        st.tuples(inner, inner).map(lambda of: f"{of[0]}.exists(x, {of[1]})"),
        st.tuples(inner, inner).map(lambda of: f"math.greatest({of[0]}, {of[1]})"),
        st.tuples(inner, inner, inner).map(lambda of: f"({of[0]} ? {of[1]} : {of[2]})"),
        inner.map(lambda of: f"size({of})"),
        inner.map(lambda of: f"!{of}"),
        inner.map(lambda of: f"has({of}.a)"),
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(PIECES, st.text(max_size=20)), st.sampled_from(DataType))
@example("\ud800", DataType.STRING)
def test_whatever_is_written_compiles_or_is_refused(source: str, wanted: DataType) -> None:
    for compiling in (SCOPE.infer, lambda text: SCOPE.compile(text, wanted)):
        with contextlib.suppress(expr.CompileError):
            compiling(source)


@pytest.mark.parametrize("pattern", ["[", "(?=a)b", "a**", "(", "\\\\1"])
def test_a_pattern_that_is_none_is_refused_when_it_is_written(pattern: str) -> None:
    with pytest.raises(expr.CompileError, match=r"would never match .*: write it for RE2"):
        condition(f"name.matches('{pattern}')")


@pytest.mark.parametrize("source", ["co2 % people > 1.0", "people % co2 > 1.0"])
def test_a_remainder_of_numbers_gets_no_hint_that_does_not_help(source: str) -> None:
    with pytest.raises(expr.CompileError) as error:
        condition(source)
    assert "double(" not in str(error.value)


SIDES = st.sampled_from(
    ["co2", "score", "parameters.setpoint", "75", "0.8", "-1.5", "1e3", "1e400"]
)
ORDERINGS = st.sampled_from(["<", "<=", ">", ">="])
ANY_FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 75.0, 0.8])


@given(
    st.tuples(SIDES, ORDERINGS, SIDES).map(" ".join),
    st.dictionaries(st.sampled_from(["co2", "score", "parameters.setpoint"]), ANY_FLOATS),
)
def test_what_is_compared_without_the_library_is_what_the_library_says(
    source: str, values: dict[str, expr.Value]
) -> None:
    rule, bound = condition(source), SCOPE.bind(values)
    assert rule.evaluate(bound) == rule._calculated(bound)


@pytest.mark.parametrize("wanted", list(DataType))
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "co2": ANY_FLOATS,
            "people": st.integers(),
            "open": st.booleans(),
            "name": st.text(max_size=3),
        },
    )
)
def test_a_name_or_a_number_alone_is_what_the_library_says(
    wanted: DataType, values: dict[str, expr.Value]
) -> None:
    bound = SCOPE.bind(values)
    for source in ("co2", "people", "open", "name", "600", "6e2", "1e400", "true", "'text'"):
        with contextlib.suppress(expr.CompileError):
            expression = SCOPE.compile(source, wanted)
            value = expression.evaluate(bound)
            assert value == expression._calculated(bound)
            assert type(value) is type(expression._calculated(bound))


@pytest.mark.parametrize("source", ["!(score >= 0.8)", "score >= 0.8 && co2 > 1.0", "people > 3"])
def test_what_is_more_than_one_comparison_of_numbers_is_left_to_the_library(source: str) -> None:
    bound = SCOPE.bind({"score": 0.9, "co2": 500.0, "people": 3})
    assert condition(source)._at_hand(bound) is None
