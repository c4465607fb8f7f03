"""Write the table of exports: `python tests/builders/zoo`, as `make generate` does."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from builders.zoo import table  # noqa: E402

table.PAGE.parent.mkdir(exist_ok=True)
table.PAGE.write_text(table.page())
