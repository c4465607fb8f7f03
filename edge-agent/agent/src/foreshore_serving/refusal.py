"""How serving refuses something: models at load, requests afterwards.

The reasons of models are a table that conditions share, `foreshore_api.reasons.serving`; the
message is for people. Parent and child share this module, so it imports nothing heavy.

A message quotes what others wrote, a model's names and the runtime's errors: it is made fit to be
printed, and cut, here, where it is made, so that its remedy is whole wherever it is shown.
"""

from enum import StrEnum, unique
from typing import Final

from foreshore_api import printable
from foreshore_api.reasons.serving import TRANSIENT
from foreshore_api.reasons.serving import ServingReason as Reason

__all__ = ["STATUS", "TRANSIENT", "Fault", "Reason", "Refused", "Rejected"]


CAUSE: Final = 300
REMEDY: Final = 200
"""Characters of the two parts of a message; together they fit the 512 of a replica's status."""


class Refused(Exception):  # noqa: N818 - the model is refused; nothing is broken
    """The model cannot be served, why, and what would change it."""

    def __init__(self, reason: Reason, cause: str, remedy: str = "") -> None:
        """Refuse a model; without a remedy of the case's own it is that of the reason."""
        self.reason = reason
        self.cause = printable.clean(cause, CAUSE)
        self.remedy = printable.clean(remedy or reason.remedy, REMEDY)
        self.message = f"{self.cause}; {self.remedy}" if self.remedy else self.cause
        super().__init__(f"{reason}: {self.message}")


@unique
class Fault(StrEnum):
    """Why one request got no inference; carried as `error` in the answer."""

    MALFORMED = "Malformed"  # 400: no JSON, or not the protocol's shape
    MISSING_INPUT = "MissingInput"  # 400
    UNKNOWN_INPUT = "UnknownInput"  # 400
    UNKNOWN_OUTPUT = "UnknownOutput"  # 400
    WRONG_TYPE = "WrongType"  # 400: datatype, or an element of another type
    WRONG_SHAPE = "WrongShape"  # 400: not the declared shape, or not as many elements as it says
    OUT_OF_RANGE = "OutOfRange"  # 400: an element does not fit its datatype, infinity included
    UNKNOWN_CATEGORY = "UnknownCategory"  # 400: a value of an input that training had not
    UNKNOWN_MODEL = "UnknownModel"  # 404: another model or version than the one served here
    NO_SUCH_PATH = "NoSuchPath"  # 404
    METHOD_NOT_ALLOWED = "MethodNotAllowed"  # 405
    BODY_TIMEOUT = "BodyTimeout"  # 408: the body did not arrive in time
    BODY_TOO_LARGE = "BodyTooLarge"  # 413
    NON_FINITE_OUTPUT = "NonFiniteOutput"  # 500: the model answered NaN or infinity
    OUTPUT_MISMATCH = "OutputMismatch"  # 500: the model answered another shape than declared
    INFERENCE_FAILED = "InferenceFailed"  # 500: the runtime failed on this input
    OVERLOADED = "Overloaded"  # 503: too many requests wait


STATUS: Final = {
    Fault.UNKNOWN_MODEL: 404,
    Fault.NO_SUCH_PATH: 404,
    Fault.METHOD_NOT_ALLOWED: 405,
    Fault.BODY_TIMEOUT: 408,
    Fault.BODY_TOO_LARGE: 413,
    Fault.NON_FINITE_OUTPUT: 500,
    Fault.OUTPUT_MISMATCH: 500,
    Fault.INFERENCE_FAILED: 500,
    Fault.OVERLOADED: 503,
}
"""HTTP status by fault; whatever is not listed is the caller's mistake: 400."""


class Rejected(Exception):  # noqa: N818 - the request is rejected; nothing is broken
    """One request cannot be answered, and why."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(f"{fault}: {message}")
        self.fault = fault
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return STATUS.get(self.fault, 400)
