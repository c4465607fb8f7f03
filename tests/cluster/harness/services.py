"""What a site has beside the cluster: its broker, and a server of model files.

Both are containers at addresses known in advance on the cluster's network, with certificates for
those addresses, so that an example can name them and a node that loses the cluster still has them.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from harness import certificates, docker, mosquitto, network, process, settings, toolbox

BROKER_PORT = mosquitto.PORT
PASSWORD_PORT = mosquitto.PASSWORD_PORT
USERS: Mapping[str, str] = {"hq-broker": "of the agents", "hq/hall-plug": "of a plug"}
"""Who comes in by a password, on networks that end with their test; names are the access list's."""
MODELS_PORT = 8443


class Container:
    """A container beside the cluster, with the verbs a test needs."""

    def __init__(self, name: str, owner: str, address: str, port: int) -> None:
        self.name = name
        self.owner = owner
        self.address = address
        self.port = port

    def stop(self) -> None:
        """Ask it to end."""
        docker.docker("stop", "-t", "10", self.name)

    def kill(self) -> None:
        """End it without warning, as a crash does."""
        docker.docker("kill", self.name)

    def start(self) -> Self:
        """Start it after `stop` or `kill`, where it stood."""
        docker.docker("start", self.name)
        self.wait()
        return self

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Hang it: connections stay open and nothing answers."""
        docker.pause(self.name)

    def resume(self) -> None:
        """Let it go on."""
        docker.docker("unpause", self.name)

    def close(self) -> None:
        """Remove it."""
        docker.remove(self.name)

    def wait(self) -> None:
        """Until it listens."""
        process.eventually(
            lambda: process.listens(self.address, self.port),
            what=f"{self.name} listens on {self.address}:{self.port}",
            timeout=30,
            interval=0.1,
        )


class Broker(Container):
    """The site's Mosquitto, configured as the agents' chart ships it.

    `credential` issues a client its certificate, `USERS` have passwords for the second port, and
    `grant` says who may do what: at first, nobody.
    """

    def __init__(self, owner: str, lan: network.Network, folder: Path) -> None:
        super().__init__(broker_name(owner), owner, lan.broker, BROKER_PORT)
        self.lan = lan
        self.folder = folder
        self.authority = certificates.Authority.at(folder / "authority")

    def run(self, *, persistence: bool = False) -> Self:
        """Start the broker anew."""
        self.authority.issue(self.address, "localhost").write(self.folder / "tls")
        (self.folder / "mosquitto.conf").write_text(
            mosquitto.shipped(
                "/broker",
                persistence=Path("/store") if persistence else None,
                root=True,
                password_port=PASSWORD_PORT,
            )
        )
        (self.folder / "passwords").write_text(mosquitto.passwords(USERS))
        self._access.touch()
        docker.run(
            self.name,
            toolbox.ensure(settings.read()),
            "mosquitto", "-c", "/broker/mosquitto.conf",
            owner=self.owner,
            options=[
                f"--network={self.lan.name}", f"--ip={self.address}",
                "-v", f"{self.folder}:/broker:ro", "-v", "/store",
            ],
        )  # fmt: skip
        self.wait()
        return self

    def grant(self, resources: Path) -> None:
        """Let the agents and devices of a folder of resources do what is theirs, as users do it."""
        program = Path(sys.executable).with_name("foreshore-agent")
        process.run(
            [program, "broker-acl", "--resources", resources, "--output", self._access], timeout=60
        )
        docker.docker("kill", "--signal=HUP", self.name)

    @property
    def _access(self) -> Path:
        return self.folder / "acl"

    def identity(self, name: str) -> certificates.Identity:
        """A client certificate whose common name the broker takes as the user's name."""
        return self.authority.issue(common_name=name)

    def credential(self, credentials: Path, name: str, user: str = "") -> Path:
        """Write a client's certificate into `<credentials>/<name>/` as the agent reads it.

        Its common name is `user`, or the credential's own name.
        """
        return self.identity(user or name).write(credentials / name)

    def log(self) -> str:
        """What the broker has logged."""
        return process.run(["docker", "logs", self.name])


class Models(Container):
    """An https server of the files in `files`."""

    def __init__(self, owner: str, lan: network.Network, folder: Path) -> None:
        super().__init__(f"{owner}-models", owner, lan.models, MODELS_PORT)
        self.lan = lan
        self.folder = folder
        self.files = folder / "files"
        self.authority = certificates.Authority.at(folder / "authority")

    def run(self) -> Self:
        """Start the server anew."""
        self.files.mkdir(parents=True, exist_ok=True)
        self.authority.issue(self.address).write(self.folder / "tls")
        docker.run(
            self.name,
            toolbox.ensure(settings.read()),
            "python3", "/usr/local/lib/foreshore/serve.py",
            "--folder=/models/files", "--certificate=/models/tls", f"--port={MODELS_PORT}",
            owner=self.owner,
            options=[
                f"--network={self.lan.name}", f"--ip={self.address}", "--init",
                "-v", f"{self.folder}:/models:ro",
            ],
        )  # fmt: skip
        self.wait()
        return self

    def url(self, file: str) -> str:
        """Where a file of that name is served."""
        return f"https://{self.address}:{self.port}/{file}"


def broker_name(owner: str) -> str:
    """The container of a cluster's broker."""
    return f"{owner}-broker"
