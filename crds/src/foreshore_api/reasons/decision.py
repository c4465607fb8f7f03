"""Why a decision ended as it did: the gates by name, and the reasons that each of them gives.

The first gate that does not pass decides. The verdict is that of its reason's row; a gate that
could not be asked (phase Error) gives Error; where the author of a policy named the reason, the
gate's own verdict counts.

Words of messages and remedies: `name` and `expression` of what decided, the operands of its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

from foreshore_api.reasons import Reason, table
from foreshore_api.wire.record import Verdict


class GateName(str):
    """The name of a gate, as records write it, with its question and the verdict of its No."""

    __slots__ = ("question", "verdict")

    verdict: Verdict
    question: str

    def __new__(cls, name: str, verdict: Verdict, question: str) -> Self:
        """Make one."""
        made = super().__new__(cls, name)
        made.verdict, made.question = verdict, question
        return made


class GateReason(Reason):
    """Why gates ended as they did."""

    __slots__ = ("gates", "verdict")

    gates: tuple[GateName, ...]
    verdict: Verdict | None
    """What a gate that fails for this reason leads to; None: the gate passes."""

    @classmethod
    def of(cls, row: Reason, gates: tuple[GateName, ...], verdict: Verdict | None) -> Self:
        """Return a row with the columns of a gate's reason."""
        made = cls(row, row.meaning, row.message, row.remedy)
        return made._with(gates=gates, verdict=verdict)


def passes(gate: GateName, code: str, meaning: str, message: str = "") -> GateReason:
    """Return the row of a reason with which a gate passes."""
    return GateReason.of(Reason(code, meaning, message), (gate,), None)


def decides(
    gate: GateName,
    code: str,
    meaning: str,
    message: str,
    remedy: str,
    *also: GateName,
    verdict: Verdict | None = None,
) -> GateReason:
    """Return the row of a reason with which a gate does not pass.

    `also` are other gates that give it; a `verdict` takes the place of the gate's own.
    """
    row = Reason(code, meaning, message, remedy)
    return GateReason.of(row, (gate, *also), verdict or gate.verdict)


ARM: Final = GateName("Arm", Verdict.NOT_TRIGGERED, "May this policy look at this device at all?")
VALIDITY: Final = GateName("Validity", Verdict.NOT_APPLICABLE, "Can the inputs be believed?")
CONTEXT: Final = GateName("Context", Verdict.NOT_APPLICABLE, "Does the policy apply now?")
INFERENCE: Final = GateName("Inference", Verdict.ERROR, "Has the model answered?")
RULE: Final = GateName("Rule", Verdict.DENIED, "Do the rules want it?")
LIMITS: Final = GateName("Limits", Verdict.DENIED, "May the actuator get these values?")
RATE_LIMIT: Final = GateName("RateLimit", Verdict.SUPPRESSED, "May it get them now?")
MODE: Final = GateName("Mode", Verdict.SHADOWED, "May this policy act?")
AUTHORITY: Final = GateName("Authority", Verdict.DENIED, "May this agent act?")
RECORD: Final = GateName("Record", Verdict.ERROR, "After the chain: is the intent written?")

ARMED: Final = passes(ARM, "Armed", "Policy enabled, device unlocked.")
DISABLED: Final = decides(
    ARM,
    "Disabled",
    "The effective mode is Disabled.",
    "the policy is disabled",
    "another mode than Disabled",
)
DEVICE_LOCKED: Final = decides(
    ARM,
    "DeviceLocked",
    "The Device is locked: nothing arms.",
    "the device is locked",
    "the device unlocked (spec.lock)",
)
POLICY_CHANGED: Final = decides(
    ARM,
    "PolicyChanged",
    "The policy or device was replaced while the model was being asked.",
    "policy or device changed while the model was being asked",
    "no change of policy or device while the model was asked",
)
READINGS_VOID: Final = decides(
    ARM,
    "ReadingsVoid",
    "The connection to the broker or the device went while the model was being asked: what it was"
    " asked about may not be so any more.",
    "the connection or the device went while the model was being asked",
    "the device's word after the gap",
)

