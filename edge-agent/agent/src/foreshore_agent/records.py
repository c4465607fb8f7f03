"""`foreshore-agent records | why | verify`: what a state directory's journal says.

They work beside a running agent and after it.
"""

import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from foreshore_agent.exits import Exit, fail
from foreshore_api import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from foreshore_agent.journal import reader
    from foreshore_decision import naming

_FOLLOW_SECONDS: Final = 0.5
_MAXIMUM_CAUSE: Final = 200
"""Characters that say what of a journal cannot be read."""

_State = Annotated[
    Path, typer.Option(envvar="FORESHORE_STATE", help="State directory of the agent.")
]
_Device = Annotated[str | None, typer.Option(help="Only of this Device.")]
_Policy = Annotated[str | None, typer.Option(help="Only of this DecisionPolicy.")]
_Verdict = Annotated[str | None, typer.Option(help="Only this verdict, such as Commanded.")]
_Result = Annotated[
    str | None, typer.Option(help="Only this verdict or outcome, such as Commanded or Confirmed.")
]
_Since = Annotated[str | None, typer.Option(help="From this time on (RFC 3339).")]
_Until = Annotated[str | None, typer.Option(help="Before this time (RFC 3339).")]


def records(
    state: _State,
    device: _Device = None,
    policy: _Policy = None,
    verdict: _Result = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the newest so many.  [default: all]")
    ] = None,
    follow: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--follow", "-f", help="Wait for more.")
    ] = False,
) -> None:
    """Print records as JSON Lines, oldest first."""
    from collections import deque

    from foreshore_api.wire import record

    _check_word("--verdict", verdict, (*record.Verdict, *record.Outcome))
    filters = _filters(device, policy, verdict, since, until)
    with _opened(state) as journal:
        after = 0
        chosen: Iterable[tuple[int, dict[str, Any]]] = journal.events(filters)
        if limit is not None:
            chosen = deque(chosen, maxlen=limit)
        try:
            for number, event in chosen:
                after = number
                _print(event)
            while follow:
                time.sleep(_FOLLOW_SECONDS)
                for number, event in journal.events(filters, after):
                    after = number
                    _print(event)
        except (BrokenPipeError, KeyboardInterrupt):
            sys.stderr.close()  # whoever read has read enough


