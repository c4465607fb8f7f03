"""Policies compiled for devices, or every reason why they cannot be.

    AssignedPolicy + AssignedDevice ──compile──► CompiledPolicy | PolicyError(problems)

The agent compiles what it is assigned, the operator checks what people write, in the same words.
`sources` resolves what is read, `elsewhere` of which other device, `scopes` the names of
expressions, `shapes` the model's tensors, `preprocessing` what fills them, `actions` and `bounds`
what is commanded, `templates` how the device is told and answers, `capping` how far it may go;
`timing` measures what is checked.
"""

from foreshore_decision.policy.capping import caps
from foreshore_decision.policy.compile import (
    check,
    compile,  # noqa: A004 - called as policy.compile
    too_slow,
)
from foreshore_decision.policy.compiled import Cap, CompiledPolicy
from foreshore_decision.policy.elsewhere import (
    NOBODY,
    named,
    property_name,
    read_elsewhere,
    resolve,
    wording,
)
from foreshore_decision.policy.problems import ModelFault, PolicyError, PolicyProblem, unexpected
from foreshore_decision.policy.profiles import check_device
from foreshore_decision.policy.shapes import faults as model_faults
from foreshore_decision.policy.subject import OtherDevice, Resolution

__all__ = [
    "NOBODY",
    "Cap",
    "CompiledPolicy",
    "ModelFault",
    "OtherDevice",
    "PolicyError",
    "PolicyProblem",
    "Resolution",
    "caps",
    "check",
    "check_device",
    "compile",
    "model_faults",
    "named",
    "property_name",
    "read_elsewhere",
    "resolve",
    "too_slow",
    "unexpected",
    "wording",
]
