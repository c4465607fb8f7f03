"""`discover` for a person: from the options to a session, and from what was heard to the text."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydantic

from foreshore_agent.devices.mqtt import connection
from foreshore_agent.discover import compose, listen, render, words
from foreshore_api import addresses, resources, scalars
from foreshore_api.v1alpha1 import site as sites

MAXIMUM_SECONDS: Final = 3600.0
MAXIMUM_PASSWORD: Final = 65535
"""Bytes of a password, as MQTT can carry."""
MAXIMUM_FILTERS: Final = 32
MAXIMUM_FILTER: Final = 1024
"""Characters of a filter."""
_OWN: Final = "discover"
"""Name of the credential that a user's name and password make, and of a Site that is drafted."""


class DiscoverUsageError(ValueError):
    """The options make no sense; the text says which."""


class NothingHeardError(RuntimeError):
    """Nothing could be drafted; the text says why."""


USAGE_ERRORS: Final = (DiscoverUsageError,)
FAILURES: Final = (listen.ListeningError, NothingHeardError, OSError)


@dataclass(frozen=True, slots=True)
class DiscoverRequest:
    """What the person asked for."""

    broker: str
    credential_folder: Path | None
    credential: str | None
    username: str | None
    password_file: Path | None
    protocol: str
    listen: str
    filters: tuple[str, ...]
    site: str | None
    namespace: str
    output: str
    write: Path | None


def discover(request: DiscoverRequest, say: Callable[[str], None]) -> str:
    """Listen, draft, write; return what goes to standard output. Raises USAGE_ERRORS, FAILURES."""
    seconds = _checked(request)
    with _credentials(request) as (folder, name):
        broker = _broker(request, folder, name)
        address = connection.Address.of(broker, folder)
        filters = request.filters or listen.FILTERS
        say(f"listening to {addresses.joined(address.host, address.port)} for {seconds:g} s")
        heard = listen.listen(address, filters, seconds, say)
    say(f"{heard.messages} messages on {len(heard)} topics")
    if heard.left:
        say(f"{heard.left} messages were too many or too much: give a narrower --filter")
    site = request.site or _OWN
    discovery = compose.compose(heard, site=site, namespace=request.namespace)
    for line in render.left(discovery):
        say(line)
    if not discovery.drafts:
        raise NothingHeardError("no device was understood; listen longer, or give other filters")
    own = [] if request.site else [compose.site(site, request.namespace, broker)]
    say(_summary(discovery))
    return _written(request, own, discovery, say)


def _checked(request: DiscoverRequest) -> float:
    """Return the seconds to listen for. Raises DiscoverUsageError."""
    if request.output not in ("yaml", "json"):
        raise DiscoverUsageError(f"--output is yaml or json, not {request.output}")
    if request.protocol not in list(sites.Protocol):
        raise DiscoverUsageError(f"--protocol is V5 or V311, not {request.protocol}")
    if request.username is not None and request.credential is not None:
        raise DiscoverUsageError("--username and --credential both say who we are: give one")
    _check_filters(request.filters)
    names = (("a Site", request.site), ("a namespace", request.namespace))
    for what, name in (*names, ("a credential", request.credential)):
        if name is not None and not resources.is_name(name, 63):
            raise DiscoverUsageError(f"{name!r} is no name of {what}")
    try:
        seconds = scalars.seconds(request.listen)
    except ValueError as error:
        raise DiscoverUsageError(f"--listen: {error}") from error
    if not 0 < seconds <= MAXIMUM_SECONDS:
        raise DiscoverUsageError("--listen is above 0s and at most 1h")
    return seconds


def _check_filters(filters: Sequence[str]) -> None:
    if len(filters) > MAXIMUM_FILTERS:
        raise DiscoverUsageError(f"more than {MAXIMUM_FILTERS} times --filter")
    for given in filters:
        if not _is_filter(given):
            message = f"--filter {given!r}: + stands for a whole level of a topic, # for all last"
            raise DiscoverUsageError(message)


def _is_filter(text: str) -> bool:
    """Whether a text is a filter of topics; for any other a broker ends the session."""
    *before, last = text.split("/")
    levels = [level for level in (*before, last) if level != "+"]
    wild = [level for level in levels if "+" in level or "#" in level]
    is_plain = text.isprintable() and 0 < len(text) <= MAXIMUM_FILTER
    return is_plain and (not wild or (wild == ["#"] and last == "#"))


@contextmanager
def _credentials(request: DiscoverRequest) -> Iterator[tuple[Path | None, str | None]]:
    """Give the folder and the name of the credential; a user's name makes one for as long."""
    if request.username is None:
        yield request.credential_folder, request.credential
        return
    with tempfile.TemporaryDirectory() as made:
        place = Path(made) / _OWN
        place.mkdir(mode=0o700)
        (place / "username").write_text(request.username)
        if request.password_file is not None:
            secret = request.password_file.read_bytes()[:MAXIMUM_PASSWORD]
            (place / "password").write_bytes(secret.rstrip(b"\r\n"))
        yield Path(made), _OWN


def _broker(request: DiscoverRequest, folder: Path | None, credential: str | None) -> sites.Broker:
    """Return the broker that is meant. Raises DiscoverUsageError."""
    is_tls = (
        folder is not None and credential is not None and (folder / credential / "ca.crt").exists()
    )
    try:
        host, port = addresses.split(request.broker)
        return sites.Broker(
            host=host,
            port=port,
            protocol=sites.Protocol(request.protocol),
            transport=sites.Transport.TLS if is_tls else sites.Transport.PLAIN,
            credential=credential,
        )
    except (ValueError, pydantic.ValidationError) as error:
        message = f"--broker is HOST:PORT, such as broker.local:1883, not {request.broker!r}"
        raise DiscoverUsageError(message) from error


def _summary(discovery: compose.Discovery) -> str:
    devices = sum(len(draft.devices) for draft in discovery.drafts)
    return f"drafted {devices} Devices of {len(discovery.drafts)} DeviceProfiles"


def _written(
    request: DiscoverRequest,
    own: list[compose.DraftObject],
    discovery: compose.Discovery,
    say: Callable[[str], None],
) -> str:
    """Return the drafts as text, or write them to files and return nothing."""
    groups = {"site": own} if own else {}
    for draft in discovery.drafts:
        name = words.object_name(draft.profile.name, groups)
        groups[name] = [draft.profile, *draft.devices]
    every = [item for group in groups.values() for item in group]
    if request.write is None:
        return (
            render.as_json(every, discovery) if request.output == "json" else render.as_yaml(every)
        )
    request.write.mkdir(parents=True, exist_ok=True)
    paths = {request.write / f"{name}.{request.output}": group for name, group in groups.items()}
    present = [path for path in paths if path.exists()]
    if present:
        message = f"{present[0]} is there already: nothing was written, give another folder"
        raise DiscoverUsageError(message)
    for path, group in paths.items():
        is_json = request.output == "json"
        text = render.as_json(group, discovery) if is_json else render.as_yaml(group)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        say(f"wrote {path}")
    return ""
