"""How answers reach a person or a program: data on standard output, talk on standard error.

Every verb ends here. Nothing is said by colour or sign alone: a mark stands beside its word, and
has a twin for terminals that know no Unicode. What comes from the cluster may have been written by
anybody, so that all of it goes through `printable`.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import rich.cells
import rich.console
import rich.measure
import rich.table
import rich.text

from foreshore_api import printable
from foreshore_cli import options

WIDTH: Final = 100
"""Columns where nobody says how many there are: pipes, files, the output of a job."""
WIDE: Final = 250
"""Columns of `-o wide`, wherever it goes: as with kubectl, the terminal breaks its lines."""
MOST: Final = 1000
"""Columns that no table needs."""


class Mark(Enum):
    """How something stands: sign, its twin without Unicode, style."""

    GOOD = ("✓", "+", "green")
    CALM = ("○", "o", "blue")
    BUSY = ("◌", "~", "cyan")
    ODD = ("!", "!", "yellow")
    BAD = ("✗", "x", "red")

    @property
    def style(self) -> str:
        """The style of the sign and its word."""
        return self.value[2]

    def beside(self, word: str) -> rich.text.Text:
        """The word behind its mark."""
        sign = self.value[0] if speaks_unicode() else self.value[1]
        return rich.text.Text(f"{sign} {clean(word)}", style=self.style)


def speaks_unicode() -> bool:
    """Whether standard output can carry signs beyond ASCII."""
    return "utf" in (sys.stdout.encoding or "").lower()


def clean(value: object) -> str:
    """One line without characters that do more than to be read."""
    return printable.clean(value)


def cleaned_lines(lines: Sequence[str]) -> str:
    """Several lines, each without such characters."""
    return "\n".join(map(clean, lines))


def text(*parts: str | tuple[str, str] | rich.text.Text) -> rich.text.Text:
    """Parts in a row: plain words, (words, style), or text that is ready."""
    built = rich.text.Text()
    for part in parts:
        if isinstance(part, rich.text.Text):
            built.append_text(part)
        elif isinstance(part, tuple):
            built.append(printable.line(part[0]), style=part[1])
        else:
            built.append(printable.line(part))
    return built


def aligned(rows: Sequence[Sequence[rich.text.Text]]) -> list[rich.text.Text]:
    """One text a row, its cells padded so that columns stand under each other."""
    widths = [
        max(rich.cells.cell_len(cell.plain) for cell in column)
        for column in zip(*rows, strict=True)
    ]
    lines = []
    for row in rows:
        line = rich.text.Text()
        for cell, width in zip(row[:-1], widths, strict=False):
            line.append_text(cell)
            line.append(" " * (width - rich.cells.cell_len(cell.plain) + 2))
        line.append_text(row[-1])
        line.rstrip()
        lines.append(line)
    return lines


def console() -> rich.console.Console:
    """Standard output; rich itself heeds NO_COLOR, FORCE_COLOR, TERM and COLUMNS."""
    is_wide_known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return rich.console.Console(
        file=sys.stdout,
        width=None if is_wide_known else WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def show(*answers: rich.console.RenderableType, is_wide: bool = False) -> None:
    """Write answers for a person, without blanks at the ends of lines."""
    chosen = console()
    width = max(WIDE, chosen.width) if is_wide else chosen.width
    with chosen.capture() as captured:
        for answer in answers:
            chosen.width = max(width, _needs(answer, chosen))
            chosen.print(answer)
    lines = captured.get().splitlines()
    write("".join(f"{line.rstrip()}\n" for line in lines))


def _needs(answer: rich.console.RenderableType, chosen: rich.console.Console) -> int:
    """Columns below which a table would lose something; a narrow terminal breaks its lines."""
    if not isinstance(answer, rich.table.Table):
        return 0
    room = chosen.options.update(max_width=MOST)
    return rich.measure.Measurement.get(chosen, room, answer).minimum


def document(value: Any, output: options.OutputFormat) -> None:
    """Write an answer for a program."""
    if output is options.OutputFormat.YAML:
        import yaml

        rendered = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDTH)
        if not all(printable.is_fit(character) for character in rendered if character != "\n"):
            rendered = yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=WIDTH)
        write(rendered)
        return
    write(printable.escaped(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def write(content: str) -> None:
    """Write to standard output; what its encoding cannot carry becomes a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    sys.stdout.write(content)
    sys.stdout.flush()


def say(message: str) -> None:
    """Talk to the person, on standard error."""
    print(clean(message), file=sys.stderr)  # noqa: T201 - a command line speaks
