"""`foreshore-agent capture` on a real Mosquitto: rows, ends, crashes, gaps, and what is said."""

import re
import signal
from pathlib import Path

import pytest
from paho.mqtt import publish

from builders import captured, room
from harness import mosquitto

pytestmark = pytest.mark.component

OCCUPIED = {"co2": 1200, "light": 400, "temperature": 21.5, "airflow": 120}
HEADER = "time,co2,light,temperature,airflow"


def rows(path: Path) -> list[str]:
    """The rows of a file without their times; each is whole."""
    text = path.read_text()
    assert text.endswith("\n")
    header, *lines = text.splitlines()
    assert header == HEADER
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z,", line) for line in lines)
    assert lines == sorted(lines)
    return [line.split(",", 1)[1] for line in lines]


def test_what_a_device_says_becomes_rows_and_it_says_how_it_went(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources, path = captured.room_of(tmp_path / "room", broker), tmp_path / "room.csv"
    with captured.Capture(resources, "room-301", path, "--rows", 4) as run:
        run.listens(broker)
        captured.measure(broker, OCCUPIED, {"co2": 1201}, b"no JSON", {"co2": "high", "light": 1})
        captured.measure(broker, {"light": 2}, {"light": 3})
        assert run.wait() == 0, run.words
    assert rows(path) == ["1200,400,21.5,120", "1201,,,", "!WrongType,1,,", ",2,,"]
    assert "4 rows into" in run.words
    assert "columns: co2 ([ppm]), light (lx), temperature (Cel), airflow (m3/h)" in run.words
    assert "refused of co2: 1 WrongType" in run.words
    assert "no row of 1 InvalidJSON" in run.words
    assert "values: co2 2, light 3, temperature 1, airflow 1" in run.words
    assert "of receipt, UTC" in run.words
    assert f"--csv {path} --time-column time --state" in run.words


def test_it_never_publishes_has_one_connection_and_no_will(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources = captured.room_of(tmp_path / "room", broker)
    with captured.Capture(resources, "room-301", tmp_path / "room.csv", "--rows", 1) as run:
        run.listens(broker)
        captured.measure(broker, OCCUPIED)
        assert run.wait() == 0, run.words
    log = broker.log.read_text()
    (client,) = set(re.findall(r"as (capture-\S+)", log))
    assert f"Received PUBLISH from {client}" not in log
    assert "No will message specified." in log.partition(client)[2]
    assert re.findall(r"(\S+) \(QoS \d\)", log) == ["hq/room-301/telemetry"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_whoever_asks_it_to_end_has_every_row_and_the_summary(
    number: int, broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources, path = captured.room_of(tmp_path / "room", broker), tmp_path / "room.csv"
    with captured.Capture(resources, "room-301", path) as run:
        run.listens(broker)
        captured.measure(broker, *({"co2": number} for number in range(50)))
        run.until_rows(path, 50)
        assert run.end(number) == 0, run.words
    assert len(rows(path)) == 50
    assert "50 rows into" in run.words
    assert "it was asked to end" in run.words


def test_killed_and_started_again_no_row_is_torn_or_doubled(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources, path = captured.room_of(tmp_path / "room", broker), tmp_path / "room.csv"
    for start in range(2):
        with captured.Capture(resources, "room-301", path) as run:
            run.listens(broker, start + 1)
            captured.measure(broker, *({"co2": 10 * start + number} for number in range(10)))
            run.until_rows(path, 10 * (start + 1))
            run.end(signal.SIGKILL)
        with path.open("ab") as file:
            file.write(b"2026-11-29T10:00:0")  # as a kill in the middle of a write leaves it
    with captured.Capture(resources, "room-301", path, "--rows", 21) as run:
        run.listens(broker, 3)
        captured.measure(broker, {"co2": 20})
        assert run.wait() == 0, run.words
    assert rows(path) == [f"{number},,," for number in range(21)]
    assert "a torn last line of 18 bytes was cut" in run.words
    assert "going on after 20 rows" in run.words
    assert "1 row into" in run.words
    with captured.Capture(resources, "room-301", path, "--rows", 21) as run:
        assert run.wait() == 0, run.words
    assert "has all the rows or bytes that it may have already" in run.words
    assert len(rows(path)) == 21


def test_a_broker_that_goes_away_is_waited_for_and_the_gap_is_said(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources, path = captured.room_of(tmp_path / "room", broker), tmp_path / "room.csv"
    with captured.Capture(resources, "room-301", path, "--rows", 2) as run:
        run.listens(broker)
        captured.measure(broker, OCCUPIED)
        run.until_rows(path, 1)
        broker.restart()
        run.listens(broker, 2)
        captured.measure(broker, {"co2": 900})
        assert run.wait() == 0, run.words
    assert rows(path) == ["1200,400,21.5,120", "900,,,"]
    assert re.search(r"the broker was away 1 time, [\d.]+ s in all", run.words)
    assert "has no broker" in run.words
    assert "the broker is back: a gap of" in run.words


def test_the_file_never_has_more_bytes_than_it_may(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources, path = captured.room_of(tmp_path / "room", broker), tmp_path / "room.csv"
    with captured.Capture(resources, "room-301", path, "--maximum-size", "1Ki") as run:
        run.listens(broker)
        captured.measure(broker, *({"co2": number} for number in range(100)))
        assert run.wait() == 0, run.words
    assert 1024 - 40 < path.stat().st_size <= 1024
    assert "beyond the 1024 bytes that it may have" in run.words
    assert f"{len(rows(path))} rows into" in run.words


def test_standard_output_has_rows_and_nothing_else(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources = captured.room_of(tmp_path / "room", broker)
    with captured.Capture(resources, "room-301", "-", "--rows", 1) as run:
        run.listens(broker)
        captured.measure(broker, OCCUPIED)
        assert run.wait() == 0, run.words
    header, line = run.output.splitlines()
    assert header == HEADER
    assert line.endswith("Z,1200,400,21.5,120")


def test_a_reader_of_standard_output_that_goes_ends_it_with_the_reason(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources = captured.room_of(tmp_path / "room", broker)
    with captured.Capture(resources, "room-301", "-") as run:
        run.listens(broker)
        assert run.process.stdout is not None
        run.process.stdout.close()
        captured.measure(broker, OCCUPIED)
        assert run.process.stderr is not None
        with run.process.stderr as stream:
            words = stream.read()
        assert run.process.wait(30) == 1
    assert "who read it is gone" in words
    assert "not written: 1 row" in words


def test_a_silent_device_is_no_success_and_the_topics_are_named(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources = captured.room_of(tmp_path / "room", broker)
    path = tmp_path / "room.csv"
    with captured.Capture(resources, "room-301", path, "--for", "2s") as run:
        run.listens(broker)
        captured.measure(broker, b"no JSON")
        assert run.wait() == 1, run.words
    assert "nothing usable came on hq/room-301/telemetry; 1 InvalidJSON" in run.words
    assert "remedy" in run.words


def test_a_broker_that_nobody_reaches_is_named(tmp_path: Path, broker: mosquitto.Broker) -> None:
    resources = captured.room_of(tmp_path / "room", broker, port=1)
    with captured.Capture(resources, "room-301", tmp_path / "room.csv", "--for", "1s") as run:
        assert run.wait() == 1, run.words
    assert "the broker was not reached: 127.0.0.1:1: " in run.words


def test_a_password_is_shown_and_a_wrong_one_is_said(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials" / "reader"
    credentials.mkdir(parents=True)
    (credentials / "username").write_text("reader")
    (credentials / "password").write_text("s3cret")
    folder, path = tmp_path / "room", tmp_path / "room.csv"
    users = {"reader": "s3cret"}
    words = ("--credentials", tmp_path / "credentials")
    with mosquitto.Broker(tmp_path / "b", users=users, extra="log_type debug") as broker:
        resources = captured.room_of(folder, broker, credential="reader")
        with captured.Capture(resources, "room-301", path, "--rows", 1, *words) as run:
            run.listens(broker)
            captured.measure(broker, OCCUPIED, auth={"username": "reader", "password": "s3cret"})
            assert run.wait() == 0, run.words
        (credentials / "password").write_text("guess")
        with captured.Capture(resources, "room-301", path, "--for", "1s", *words) as run:
            assert run.wait() == 1
    assert "not reached" in run.words
    assert "uthoriz" in run.words
    with captured.Capture(resources, "room-301", path) as run:
        assert run.wait() == 2, "without its folder nothing is begun"
    assert "reader" in run.words


def test_over_tls_an_access_list_that_lets_nothing_through_is_thought_of(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    with mosquitto.Broker(tmp_path / "b", tls=True, acl="user nobody\ntopic read x\n") as broker:
        broker.credential(credentials, "reader")
        tls = {"transport": "TLS", "credential": "reader"}
        resources = captured.room_of(tmp_path / "room", broker, **tls)
        words = ("--for", "2s", "--credentials", credentials)
        with captured.Capture(resources, "room-301", tmp_path / "room.csv", *words) as run:
            assert run.wait() == 1
    assert "on hq/room-301/telemetry: no message at all" in run.words
    assert "access list let this client hear them?" in run.words


def test_a_last_word_that_the_broker_keeps_begins_the_file(
    broker: mosquitto.Broker, tmp_path: Path
) -> None:
    spec = {
        "mqtt": {"telemetryTopic": "door", "availability": {"topic": "door/there"}},
        "properties": [
            {"name": "open", "type": "Boolean", "retained": "State"},
            {"name": "battery", "unit": "%"},
        ],
    }
    documents = [
        room.resource("DeviceProfile", "hq", "door", spec),
        room.resource("Device", "hq", "door", {"profileRef": {"name": "door"}, "site": "hq"}),
    ]
    resources = captured.write(captured.room_of(tmp_path / "room", broker), documents)
    publish.multiple(
        [("door", '{"open": true, "battery": 90}', 1, True), ("door/there", "online", 1, True)],
        hostname=broker.host,
        port=broker.port,
    )
    path = tmp_path / "door.csv"
    with captured.Capture(resources, "door", path, "--rows", 2) as run:
        run.listens(broker)
        run.until_rows(path, 1)
        publish.single("door/there", "offline", 1, hostname=broker.host, port=broker.port)
        run.hears(broker, 3)  # after the two that were kept
        publish.single("door", '{"battery": 89}', 1, hostname=broker.host, port=broker.port)
        assert run.wait() == 0, run.words
    lines = path.read_text().splitlines()
    assert [line.partition(",")[2] for line in lines] == ["open,battery", "true,", ",89"]
    assert (
        "what the broker had kept, older than its time by nobody knows how much: 1 row" in run.words
    )
    assert "hq/door was said to be offline 1 time:" in run.words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(("--for", "soon"), "--for: 'soon' is not a duration", id="duration"),
        pytest.param(("--for", "0s"), "--for is above 0s", id="no time"),
        pytest.param(("--maximum-size", "big"), "is not a quantity", id="size"),
        pytest.param(("--maximum-size", "2Ti"), "at most 1Ti", id="too large"),
        pytest.param(("--device", "room-301"), "named twice", id="twice"),
        pytest.param(("--device", "hq/room-301"), "named twice", id="twice by two names"),
        pytest.param(("--device", "room-302"), "one Device room-302", id="unknown"),
        pytest.param(("--output", "/"), "is no file", id="a folder"),
    ],
)
def test_wrong_usage_begins_nothing(
    words: tuple[str, ...], message: str, broker: mosquitto.Broker, tmp_path: Path
) -> None:
    resources = captured.room_of(tmp_path / "room", broker)
    with captured.Capture(resources, "room-301", tmp_path / "room.csv", *words) as run:
        assert run.wait() == 2
    assert message in run.words
    assert not (tmp_path / "room.csv").exists()
