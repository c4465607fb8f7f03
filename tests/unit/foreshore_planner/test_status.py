"""What statuses say beyond conditions: counts, names, the mode in force."""

from typing import Any

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_planner import plan as planning
from foreshore_planner import snapshot


def status(seen: snapshot.Snapshot, kind: type[meta.Resource]) -> dict[str, Any]:
    """The status that a pass writes for the only object of a kind."""
    (row,) = (row for row in planning.plan(seen).statuses if row.kind == kind.kind)
    return row.status.document()


def version(name: str, *, of: str = "occupancy", **metadata: Any) -> v1alpha1.ModelVersion:
    """A version of a model, by name."""
    document = build.version(modelRef={"name": of}).document()
    return v1alpha1.ModelVersion.read({**document, "metadata": build.metadata(name, **metadata)})


def test_a_models_status_lists_the_versions_that_name_it_by_name() -> None:
    versions = (
        version("occupancy-v2"),
        version("occupancy-v1"),
        version("noise-v1", of="noise"),
        version("occupancy-v3", namespace="elsewhere"),
    )
    said = status(build.world(versions=versions), v1alpha1.Model)
    assert said["versionCount"] == 2
    assert said["versions"] == [
        {"name": "occupancy-v1", "digest": f"sha256:{'0' * 64}"},
        {"name": "occupancy-v2", "digest": f"sha256:{'0' * 64}"},
    ]


def test_a_model_without_versions_counts_none() -> None:
    assert status(build.world(versions=()), v1alpha1.Model)["versionCount"] == 0


def test_of_more_versions_than_fit_the_newest_are_listed_and_all_are_counted() -> None:
    created = [
        f"2026-03-01T09:{minute:02}:{second:02}Z" for minute in (0, 1) for second in range(60)
    ]
    # the newest has the first name
    versions = tuple(
        version(f"v{len(created) - age:03}", creationTimestamp=time)
        for age, time in enumerate(created)
    )
    said = status(build.world(versions=versions), v1alpha1.Model)
    assert said["versionCount"] == 120
    assert [one["name"] for one in said["versions"]] == [f"v{n:03}" for n in range(1, 101)]
