"""The order of the gates. Policy lives here: a test pins it, a comment says why each line is where.

Cheap and local first, the irreversible last. Inference is an effect between the two tuples, never
an await inside a gate: the second tuple runs on fresh limits, rates, mode and authority.
"""

from typing import Final

from foreshore_decision.chain import gates

BEFORE_INFERENCE: Final[tuple[gates.Gate, ...]] = (
    gates.arm,  # a locked device is not even looked at
    gates.validity,  # nothing is concluded from what cannot be believed
    gates.context,  # a policy that does not apply asks no model
)

AFTER_INFERENCE: Final[tuple[gates.Gate, ...]] = (
    gates.inference,  # a model that is silent, late or not finite decides nothing
    gates.rule,  # what the author wants; Forbid overrides
    gates.limits,  # what the actuator may be told, whatever the author wants
    gates.rate_limit,  # how often, whatever it is told
    gates.mode,  # whether this policy may act at all: below, everything above was "would have"
    gates.authority,  # whether this agent may act; last, because it changes fastest
)

NAMES: Final = (
    "Arm",
    "Validity",
    "Context",
    "Inference",
    "Rule",
    "Limits",
    "RateLimit",
    "Mode",
    "Authority",
)
"""Names of all gates, in order, as records write them."""
