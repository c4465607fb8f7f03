"""`make demo-devices`: stock devices on a broker with a password, one policy each, no cluster.

A Zigbee plug, a Tasmota relay, an ESPHome thermostat and the tags of a PLC gateway are decided for
and confirm by their own reports; a door is opened while the agent hears nothing; `discover` drafts
two of them. The devices are played, in their makers' dialects; broker and agent are real.
"""

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "cluster")]

from builders import room, shipped  # noqa: E402
from demo import view  # noqa: E402
from foreshore_agent import clocks  # noqa: E402
from foreshore_agent.devices.mqtt import connection  # noqa: E402
from foreshore_agent.journal import reader  # noqa: E402
from foreshore_agent.play import actor  # noqa: E402
from foreshore_agent.play.dialects import registry, speech, zigbee2mqtt  # noqa: E402
from foreshore_api.wire import record  # noqa: E402
from harness import mosquitto, process  # noqa: E402

USER = "foreshore"
PASSWORD = "only-for-this-demo"
CREDENTIAL = "shop-broker"
AGENT = str(Path(sys.executable).with_name("foreshore-agent"))
SECONDS = 60.0
"""For anything that is awaited: a busy machine takes its time."""
NEVER = 3600.0
EVERY = 0.5
"""Seconds between two measurements."""


class Shown(NamedTuple):
    """A device of the first chapter."""

    dialect: str
    profile: str
    device: str
    policy: str


SHOWN = (
    Shown("zigbee2mqtt", "zigbee2mqtt-plug", "hall-charger", "switch-off-when-charged"),
    Shown("tasmota", "tasmota-plug", "coffee-machine", "switch-off-when-idle"),
    Shown("esphome", "esphome-climate", "attic-thermostat", "lower-when-warm"),
    Shown("plc-gateway", "plc-gateway-fan", "line-1-cabinet", "cool-a-hot-cabinet"),
)
DOOR = ("zigbee2mqtt-contact", "cold-store-door", "cold-store-fan", "fan-follows-the-door")


class AmissError(Exception):
    """Something is not as it should be; the text says what."""


