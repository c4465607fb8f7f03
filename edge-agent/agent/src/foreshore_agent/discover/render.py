"""Drafts as text: YAML with comments before each object, or JSON.

Comments and names come from strangers: `writing` makes them fit to be read, and YAML and JSON are
written by their libraries.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from foreshore_agent import writing
from foreshore_agent.discover import compose
from foreshore_api import printable

SHOWN: Final = 3
"""Topics that stand for all that were left for one reason."""


def as_yaml(objects: Iterable[compose.DraftObject]) -> str:
    """Return objects as documents of YAML."""
    return "---\n".join(
        "".join((*writing.comment_lines(item.comments), writing.as_yaml(item.document)))
        for item in objects
    )


def as_json(objects: Sequence[compose.DraftObject], discovery: compose.Discovery) -> str:
    """Return objects as a List that `lint` reads, beside it the comments and what was left."""
    document = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [item.document for item in objects],
        "comments": [
            {
                "kind": item.document["kind"],
                "name": item.name,
                "lines": writing.shown_comments(item.comments),
            }
            for item in objects
        ],
        "left": [
            {"reason": printable.clean(reason, writing.LONGEST_COMMENT), "topics": len(topics)}
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
        why = printable.clean(reason, writing.LONGEST_COMMENT)
        yield f"not drafted: {number}: {why} ({shown}{more})"
