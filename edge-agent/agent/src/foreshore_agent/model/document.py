"""What `model inspect` says of files, as plain data for programs. Pure; called by `verb`.

Field names are those of the wire; what a person may have to change stands beside what was found.
"""

from typing import Any, NamedTuple

from foreshore_agent.model import recorded, suitability
from foreshore_api.wire import inspection


class InspectedFile(NamedTuple):
    """A file, what it is, and what of it works."""

    file: str
    inspected: inspection.ModelInspection
    verdict: suitability.Suitability
    asked: recorded.AskedRows | None = None
    """Rows with which it was tried."""


def document(files: list[InspectedFile]) -> dict[str, Any]:
    """Return all files as one document."""
    return {"models": [_file(file) for file in files]}


def _file(file: InspectedFile) -> dict[str, Any]:
    fields = file.inspected.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"note"}
    )  # it is among the notes
    fields["findings"] = [
        {
            "reason": str(hindrance.reason),
            "message": hindrance.message,
            "remedy": hindrance.remedy,
            "lines": list(hindrance.lines),
        }
        for hindrance in file.verdict.hindrances
    ]
    return {
        "file": file.file,
        "isSupported": file.verdict.is_supported,
        **fields,
        "notes": list(file.verdict.notes),
        **({} if file.asked is None else {"recording": _asked(file.asked)}),
    }


def _asked(asked: recorded.AskedRows) -> dict[str, Any]:
    return {
        "features": list(asked.features),
        "rows": asked.total,
        "skipped": asked.skipped,
        "isCut": asked.is_cut,
    }
