"""The plain API server is a real one: identities, tokens, restarts, and aggregated APIs."""

import http.server
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from harness import apiserver, certificates, process


def test_a_namespace_is_the_tests_own(apiserver: apiserver.ApiServer, namespace: str) -> None:
    assert namespace.startswith("test-a-namespace")
    assert "Active" in apiserver.kubectl("get", "namespace", namespace)


def test_a_certificate_makes_a_user(apiserver: apiserver.ApiServer) -> None:
    jane = apiserver.kubeconfig_for("jane", group="operators")
    review = whoami(apiserver, jane)
    assert review["username"] == "jane"
    assert "operators" in review["groups"]


def test_a_token_makes_a_service_account(apiserver: apiserver.ApiServer, namespace: str) -> None:
    account = apiserver.kubeconfig_for_account("default", namespace=namespace)
    review = whoami(apiserver, account)
    assert review["username"] == f"system:serviceaccount:{namespace}:default"


def test_state_survives_a_killed_server(tmp_path: Path) -> None:
    with apiserver.ApiServer(tmp_path) as server, server.namespace("survivor") as name:
        server.stop(kill=True)
        with pytest.raises(process.CommandError):
            server.kubectl("get", "namespace", name, "--request-timeout=2s")
        server.start()
        assert name in server.kubectl("get", "namespace", name)


def test_an_aggregated_api_is_reached_with_the_front_proxys_certificate(
    apiserver: apiserver.ApiServer, namespace: str, tmp_path: Path
) -> None:
    authority = certificates.Authority()
    served = authority.issue(f"ext.{namespace}.svc").write(tmp_path)
    seen: list[str | None] = []

    class Extension(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("X-Remote-User"))
            body = json.dumps(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": "ext.example/v1",
                    "resources": [],
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(served / "tls.crt", served / "tls.key")
    context.load_verify_locations(apiserver.folder / "keys" / "front-proxy" / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Extension) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        apiserver.extension_service(
            group="ext.example",
            version="v1",
            service="ext",
            namespace=namespace,
            port=server.server_address[1],
            authority=authority.certificate,
        )
        jane = apiserver.kubeconfig_for("jane", group="system:masters")
        apiserver.kubectl("--kubeconfig", str(jane), "get", "--raw", "/apis/ext.example/v1")
        server.shutdown()
    apiserver.kubectl("delete", "apiservice", "v1.ext.example")
    assert "jane" in seen


def whoami(server: apiserver.ApiServer, kubeconfig: Path) -> dict[str, Any]:
    """What the API server thinks of the bearer of a kubeconfig."""
    answer = server.kubectl("--kubeconfig", str(kubeconfig), "auth", "whoami", "-o", "json")
    info: dict[str, Any] = json.loads(answer)["status"]["userInfo"]
    return info
