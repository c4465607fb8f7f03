"""One cluster with the product a session; every test starts from a healthy site."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import world as worlds
from harness import cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs real nodes, and the time that real faults take."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(400, func_only=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    """A failed story says what the cluster looked like: it is gone when a person reads of it."""
    report: pytest.TestReport = yield
    world = getattr(item, "funcargs", {}).get("site")
    if call.excinfo is not None and isinstance(world, worlds.World):
        report.sections.append(("the cluster at that moment", world.describe()))
    return report


@pytest.fixture(scope="session")
def site(
    session_cluster: cluster.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[worlds.World]:
    """The installed product with the example applied and its device played."""
    with worlds.raised(session_cluster, tmp_path_factory.mktemp("world")) as world:
        world.until_redundant()
        world.play()
        world.until_deciding()
        yield world


@pytest.fixture
def world(site: worlds.World) -> Iterator[worlds.World]:
    """The site, healed before and after each test."""
    site.cluster.heal()
    site.until_redundant()
    site.until_deciding()
    yield site
    site.cluster.heal()
