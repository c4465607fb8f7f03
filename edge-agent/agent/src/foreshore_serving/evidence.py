"""What a trial showed of a model version, as it is left beside the bytes.

Made by `trial` in the limited child, passed on by `supervise` and `main`, read by an agent that is
to run the model itself. It imports nothing heavy: whoever reads it may not load the model at all.
"""

import dataclasses
import json


@dataclasses.dataclass(frozen=True, slots=True)
class TrialEvidence:
    """What a trial showed of one model version."""

    contract: str
    """Fingerprint of what was declared (`Contract.fingerprint`)."""
    runtime: str
    provider: str
    """Execution provider that computed the answers; another one may round otherwise."""
    answers: str
    """SHA-256 of the outputs to the seeded inputs (`trial.answers`)."""
    usual_seconds: float
    """Median of one run."""
    session_bytes: int
    """Growth of the process by this model, with its file, which is in memory while it is loaded."""
    runtime_bytes: int
    """Growth of the process by the runtime and NumPy, which all models of a process share."""
    is_bounded: bool
    """Whether how long a run takes depends on nothing but the lengths of its inputs."""

    def encode(self) -> bytes:
        """Return the evidence as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()


def decode(body: bytes) -> TrialEvidence:
    """Read what `TrialEvidence.encode` wrote, or the child.

    Raises:
        ValueError: it is something else.
    """
    try:
        fields = json.loads(body)
        evidence = TrialEvidence(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from error
    for field in dataclasses.fields(TrialEvidence):
        if type(getattr(evidence, field.name)) is not field.type:
            message = f"{field.name} is no {field.type}"
            raise ValueError(message)
    return evidence
