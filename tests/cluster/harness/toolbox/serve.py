"""Serve a folder's files over https: what a ModelVersion's source points at.

serve.py --folder /files --certificate /tls --port 8443
"""

import argparse
import functools
import http.server
import ssl


class Files(http.server.SimpleHTTPRequestHandler):
    """Files of one folder, over connections that stay open."""

    protocol_version = "HTTP/1.1"


def main() -> None:
    """Serve until the container is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--certificate", required=True, help="folder with tls.crt and tls.key")
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{asked.certificate}/tls.crt", f"{asked.certificate}/tls.key")
    handler = functools.partial(Files, directory=asked.folder)
    with http.server.ThreadingHTTPServer(("", asked.port), handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.serve_forever()


if __name__ == "__main__":
    main()
