"""The zoo for people: the table of exports, and the files themselves.

python tests/builders/zoo                   write the table (`make generate`)
python tests/builders/zoo --models FOLDER   write every file there (`make zoo`)
"""

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from builders.zoo import catalogue, table  # noqa: E402


def main() -> None:
    """Write the one or the other."""
    parser = argparse.ArgumentParser(prog="zoo", description="Models as exporters write them.")
    parser.add_argument("--models", type=Path, help="write every model into this folder")
    folder = parser.parse_args().models
    if folder is None:
        table.PAGE.parent.mkdir(exist_ok=True)
        table.PAGE.write_text(table.page())
        return
    folder.mkdir(parents=True, exist_ok=True)
    for entry in catalogue.ENTRIES:
        (folder / f"{entry.name}.onnx").write_bytes(catalogue.made(entry.name).body)


if __name__ == "__main__":
    main()
