"""What a cluster says at the moment a step failed: it is gone when a person reads of the failure.

The demo, the benches and the e2e tests print it. Each answer has its command as heading; one that
fails is part of the answer, and none may take long: the cluster may be what is broken.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from harness import install, process

Ask = Callable[..., str]
"""Run kubectl, or one of the product's own commands, with these arguments; its output."""

PATIENCE: Final = "--request-timeout=10s"
LONGEST: Final = 12_000
"""Characters of one answer, from its end."""
EVENTS: Final = 40
LINES: Final = 12
"""Lines of each agent's log."""
KINDS: Final = ",".join(
    f"{plural}.foreshore.dev"
    for plural in ("sites", "devices", "decisionpolicies", "inferenceplacements", "modelversions")
)
_ERROR: Final = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^\S*(Error|Exception)\b|^Traceback ")


def describe(kubectl: Ask, foreshore: Ask) -> str:
    """Everything that a person would look at first, each part with its heading."""
    return "\n".join(_answers(kubectl, foreshore))


def _answers(kubectl: Ask, foreshore: Ask) -> Iterator[str]:
    yield _answer("kubectl foreshore", foreshore, ("status", "-A", "-o", "wide"))
    yield _answer("kubectl foreshore", foreshore, ("placements", "-A", "-o", "wide"))
    yield _answer("kubectl", kubectl, ("get", KINDS, "-A", "-o", "json"), conditions)
    yield _answer("kubectl", kubectl, ("get", "events", "-A", "--sort-by=.lastTimestamp"), newest)
    yield _answer("kubectl", kubectl, ("get", "nodes", "-o", "wide"))
    yield _answer("kubectl", kubectl, ("get", "pods", "-A", "-o", "wide"))
    for name in ("operator", "hub"):
        deployment = f"deployment/foreshore-{name}"
        question = ("logs", "-n", install.SYSTEM, deployment, "--tail=400")
        yield _answer("kubectl", kubectl, question, last_errors)
    yield from _agents(kubectl)


def _agents(kubectl: Ask) -> Iterator[str]:
    where = ("-n", install.AGENTS)
    try:
        pods = json.loads(kubectl("get", "pods", *where, "-o", "json", PATIENCE))["items"]
    except (process.HarnessError, ValueError) as error:
        yield f"$ kubectl get pods -n {install.AGENTS}\n{error}"
        return
    for pod in pods:
        question = ("logs", pod["metadata"]["name"], *where, "-c", "agent", "--tail=400")
        yield _answer("kubectl", kubectl, question, last_errors)
        if has_restarted(pod):
            yield _answer("kubectl", kubectl, (*question, "--previous"), last_errors)


def _answer(
    program: str, ask: Ask, question: tuple[str, ...], told: Callable[[str], str] = str
) -> str:
    try:
        answer = told(ask(*question, PATIENCE))
    except (process.HarnessError, ValueError, KeyError) as error:
        answer = f"no answer: {error}"
    return f"$ {program} {' '.join(question)}\n{answer.rstrip()[-LONGEST:]}\n"


def conditions(listed: str) -> str:
    """Every condition of a list of objects as JSON, a line each."""
    return "\n".join(_conditions(json.loads(listed)["items"]))


def _conditions(items: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for one in items:
        metadata, said = one["metadata"], one.get("status", {}).get("conditions", [])
        name = f"{one['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        if not said:
            yield f"{name}: no condition"
        for each in said:
            message = each.get("message", "")
            since = each.get("lastTransitionTime", "")
            yield f"{name}: {each['type']}={each['status']} {each['reason']} ({since}): {message}"


def newest(text: str) -> str:
    """The heading and the last lines of a table."""
    heading, *lines = text.splitlines() or [""]
    return "\n".join([heading, *lines[-EVENTS:]])


def last_errors(text: str) -> str:
    """The last warnings and errors of a log; its last lines where there is none."""
    lines = text.splitlines()
    odd = [line for line in lines if _ERROR.search(line)]
    if odd:
        return "\n".join(odd[-LINES:])
    return "\n".join(["(neither warning nor error)", *lines[-LINES // 3 :]])


def has_restarted(pod: Mapping[str, Any]) -> bool:
    """Whether a container of a pod has an earlier life with a log of its own."""
    said = pod.get("status", {}).get("containerStatuses", [])
    return any(one.get("restartCount", 0) for one in said)
