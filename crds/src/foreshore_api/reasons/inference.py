"""Why one replica, or all of them, gave no answer that could be used.

In the attempts of a record, in `detail` of the reasons InferenceLate and InferenceFailed, and in
reports about endpoints. A replica's own words (`Status503`, its fault) stand beside these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, decision, table

# Before it is asked.
FEATURE_NOT_READY: Final = decision.FEATURE_NOT_READY
FEATURE_NOT_INTEGER: Final = Reason(
    "FeatureNotInteger",
    "The model takes an integer, and the feature is none.",
    remedy="a float tensor in the model, or a feature that is an integer",
)
FEATURE_OUT_OF_RANGE: Final = Reason(
    "FeatureOutOfRange",
    "A feature does not fit the element type of the model's tensor.",
    remedy="a narrower range of the input, or a wider tensor type in the model",
)
FEATURE_UNKNOWN_CATEGORY: Final = Reason(
    "FeatureUnknownCategory",
    "A feature has a value that is none of the categories that the Model declares for it.",
    remedy="the value among categories of the Model's preprocessing and a model that was trained"
    " with it, or unknown: Zeros if training had it so",
)
NO_ENDPOINT: Final = Reason(
    "NoEndpoint",
    "No replica of the model is known to this agent.",
    remedy="look at the InferencePlacement: Placed says what it waits for",
)

# Asked in vain.
DEADLINE: Final = Reason(
    "Deadline",
    "No answer came before the policy's timeout.",
    remedy="a longer timeout, a faster or nearer replica, or a second one",
)
LATE: Final = Reason("Late", "The replica did not answer within its share of the timeout.")
OVERTAKEN: Final = Reason("Overtaken", "Another replica that was asked later answered first.")
UNANSWERED: Final = Reason(
    "Unanswered",
    "No answer and no failure came back for a question: the decision was ended by its timeout.",
    remedy="look at the agent's log, and report it: this is a defect of ours",
)
UNREACHABLE: Final = Reason(
    "Unreachable",
    "No connection to the replica, or it ended.",
    remedy="look at the replica's pod and at the network policy between it and the agent",
)
CONNECTION_LOST: Final = Reason(
    "ConnectionLost",
    "The connection to the replica ended before the answer was whole.",
    remedy="look at the replica's pod: whether it restarted, and at its log",
)

# Answered, and not to be used.
OTHER_VERSION: Final = decision.OTHER_VERSION
UNKNOWN_CATEGORY: Final = Reason(
    "UnknownCategory",
    "The model was asked with a category that its training had not, and answers nothing to it.",
    remedy='a value that training had, or OneHotEncoder(handle_unknown="ignore") in training',
)
NOT_FINITE: Final = Reason(
    "NotFinite",
    "The answer holds NaN or an infinite number.",
    remedy="a model that answers finite numbers for its inputs",
)
MALFORMED_ANSWER: Final = Reason(
    "MalformedAnswer",
    "The answer is not of the Open Inference Protocol, version 2.",
    remedy="look what listens at the replica's address",
)
UNEXPECTED_DATA: Final = Reason(
    "UnexpectedData",
    "The replica sent what nobody had asked for; the connection was closed.",
    remedy="look what listens at the replica's address",
)
ANSWER_TOO_LARGE: Final = Reason(
    "AnswerTooLarge",
    "The answer has more bytes than one may have.",
    remedy="a model with smaller outputs, or look what listens at the replica's address",
)
OUTPUT_MISSING: Final = decision.OUTPUT_MISSING
WRONG_SHAPE: Final = Reason(
    "WrongShape",
    "An output has another shape than the Model declares.",
    remedy="correct outputs of the Model, or a version that has them",
)
ANSWER_REFUSED: Final = Reason(
    "AnswerRefused",
    "The engine could not use the answer; the decision ended as if there were none.",
    remedy="report the log's traceback: this is a defect of ours",
)

MODEL_BUSY: Final = Reason(
    "ModelBusy",
    "The model in the agent's own process has a call that does not end, or too many that wait.",
    remedy="a faster model, fewer devices that ask it, or isolation Child, where a call can be"
    " ended",
)

# Asked to answer in the agent's own process (runtime.isolation Agent), and it does not: a child, or
# the replicas that the assignment names, answer in its place.
NO_MODEL_MEMORY: Final = Reason(
    "NoModelMemory",
    "The agent has no room left for the model in its own process.",
    "it takes {needed} MiB in the agent's process, and {left} of {room} MiB are left",
    remedy="a larger --model-memory (value modelMemory of the agent's chart), or a smaller model",
)
MODEL_QUARANTINED: Final = Reason(
    "ModelQuarantined",
    "The agent ended uncleanly twice since the machine started, while it had the model in its own"
    " process or tried it.",
    "the agent ended uncleanly {ends} times since this machine started, with the model in its"
    " process or on trial",
    remedy="look why in the log of the system (a signal, memory); it is tried again once the"
    " machine has started anew; other bytes, and a ModelVersion with isolation Child, are free of"
    " it",
)
TRIAL_FAILED: Final = Reason(
    "TrialFailed",
    "The model could not be tried in a limited child, so that the agent does not load it.",
    "its trial in a limited child failed ({detail})",
    remedy="what the message says; it is tried again when the agent starts",
)
OUTPUTS_DIFFER: Final = Reason(
    "OutputsDiffer",
    "On the same inputs the model answered otherwise in the agent's process than in its trial.",
    "on the same inputs it answers otherwise in the agent's process than it did in its trial",
    remedy="a model that answers the same inputs the same (no random operators)",
)
RUNTIME_MISSING: Final = Reason(
    "RuntimeMissing",
    "The agent cannot load the runtime of models.",
    "the runtime of models cannot be loaded here ({detail})",
    remedy="install foreshore-agent[serving]",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every cause of a missing answer by its code."""
