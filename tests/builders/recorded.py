"""Objects as an API server once listed them, and a stand-in that lists them again.

`server("well", namespace="hq")` answers what the command line asks, from YAML beside its tests.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from foreshore_api import meta, v1alpha1
from foreshore_cli import errors

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


def lease(age: float = 1.0, holder: str = "foreshore-operator-5d_1") -> Json:
    """The operator's Lease as it was renewed so many seconds ago."""
    renewed = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)
    return {
        "metadata": {"name": "foreshore-operator", "namespace": "foreshore-system"},
        "spec": {"holderIdentity": holder, "renewTime": renewed.isoformat()},
    }


LEASES = "/apis/coordination.k8s.io/v1/leases"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/foreshore-system/leases/foreshore-operator"
HUB = "/apis/records.foreshore.dev/v1alpha1"
DAEMON_SETS = "/apis/apps/v1/daemonsets"


@dataclass
class Server:
    """Lists recorded objects; remembers what it was asked.

    `found` answers for single paths, an exception is raised; by default operator and hub are well.
    """

    namespace: str
    objects: list[Json]
    found: dict[str, Any] = field(default_factory=dict)

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

    def find(self, path: str, api_version: str, query: Mapping[str, str] | None = None) -> Json:
        answers = {LEASES: {"items": [lease()]}, HUB: {}, **self.found}
        answer = answers.get(path, errors.ForbiddenError(f"{path} is forbidden"))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        found: Json = answer
        return found

    def one_of(self, api_version: str, plural: str, key: tuple[str, str]) -> Json:
        namespace, name = key
        for document in self.objects:
            metadata = document["metadata"]
            if (document["kind"], metadata["namespace"], metadata["name"]) == (
                KINDS[plural],
                namespace,
                name,
            ):
                return document
        raise errors.NoSuchObjectError(f"{name} not found")

    def annotate(self, resource: meta.Resource, annotations: Mapping[str, str]) -> None:
        key = (resource.namespace, resource.name)
        document = self.one_of(meta.API_VERSION, resource.plural, key)
        document["metadata"].setdefault("annotations", {}).update(annotations)

    def get(self, api_version: str, plural: str, name: str) -> Json:
        (found,) = self.list(api_version, plural, {"fieldSelector": f"metadata.name={name}"})
        return found


def server(*names: str, namespace: str = "hq", more: Sequence[Json] = ()) -> Server:
    """Recordings in one namespace; an empty one asks for all."""
    return Server(namespace, [*(one for name in names for one in documents(name)), *more])


def _is_selected(one: Json, selector: str) -> bool:
    terms = dict(term.split("=") for term in selector.split(",") if term)
    beginning = terms.pop("namePrefix", "")
    if not one["metadata"]["name"].startswith(beginning):
        return False
    said = {"metadata.name": one["metadata"]["name"]}
    if one["kind"] == "Decision":
        data = one["decision"]
        said |= {key: data[key]["name"] for key in ("device", "policy")}
        said["verdict"] = data["verdict"]["result"]
    return all(said.get(key) == value for key, value in terms.items())
