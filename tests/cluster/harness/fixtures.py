"""Pytest fixtures that stand on the harness; a conftest imports the ones its folder wants."""

from collections.abc import Iterator

import pytest

from harness import apiserver as plain


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
