"""`model inspect` for a person: from the options to what a child says of each file, and to YAML."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreshore_agent import writing
from foreshore_agent.model import document, draft, examine, fit, recorded, suitability, view
from foreshore_api import printable, resources
from foreshore_api.wire import inspection

OUTPUTS: Final = ("text", "json", "yaml")
STANDARD_OUTPUT: Final = "-"
_NAMESPACE: Final = "default"
_LETTERS: Final = "abcdefgh"
"""Stand for names of features in an example."""


class InspectUsageError(ValueError):
    """The options make no sense together; the text says which."""


USAGE_ERRORS: Final = (
    InspectUsageError,
    examine.ExamineError,
    draft.DraftError,
    recorded.TryError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class InspectRequest:
    """What the person asked for."""

    files: tuple[Path, ...]
    output: str = "text"
    write: str | None = None
    """Folder, or `-`."""
    is_forced: bool = False
    name: str | None = None
    namespace: str = _NAMESPACE
    source: str | None = None
    features: tuple[str, ...] = ()
    window: str | None = None
    csv: Path | None = None
    mapped: tuple[str, ...] = ()
    has_row_names: bool = False
    rows: int = 5
    limit: int = 10_000
    seconds: float = examine.SECONDS
    is_terminal: bool = False


@dataclass(frozen=True, slots=True)
class InspectResult:
    """What goes to standard output, and how it went."""

    text: str
    is_supported: bool
    """Whether every file that was looked into is supported."""
    is_complete: bool
    """Whether every file was looked into."""


def inspect(request: InspectRequest, say: Callable[[str], None]) -> InspectResult:
    """Look into every file, try it, draft its resources. Raises USAGE_ERRORS.

    One file that cannot be read among several is said; the others are looked into all the same.
    """
    window = _checked(request)
    files = []
    for path in request.files:
        try:
            files.append(_file(path, request, window))
        except examine.ExamineError as error:
            if len(request.files) == 1:
                raise
            say(str(error))
    text = _text(request, files)
    if request.write is not None:
        drafts = _drafts(request, window, files, say)
        text = drafts if request.write == STANDARD_OUTPUT else text
    is_supported = all(file.verdict.is_supported for file in files)
    return InspectResult(text, is_supported, len(files) == len(request.files))


def _checked(request: InspectRequest) -> draft.WindowOption | None:
    """Return what `--window` says. Raises InspectUsageError, draft.DraftError."""
    if request.output not in OUTPUTS:
        raise InspectUsageError(f"--output is text, json or yaml, not {request.output}")
    if not resources.is_name(request.namespace, resources.LONGEST_NAMESPACE):
        raise InspectUsageError(f"{request.namespace!r} is no name of a namespace")
    single = {
        "--name": request.name,
        "--source": request.source,
        "--features": request.features,
        "--try": request.csv,
    }
    if len(request.files) > 1 and (given := [name for name, value in single.items() if value]):
        raise InspectUsageError(f"{', '.join(given)} is of one file: give the files one by one")
    if request.mapped and request.csv is None:
        raise InspectUsageError("--map says which column of --try CSV is which feature")
    if request.source is not None and not request.source.startswith("https://"):
        raise InspectUsageError(f"--source is https://…, not {request.source!r}")
    return draft.window(request.window)


def _file(
    path: Path, request: InspectRequest, window: draft.WindowOption | None
) -> document.InspectedFile:
    """Look into one file, and try it with a recording. Raises USAGE_ERRORS."""
    steps = None if window is None else window.steps
    asked = examine.Examination(seconds=request.seconds, steps=steps)
    inspected = examine.examine(path, asked)
    verdict = suitability.judge(inspected, str(path), steps)
    file = document.InspectedFile(str(path), inspected, verdict)
    if not verdict.is_supported:
        return file
    if len(request.files) == 1:
        _check_fit(inspected.inputs, request, window)
    if request.csv is None:
        return file
    return _tried(file, path, request, window)


def _check_fit(
    inputs: Sequence[inspection.InspectedTensor],
    request: InspectRequest,
    window: draft.WindowOption | None,
) -> None:
    """Refuse what was said of the inputs and is not so. Raises draft.DraftError."""
    draft.check_window(inputs, window)
    if request.features:
        draft.features(inputs, request.features)


def _tried(
    file: document.InspectedFile,
    path: Path,
    request: InspectRequest,
    window: draft.WindowOption | None,
) -> document.InspectedFile:
    """Ask a model with the rows of a recording. Raises USAGE_ERRORS."""
    if request.csv is None:
        return file
    inputs = file.inspected.inputs
    steps = _steps(inputs, window)
    named = draft.features(inputs, request.features)
    wanted = recorded.TriedRows(
        request.csv, request.mapped, request.limit, request.has_row_names, steps is not None
    )
    rows = recorded.read(wanted, inputs, named.by_input)
    if steps is not None and len(rows.rows) < steps:
        count = f"{request.csv} has {len(rows.rows)} rows that can be read"
        raise recorded.TryError(f"{count}, and a window holds {steps}")
    asked = examine.Examination(request.seconds, steps, rows.rows, request.rows)
    inspected = examine.examine(path, asked)
    verdict = suitability.judge(inspected, str(path), steps)  # a row may end what zeros do not
    if inspected.answers is None and verdict.is_supported:
        raise recorded.TryError("the answers are too long to be shown: fewer of them with --rows")
    return document.InspectedFile(str(path), inspected, verdict, rows._replace(steps=steps))


def _steps(
    inputs: Sequence[inspection.InspectedTensor], window: draft.WindowOption | None
) -> int | None:
    """Return the samples of a window; None where no input takes one. Raises draft.DraftError."""
    fits = [fit.fit(tensor.shape or ()) for tensor in inputs]
    wanted = {filling.steps for filling in fits if filling.is_windowed}
    if None in wanted and window is None:
        raise draft.DraftError("the model takes windows of samples: say how many with --window")
    steps = {window.steps if count is None and window else count for count in wanted}
    if len(steps) > 1:
        raise draft.DraftError("inputs take windows of different lengths: --try cannot ask so")
    return steps.pop() if steps else None


def _text(request: InspectRequest, files: Sequence[document.InspectedFile]) -> str:
    if request.output == "json":
        data = json.dumps(document.document(list(files)), indent=2, ensure_ascii=False)
        return printable.escaped(data) + "\n"
    if request.output == "yaml":
        return writing.as_yaml(document.document(list(files)))
    if not files:
        return ""
    shown = view.ModelView(is_terminal=request.is_terminal)
    if len(request.files) > 1:
        return shown.summary(files)
    return shown.page(files[0]) + _next_step(request, files[0])


def _next_step(request: InspectRequest, file: document.InspectedFile) -> str:
    """Return the line that drafts the resources, with what was said already."""
    if not file.verdict.is_supported or request.write is not None:
        return ""
    fits = [fit.fit(tensor.shape or ()) for tensor in file.inspected.inputs]
    words = ["foreshore-agent model inspect", shlex.quote(file.file)]
    if features := ",".join(request.features) or _example(fits):
        words.append(f"--features {features}")
    if window := request.window or _example_window(fits):
        words.append(f"--window {window}")
    given = {"--name": request.name, "--source": request.source}
    words += [f"{option} {shlex.quote(text)}" for option, text in given.items() if text]
    if request.namespace != _NAMESPACE:
        words.append(f"--namespace {request.namespace}")
    line = " ".join((*words, "--write FOLDER"))
    return f"to declare it: {printable.line(line)}\n"


def _example(fits: Sequence[fit.InputFit]) -> str:
    """Return letters for the features that the file does not name; empty where it names all."""
    if all(filling.features == 1 for filling in fits):
        return ""
    count = sum(filling.features or 2 for filling in fits)
    return f"{','.join(_LETTERS[:count])}{',…' * (count > len(_LETTERS))}"


def _example_window(fits: Sequence[fit.InputFit]) -> str:
    """Return what `--window` is to say; empty where no input takes one."""
    windowed = [filling for filling in fits if filling.is_windowed]
    return f"{windowed[0].steps or 'STEPS'}/EVERY" if windowed else ""


def _drafts(
    request: InspectRequest,
    window: draft.WindowOption | None,
    files: Sequence[document.InspectedFile],
    say: Callable[[str], None],
) -> str:
    """Return the drafts, or write them and return nothing. Raises DraftError, OSError."""
    folder = None if request.write in (None, STANDARD_OUTPUT) else Path(str(request.write))
    texts: dict[Path, str] = {}
    for file in files:
        if not file.verdict.is_supported:
            say(f"{file.file} is not supported as it is: nothing is written for it")
            continue
        asked = _draft_request(request, window, Path(file.file), folder)
        place = (folder or Path()) / f"{draft.model_name(asked)}-model.yaml"
        if place in texts:
            raise InspectUsageError(f"two files would be {place.name}: give --name to each")
        texts[place] = draft.render(file.inspected, asked)
    if folder is None:
        return "---\n".join(texts.values())
    _write(texts, say, is_forced=request.is_forced)
    for file in files:
        if file.verdict.is_supported and request.source is None:
            _say_where(Path(file.file), folder, say)
    return ""


def _draft_request(
    request: InspectRequest, window: draft.WindowOption | None, file: Path, folder: Path | None
) -> draft.DraftRequest:
    return draft.DraftRequest(
        file=file.name,
        source=request.source or _below(file, folder),
        name=request.name,
        namespace=request.namespace,
        features=request.features,
        window=window,
    )


def _below(file: Path, folder: Path | None) -> str:
    """Return the path of a file below the folder of the resources, where it is to be copied to."""
    if folder is not None and file.resolve().is_relative_to(folder.resolve()):
        return file.resolve().relative_to(folder.resolve()).as_posix()
    return file.name


def _write(texts: dict[Path, str], say: Callable[[str], None], *, is_forced: bool) -> None:
    """Write files, all or none. Raises InspectUsageError, OSError."""
    present = [path for path in texts if path.exists()]
    if present and not is_forced:
        message = f"{present[0]} is there already: nothing was written; --force replaces it"
        raise InspectUsageError(message)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
        say(f"wrote {path}")


def _say_where(file: Path, folder: Path, say: Callable[[str], None]) -> None:
    """Say that the model itself has to be put beside its resources."""
    if not file.resolve().is_relative_to(folder.resolve()):
        copied = f"cp {file} {folder / file.name}"
        say(f"put the model beside it: {copied}; or give --models {file.parent}")
