"""Objects as an API server once listed them, and a stand-in that lists them again.

`server("well", namespace="hq")` answers what the command line asks, from YAML beside its tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from foreshore_api import v1alpha1

Json = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "unit/foreshore_cli/recorded"
KINDS = {kind.plural: kind.kind for kind in v1alpha1.KINDS} | {"decisions": "Decision"}


def documents(name: str) -> list[Json]:
    """The objects of one recording."""
    found: list[Json] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def find(name: str, kind: str, called: str) -> Json:
    """One object of a recording."""
    return next(
        one for one in documents(name) if (one["kind"], one["metadata"]["name"]) == (kind, called)
    )


@dataclass
class Server:
    """Lists recorded objects; remembers what it was asked."""

    namespace: str
    objects: list[Json]

    def __post_init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def list(
        self, api_version: str, plural: str, query: Mapping[str, str], *, limit: int | None = None
    ) -> Sequence[Json]:
        self.asked.append((plural, dict(query)))
        found = [
            one
            for one in self.objects
            if (one["apiVersion"], one["kind"]) == (api_version, KINDS[plural])
            and self.namespace in ("", one["metadata"].get("namespace", ""))
            and _is_selected(one, query.get("fieldSelector", ""))
        ]
        return found[:limit]

    def get(self, api_version: str, plural: str, name: str) -> Json:
        (found,) = self.list(api_version, plural, {"fieldSelector": f"metadata.name={name}"})
        return found


def server(*names: str, namespace: str = "hq", more: Sequence[Json] = ()) -> Server:
    """Recordings in one namespace; an empty one asks for all."""
    return Server(namespace, [*(one for name in names for one in documents(name)), *more])


def _is_selected(one: Json, selector: str) -> bool:
    terms = dict(term.split("=") for term in selector.split(",") if term)
    said = {"metadata.name": one["metadata"]["name"]}
    if one["kind"] == "Decision":
        data = one["decision"]
        said |= {key: data[key]["name"] for key in ("device", "policy")}
        said["verdict"] = data["verdict"]["result"]
    return all(said.get(key) == value for key, value in terms.items())
