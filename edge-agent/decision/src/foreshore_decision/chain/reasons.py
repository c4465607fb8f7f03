"""Why a gate passed or not: every reason code of the chain, in one table.

Gates name these, `messages` renders them, people search for them in records. A rule's own reason,
as its author wrote it, takes the place of a code where a rule decided.
"""

from types import MappingProxyType
from typing import Final

# Arm: may this policy look at this device at all.
ARMED: Final = "Armed"
DISABLED: Final = "Disabled"
DEVICE_LOCKED: Final = "DeviceLocked"
POLICY_CHANGED: Final = "PolicyChanged"

# Validity: can the inputs be believed.
INPUTS_VALID: Final = "InputsValid"
INPUT_MISSING: Final = "InputMissing"
INPUT_STALE: Final = "InputStale"
INPUT_REFUSED: Final = "InputRefused"
INPUT_OUT_OF_RANGE: Final = "InputOutOfRange"
INPUT_IMPLAUSIBLE: Final = "InputImplausible"
FEATURE_NOT_READY: Final = "FeatureNotReady"

# Context: does the policy apply.
CONDITIONS_HOLD: Final = "ConditionsHold"
CONDITION_FALSE: Final = "ConditionFalse"
EXPRESSION_ERROR: Final = "ExpressionError"

# Inference: has the model answered.
NO_MODEL: Final = "NoModel"
ANSWERED: Final = "Answered"
RULE_ONLY: Final = "RuleOnly"
INFERENCE_LATE: Final = "InferenceLate"
INFERENCE_FAILED: Final = "InferenceFailed"
OTHER_VERSION: Final = "OtherVersion"
OUTPUT_MISSING: Final = "OutputMissing"
OUTPUT_NOT_FINITE: Final = "OutputNotFinite"

# Rule: do the rules want it.
NO_RULE_PERMITS: Final = "NoRulePermits"

# Limits: may the actuator be told this.
WITHIN_LIMITS: Final = "WithinLimits"
CLAMPED: Final = "Clamped"
OUT_OF_LIMITS: Final = "OutOfLimits"
STEP_TOO_LARGE: Final = "StepTooLarge"
PRESENT_VALUE_UNKNOWN: Final = "PresentValueUnknown"
VALUE_NOT_FINITE: Final = "ValueNotFinite"

# RateLimit: may it be told now.
WITHIN_RATE: Final = "WithinRate"
MINIMUM_INTERVAL: Final = "MinimumInterval"
BURST_SPENT: Final = "BurstSpent"
ACTUATOR_HELD: Final = "ActuatorHeld"
TOO_MANY_OUTSTANDING: Final = "TooManyOutstanding"

# Mode: may this policy act.
AUTONOMOUS_MODE: Final = "AutonomousMode"
ADVISE_MODE: Final = "AdviseMode"
SHADOW_MODE: Final = "ShadowMode"

# Authority: may this agent act.
AUTHORITY_RENEWED: Final = "AuthorityRenewed"
AUTHORITY_OFFLINE: Final = "AuthorityOffline"
AUTHORITY_LAPSED: Final = "AuthorityLapsed"
AUTHORITY_SUPERSEDED: Final = "AuthoritySuperseded"
AUTHORITY_MISSING: Final = "AuthorityMissing"

# After the chain.
RECORDER_FULL: Final = "RecorderFull"
SKIPPED: Final = "Skipped"

MEANING: Final = MappingProxyType(
    {
        ARMED: "Policy enabled, device unlocked.",
        DISABLED: "The effective mode is Disabled.",
        DEVICE_LOCKED: "The Device is locked: nothing arms.",
        POLICY_CHANGED: "The policy or device was replaced while the model was being asked.",
        INPUTS_VALID: "Every input is there, fresh, in range and plausible, or substituted.",
        INPUT_MISSING: "No value of the property has arrived since the agent started.",
        INPUT_STALE: "The newest value is older than the input's maximumAge.",
        INPUT_REFUSED: "The newest value was refused: not finite or of another type.",
        INPUT_OUT_OF_RANGE: "The newest value lies outside the range that is believed.",
        INPUT_IMPLAUSIBLE: "The value changed faster than the input's maximumRate.",
        FEATURE_NOT_READY: "Too little of a feature's window was listened to, or the model takes"
        " a feature that has too few values.",
        CONDITIONS_HOLD: "Every match condition is true.",
        CONDITION_FALSE: "A match condition is false: the policy does not apply now.",
        EXPRESSION_ERROR: "An expression has no value; errors never permit.",
        NO_MODEL: "The policy is rules only.",
        ANSWERED: "A replica answered in time, with finite numbers.",
        RULE_ONLY: "No replica answered; onError RuleOnly lets the rules decide.",
        INFERENCE_LATE: "No replica answered before the timeout.",
        INFERENCE_FAILED: "Every replica failed, or there is none.",
        OTHER_VERSION: "Only another version than the one in force answered: not used.",
        OUTPUT_MISSING: "The answer lacks an output that the policy reads.",
        OUTPUT_NOT_FINITE: "An output is NaN or infinite.",
        NO_RULE_PERMITS: "No Permit is true and no Forbid is: nothing was to be done.",
        WITHIN_LIMITS: "Every value is finite, in bounds, and a small enough step.",
        CLAMPED: "A value was moved to the nearest one allowed (onLimit Clamp).",
        OUT_OF_LIMITS: "A value lies outside the bounds of action, device or policy.",
        STEP_TOO_LARGE: "A value is further from the measured one than maximumStep.",
        PRESENT_VALUE_UNKNOWN: "maximumStep needs a fresh measurement and there is none.",
        VALUE_NOT_FINITE: "A value that the action would get is NaN or infinite.",
        WITHIN_RATE: "Both rate limits leave room.",
        MINIMUM_INTERVAL: "Too soon after the last command.",
        BURST_SPENT: "The window already holds as many commands as allowed.",
        ACTUATOR_HELD: "An earlier command's fate is unknown; the actuator is held until it is.",
        TOO_MANY_OUTSTANDING: "Too many commands wait for the device's answer.",
        AUTONOMOUS_MODE: "The policy may act by itself.",
        ADVISE_MODE: "The policy may only advise.",
        SHADOW_MODE: "The policy is only recorded.",
        AUTHORITY_RENEWED: "This agent's right to command is renewed.",
        AUTHORITY_OFFLINE: "The hub is away; the grant allows going on.",
        AUTHORITY_LAPSED: "This agent's right was not renewed in time, or given back.",
        AUTHORITY_SUPERSEDED: "Another agent holds a higher epoch.",
        AUTHORITY_MISSING: "This agent holds no grant for the device.",
        RECORDER_FULL: "The intent could not be written: no record, no act.",
        SKIPPED: "An earlier gate decided.",
    }
)