def why(
    state: _State,
    decision: Annotated[
        str | None,
        typer.Argument(help="Identity of a decision or of its command, or the beginning of it."),
    ] = None,
    last: Annotated[  # noqa: FBT002 - an option of the command line
        bool, typer.Option("--last", help="The newest decision.")
    ] = False,
    device: _Device = None,
    policy: _Policy = None,
    verdict: _Verdict = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """Explain one decision: the gate that decided, what it looked at, and what followed."""
    if (decision is None) != last:
        fail("say which decision: an identity, or --last", Exit.USAGE)
    from foreshore_api.wire import record

    _check_word("--output", output, ("text", "json"))
    _check_word("--verdict", verdict, tuple(record.Verdict))
    filters = _filters(device, policy, verdict, None, None)
    with _opened(state) as journal:
        wanted = journal.last_decision(filters) if decision is None else _named(journal, decision)
        bodies = journal.about(wanted) if wanted is not None else []
    from foreshore_decision import explain

    try:
        explanation = explain.of_events(bodies, wanted)
    except explain.UnknownDecisionError:
        fail(
            "there is no such decision in this journal; of a device that the agent has not heard"
            " there is none: its /readyz names such devices, its log says what was refused",
            Exit.FAILED,
        )
    if output == "json":
        import orjson

        found_out = explain.document(explanation)
        document = orjson.dumps(found_out, option=orjson.OPT_INDENT_2).decode()
        print(printable.escaped(document))  # noqa: T201 - the answer
    else:
        print("\n".join(explain.lines(explanation)))  # noqa: T201 - the answer


def verify(
    state: _State,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """Check every record, every link, what is missing, and the head.

    Exit code 1 names the first record that is not as it was written.
    """
    _check_word("--output", output, ("text", "json"))
    with _opened(state) as opened:
        verified = opened.verify()
    if output == "json":
        import dataclasses

        import orjson

        document = orjson.dumps(dataclasses.asdict(verified)).decode()
        print(printable.escaped(document))  # noqa: T201 - the answer
    else:
        for line in _verified(verified):
            print(printable.clean(line))  # noqa: T201 - the answer
    if verified.broken is not None:
        raise typer.Exit(Exit.FAILED)


def _verified(verified: "reader.Verified") -> "tuple[str, ...]":
    """Say what checking a journal came to, with cause and remedy."""
    broken, journal = verified.broken, verified.journal
    if broken is not None:
        until = f" to {broken.until}" if broken.until not in (None, broken.sequence) else ""
        return (
            f"journal {journal}: broken at record {broken.sequence}{until} ({broken.reason}):"
            f" {broken.reason.message}",
            broken.reason.remedy,
        )
    held = (
        "every link holds, every hole is stated, the head fits"
        if verified.is_stated
        else "every link holds; an older release wrote it, so what is missing is not vouched for:"
        " it is from the next start of an agent on"
    )
    return (
        f"journal {journal}: {verified.records} records, the newest {verified.last},"
        f" {verified.acknowledged} acknowledged; {held}",
    )


def _named(journal: "reader.Reader", written: str) -> str:
    """Return the identity of the one decision that is meant; ends the verb where it is not one."""
    from foreshore_decision import naming

    beginning = naming.identity(written)
    for exact in (written, beginning):
        if journal.about(exact):
            return exact
    events = journal.beginning_with(beginning, naming.SHOWN + 1)
    if events and naming.is_too_short(beginning):
        fail(naming.too_short(beginning), Exit.USAGE)
    if len(events) > 1:
        fail(naming.ambiguous(beginning, tuple(map(_candidate, events))), Exit.USAGE)
    return str(events[0]["data"]["decisionId"]) if events else beginning


def _candidate(event: "dict[str, Any]") -> "naming.DecisionCandidate":
    from foreshore_decision import naming

    data = event["data"]
    device = f"{data['device']['namespace']}/{data['device']['name']}"
    verdict = f"{data['verdict']['result']}/{data['verdict']['reason']}"
    return naming.DecisionCandidate(data["decisionId"], event["time"], device, verdict)


def _check_word(option: str, word: str | None, choices: "Sequence[str]") -> None:
    """End the verb at a word that the option does not know: it would choose nothing, silently."""
    if word is not None and word.casefold() not in {choice.casefold() for choice in choices}:
        fail(f"{option} is one of {', '.join(choices)}, not {word!r}", Exit.USAGE)


def _filters(
    device: str | None,
    policy: str | None,
    verdict: str | None,
    since: str | None,
    until: str | None,
) -> "reader.Filters":
    from foreshore_agent.journal import reader

    return reader.Filters(device, policy, verdict, _moment(since), _moment(until))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no time, such as 2026-03-01T10:00:00Z", Exit.USAGE)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@contextmanager
def _opened(state: Path) -> "Iterator[reader.Reader]":
    import sqlite3

    from foreshore_agent.journal import reader
    from foreshore_api.reasons import journal as reasons

    try:
        with reader.open_reader(state) as journal:
            yield journal
    except (reader.NoJournalError, reader.LogHeldError) as error:
        fail(str(error), Exit.USAGE)
    except (sqlite3.Error, OSError, ValueError, TypeError, KeyError) as error:
        cause = printable.clean(f"{type(error).__name__}: {error}")[:_MAXIMUM_CAUSE]
        what = f"the journal in {state} is not as it was written ({cause})"
        fail(f"{what}; {reasons.BREAK_REMEDY}", Exit.FAILED)


def _print(event: "dict[str, Any]") -> None:
    import orjson

    print(printable.escaped(orjson.dumps(event).decode()), flush=True)  # noqa: T201 - the answer
