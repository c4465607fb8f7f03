"""A real Mosquitto on loopback, as a child process: the broker of component tests.

    broker = mosquitto.Broker(folder)          plain on a free port; nodelay=False: as Mosquitto is
                                                without a configuration, Nagle's algorithm and all
    broker = mosquitto.Broker(folder, tls=True) as the agents' chart ships it: client certificates
                                                only; `acl` says who may do what, else anybody all;
                                                who has a password of `logins`, at `password_port`
    broker = mosquitto.Broker(folder, users={"name": "password"})
                                                passwords, and nobody without; with `tls` over TLS
    broker.start() → .restart() / .kill() / .pause() / .resume() → .close()

The port stays the same over restarts. With `tls`, `identity(name)` issues a client its certificate.
"""

import base64
import hashlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from harness import certificates, process, programs

ADDRESS = "127.0.0.1"


def program() -> str:
    """Mosquitto's path: Debian keeps it where not every user's PATH looks."""
    found = programs.find("mosquitto")
    if found is None:
        raise process.MissingRequirementError("mosquitto", programs.how_to_get("mosquitto"))
    return found


SHIPPED = Path(__file__).parents[3] / "charts/foreshore-agent/files/mosquitto.conf"
HOME = "/etc/mosquitto/foreshore"
"""Where the shipped configuration expects certificate and access list."""
PORT = 8883
PASSWORD_PORT = 8884
EVERYBODY = "pattern readwrite #\n"
"""An access list for tests that are about something else: every certificate may do everything."""


def configuration(
    *,
    listeners: str,
    persistence: Path | None,
    root: bool,
    extra: str = "",
    nodelay: bool = True,
) -> str:
    """A broker's configuration.

    Nagle's algorithm, on by default, is switched off with `nodelay`: it costs 40 ms a QoS 1 round.
    """
    lines = [
        "per_listener_settings true",
        f"set_tcp_nodelay {'true' if nodelay else 'false'}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
        *_store(persistence),
        *_owner(root=root),
        listeners,
        extra,
    ]
    return "\n".join(lines) + "\n"


def shipped(
    home: str,
    *,
    port: int = PORT,
    address: str = "",
    persistence: Path | None = None,
    root: bool,
    extra: str = "",
    password_port: int | None = None,
) -> str:
    """The configuration that users get, with its files in `home`; nothing else differs.

    With `password_port` the listener with passwords, a comment there, is one that listens.

    Raises:
        HarnessError: the shipped file no longer has the lines that are moved.
    """
    text = SHIPPED.read_text()
    moves = [(f"listener {PORT}\n", f"listener {port} {address}".rstrip() + "\n")]
    if password_port is not None:
        text = _with_passwords(text)
        place = f"listener {password_port} {address}".rstrip()
        moves.append((f"listener {PASSWORD_PORT}\n", f"{place}\n"))
    if persistence is not None:
        moves.append(("persistence false\n", "\n".join([*_store(persistence), ""])))
    for before, after in moves:
        if text.count(f"\n{before}") != 1:
            raise process.HarnessError(f"{SHIPPED} must have one line {before.strip()!r}")
        text = text.replace(f"\n{before}", f"\n{after}")
    return "\n".join([text.replace(HOME, home), *_owner(root=root), extra, ""])


def _with_passwords(text: str) -> str:
    """The configuration with its second listener no longer a comment."""
    before, mark, after = text.partition(f"#   listener {PASSWORD_PORT}\n")
    block, end, rest = f"{mark}{after}".partition("#\n")
    return "".join((before, block.replace("#   ", ""), end, rest))


def _store(persistence: Path | None) -> list[str]:
    place = [f"persistence_location {persistence}/"] if persistence else []
    return [f"persistence {'true' if persistence else 'false'}", *place]


def _owner(*, root: bool) -> list[str]:
    return ["user root"] if root else []  # else it could not read the keys after dropping root


def plain_listener(port: int, address: str = "") -> str:
    """A listener without TLS that lets anybody in."""
    return f"listener {port} {address}\nallow_anonymous true"


def password_listener(port: int, folder: Path, address: str = "", *, tls: bool = False) -> str:
    """A listener that asks for a user name and a password."""
    lines = [
        f"listener {port} {address}",
        "allow_anonymous false",
        f"password_file {folder}/passwords",
    ]
    if tls:
        keys = (("cafile", "ca.crt"), ("certfile", "tls.crt"), ("keyfile", "tls.key"))
        lines += [f"{option} {folder}/tls/{name}" for option, name in keys]
    return "\n".join(lines)


