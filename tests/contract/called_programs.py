"""Which programs a Python source starts or looks for, read from its text (see test_programs).

A call counts when its first argument is a literal, a list that begins with one, or a name that the
same function or module gave such a list; behind a wrapper, the program after its `--` as well.
What a source computes is seen when it runs: by `guard`.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness import guard

STARTERS = {
    "subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call",
    "subprocess.check_output", "asyncio.create_subprocess_exec", "shutil.which", "os.execvp",
    "process.run", "process.succeeds", "process.start", "programs.find", "tools.binary",
}  # fmt: skip
HOMES = {"process": {"run", "succeeds", "start"}, "tools": {"binary"}}  # at home, without a dot


@dataclass(frozen=True, order=True)
class Called:
    """A program and the line that calls it; no name where the source computes it."""

    name: str | None
    line: int


def collect(source: str, *, module: str = "") -> list[Called]:
    """Every program that a source calls, in the order of its lines.

    `module` is the file's own name: in process.py, `run` is what others call process.run.
    """
    tree = ast.parse(source)
    constants = assigned(tree)
    found = [
        Called(name, node.lineno)
        for scope in scopes(tree)
        for node in own(scope)
        if isinstance(node, ast.Call) and is_starter(node.func, module) and node.args
        for name in named(node.args[0], {**constants, **assigned(scope)})
    ]
    return sorted(found, key=lambda called: called.line)


def is_starter(function: ast.expr, module: str) -> bool:
    """Whether a called function starts or looks for a program."""
    name = ast.unparse(function)
    return name in STARTERS or name in HOMES.get(module, ())


def named(argument: ast.expr, lists: Mapping[str, ast.expr]) -> list[str | None]:
    """The programs that a first argument names: one, and the one that a wrapper starts."""
    match argument:
        case ast.Constant(value=str(name)):
            return [name]
        case ast.List(elts=[_, *_] as words) | ast.Tuple(elts=[_, *_] as words):
            spoken = [text(word) for word in words]
            if spoken[0] in guard.WRAPPERS and "--" in spoken[:-1]:
                return [spoken[0], spoken[spoken.index("--") + 1]]
            return spoken[:1]
        case ast.Name(id=name) if name in lists:
            return named(lists[name], {})
    return [None]


def text(node: ast.expr) -> str | None:
    """A literal string; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and every function in it."""
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def own(scope: ast.AST) -> Iterator[ast.AST]:
    """What stands in a scope and in no function within it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from own(child)


def assigned(scope: ast.AST) -> Mapping[str, ast.expr]:
    """The lists that a scope gives names to."""
    found: dict[str, ast.expr] = {}
    for node in own(scope):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found
