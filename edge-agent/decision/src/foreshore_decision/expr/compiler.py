"""The only module that touches the CEL library: compile with static types, evaluate to a value.

Traps of the library that stop here, each with a test: `bool(result)` is true for CEL's false; an
error is *returned* as a value, and its text is truthy; NaN makes `!(x > limit)` true; an integer
passes where a double is declared, and the other way round it fails only at run time; `t > 75` is
refused where `t > 75.0` is meant (`numerals`); a pattern of `matches` unrolls without bound
(`patterns`); loops make texts that grow without bound (`cost`).

So: every name has a declared type and the expression a wanted one; only Python's own `True` of a
statically boolean expression counts as true; numbers that are not finite neither go in (the name
counts as missing) nor come out (a `NoValue`). Inside an expression they could decide unseen
(`0.0/0.0 > 1.0` is false and its negation true), so that whoever divides and compares does so in
two expressions: a variable, whose value is checked, and a rule.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeVar

from cel_expr_python import cel
from cel_expr_python.ext import ext_math

from foreshore_api import hints
from foreshore_api.reasons import decision as reasons
from foreshore_api.reasons.decision import GateReason
from foreshore_api.v1alpha1 import DataType
from foreshore_decision.expr import cost, lexis, numerals, patterns, syntax

Value = float | int | bool | str
_Read = TypeVar("_Read")

MAXIMUM_BYTES: Final = 4096
MAXIMUM_TEXT: Final = 1024
"""Characters of a text that goes in; longer, and its name counts as missing."""
ENGINE: Final = "cel-expr-python/0.1.3"
"""Which engine evaluates; records name it, because a replay needs the same. A test compares it."""


_TYPES: Final = {
    DataType.NUMBER: cel.Type.DOUBLE,
    DataType.INTEGER: cel.Type.INT,
    DataType.BOOLEAN: cel.Type.BOOL,
    DataType.STRING: cel.Type.STRING,
}
_PYTHON: Final[Mapping[DataType, type]] = {
    DataType.NUMBER: float,
    DataType.INTEGER: int,
    DataType.BOOLEAN: bool,
    DataType.STRING: str,
}
_NUMBER, _INTEGER = DataType.NUMBER, DataType.INTEGER
_DYNAMIC: Final = "dyn() is not allowed: types are checked before anything runs"
_HIDDEN_NAN: Final = (
    "calculates and decides at once: a quotient, root or text that is no number would go"
    " unnoticed; calculate it in a variable of its own"
)
_UNKNOWN: Final = re.compile(r"undeclared reference to '([^']+)'$")
_INTEGER_HINT: Final = "; an Integer meets a Number: write double(...) around the Integer"


class CompileError(ValueError):
    """An expression that is refused; the message says why, in the words of the library."""


@dataclass(frozen=True, slots=True)
class NoValue:
    """Why an expression has no value. It never counts as true."""

    reason: GateReason
    message: str


class Environment:
    """Names with their types; expressions are compiled against one. Immutable."""

    __slots__ = ("_cel", "names")

    def __init__(self, names: Mapping[str, DataType]) -> None:
        self.names: Final = MappingProxyType(dict(names))
        self._cel = cel.NewEnv(
            variables={name: _TYPES[kind] for name, kind in names.items()},
            extensions=[ext_math.ExtMath()],
        )

    def compile(self, source: str, wanted: DataType) -> "Expression":
        """Compile a text that must have the wanted type.

        Raises:
            CompileError: too long, an unknown name, another type, or types turned off.
        """
        program = self._program(source, wanted)
        return_type, name = _type(program)
        if return_type != _TYPES[wanted]:
            hint = _INTEGER_HINT if (name, wanted) == ("INT", DataType.NUMBER) else ""
            raise CompileError(f"is {name}, but {_TYPES[wanted].name()} is wanted{hint}")
        references = tuple(sorted(lexis.names(source) & self.names.keys()))
        return Expression(
            source,
            wanted,
            references,
            program,
            self._comparison(source, wanted),
            _plain(source, references, wanted),
        )

    def infer(self, source: str) -> DataType:
        """Return the type of a text, for names that are declared by an expression.

        Raises:
            CompileError: it does not compile, or its type is none that names may have.
        """
        return_type, name = _type(self._program(source))
        for kind, library_type in _TYPES.items():
            if return_type == library_type:
                return kind
        raise CompileError(f"is {name}, which no name can be")

    def bind(self, values: Mapping[str, Value], wanted: Iterable[str] | None = None) -> "Bindings":
        """Give names their values, for any number of expressions of this environment.

        Only those that are wanted, where these are given.
        """
        names = values if wanted is None else wanted
        return Bindings(self._cel.Activation, self.names, values, names)

    def _program(self, source: str, wanted: DataType | None = None) -> cel.Expression:
        """Hand a text to the library, within the limits that hold for every use of it."""
        try:
            size = len(source.encode())
        except UnicodeEncodeError as error:
            raise CompileError("has half a character: write it anew") from error
        if size > MAXIMUM_BYTES:
            raise CompileError(f"an expression has at most {MAXIMUM_BYTES} bytes")
        if lexis.has_dynamic(source):
            raise CompileError(_DYNAMIC)
        program = self._checked(source, wanted)
        texts = [name for name, kind in self.names.items() if kind is DataType.STRING]
        self._refuse_slow(source, texts)
        if lexis.may_hide_nan(source, texts):
            raise CompileError(_HIDDEN_NAN)
        return program

    def _refuse_slow(self, source: str, texts: Sequence[str]) -> None:
        """Raise CompileError for what an evaluation could be held up by, `texts` being Strings."""

        def problem(tree: syntax.Part) -> str | None:
            return patterns.problem(tree, texts) or cost.problem(tree, texts, MAXIMUM_TEXT)

        reason = self._read(source, problem)
        if reason is not None:
            raise CompileError(reason)
        if "matches" in source:
            for pattern in self._read(source, patterns.literals):
                _try_pattern(pattern)

    def _checked(self, source: str, wanted: DataType | None) -> cel.Expression:
        """Check the types of a text, with its integer literals as numbers where they are meant so.

        As it is written only if that fails: where the library lets both kinds meet (in `math` and
        in lists), it fails at run time.
        """
        try:
            meant = self._read(
                source, lambda tree: numerals.rewritten(source, tree, self.names, wanted)
            )
            return self._cel.compile(meant)
        except RuntimeError as error:
            try:
                return self._cel.compile(source)
            except RuntimeError:
                raise CompileError(_explain(str(error), self.names)) from error

    def _read(self, source: str, about: Callable[[syntax.Part], _Read]) -> _Read:
        """Ask something of the tree of a text, whatever its types. Raises RuntimeError.

        The library parses no more than 32 levels, so that no tree is too deep to walk.
        """
        parsed = self._cel.compile(source, disable_check=True).serialize()
        return about(syntax.read(parsed))

    def _comparison(self, source: str, wanted: DataType) -> "Ordering | None":
        """Compile both sides, where the whole text compares two numbers."""
        cut = lexis.comparison(source) if wanted is DataType.BOOLEAN else None
        if cut is None:
            return None
        try:
            left = self.compile(cut.left, DataType.NUMBER)
            right = self.compile(cut.right, DataType.NUMBER)
        except CompileError:
            return None
        return Ordering(left, right, cut.operator)


def _type(program: cel.Expression) -> tuple[cel.Type, str]:
    """Return the type of a program, and its name.

    There are types that the library checks and cannot say: of a map with keys that it knows not.
    """
    try:
        return_type = program.return_type()
        return return_type, return_type.name()
    except Exception as error:
        raise CompileError(_explain(str(error))) from error


_MATCHING: Final = cel.NewEnv(variables={"pattern": cel.Type.STRING})


def _try_pattern(pattern: str) -> None:
    """Match once: the library finds out only then that a pattern is none (RE2 knows no `(?=`)."""
    result = _MATCHING.compile("''.matches(pattern)").eval(
        _MATCHING.Activation({"pattern": pattern})
    )
    if result.type() == cel.Type.ERROR:
        why = _shorten(str(result.value()))
        raise CompileError(f"the pattern {pattern!r} would never match ({why}): write it for RE2")


@lru_cache(maxsize=256)
def _environment(names: tuple[tuple[str, DataType], ...]) -> Environment:
    return Environment(dict(names))


def environment(names: Mapping[str, DataType]) -> Environment:
    """Return the environment of these names; devices of one profile share it."""
    return _environment(tuple(sorted(names.items())))


@lru_cache(maxsize=4096)
def compile_shared(scope: Environment, source: str, wanted: DataType) -> "Expression":
    """Compile once for all devices that share an environment; see `Environment.compile`."""
    return scope.compile(source, wanted)


class Bindings:
    """Values under their names.

    Building the library's activation costs more than one evaluation, so it is built at the first
    and shared by the rest; nothing else ever changes here.
    """

    __slots__ = ("_activate", "_activation", "values")

    def __init__(
        self,
        activate: Callable[[Mapping[str, Value]], cel.Activation],
        kinds: Mapping[str, DataType],
        values: Mapping[str, Value],
        names: Iterable[str],
    ) -> None:
        self.values: Final[dict[str, Value]] = {}
        for name in names:
            value, kind = values.get(name), kinds.get(name)
            if value is None or kind is None or not is_fit(value, kind):
                continue
            python = _PYTHON[kind]
            self.values[name] = value if type(value) is python else python(value)
        self._activate = activate
        self._activation: cel.Activation | None = None

    @property
    def activation(self) -> cel.Activation:
        """The library's own form of the values."""
        if self._activation is None:
            self._activation = self._activate(self.values)
        return self._activation


