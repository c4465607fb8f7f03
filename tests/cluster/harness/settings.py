"""What a person may set, read from the environment once, when a command or a test session starts.

FORESHORE_CACHE       where built things live                (~/.cache/foreshore)
FORESHORE_NODE_IMAGE  a stock node image to use instead of the one built here, for example
                      kindest/node:v1.36.1, on a machine that reaches a registry
FORESHORE_BASE_IMAGE  what images are built on instead of the base bootstrapped here, for example
                      python:3.11-slim-bookworm, on a machine that reaches a registry
FORESHORE_SUBNETS     two first parts of the addresses networks are made of  (172.30)
FORESHORE_KEEP        1: a test session's cluster stays up after the session
PROVIDER              kind, or existing: use the current context of KUBECONFIG
FORESHORE_CONTEXTS    with PROVIDER=existing: the contexts that may be used, comma-separated
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Provider(StrEnum):
    """Where a cluster comes from."""

    KIND = "kind"
    EXISTING = "existing"


@dataclass(frozen=True)
class Settings:
    """The harness' settings; the module's docstring says what each one means."""

    provider: Provider = Provider.KIND
    node_image: str | None = None
    base_image: str | None = None
    subnets: str = "172.30"
    name: str = "foreshore-e2e"
    keep: bool = False
    contexts: tuple[str, ...] = ()


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process' environment."""
    return Settings(
        provider=Provider(environment.get("PROVIDER") or Provider.KIND),
        node_image=environment.get("FORESHORE_NODE_IMAGE") or None,
        base_image=environment.get("FORESHORE_BASE_IMAGE") or None,
        subnets=environment.get("FORESHORE_SUBNETS") or Settings.subnets,
        name=environment.get("FORESHORE_CLUSTER") or Settings.name,
        keep=environment.get("FORESHORE_KEEP") == "1",
        contexts=tuple(
            context.strip()
            for context in environment.get("FORESHORE_CONTEXTS", "").split(",")
            if context.strip()
        ),
    )