EXPRESSION_TOO_SLOW: Final = decides(
    ARM,
    "ExpressionTooSlow",
    "Decisions of this policy broke their budget of time again and again; the agent has disarmed it"
    " on this device.",
    "disarmed: its decisions take too long, and all others wait for them",
    "simpler expressions (shorter lists, fewer loops, simpler patterns), or a restart of the agent",
)

INPUTS_VALID: Final = passes(
    VALIDITY,
    "InputsValid",
    "Every input is there, fresh, in range and plausible, or substituted.",
)
INPUT_MISSING: Final = decides(
    VALIDITY,
    "InputMissing",
    "No value of the property has arrived since the agent started.",
    "no value of {name} has arrived yet",
    "a first sample of {name}",
)
INPUT_STALE: Final = decides(
    VALIDITY,
    "InputStale",
    "The newest value is older than the input's maximumAge.",
    "{name} is older than its maximumAge {maximumAge} s",
    "a sample of {name} younger than its maximumAge",
)
INPUT_AGE_UNKNOWN: Final = decides(
    VALIDITY,
    "InputAgeUnknown",
    "The broker had kept the value, and nothing says when the device said it.",
    "nobody knows how old {name} is: the broker had kept it",
    "a live sample of {name}, a time in the device's message (time of the property), or"
    " availability in the profile",
)
CONNECTION_GAP: Final = decides(
    VALIDITY,
    "ConnectionGap",
    "The connection to the broker was lost since the value came, and the device's word has not come"
    " again.",
    "{name} is from before a gap in the connection",
    "the device's word on {name}, live or kept by the broker (a device that publishes with retain)",
)
DEVICE_OFFLINE: Final = decides(
    VALIDITY,
    "DeviceOffline",
    "The device went offline since the value came, and has not said it again.",
    "{name} is from before the device went offline",
    "the device online again, and a sample of {name}",
)
INPUT_REFUSED: Final = decides(
    VALIDITY,
    "InputRefused",
    "The newest value was refused: not finite, of another type, not listed, of bad quality, or what"
    " else the input's refusal says.",
    "the newest value of {name} was refused: {refusal}",
    "a readable sample of {name}",
)
INPUT_OUT_OF_RANGE: Final = decides(
    VALIDITY,
    "InputOutOfRange",
    "The newest value lies outside the range that is believed.",
    "{name} is {value}: outside the range that is believed",
    "a value of {name} within its range",
)
INPUT_IMPLAUSIBLE: Final = decides(
    VALIDITY,
    "InputImplausible",
    "The value changed faster than the input's maximumRate.",
    "{name} changed to {value} faster than is believed",
    "a slower change of {name}",
)
FEATURE_NOT_READY: Final = decides(
    VALIDITY,
    "FeatureNotReady",
    "Too little of a feature's window was listened to, the model takes a feature that has too few"
    " values, or its window of samples is not full.",
    "{name} is not ready: {listened}",
    "{seconds} s more of listening, and enough values in the window of {name}",
)

CONDITIONS_HOLD: Final = passes(CONTEXT, "ConditionsHold", "Every match condition is true.")
CONDITION_FALSE: Final = decides(
    CONTEXT,
    "ConditionFalse",
    "A match condition is false: the policy does not apply now.",
    "{name} is false: {expression}{operands}",
    "{name} true: {expression}",
)
EXPRESSION_ERROR: Final = decides(
    CONTEXT,
    "ExpressionError",
    "An expression has no value: Error, or Denied of a Forbid; errors never permit.",
    "{name} has no value: {expression}{operands}",
    "values for everything that {name} reads",
    RULE,
    LIMITS,
    verdict=Verdict.DENIED,
)
"""Denied of a Forbid; everywhere else the phase is Error, and with it the verdict."""

