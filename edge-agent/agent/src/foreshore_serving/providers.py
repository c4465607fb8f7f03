"""Execution providers: what of the runtime computes a model, as a ModelVersion names it.

    wanted [CUDA, CPU] ──built into this runtime?──► asked ──session──► registered ──► assigned
       First: the first must be all four            Any: whichever of them is assigned first

The runtime falls back by itself, in three places, and says so in its log at most: a provider that
it was not built with is left out, one that does not start (no driver, no device) is not registered,
and of one that is registered each node that it cannot compute goes to CPU, which may be every node
(tree ensembles have no CUDA kernel). So the provider that computes a model is read off the session
afterwards: from the assignment of its nodes where the runtime records that (1.24 and later), else
from what is registered. The runtime's own fall-backs are switched off, at loading and while it
runs, where one would change the answer to "what computes this" in silence.

Only CPU is tried by the tests with the real runtime; of the others, what the runtime is asked and
how its answers are read. Imports nothing of the runtime itself: whoever calls has it.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from foreshore_serving import advice
from foreshore_serving import contract as contracts
from foreshore_serving.refusal import Reason, Refused

CPU: Final = "CPU"

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        CPU: "CPUExecutionProvider",
        "CUDA": "CUDAExecutionProvider",
        "TensorRT": "TensorrtExecutionProvider",
        "OpenVINO": "OpenVINOExecutionProvider",
        "MIGraphX": "MIGraphXExecutionProvider",
        "XNNPACK": "XnnpackExecutionProvider",
    }
)
"""The runtime's name by that of a ModelVersion (`v1alpha1.modelversion.ExecutionProvider`)."""

_OURS: Final[Mapping[str, str]] = MappingProxyType({theirs: name for name, theirs in NAMES.items()})

_RESERVING: Final = frozenset({"CUDA", "TensorRT", "MIGraphX"})
"""Those whose driver maps the memory of its devices into the process: tens of GiB of addresses, of
which hardly any are memory. `limits` bounds memory another way where one of them is asked."""

RECORD_ASSIGNMENT: Final = "session.record_ep_graph_assignment_info"


class Computed(NamedTuple):
    """What computes a loaded model."""

    provider: str
    """The first wanted one that computes any node; the runtime's own name of one that nobody
    wanted."""
    registered: tuple[str, ...]
    """Those that the session has, the first before the next."""
    nodes: Mapping[str, int]
    """How many nodes of the graph each computes; empty where the runtime does not say."""

    def __str__(self) -> str:
        if len(self.nodes) < 2:
            return self.provider
        return ", ".join(f"{name} {count} nodes" for name, count in sorted(self.nodes.items()))


def is_plain(wanted: Collection[str]) -> bool:
    """Whether nothing is wanted before CPU: it computes every model, so that nothing else is."""
    return _until_cpu(wanted) == (CPU,)


def is_reserving(names: Iterable[str]) -> bool:
    """Whether the driver of one of them reserves addresses that are no memory."""
    return not _RESERVING.isdisjoint(names)


def available(library: Any) -> frozenset[str]:
    """Return which providers the runtime is built with; whether they start is another matter."""
    return frozenset(_OURS.get(name, name) for name in library.get_available_providers())


def asked(library: Any, contract: contracts.Contract) -> tuple[str, ...]:
    """Return what a session is asked for: what is wanted and built in, up to CPU.

    Raises:
        Refused: ProviderMissing: the required one is not built in, or none of them is.
    """
    there = available(library)
    fit = tuple(name for name in _until_cpu(contract.providers) if name in there)
    if not fit or (contract.is_first_required and fit[0] != contract.providers[0]):
        raise _missing(contract, f"this ONNX Runtime has {_listed(sorted(there & {*NAMES}))}")
    return fit


def session(library: Any, body: bytes, options: Any, contract: contracts.Contract) -> Any:
    """Return a session that is computed as the contract allows; `options` are the runtime's.

    Where not the first is required, a provider that fails while the session is made is left out,
    and the next one takes its place. A failure that CPU has too is the model's; another is the
    node's, and says nothing of the model.

    Raises:
        Refused: ProviderMissing.
        MemoryError: there is not enough.
        Exception: the runtime's own, of no common base: it refuses the model.
    """
    names = asked(library, contract)
    if names != (CPU,):
        options.add_session_config_entry(RECORD_ASSIGNMENT, "1")
    made = _first_made(library, body, options, names, contract)
    result = computed(made, contract)
    allowed = contract.providers[:1] if contract.is_first_required else contract.providers
    if result.provider not in allowed:
        raise _missing(contract, _why_not(contract.providers[0], result))
    return made


def computed(made: Any, contract: contracts.Contract) -> Computed:
    """Return what computes a session."""
    registered = tuple(_OURS.get(name, name) for name in made.get_providers())
    nodes = _nodes(made) if registered != (CPU,) else {}
    candidates = nodes or registered
    wanted = (name for name in contract.providers if name in candidates)
    return Computed(next(wanted, registered[0]), registered, nodes)


def shortfall(result: Computed, contract: contracts.Contract) -> str:
    """Return what to say of a model that its first provider does not compute; empty if it does."""
    first = contract.providers[0]
    if result.provider == first:
        return ""
    needed = f"{first} needs an image whose ONNX Runtime has it, and its device and driver here"
    return f"{_why_not(first, result)}; {needed}"


def _first_made(
    library: Any, body: bytes, options: Any, names: tuple[str, ...], contract: contracts.Contract
) -> Any:
    """Return the session of the first of the providers that does not fail. Raises as `session`."""
    attempts = 1 if contract.is_first_required else len(names)
    for left_out in range(attempts):
        try:
            return _made(library, body, options, names[left_out:])
        except MemoryError:
            raise
        except Exception as error:
            if names[left_out:] == (CPU,):
                raise
            failure = error
    _made(library, body, options, (CPU,))  # raises where the model is at fault
    why = advice.of_error(failure).cause
    raise _missing(contract, f"{names[0]} fails on this node: {why}") from failure


def _made(library: Any, body: bytes, options: Any, names: Iterable[str]) -> Any:
    return library.InferenceSession(
        body, options, providers=[NAMES[name] for name in names], enable_fallback=0
    )


def _nodes(made: Any) -> dict[str, int]:
    """Count the nodes of each provider; a runtime before 1.24 does not say."""
    ask = getattr(made, "get_provider_graph_assignment_info", None)
    counts: dict[str, int] = {}
    for part in () if ask is None else ask():
        name = _OURS.get(part.ep_name, part.ep_name)
        counts[name] = counts.get(name, 0) + len(part.get_nodes())
    return counts


def _until_cpu(wanted: Collection[str]) -> tuple[str, ...]:
    """Return the wanted ones up to CPU: it takes every node that is left."""
    names = tuple(wanted)
    return names[: names.index(CPU) + 1] if CPU in names else names


def _why_not(first: str, result: Computed) -> str:
    if first not in result.registered:
        return (
            f"{first} is not in this ONNX Runtime or did not start, {result.provider} computes it"
        )
    return f"{first} computes no node of this model, {result.provider} does"


def _missing(contract: contracts.Contract, why: str) -> Refused:
    first, *others = contract.providers
    wanted = first if contract.is_first_required or not others else _listed(contract.providers)
    verb = "is required" if contract.is_first_required else "may compute the model"
    return Refused(Reason.PROVIDER_MISSING, f"only {wanted} {verb}, and {why}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"
