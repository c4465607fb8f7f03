"""Where rows come from: a file of text, or one of Parquet, as cells of text either way."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from foreshore_agent.play import layout

PARQUET: Final = b"PAR1"
"""With which a file of Parquet begins and ends."""


class RowSource(Protocol):
    """A file of rows that can be read again and again."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def header(self) -> Sequence[str]:
        """Names of its columns."""

    @property
    def separator(self) -> str | None:
        """What stands between its columns; None where no text does."""

    @property
    def written(self) -> str:
        """How it is written, for a person."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it is read."""

    def rows(self, used: Collection[int]) -> Iterator[tuple[layout.RowPosition, Sequence[str]]]:
        """Yield each row's cells by the header's places; none of a row in which nothing stands.

        Cells of columns that are not in `used` may be missing words. Raises RecordingError.
        """


@dataclass(frozen=True, slots=True)
class TextSource:
    """A file of text."""

    path: Path
    form: layout.Layout

    @property
    def header(self) -> Sequence[str]:
        """Names of its columns."""
        return self.form.header

    @property
    def separator(self) -> str | None:
        """What stands between its columns."""
        return self.form.separator

    @property
    def written(self) -> str:
        """How it is written, for a person."""
        return self.form.written

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it is read."""
        return self.form.notes

    def rows(self, used: Collection[int]) -> Iterator[tuple[layout.RowPosition, Sequence[str]]]:
        """Yield each row's cells. Raises RecordingError."""
        del used  # a line is read as a whole
        return layout.rows(self.path, self.form)


def find(path: Path, *, has_row_names: bool = False) -> RowSource:
    """Return how a file is read, by what it is. Raises RecordingError."""
    if path.exists() and not path.is_file():
        raise layout.RecordingError(
            f"{path} is no file: a recording is read more than once, so save it as one"
        )
    try:
        with path.open("rb") as file:
            beginning = file.read(len(PARQUET))
    except OSError as error:
        raise layout.RecordingError(f"{path} cannot be read: {error}") from error
    if beginning == PARQUET or path.suffix.casefold() == ".parquet":
        from foreshore_agent.play import parquet  # the library costs memory and is not everywhere

        if has_row_names:
            raise layout.RecordingError(f"{path}: Parquet names all its columns; no --row-names")
        return parquet.find(path)
    return TextSource(path, layout.read(path, has_row_names=has_row_names))