def is_fit(value: Value, kind: DataType) -> bool:
    """Whether a value may go in: of the declared type (an integer is a number too), and bounded."""
    if type(value) is float:
        return kind is _NUMBER and math.isfinite(value)
    if type(value) is int:
        return (kind is _NUMBER or kind is _INTEGER) and -(2**63) <= value < 2**63
    if type(value) is str and len(value) > MAXIMUM_TEXT:
        return False
    return type(value) is _PYTHON[kind]


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled text: pure, shared by everyone who compiled the same."""

    source: str
    type: DataType
    references: tuple[str, ...]
    """Declared names in the text, sorted."""
    _program: cel.Expression
    _comparison: "Ordering | None"
    _plain: Callable[[Mapping[str, Value]], Value | None] | None
    """Gives the value of a text that is a name or a number."""

    @property
    def is_plain(self) -> bool:
        """Whether the text is a name or a number and nothing else."""
        return self._plain is not None

    def evaluate(self, bindings: Bindings) -> Value | NoValue:
        """Return the value, of the declared type and finite, or why there is none."""
        value = self._at_hand(bindings)
        return self._calculated(bindings) if value is None else value

    def _at_hand(self, bindings: Bindings) -> Value | None:
        """Return the value where it takes no library to know it, else None.

        Most rules compare a name with a number. The library answers that in a microsecond; but with
        other code and data in the caches, as between two samples, it takes thirty of them. A test
        holds both to one another.
        """
        if self._plain is not None:
            return self._plain(bindings.values)
        return None if self._comparison is None else self._comparison.truth(bindings)

    def _calculated(self, bindings: Bindings) -> Value | NoValue:
        """Return what the library says."""
        try:
            result = self._program.eval(bindings.activation)
            value: object = result.value()
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            return NoValue(reasons.EXPRESSION_ERROR, _shorten(str(error)))
        if isinstance(value, str) and result.type() == cel.Type.ERROR:
            return NoValue(reasons.EXPRESSION_ERROR, _shorten(value))
        if type(value) is not _PYTHON[self.type] or not isinstance(value, Value):
            return NoValue(reasons.EXPRESSION_ERROR, f"the result is {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            return NoValue(reasons.VALUE_NOT_FINITE, f"the result is {value}")
        return value

    def is_true(self, bindings: Bindings) -> bool | NoValue:
        """Return the truth of a boolean expression, or why it has none: errors are not truth."""
        value = self.evaluate(bindings)
        return value if isinstance(value, NoValue) else value is True

    def operands(self, bindings: Bindings) -> dict[str, Value | None]:
        """Return the value of each name in the text; None where it has none."""
        values = bindings.values
        return {name: values.get(name) for name in self.references}

    def margin(self, bindings: Bindings) -> float | None:
        """Return how far a single comparison is from its other result: positive when true.

        In the operand's unit. None for anything but one comparison of order, or without values.
        """
        return None if self._comparison is None else self._comparison.margin(bindings)


_RELATIONS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)


class Ordering:
    """A text that compares two numbers, as its two sides."""

    __slots__ = ("_is_plain", "_left", "_relation", "_right", "_sign")

    def __init__(self, left: Expression, right: Expression, relation: str) -> None:
        self._left: Final = left
        self._right: Final = right
        self._relation: Final = _RELATIONS[relation]
        self._sign: Final = 1.0 if relation.startswith(">") else -1.0
        self._is_plain: Final = left.is_plain and right.is_plain

    def truth(self, bindings: Bindings) -> bool | None:
        """Return what two names or literals compare to; None where the library has to be asked."""
        if not self._is_plain:
            return None
        left, right = self._left.evaluate(bindings), self._right.evaluate(bindings)
        if not isinstance(left, float) or not isinstance(right, float):
            return None
        return self._relation(left, right)

    def margin(self, bindings: Bindings) -> float | None:
        """Return the signed distance, or None when a side has no finite number."""
        left, right = self._left.evaluate(bindings), self._right.evaluate(bindings)
        if not isinstance(left, float) or not isinstance(right, float):
            return None
        distance = self._sign * (left - right)
        return distance if math.isfinite(distance) else None


def _plain(
    source: str, references: tuple[str, ...], wanted: DataType
) -> Callable[[Mapping[str, Value]], Value | None] | None:
    """Return what gives the value of a name or of a number, without the library."""
    text = source.strip()
    if wanted is DataType.STRING:
        return None  # the library ends a text at its first NUL
    if references == (text,):
        return lambda values: values.get(text)
    if wanted is not DataType.NUMBER:
        return None
    try:
        literal = float(text)
    except ValueError:
        return None
    return (lambda _: literal) if math.isfinite(literal) else None  # the library refuses it


def _explain(error: str, names: Iterable[str] = ()) -> str:
    """Keep what helps of the library's message: the first complaint, without its own prefix."""
    line = error.split("\n", 1)[0].removeprefix("INVALID_ARGUMENT: ").removeprefix("ERROR: ")
    line = _shorten(line.replace("<input>:1:", "at column ").removesuffix(" (in container '')"))
    if (unknown := _UNKNOWN.search(line)) is not None:
        return f"{line}; {hints.among(unknown[1], names)}"
    is_mixed = ("double, int" in line or "int, double" in line) and "'_%_'" not in line
    return line + _INTEGER_HINT if is_mixed else line


def _shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
