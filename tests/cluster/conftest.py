"""What the tests on a real API server get: one server a session, one namespace a test."""

from harness.fixtures import apiserver, cluster, namespace

__all__ = ["apiserver", "cluster", "namespace"]
