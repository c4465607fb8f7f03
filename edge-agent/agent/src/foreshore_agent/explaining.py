"""One decision and what followed, as text for a person; `records.why` prints it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foreshore_api.wire import record


def render(events: Sequence[Mapping[str, Any]]) -> str:
    """Say what was decided, by which gate, on what it looked, and what came of it."""
    return "\n".join(line for event in events for line in _lines(event))


def _lines(event: Mapping[str, Any]) -> Iterator[str]:
    data = event["data"]
    if event["type"] == record.DECISION:
        yield from _decision(event["time"], data)
    else:
        said = f": {data['message']}" if data.get("message") else ""
        yield f"then     {event['time']}  {data.get('outcome', '?')} ({data['reason']}){said}"


def _decision(time: str, data: Mapping[str, Any]) -> Iterator[str]:
    verdict = data["verdict"]
    yield f"decision {data['decisionId']}  {time}"
    yield f"policy   {data['policy']['namespace']}/{data['policy']['name']}"
    yield f"device   {data['device']['namespace']}/{data['device']['name']}  on node {data['node']}"
    decided_by = f", by gate {verdict['decidedBy']}" if verdict.get("decidedBy") else ""
    yield f"verdict  {verdict['result']} ({verdict['reason']}){decided_by}: {verdict['message']}"
    if (wanted := data.get("recommendation")) is not None:
        yield f"wanted   {wanted['action']} {_values(wanted.get('limited') or wanted['input'])}"
    yield "inputs   " + ", ".join(f"{one['name']}={one.get('value')}" for one in data["inputs"])
    if outputs := (data.get("inference") or {}).get("outputs"):
        yield f"model    {_values(outputs)}"
    yield "gates"
    for gate in data["gates"]:
        name = f" {gate['name']}" if gate.get("name") else ""
        operands = f"  {_values(gate['operands'])}" if gate.get("operands") else ""
        margin = f"  margin {gate['margin']:g}" if gate.get("margin") is not None else ""
        yield f"  {gate['phase']:<8} {gate['gate']}{name}: {gate['reason']}{operands}{margin}"


def _values(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
