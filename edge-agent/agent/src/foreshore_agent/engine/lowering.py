"""The mode in which a policy may act now: what it asks for, lowered by what holds at this moment.

Asked by `deciding` before a verdict and by `commanding` again before a command leaves: between the
two an intent is written, and meanwhile somebody may have pulled the brake.
"""

from foreshore_agent.engine.state import State
from foreshore_api.v1alpha1 import Mode
from foreshore_decision.chain import modes
from foreshore_decision.policy import compiled


def effective(
    state: State, policy: compiled.CompiledPolicy
) -> tuple[Mode, tuple[compiled.Cap, ...]]:
    """Return the effective mode, and the caps that lower it."""
    return modes.of(policy, is_recorder_full=state.recorder.full)
