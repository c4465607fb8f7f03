"""The order of the gates. Policy lives here: a test pins it, a comment says why each line is where.

Cheap and local first, the irreversible last. Inference is an effect between the two tuples, never
an await inside a gate: the second tuple runs on fresh limits, rates, mode and authority.

A new gate is a function in `gates`, a row here, and its name and reasons in
`foreshore_api.reasons.decision`; a test adds one so.
"""

from typing import Final

from foreshore_api.reasons import decision as reasons
from foreshore_decision.chain.gate import Chain, Gate
from foreshore_decision.gates import data, people, rights, rules, safety

BEFORE_INFERENCE: Final = (
    Gate(reasons.ARM, people.arm),  # a locked device is not even looked at
    Gate(reasons.VALIDITY, data.validity),  # nothing is concluded from what cannot be believed
    Gate(reasons.CONTEXT, data.context),  # a policy that does not apply asks no model
)

AFTER_INFERENCE: Final = (
    Gate(reasons.INFERENCE, data.inference),  # a model that is silent or late decides nothing
    Gate(reasons.RULE, rules.rule),  # what the author wants; Forbid overrides
    Gate(reasons.LIMITS, safety.limits),  # what the actuator may get, whatever the author wants
    Gate(reasons.RATE_LIMIT, safety.rate_limit),  # how often, whatever it gets
    Gate(reasons.MODE, people.mode),  # whether this policy may act: above, all was "would have"
    Gate(reasons.AUTHORITY, rights.authority),  # whether this agent may; last: it changes fastest
)

CHAIN: Final = Chain(BEFORE_INFERENCE, AFTER_INFERENCE)
NAMES: Final = CHAIN.names
