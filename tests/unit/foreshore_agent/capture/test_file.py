"""The file of a capture: appended to, gone on with after a crash, never torn or another's."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.capture import columns, file

HEADER = b"time,co2,mode\n"
ROWS = [
    columns.line([f"2026-03-01T10:00:0{number}.000000Z", str(number), text])
    for number, text in enumerate(["", 'say "eco",\nquietly', "x", "a\r\nb", '"'])
]
WHOLE = HEADER + b"".join(ROWS)


@contextmanager
def opened(path: Path, header: bytes = HEADER) -> Iterator[file.CaptureFile]:
    output = file.CaptureFile(path, header)
    try:
        yield output
    finally:
        output.close()


def test_a_new_file_begins_with_its_header(tmp_path: Path) -> None:
    with opened(tmp_path / "room.csv") as output:
        output.append(ROWS[0])
        output.sync()
        assert output.size == len(HEADER + ROWS[0])
        assert output.continued == file.Continued()
    assert (tmp_path / "room.csv").read_bytes() == HEADER + ROWS[0]


def test_a_file_is_gone_on_with_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "room.csv"
    path.write_bytes(WHOLE)
    with opened(path) as output:
        last = datetime(2026, 3, 1, 10, 0, 4, tzinfo=UTC)
        assert output.continued == file.Continued(rows=5, last=last)
        output.append(ROWS[0])
    assert path.read_bytes() == WHOLE + ROWS[0]


@given(st.integers(0, len(WHOLE)), st.sampled_from([0, 9, 1 << 19]))
def test_wherever_it_is_torn_the_whole_rows_stay_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, length: int, zeros: int
) -> None:
    tail = bytes(zeros)
    path = tmp_path_factory.mktemp("torn") / "room.csv"
    hypothesis.assume(length >= len(HEADER) or not zeros)  # else it is another header
    path.write_bytes(WHOLE[:length] + tail)
    ends = [len(HEADER) + sum(map(len, ROWS[:count])) for count in range(len(ROWS) + 1)]
    whole = [end for end in ends if end <= length]
    with opened(path) as output:
        assert output.continued.rows == max(0, len(whole) - 1)
        assert output.continued.cut == length + len(tail) - (whole[-1] if whole else 0)
        output.append(ROWS[2])
    assert path.read_bytes() == (WHOLE[: whole[-1]] if whole else HEADER) + ROWS[2]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"time,co2\n1,2\n", "begins with another header: 'time,co2", id="header"),
        pytest.param(b"\xef\xbb\xbf" + WHOLE, "another header", id="byte order mark"),
        pytest.param(WHOLE.replace(b"\n", b"\r\n"), "another header", id="line ends"),
        pytest.param(HEADER + b"yesterday,1,x\n", "does not begin with a time", id="time"),
        pytest.param(HEADER + b"2026-03-01T10:00:00,1,x\n", "does not begin with a", id="zone"),
        pytest.param(HEADER + b"\n", "does not begin with a time", id="an empty line"),
        pytest.param(HEADER + b"\xff,1,x\n", "does not begin with a time", id="no UTF-8"),
        pytest.param(HEADER + b"x" * (1 << 19), "is longer than", id="a long line"),
    ],
)
def test_another_file_is_refused_and_stays_as_it_is(
    tmp_path: Path, body: bytes, message: str
) -> None:
    path = tmp_path / "room.csv"
    path.write_bytes(body)
    with pytest.raises(file.CaptureFileError, match=message) as refused:
        file.CaptureFile(path, HEADER)
    assert "give another --output" in str(refused.value)
    assert path.read_bytes() == body


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null"), tmp_path / "none" / "room.csv"):
        with pytest.raises(file.CaptureFileError, match="give another --output"):
            file.CaptureFile(path, HEADER)


def test_two_captures_never_write_one_file(tmp_path: Path) -> None:
    with opened(tmp_path / "room.csv"), pytest.raises(file.CaptureFileError, match="another capt"):
        file.CaptureFile(tmp_path / "room.csv", HEADER)
    with opened(tmp_path / "room.csv") as output:
        assert output.continued == file.Continued()


def test_what_does_not_fit_any_more_leaves_no_torn_line(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path / "room.csv") as output:
        output.append(ROWS[0])
        resource.setrlimit(resource.RLIMIT_FSIZE, (output.size + len(ROWS[1]) + 3, before[1]))
        try:
            with pytest.raises(file.CaptureWriteError, match="may not grow any more"):
                output.append(ROWS[1] + ROWS[2])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        output.append(ROWS[3])
    assert (tmp_path / "room.csv").read_bytes() == HEADER + ROWS[0] + ROWS[3]


def test_a_full_disk_is_said_with_what_to_do() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(file.CaptureWriteError, match="disk is full; make room"):
        file.CaptureStream(full, "full", HEADER)
    os.close(full)


def test_a_reader_that_is_gone_ends_it() -> None:
    read, write = os.pipe()
    output = file.CaptureStream(write, "standard output", HEADER)
    os.close(read)
    with pytest.raises(file.CaptureWriteError, match="who read it is gone"):
        output.append(ROWS[0])
    os.close(write)


def test_a_reader_that_takes_nothing_is_not_waited_for_once_it_is_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file, "_PATIENCE", 0.1)
    read, write = os.pipe()
    output = file.CaptureStream(write, "standard output", HEADER)
    output.stop()
    with pytest.raises(file.CaptureWriteError, match="not taken in time"):
        output.append(b"x" * (1 << 20))
    os.close(read)
    os.close(write)


def test_a_terminal_shows_no_escape_sequences() -> None:
    master, terminal = os.openpty()
    output = file.CaptureStream(terminal, "standard output", HEADER)
    output.append(b"2026,1,\x1b]0;title\x07\n")
    shown = b""
    while b"title" not in shown:
        shown += os.read(master, 4096)
    assert b"\x1b" not in shown
    os.close(master)
    os.close(terminal)


KILLED = """
import os, signal, sys
from pathlib import Path
from foreshore_agent.capture import columns, file
output = file.CaptureFile(Path(sys.argv[1]), b"time,co2,mode\\n")
begin = output.continued.rows
for number in range(begin, begin + int(sys.argv[2])):
    output.append(columns.line([f"2026-03-01T10:00:00.{number:06}Z", str(number), "x"]))
os.write(output._file.fileno(), b"2026-03-01T10:00")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_again_and_again_no_row_is_lost_doubled_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "room.csv"
    for _ in range(3):
        subprocess.run([sys.executable, "-c", KILLED, str(path), "7"], check=False, timeout=60)
    with opened(path) as output:
        assert output.continued.rows == 21
    numbers = [line.split(",")[1] for line in path.read_text().splitlines()[1:]]
    assert numbers == [str(number) for number in range(21)]
