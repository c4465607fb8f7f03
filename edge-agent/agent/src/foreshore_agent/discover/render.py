"""Drafts as text: YAML with comments before each object, or JSON.

Comments and names come from strangers: a comment is one printable line, and YAML and JSON are
written by their libraries.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import yaml

from foreshore_agent.discover import compose
from foreshore_api import printable

_WIDTH: Final = 100
_LONGEST: Final = 300
"""Characters of a comment."""
_COMMENTS: Final = 80
"""Comments of one object."""
SHOWN: Final = 3
"""Topics that stand for all that were left for one reason."""


def as_yaml(objects: Iterable[compose.DraftObject]) -> str:
    """Return objects as documents of YAML."""
    return "---\n".join("".join((*_comments(item), _body(item.document))) for item in objects)


def as_json(objects: Sequence[compose.DraftObject], discovery: compose.Discovery) -> str:
    """Return objects as a List that `lint` reads, beside it the comments and what was left."""
    document = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [item.document for item in objects],
        "comments": [
            {"kind": item.document["kind"], "name": item.name, "lines": _shown(item.comments)}
            for item in objects
        ],
        "left": [
            {"reason": printable.clean(reason, _LONGEST), "topics": len(topics)}
            for reason, topics in sorted(discovery.left.items())
        ],
    }
    return printable.escaped(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def left(discovery: compose.Discovery) -> Iterator[str]:
    """Yield a line for every reason why topics were left, with how many and which."""
    for reason, topics in sorted(discovery.left.items()):
        shown = ", ".join(printable.clean(topic, 120) for topic in topics[:SHOWN])
        more = f" and {len(topics) - SHOWN} more" if len(topics) > SHOWN else ""
        number = f"{len(topics)} topic{'' if len(topics) == 1 else 's'}"
        yield f"not drafted: {number}: {printable.clean(reason, _LONGEST)} ({shown}{more})"


def _shown(comments: Sequence[str]) -> list[str]:
    lines = [printable.clean(comment, _LONGEST) for comment in comments[:_COMMENTS]]
    beyond = len(comments) - _COMMENTS
    return [*lines, f"and {beyond} more"] if beyond > 0 else lines


def _comments(item: compose.DraftObject) -> Iterator[str]:
    for line in _shown(item.comments):
        yield f"# {line}\n"


class _QuotingDumper(yaml.SafeDumper):
    """Writes texts in quotes that newer readers of YAML take for numbers: `0E0`."""


_QuotingDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _body(document: dict[str, Any]) -> str:
    text = _dumped(document, allow_unicode=True)
    if all(printable.is_fit(character) for character in text if character != "\n"):
        return text
    return _dumped(document, allow_unicode=False)


def _dumped(document: dict[str, Any], *, allow_unicode: bool) -> str:
    text: str = yaml.dump(
        document, Dumper=_QuotingDumper, sort_keys=False, allow_unicode=allow_unicode, width=_WIDTH
    )
    return text
