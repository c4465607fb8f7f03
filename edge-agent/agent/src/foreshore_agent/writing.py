"""Resources as YAML that people read and change. Called by `discover` and `model`.

Written by YAML's library; what stands in them may come from strangers, so a comment is one
printable line, and a text with anything else is escaped.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import yaml

from foreshore_api import printable

LONGEST_COMMENT: Final = 300
"""Characters of a comment."""
MAXIMUM_COMMENTS: Final = 80
"""Comments of one object."""
_WIDTH: Final = 100


class _QuotingDumper(yaml.SafeDumper):
    """Writes texts in quotes that newer readers of YAML take for numbers: `0E0`."""


_QuotingDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def as_yaml(document: Any, *, is_flowing: bool = False) -> str:
    """Return plain data as YAML.

    Args:
        document: what `yaml` writes: mappings, lists, texts, numbers.
        is_flowing: lists and mappings of scalars stand on one line each: `shape: [-1, 3]`.
    """
    written = _dumped(document, is_flowing=is_flowing, allow_unicode=True)
    if all(printable.is_fit(character) for character in written if character != "\n"):
        return written
    return _dumped(document, is_flowing=is_flowing, allow_unicode=False)


def shown_comments(comments: Sequence[str]) -> list[str]:
    """Return comments as they may be shown: fit for a terminal, so many, so long."""
    lines = [printable.clean(comment, LONGEST_COMMENT) for comment in comments[:MAXIMUM_COMMENTS]]
    beyond = len(comments) - MAXIMUM_COMMENTS
    return [*lines, f"and {beyond} more"] if beyond > 0 else lines


def comment_lines(comments: Iterable[str]) -> Iterator[str]:
    """Yield comments as lines of YAML."""
    for comment in shown_comments(tuple(comments)):
        yield f"# {comment}\n"


def _dumped(document: Any, *, is_flowing: bool, allow_unicode: bool) -> str:
    text: str = yaml.dump(
        document,
        Dumper=_QuotingDumper,
        default_flow_style=None if is_flowing else False,
        sort_keys=False,
        allow_unicode=allow_unicode,
        width=_WIDTH,
    )
    return text