def passwords(users: Mapping[str, str]) -> str:
    """A file of passwords."""
    return "".join(password_line(name, password) for name, password in users.items())


def password_line(name: str, password: str) -> str:
    """A line of a password file, as mosquitto_passwd writes it: PBKDF2 with SHA-512."""
    salt, rounds = os.urandom(12), 101
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    texts = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{name}:$7${rounds}${'$'.join(texts)}\n"


class Broker:
    """One Mosquitto process; its folder holds configuration, log, keys and, if asked, its store."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool = False,
        persistence: bool = False,
        port: int | None = None,
        extra: str = "",
        acl: str = EVERYBODY,
        nodelay: bool = True,
        host: str = ADDRESS,
        users: Mapping[str, str] | None = None,
        logins: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.host = host
        self.tls = tls
        self.port = port or process.free_port()
        self.password_port = process.free_port() if logins else None
        self.authority = certificates.Authority()
        self.log = folder / "mosquitto.log"
        self._child: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.authority.issue(host, "localhost").write(folder / "tls")
        store = folder / "store"
        store.mkdir(exist_ok=True)
        is_root = os.geteuid() == 0
        kept = store if persistence else None
        if users is not None:
            self.admit(users)
            listener = password_listener(self.port, folder, host, tls=tls)
            text = configuration(
                listeners=listener, persistence=kept, root=is_root, extra=extra, nodelay=nodelay
            )
        elif tls:
            self.grant(acl)
            text = shipped(
                str(folder),
                port=self.port,
                address=host,
                persistence=kept,
                root=is_root,
                extra=extra,
                password_port=self.password_port,
            )
            self.admit(logins or {})
        else:
            listener = plain_listener(self.port, host)
            text = configuration(
                listeners=listener, persistence=kept, root=is_root, extra=extra, nodelay=nodelay
            )
        (folder / "mosquitto.conf").write_text(text)

    def admit(self, users: Mapping[str, str]) -> None:
        """Write the passwords (of a broker with `users`); one that runs reads them again."""
        (self.folder / "passwords").write_text(passwords(users))
        if self._child is not None:
            self._child.send_signal(signal.SIGHUP)

    def grant(self, acl: str) -> None:
        """Write the access list (of a broker with `tls`); one that runs reads it again."""
        (self.folder / "acl").write_text(acl)
        if self._child is not None:
            self._child.send_signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start it and wait until it listens."""
        child = process.start([program(), "-c", self.folder / "mosquitto.conf"], log=self.log)
        self._child = child
        ports = [port for port in (self.port, self.password_port) if port is not None]

        def is_up() -> bool:
            if child.poll() is not None:
                raise process.HarnessError(f"mosquitto ended: {process.tail(self.log)}")
            return all(process.listens(self.host, port) for port in ports)

        process.eventually(is_up, what="mosquitto listens", timeout=10, interval=0.02)
        return self

    def stop(self) -> None:
        """Ask it to end: sessions are saved where persistence is on."""
        if self._child is not None:
            process.end(self._child)
            self._child = None

    def kill(self) -> None:
        """End it without warning, as a crash does."""
        if self._child is not None:
            process.end(self._child, kill=True)
            self._child = None

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Hang it: connections stay open and nothing answers."""
        if self._child is not None:
            self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.resume()
        self.stop()

    def login(self, credentials: Path, name: str, user: str, password: str) -> Path:
        """Write a client's user name and password into `<credentials>/<name>/`, as editors do."""
        place = credentials / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "username").write_text(f"{user}\n")
        (place / "password").write_text(f"{password}\n")
        if self.tls:
            (place / "ca.crt").write_bytes(self.identity(user).authority)
        return place

    def identity(self, name: str) -> certificates.Identity:
        """A client certificate with this common name, which the broker takes as the user's name."""
        return self.authority.issue(common_name=name)

    def credential(self, credentials: Path, name: str, user: str = "") -> Path:
        """Write a client's certificate into `<credentials>/<name>/` as the agent reads it.

        Its common name is `user`, or the credential's own name.
        """
        return self.identity(user or name).write(credentials / name)
