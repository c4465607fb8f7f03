"""Pytest fixtures that stand on the harness; a conftest imports the ones its folder wants."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import apiserver as plain
from harness import cluster as whole
from harness import settings


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[plain.ApiServer]:
    """A plain kube-apiserver with etcd, no controllers, no nodes."""
    with plain.ApiServer(tmp_path_factory.mktemp("apiserver")) as server:
        yield server


@pytest.fixture
def namespace(apiserver: plain.ApiServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test's own on the plain API server."""
    with apiserver.namespace(request.node.name) as name:
        yield name


@pytest.fixture(scope="session")
def session_cluster() -> Iterator[whole.Cluster]:
    """The session's cluster with real nodes; taken down afterwards, or by the next session."""
    chosen = settings.read()
    if chosen.provider is settings.Provider.EXISTING:
        yield whole.existing(chosen, Path(os.environ.get("KUBECONFIG", "~/.kube/config")))
        return
    if chosen.keep:
        yield whole.create(chosen.name, chosen)
        return
    with whole.owned(chosen.name, chosen) as made:
        yield made


@pytest.fixture
def cluster(session_cluster: whole.Cluster) -> Iterator[whole.Cluster]:
    """The session's cluster, whole before the test and whole again after it."""
    yield session_cluster
    if not isinstance(session_cluster, whole.Existing):
        session_cluster.heal()
