"""Have a limited child look into a model file, for `foreshore-agent model inspect`.

    python -m foreshore_serving.inspection <parent pid> <file>

What is asked (`inspector.InspectionOrder`) comes on standard input as JSON; the fields of one
`foreshore_api.wire.inspection.ModelInspection` go to standard output. Small and light: it opens the
file, starts the child, waits, and joins what that wrote; a child that was killed has left what it
knew, and this says how it ended. Exit code 2: there is no such file to look into.
"""

import json
import os
import signal
import stat
import subprocess
import sys
from typing import Any, Final

from foreshore_serving import limits, supervise
from foreshore_serving.refusal import Reason

EXIT_USAGE: Final = 2
WAITING: Final = 2.0
GRACE_SECONDS: Final = 5.0
"""Wall-clock time beyond the child's CPU time: it sleeps nowhere, but others run beside it."""
MAXIMUM_REPORT_BYTES: Final = 8 << 20


def main(arguments: list[str]) -> int:
    """Look into a file, print; returns the exit code."""
    parent, path = arguments
    limits.follow_parent(int(parent))
    order = sys.stdin.buffer.read()
    try:
        # Not blocking: opening a pipe that nobody writes would never return.
        model = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        supervise.say(f"{path} cannot be read: {error.strerror}")
        return EXIT_USAGE
    if not stat.S_ISREG(os.fstat(model).st_mode):
        supervise.say(f"{path} is no regular file")
        return EXIT_USAGE
    report = os.memfd_create("report", os.MFD_CLOEXEC)
    seconds = float(json.loads(order)["seconds"])
    code = _run(model, report, order, WAITING * seconds + GRACE_SECONDS)
    fields = joined(_read(report))
    if ended := _ending(code, seconds):
        fields["findings"].append(ended)
    sys.stdout.write(json.dumps(fields))
    return 0


def _run(model: int, report: int, order: bytes, seconds: float) -> int | None:
    """Run the child to its end; returns its exit code, None if it was killed for its time."""
    numbers = [str(number) for number in (model, report, os.getpid())]
    command = [sys.executable, "-I", "-m", "foreshore_serving.inspector", *numbers]
    with supervise.memory_file(order) as sheet:
        process = subprocess.Popen(
            command,
            stdin=sheet,
            stdout=sys.stderr,
            pass_fds=(model, report),
            env=supervise.ENVIRONMENT,
        )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _read(report: int) -> list[bytes]:
    """Return the whole lines of a report; what is cut says nothing."""
    os.lseek(report, 0, os.SEEK_SET)
    with open(report, "rb") as file:
        lines = file.read(MAXIMUM_REPORT_BYTES).splitlines(keepends=True)
    return [line for line in lines if line.endswith(b"\n")]


def joined(lines: list[bytes]) -> dict[str, Any]:
    """Return the fields of all lines: a later one counts, and what it does not say stays.

    A finding stays beside those of later lines: what refuses a model takes nothing back.
    """
    fields: dict[str, Any] = {"size": 0, "digest": "", "findings": []}
    for line in lines:
        news = json.loads(line)
        news["findings"] = [*fields["findings"], *news.get("findings", ())]
        fields.update(news)
    return fields


def _ending(code: int | None, seconds: float) -> dict[str, str] | None:
    """Return the finding that an ending is; None for an orderly one."""
    if code == 0:
        return None
    if code is None or code == -signal.SIGXCPU:
        cause = f"loading and running it took more than {seconds:g} s of CPU time and were ended"
        remedy = "a smaller model, one that does not loop for ever, or a longer --load-seconds"
        return {"reason": Reason.LOAD_TIMEOUT, "message": cause, "remedy": remedy}
    cause = f"the child ended with {supervise.ending(code)} while it looked into the file"
    return {"reason": Reason.CRASHED, "message": cause}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