class Cable:
    """The wire between the agent and the broker, which can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.port = 0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Cable"]:
        """Lay it for as long as the block lasts."""
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Cut it."""
        self._is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        """Mend it."""
        self._is_cut = False

    async def _join(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if self._is_cut:
            back.transport.abort()
            return
        far, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends |= {back, there}
        await asyncio.gather(_carry(near, there), _carry(far, back))
        self._ends -= {back, there}


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on what comes, until one of both ends."""
    with contextlib.suppress(OSError):
        while part := await source.read(1 << 16):
            sink.write(part)
            await sink.drain()
    sink.transport.abort()


class Shop:
    """The site: its broker, its devices, its agent, and what the agent has recorded."""

    def __init__(self, folder: Path, broker: mosquitto.Broker, cable: Cable) -> None:
        self.folder = folder
        self.broker = broker
        self.cable = cable
        self.state = folder / "state"
        self.credentials = folder / "credentials"
        self.log = folder / "agent.log"
        self.heard: dict[str, str] = {}
        """What each played device heard last, by its name here."""

    def address(self) -> connection.Address:
        """Where played devices connect."""
        return connection.Address(
            self.broker.host,
            self.broker.port,
            credential=CREDENTIAL,
            credentials=self.credentials,
            is_plain=True,
        )

    @contextlib.asynccontextmanager
    async def play(self, device: speech.PlayedDialect, name: str) -> AsyncIterator[None]:
        """Let a device live for as long as the block lasts."""

        def overhear(is_own: bool, topic: str, body: bytes) -> None:
            if not is_own and body:
                self.heard[name] = f"{topic} {body.decode()}"

        played = actor.DialectActor(device, self.address(), clocks.SystemClock(), overhear)
        life = asyncio.create_task(played.run("demo", EVERY))
        try:
            await until(lambda: played.is_connected, "a played device is connected")
            yield
        finally:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    @contextlib.contextmanager
    def decide(self) -> Iterator[None]:
        """Run the agent for as long as the block lasts."""
        arguments: list[str | Path] = [
            *(AGENT, "run", "--resources", self.folder / "resources", "--state", self.state),
            *("--credentials", self.credentials, "--node", "edge-1", "--port", "0"),
        ]
        child = process.start(arguments, log=self.log)
        try:
            yield
            if child.poll() is not None:
                raise AmissError(f"the agent ended: {process.tail(self.log)}")
        finally:
            process.end(child)

    def recorded(self, kind: str, device: str) -> list[dict[str, Any]]:
        """The data of the agent's records of a kind about a device, oldest first."""
        try:
            with reader.open_reader(self.state) as opened:
                found = opened.events(reader.Filters(device=f"shop/{device}"))
                return [event["data"] for _, event in found if event["type"] == kind]
        except (reader.NoJournalError, sqlite3.OperationalError):  # the agent has only begun
            return []


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition. Raises AmissError."""
    try:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110 - what is awaited has no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AmissError(f"in {SECONDS:g} s it never came that {what}") from None


def write_resources(folder: Path, port: int) -> None:
    """Write the shipped resources that are shown: this broker, and policies that act."""
    folder.mkdir()
    wanted = {name for shown in SHOWN for name in (shown.profile, shown.device, shown.policy)}
    wanted |= {"shop", *DOOR}
    broker = {"host": "127.0.0.1", "port": port, "transport": "Plain", "credential": CREDENTIAL}
    acts = {"spec__mode": "Autonomous", "spec__record": {"routineSampleRate": "1"}}
    written: set[tuple[str, str]] = set()
    for dialect in dict.fromkeys(shown.dialect for shown in SHOWN):
        chosen: list[dict[str, Any]] = []
        for document in shipped.documents(dialect):
            kind, name = document["kind"], document["metadata"]["name"]
            if name not in wanted or (kind, name) in written:
                continue
            written.add((kind, name))
            changes: dict[str, Any] = {}
            if kind == "Site":
                changes = {"spec__broker": broker}
            elif kind == "DecisionPolicy":
                changes = acts
                if name == DOOR[3]:  # ask also while nothing is heard
                    changes = {**acts, "spec__trigger": {"afterSilence": "1s"}}
            chosen.append(room.changed(document, **changes))
        (folder / f"{dialect}.yaml").write_text(yaml.safe_dump_all(chosen, sort_keys=False))


async def tell(folder: Path) -> None:
    """Tell the story. Raises AmissError."""
    with mosquitto.Broker(folder / "broker", users={USER: PASSWORD}) as broker:
        async with Cable(broker.port).laid() as cable:
            shop = Shop(folder, broker, cable)
            broker.login(shop.credentials, CREDENTIAL, USER, PASSWORD)
            write_resources(folder / "resources", cable.port)
            async with contextlib.AsyncExitStack() as stack:
                view.chapter(
                    1,
                    "Four stock devices, one policy each",
                    "Nobody has written a program for them: examples/profiles/ says how each is"
                    " read and told. What confirms a command is the device's own report.",
                )
                for shown in SHOWN:
                    row = registry.choose(shown.profile)
                    await stack.enter_async_context(
                        shop.play(row.make(row.device, speech.DialectHabits()), shown.device)
                    )
                    view.fact(f"foreshore-agent play --profile {shown.profile}", "plays")
                with shop.decide():
                    await confirm(shop)
                    await draft(shop)
                    await open_the_door(shop, stack)


async def confirm(shop: Shop) -> None:
    """Show that each of the four was decided for, told, and has confirmed it."""
    rows = []
    for shown in SHOWN:
        device = shown.device

        def confirmed(device: str = device) -> dict[str, Any] | None:
            outcomes = shop.recorded(record.OUTCOME, device)
            return next((each for each in outcomes if each["reason"] == "EchoNear"), None)

        with view.waiting(f"{device}: decided, told, confirmed by its own report"):
            await until(confirmed, f"{device} confirmed a command")
        outcome = confirmed() or {}
        (decision,) = (
            data
            for data in shop.recorded(record.DECISION, device)
            if data["decisionId"] == outcome["decisionId"]
        )
        if decision["device"].get("fence") != "None" or outcome["outcome"] != "Confirmed":
            raise AmissError(f"{device}: {json.dumps(outcome)}")
        seconds = outcome["latency"].get("EndToEnd", 0.0)
        told = shop.heard.get(device, "nothing")
        rows.append((device, decision["verdict"]["reason"], told, f"{seconds * 1000:.0f} ms"))
    view.confirmations(rows)
    view.note(
        "Fence None: these devices check nothing, so that only harmless actions (hazard Low) are"
        " done on them, and each record says so."
    )


async def open_the_door(shop: Shop, stack: contextlib.AsyncExitStack) -> None:
    """Show that an old `closed` never outlives a newer `open`."""
    view.chapter(
        3,
        "A door across a broken connection",
        "A contact speaks only when the door moves. The agent's cable is cut, the door is opened,"
        " the cable is mended: was the fan ever decided for as if the door were still closed?",
    )
    profile, _, fan, _ = DOOR
    door = zigbee2mqtt.ZigbeeContact("Cold Store Door", speech.DialectHabits())
    plug = zigbee2mqtt.ZigbeePlug("Cold Store Fan", speech.DialectHabits())
    clock = clocks.SystemClock()
    played = actor.DialectActor(door, shop.address(), clock)
    life = asyncio.create_task(played.run("demo", NEVER))
    stack.callback(life.cancel)
    await stack.enter_async_context(shop.play(plug, fan))
    view.fact(f"foreshore-agent play --profile {profile}", "plays")

    def believed(value: bool | None, after: int = 0) -> dict[str, Any] | None:
        decisions = shop.recorded(record.DECISION, fan)[after:]
        return next((each for each in decisions if seen(each)[0] is value), None)

    with view.waiting("the agent knows that the door is closed"):
        await until(lambda: believed(value=True), "the door was known as closed")
    shop.cable.cut()
    cut = len(shop.recorded(record.DECISION, fan))
    with view.waiting("the cable is cut: what was known of the door is void"):
        await until(lambda: believed(value=None, after=cut), "the door's word was void")
    played.say([door.move(clock.now(), is_closed=False)])
    await asyncio.sleep(1.5)
    shop.cable.mend()
    with view.waiting("the door was opened meanwhile; the cable is mended"):
        await until(lambda: believed(value=False, after=cut), "the open door was known")
    with view.waiting("the fan was told, and says that it is off"):
        await until(lambda: not plug.load.is_on, "the fan was switched off")
    since = shop.recorded(record.DECISION, fan)[cut:]
    view.beliefs([(*seen(each), each["verdict"]["result"]) for each in since])
    if any(seen(each)[0] is True for each in since):
        raise AmissError("it was decided as if the door were closed, after the cable was cut")
    view.fact("decisions since the cut that took the door for closed", "0")
    life.cancel()


def seen(decision: dict[str, Any]) -> tuple[bool | None, str]:
    """What a decision took the door for, and why for nothing."""
    (door,) = (each for each in decision["inputs"] if each["name"] == "closed")
    if door.get("problem") is not None:
        return None, str(door["problem"])
    value = door.get("value")
    return value if isinstance(value, bool) else None, ""


async def draft(shop: Shop) -> None:
    """Show what `discover` makes of two of them, and that it can be used as it is."""
    view.chapter(
        2,
        "Drafts from what devices say",
        "`discover` listens and writes a DeviceProfile and a Device for what it understands, with a"
        " comment where it guessed. It never publishes.",
    )
    password = shop.folder / "password"
    password.write_text(PASSWORD)
    drafts = shop.folder / "drafts"
    where = f"{shop.broker.host}:{shop.broker.port}"
    filters = ("zigbee2mqtt/#", "tele/#", "stat/#")
    arguments = [
        *("discover", "--broker", where, "--username", USER, "--password-file", str(password)),
        *(part for name in filters for part in ("--filter", name)),
        *("--listen", "5s", "--write", str(drafts)),
    ]
    await run(*arguments)
    files = sorted(drafts.glob("*.yaml"))
    profiles = [
        document
        for file in files
        for document in yaml.safe_load_all(file.read_text())
        if document and document["kind"] == "DeviceProfile"
    ]
    topics = json.dumps(profiles)
    if "zigbee2mqtt/{" not in topics or "tele/{" not in topics:
        raise AmissError(f"no drafts of the plug and the relay: {[file.name for file in files]}")
    for file in files:
        if file.name != "site.yaml":
            view.excerpt(file.name, file.read_text())
    await run("lint", str(drafts))


async def run(*arguments: str) -> None:
    """Run a command of the agent, and show it with what it prints. Raises AmissError."""
    done = await asyncio.to_thread(
        subprocess.run, [AGENT, *arguments], capture_output=True, text=True, timeout=SECONDS
    )
    view.command(f"foreshore-agent {' '.join(arguments)}", done.stdout + done.stderr)
    if done.returncode:
        raise AmissError(f"foreshore-agent {arguments[0]} ended with {done.returncode}")


def main() -> int:
    """Tell the story and leave nothing behind."""
    view.devices_title()
    try:
        with tempfile.TemporaryDirectory(prefix="foreshore-demo-") as folder:
            asyncio.run(tell(Path(folder)))
    except (AmissError, process.HarnessError) as error:
        view.failure(str(error))
        return 1
    except KeyboardInterrupt:
        view.failure("interrupted")
        return 130
    view.console.print("\n[green]All as it should be.[/] Broker, agent and devices are gone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
