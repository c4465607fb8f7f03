"""A real Prometheus on loopback, as a child process, scraping what a test gives it.

    with prometheus.Prometheus(folder, targets=["127.0.0.1:9100"]) as server: server.url

A target is an address, with a path behind it where that is not `/metrics`. It scrapes each second.
`kill` pulls it out, `pause` hangs it: connections stay and nothing answers.
"""

import json
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from harness import process, programs

ADDRESS = "127.0.0.1"
ANSWER = 4 << 20


class Prometheus:
    """One server; its folder holds configuration, samples and log."""

    def __init__(self, folder: Path, *, targets: Sequence[str], address: str = ADDRESS) -> None:
        self.folder = folder
        self.address = address
        self.port = process.free_port()
        self.url = f"http://{address}:{self.port}"
        self.log = folder / "prometheus.log"
        self._child: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        scrape = {"job_name": "agents", "static_configs": [static(target) for target in targets]}
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [scrape],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it answers queries."""
        found = programs.find("prometheus")
        if found is None:
            raise process.MissingRequirementError("prometheus", programs.how_to_get("prometheus"))
        child = process.start(
            [
                found,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--web.listen-address={self.address}:{self.port}",
            ],
            log=self.log,
        )
        self._child = child

        def is_ready() -> bool:
            if child.poll() is not None:
                raise process.HarnessError(f"prometheus ended: {process.tail(self.log)}")
            return self._answers("/-/ready")

        process.eventually(is_ready, what="prometheus answers", timeout=60)
        return self

    def query(self, text: str) -> list[dict[str, Any]]:
        """The instant vector of a query, as of now."""
        body = f"query={urllib.parse.quote(text)}".encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/query", body, timeout=5) as answer:
            result: list[dict[str, Any]] = json.loads(answer.read(ANSWER))["data"]["result"]
            return result

    def kill(self) -> None:
        """End it without warning."""
        if self._child is not None:
            process.end(self._child, kill=True)
            self._child = None

    def pause(self) -> None:
        """Hang it."""
        if self._child is not None:
            self._child.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)
            process.end(self._child)
            self._child = None

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def static(target: str) -> dict[str, Any]:
    """What Prometheus is told of one target."""
    address, slash, path = target.partition("/")
    labels = {"__metrics_path__": f"/{path}"} if slash else {}
    return {"targets": [address], "labels": labels}
