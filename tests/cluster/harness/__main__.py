"""Lets the folder be run: `uv run python tests/cluster/harness --help`; what it does is in cli."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts the folder itself on the path; the package is what must be found
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    importlib.import_module("harness.cli").main()
