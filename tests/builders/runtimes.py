"""A runtime with providers that this machine has not: what it is asked, and how it falls back."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from foreshore_serving import providers


class AssignedNodes(NamedTuple):
    """Nodes of one provider, as ONNX Runtime 1.24 and later tell of them."""

    ep_name: str
    nodes: int

    def get_nodes(self) -> list[object]:
        return [object()] * self.nodes


class MadeSession:
    """What the runtime made of it; a session of before 1.24 cannot be asked for its nodes."""

    def __init__(self, registered: Sequence[str], nodes: Mapping[str, int] | None) -> None:
        self._registered = [providers.NAMES.get(name, name) for name in registered]
        if nodes is not None:
            parts = [
                AssignedNodes(providers.NAMES.get(name, name), count)
                for name, count in nodes.items()
            ]
            self.get_provider_graph_assignment_info: Callable[[], Any] = lambda: parts

    def get_providers(self) -> list[str]:
        return self._registered


class RuntimeOptions:
    """Options of a session."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value


class AcceleratedRuntime:
    """An `onnxruntime` of names that a ModelVersion uses."""

    def __init__(
        self,
        built: Sequence[str],
        *,
        starting: Sequence[str] = (),
        failing: Sequence[str] = (),
        nodes: Mapping[str, int] | None = None,
    ) -> None:
        """Be built with some beside CPU.

        Args:
            built: names beside CPU.
            starting: those of them that find driver and device.
            failing: those of them that raise instead of being left out.
            nodes: how many nodes each computes; None: the runtime is too old to say.
        """
        self._built = (*built, providers.CPU)
        self._starting = (*starting, providers.CPU)
        self._failing = frozenset(failing)
        self._nodes = nodes
        self.asked: list[tuple[str, ...]] = []
        self.fallbacks: list[int] = []

    def get_available_providers(self) -> list[str]:
        return [*(providers.NAMES[name] for name in self._built), "AzureExecutionProvider"]

    def InferenceSession(  # noqa: N802 - the runtime's name
        self, body: bytes, options: RuntimeOptions, *, providers: list[str], enable_fallback: int
    ) -> MadeSession:
        del body
        names = tuple(_ours(name) for name in providers)
        self.asked.append(names)
        self.fallbacks.append(enable_fallback)
        if self._failing & set(names):
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        registered = [name for name in names if name in self._starting]
        if "CPU" not in registered:
            registered.append("CPU")  # always there, asked or not
        is_recorded = RECORDED in options.entries
        nodes = self._nodes
        if nodes is not None:
            nodes = {name: count for name, count in nodes.items() if name in registered}
        return MadeSession(registered, nodes if is_recorded else None)


RECORDED = providers.RECORD_ASSIGNMENT


def _ours(theirs: str) -> str:
    return next(name for name, runtime in providers.NAMES.items() if runtime == theirs)
