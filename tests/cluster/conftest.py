"""What the tests on a real API server get: one server a session, one namespace a test."""

from harness.fixtures import apiserver, namespace

__all__ = ["apiserver", "namespace"]
