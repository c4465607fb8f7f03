"""`make demo`: the example on a cluster of its own; nodes die, a site is cut off, decisions go on.

Everything shown is read from the cluster through the product's own commands, or from the device's
own log.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "cluster")]

from demo import story, view  # noqa: E402
from harness import cluster, engine, process, settings  # noqa: E402

NAME = "foreshore-demo"


def main() -> int:
    """Tell the story and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the cluster up afterwards")
    chosen = parser.parse_args()
    was_running = engine.answers()
    try:
        engine.ensure()
        with (
            tempfile.TemporaryDirectory(prefix="foreshore-demo-") as folder,
            provided(keep=chosen.keep) as made,
        ):
            story.tell(made, Path(folder))
    except process.HarnessError as error:
        view.failure(str(error), getattr(error, "__notes__", ()))
        return 1
    except KeyboardInterrupt:
        view.failure("interrupted")
        return 130
    finally:
        view.farewell(kept=chosen.keep, engine_started=not was_running and engine.answers())
    return 0


@contextlib.contextmanager
def provided(*, keep: bool) -> Iterator[cluster.Cluster]:
    """A cluster of the demo's own, deleted afterwards unless it is to be kept."""
    view.title()
    if keep:
        yield cluster.create(NAME, settings.read())
        return
    with cluster.owned(NAME, settings.read()) as made:
        yield made


if __name__ == "__main__":
    sys.exit(main())
