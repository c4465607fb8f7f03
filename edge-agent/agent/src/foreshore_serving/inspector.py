"""The limited process that looks into a model file that nobody declared.

Started by `inspection`, never by hand, with what is asked (`InspectionOrder`) on standard input:

    python -I -m foreshore_serving.inspector <model fd> <report fd> <parent pid>

The file is a stranger's, so the limits are those of a child that serves, and come first. Whatever
is known goes to the report descriptor at once, one JSON object a line, each with fields of
`foreshore_api.wire.inspection.ModelInspection`: what ends this process costs the rest only.

    size, digest ──► structure ──► vetted ──► loaded, run on zeros ──► rows, if any
                        └───────────┴──────────────┴──refused──► findings, and the end
"""

import dataclasses
import hashlib
import json
import os
import sys
from typing import Any, Final

from foreshore_serving import limits, vet
from foreshore_serving.refusal import Reason, Refused

ASKING_SHARE: Final = 0.8
"""Of the CPU time, after which no row is begun: what was answered until then is still said."""


@dataclasses.dataclass(frozen=True, slots=True)
class InspectionOrder:
    """What is asked, and the bounds to keep."""

    maximum_bytes: int
    """Larger files are refused before they are read to the end."""
    memory_bytes: int
    """Address space beyond what the file's size takes."""
    seconds: float
    """CPU time of everything together."""
    steps: int | None = None
    """Samples in the windows of inputs [batch, steps, features]. None: one, where it is free."""
    shown: int = 0
    """Rows whose answers are shown."""
    rows: tuple[tuple[tuple[object, ...], ...], ...] = ()
    """Values of each input, flat, row by row; of an input with a window those of one sample."""


def decode(body: bytes) -> InspectionOrder:
    """Read what `inspection` was given."""
    fields = json.loads(body)
    return InspectionOrder(**{**fields, "rows": fields.get("rows", ())})


def main(arguments: list[str]) -> int:
    """Look, report; returns the exit code."""
    model_fd, report_fd, parent = (int(argument) for argument in arguments)
    limits.follow_parent(parent)
    order = decode(sys.stdin.buffer.read())
    try:
        _inspect(model_fd, report_fd, order)
    except Refused as refused:
        _refuse(report_fd, refused)
    except MemoryError:
        cause = f"out of memory: it may have {order.memory_bytes} bytes beyond its size four times"
        _refuse(report_fd, Refused(Reason.LOAD_FAILED, cause, "a smaller model"))
    except ImportError as error:
        remedy = "pip install 'foreshore-agent[serving]'"
        _refuse(report_fd, Refused(Reason.CANNOT_START, str(error), remedy))
    return 0


def _inspect(model_fd: int, report_fd: int, order: InspectionOrder) -> None:
    """Report what the file is and does. Raises Refused, MemoryError."""
    size = os.fstat(model_fd).st_size
    if size > order.maximum_bytes:
        cause = f"the file has {size} bytes, of at most {order.maximum_bytes}"
        raise Refused(Reason.TOO_LARGE, cause, "a smaller model")
    memory = limits.bound(order.memory_bytes + 4 * size, is_reserving=False)
    limits.confine(memory, order.seconds)
    with open(model_fd, "rb", buffering=0) as file:
        body = file.read(order.maximum_bytes)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    _report(report_fd, {"size": len(body), "digest": digest})
    before = limits.resident_bytes()
    model = vet.parse(body)
    from foreshore_serving import structure

    described = structure.describe(model)
    _report(report_fd, described)
    vetted = vet.check_model(model)
    _report(report_fd, {"note": vetted.note})
    del model  # the runtime parses the bytes for itself, within the same limit
    from foreshore_serving import answers, tentative

    bounds = (len(body), order.memory_bytes, order.seconds)
    declared = tentative.contract(described, digest, bounds, order.steps)
    loaded = tentative.load(body, declared, before)
    _report(report_fd, loaded.facts(described["outputs"], is_bounded=not vetted.has_loops))
    if order.rows:
        plan = answers.AskingPlan(order.steps, order.shown, ASKING_SHARE * order.seconds)
        _report(report_fd, {"answers": answers.ask(loaded, order.rows, plan)})


def _refuse(descriptor: int, refused: Refused) -> None:
    finding = {"reason": refused.reason, "message": refused.cause, "remedy": refused.remedy}
    _report(descriptor, {"findings": [finding]})


def _report(descriptor: int, fields: dict[str, Any]) -> None:
    line = json.dumps(fields).encode() + b"\n"
    while line:
        line = line[os.write(descriptor, line) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