NO_MODEL: Final = passes(INFERENCE, "NoModel", "The policy is rules only.")
ANSWERED: Final = passes(INFERENCE, "Answered", "A replica answered in time, with finite numbers.")
RULE_ONLY: Final = passes(
    INFERENCE, "RuleOnly", "No replica answered; onError RuleOnly lets the rules decide."
)
INPUT_EXPIRED: Final = decides(
    INFERENCE,
    "InputExpired",
    "An input outlived its maximumAge while the model was being asked.",
    "{name} outlived its maximumAge {maximumAge} s while the model was being asked",
    "an answer of the model before {name} is older than its maximumAge",
)
INFERENCE_LATE: Final = decides(
    INFERENCE,
    "InferenceLate",
    "No replica answered before the timeout.",
    "no replica answered in time",
    "an answer of the model within its timeout",
)
INFERENCE_FAILED: Final = decides(
    INFERENCE,
    "InferenceFailed",
    "Every replica failed, there is none, or no value of its type can be made of a feature.",
    "the model gave no answer ({detail})",
    "an answer of the model",
)
OTHER_VERSION: Final = decides(
    INFERENCE,
    "OtherVersion",
    "Only another version than the one in force answered: not used.",
    "no replica answers as {asked}, which is in force",
    "a replica that answers as {asked}",
)
OUTPUT_MISSING: Final = decides(
    INFERENCE,
    "OutputMissing",
    "The answer lacks an output that the policy reads.",
    "the answer lacks {name}",
    "an answer that holds {name}",
)
OUTPUT_NOT_FINITE: Final = decides(
    INFERENCE,
    "OutputNotFinite",
    "An output is NaN or infinite.",
    "{name} is not finite",
    "a finite {name}",
)
OUTPUT_OF_WRONG_TYPE: Final = decides(
    INFERENCE,
    "OutputOfWrongType",
    "An output is a text where the Model declares a number, or a number where it declares a text.",
    "{name} is not of the type that the Model declares",
    "the dataType of the output in the Model as the artefact has it",
)
OUTPUT_TOO_LONG: Final = decides(
    INFERENCE,
    "OutputTooLong",
    "An output is a text of more than 1024 characters.",
    "{name} has more than 1024 characters",
    "a model whose labels are shorter",
)

NO_RULE_PERMITS: Final = decides(
    RULE,
    "NoRulePermits",
    "No Permit is true and no Forbid is: nothing was to be done.",
    "no rule permits; {name}: {expression}{operands}",
    "{name} true: {expression}",
    verdict=Verdict.NOT_TRIGGERED,
)

WITHIN_LIMITS: Final = passes(
    LIMITS, "WithinLimits", "Every value is finite, in bounds, and a small enough step."
)
CLAMPED: Final = passes(
    LIMITS,
    "Clamped",
    "A value was moved to the nearest one allowed (onLimit Clamp).",
    "{name} was clamped from {value} to {clamped}",
)
OUT_OF_LIMITS: Final = decides(
    LIMITS,
    "OutOfLimits",
    "A value lies outside the bounds of action, device or policy.",
    "{name} would be {value}, outside {minimum} to {maximum}",
    "a value of {name} from {minimum} to {maximum}",
)
STEP_TOO_LARGE: Final = decides(
    LIMITS,
    "StepTooLarge",
    "A value is further from the measured one than maximumStep.",
    "{name} would be {value}, too far from the measured {present}",
    "a value of {name} within {maximumStep} of the measured {present}",
)
PRESENT_VALUE_UNKNOWN: Final = decides(
    LIMITS,
    "PresentValueUnknown",
    "maximumStep needs a fresh measurement and there is none.",
    "{name} needs a fresh measurement to step from",
    "a fresh measurement of what {name} sets",
)
VALUE_NOT_FINITE: Final = decides(
    LIMITS,
    "ValueNotFinite",
    "A value that the action would get is NaN or infinite.",
    "{name} is not finite: {expression}{operands}",
    "a finite {name}",
    verdict=Verdict.ERROR,
)

