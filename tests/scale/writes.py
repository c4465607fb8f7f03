"""What the operator wrote and when, from the API server's audit log."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from harness import process

OPERATOR: Final = "system:serviceaccount:foreshore-system:foreshore-operator"
WRITING: Final = ["create", "update", "patch", "delete"]
POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {
            "level": "None",
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {"level": "Metadata", "users": [OPERATOR], "verbs": WRITING},
        {"level": "None"},
    ],
}
OF_PLACEMENTS: Final = "patch inferenceplacements/status"
"""Among these are the figures that are written for ever, at a bounded rate."""
URGENT: Final = ("pods", "inferenceplacements", "devices")
"""What moves rights and replicas; events and other statuses can wait."""


@dataclass(frozen=True)
class Write:
    """One write of the operator: what, by which replica, when it was answered, and how."""

    at: float
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    agent: str
    code: int

    @property
    def is_urgent(self) -> bool:
        """Whether it is of a kind that moves rights or replicas."""
        return self.resource in URGENT

    @property
    def kind(self) -> str:
        """Verb and resource in words."""
        tail = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{tail}"


@dataclass
class AuditLog:
    """The log, read on from where it was left."""

    path: Path
    writes: list[Write] = field(default_factory=list)
    _offset: int = 0

    def read(self) -> list[Write]:
        """Every write so far."""
        if self.path.exists():
            with self.path.open("rb") as log:
                log.seek(self._offset)
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    self.writes.append(read(json.loads(line)))
        return self.writes

    def since(self, moment: float) -> list[Write]:
        """What was written after a moment, in seconds since 1970, in order."""
        return sorted(
            (write for write in self.read() if write.at >= moment), key=lambda write: write.at
        )

    def last(self) -> float:
        """The moment of the newest write that may not go on for ever; 0 where there is none.

        Whether the status of a placement was written for its figures alone, `watched` knows.
        """
        others = (write.at for write in self.read() if write.kind != OF_PLACEMENTS)
        return max(others, default=0.0)


def read(event: Mapping[str, Any]) -> Write:
    """One line of the log."""
    reference = event.get("objectRef") or {}
    return Write(
        at=datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
        verb=event["verb"],
        resource=reference.get("resource", ""),
        subresource=reference.get("subresource", ""),
        namespace=reference.get("namespace", ""),
        name=reference.get("name", ""),
        agent=event.get("userAgent", ""),
        code=int((event.get("responseStatus") or {}).get("code") or 0),
    )


def counted(writes: Iterable[Write]) -> dict[str, int]:
    """How many writes of each kind, the most first; those that failed apart."""
    counts = Counter(
        write.kind if write.code < 300 else f"{write.kind} ({write.code})" for write in writes
    )
    return dict(counts.most_common())


def repeated(writes: Iterable[Write], most: int = 3) -> dict[str, int]:
    """The objects that were written most often, where that was more than once."""
    counts = Counter(f"{write.kind} {write.namespace}/{write.name}" for write in writes)
    return {what: count for what, count in counts.most_common(most) if count > 1}


def first(writes: list[Write]) -> float:
    """The moment of the first write; HarnessError where there is none."""
    if not writes:
        raise process.HarnessError("nothing was written")
    return writes[0].at


def last(writes: list[Write]) -> float:
    """The moment of the last write; 0 where there is none."""
    return writes[-1].at if writes else 0.0