WITHIN_RATE: Final = passes(RATE_LIMIT, "WithinRate", "Both rate limits leave room.")
MINIMUM_INTERVAL: Final = decides(
    RATE_LIMIT,
    "MinimumInterval",
    "Too soon after the last command.",
    "the {name} rate limit has room in {seconds} s",
    "{seconds} s more since the last command ({name})",
)
BURST_SPENT: Final = decides(
    RATE_LIMIT,
    "BurstSpent",
    "The window already holds as many commands as allowed.",
    "the {name} burst is spent; there is room in {seconds} s",
    "{seconds} s more, until the burst has room ({name})",
)
ACTUATOR_HELD: Final = decides(
    RATE_LIMIT,
    "ActuatorHeld",
    "An earlier command's fate is unknown; the actuator is held until it is.",
    "an earlier command's fate is unknown; held for {seconds} s",
    "{seconds} s more, until the last command's fate is clear",
)
TOO_MANY_OUTSTANDING: Final = decides(
    RATE_LIMIT,
    "TooManyOutstanding",
    "Too many commands wait for the device's answer.",
    "{outstanding} commands wait for the device's answer",
    "answers of the device to the commands that it got",
)

AUTONOMOUS_MODE: Final = passes(MODE, "AutonomousMode", "The policy may act by itself.")
ADVISE_MODE: Final = decides(
    MODE,
    "AdviseMode",
    "The policy may only advise.",
    "would command {action}; the mode allows advice only{capped}",
    "mode Autonomous, and nothing that caps it",
    verdict=Verdict.ADVISED,
)
SHADOW_MODE: Final = decides(
    MODE,
    "ShadowMode",
    "The policy is only recorded.",
    "would command {action}; the mode only records{capped}",
    "mode Advise or Autonomous",
)

AUTHORITY_RENEWED: Final = passes(
    AUTHORITY,
    "AuthorityRenewed",
    "This agent's right to command is renewed.",
    "the right to command is renewed",
)
AUTHORITY_OFFLINE: Final = passes(
    AUTHORITY,
    "AuthorityOffline",
    "The hub is away; the grant allows going on.",
    "the hub is away; going on alone as the grant allows",
)
AUTHORITY_LAPSED: Final = decides(
    AUTHORITY,
    "AuthorityLapsed",
    "This agent's right was not renewed in time, or given back.",
    "the right to command was not renewed, or given back",
    "a renewal of this agent's right",
)
AUTHORITY_SUPERSEDED: Final = decides(
    AUTHORITY,
    "AuthoritySuperseded",
    "Another agent holds a higher epoch.",
    "another agent holds a higher epoch than {epoch}",
    "this agent as holder: another one is, and decides",
)
AUTHORITY_MISSING: Final = decides(
    AUTHORITY,
    "AuthorityMissing",
    "This agent holds no grant for the device.",
    "this agent holds no grant for the device",
    "a grant for this agent",
)

RECORDER_FULL: Final = decides(
    RECORD,
    "RecorderFull",
    "The intent could not be written: no record, no act.",
    "the intent could not be written ({cause}): no record, no act",
    "a journal that takes the intent: room on the disk, or a smaller record, as the cause says",
)
RECORD_INCOMPLETE: Final = passes(
    RECORD,
    "RecordIncomplete",
    "The command was commanded, and its record holds less than others: the facts, not what the"
    " gates made of them.",
    "commands {action}; what the gates said is not recorded: {why}",
)
SKIPPED: Final = GateReason.of(Reason("Skipped", "An earlier gate decided."), (), None)

TABLE: Final[Mapping[str, GateReason]] = table(GateReason, globals())
"""Every reason of the chain by its code."""
