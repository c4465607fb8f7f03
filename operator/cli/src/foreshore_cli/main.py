"""`kubectl-foreshore`: the verbs, their options and their help. A verb is imported when it runs.

kubectl finds the program by its name on the PATH and runs it as `kubectl foreshore`. Help is plain
text on purpose: rich's panels alone would take twice the time that the rest of `--help` does.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from foreshore_api import programs
from foreshore_cli import asking, errors, options

application = typer.Typer(
    name="kubectl-foreshore",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 well; 1 something is to look at (status, lint); 2 wrong usage;"
    " 3 no answer: out of reach, forbidden, not found, not installed.",
)


def _examples(*lines: str) -> str:
    """Lines that help shows as they are, after everything else."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


STATUS_EXAMPLES: Final = _examples(
    "kubectl foreshore status -n hq",
    "kubectl foreshore status -A -o wide",
    "kubectl foreshore status -n hq --wait --wait-duration 2m",
    "kubectl foreshore status -A -o json | jq '.devices[] | select(.state != \"Ready\")'",
)
PLACEMENTS_EXAMPLES: Final = _examples(
    "kubectl foreshore placements -n hq",
    "kubectl foreshore placements ventilate-when-occupied -n hq -o wide",
    "kubectl foreshore placements -A --site hq -o yaml",
)
MOVE_EXAMPLES: Final = _examples(
    "kubectl foreshore move -A",
    "kubectl foreshore move ventilate-when-occupied --site hq -n hq",
    "kubectl foreshore move ventilate-when-occupied.hq --slot r0 --yes -n hq",
)
NODES_EXAMPLES: Final = _examples(
    "kubectl foreshore nodes -A",
    "kubectl foreshore nodes --site hq -n hq -o wide",
    "kubectl foreshore nodes edge-2 -n hq -o json",
    "kubectl foreshore nodes -n hq --end-hold hq",
)
WHY_EXAMPLES: Final = _examples(
    "kubectl foreshore why --device room-301 --last -n hq",
    "kubectl foreshore why --policy ventilate-when-occupied --verdict Denied -n hq",
    "kubectl foreshore why 0195cafe-0000-7000-8000-000000000001 -n hq -o json",
    "kubectl foreshore why 0195cafe -n hq",
)
WHY_PLACED_EXAMPLES: Final = _examples(
    "kubectl foreshore why-placed ventilate-when-occupied -n hq",
    "kubectl foreshore why-placed ventilate-when-occupied -n hq --node edge-3",
    "kubectl foreshore why-placed ventilate-when-occupied -n hq --at 2026-03-01T10:00:00Z",
)
LINT_EXAMPLES: Final = _examples(
    "kubectl foreshore lint -f room.yaml",
    "kubectl foreshore lint -f ./rooms -f ./models --strict",
    "kubectl foreshore lint -f ./rooms -o json | jq -r '.findings[].path'",
)


@application.callback()
def about(
    *,
    version: Annotated[
        bool, typer.Option("--version", **programs.version_option("kubectl-foreshore"))
    ] = False,
) -> None:
    """See how a Foreshore fleet stands, where its inference runs, and why it decided as it did.

    Everything is read through the Kubernetes API server with your kubeconfig and your rights, and
    nothing is written but what you are asked about first (move, nodes --end-hold). Answers go to
    standard output, everything else to standard error. NO_COLOR is heeded.
    """


@application.command(epilog=STATUS_EXAMPLES)
def status(
    *,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    output: options.OutputAs = options.OutputFormat.TABLE,
    wait: Annotated[
        bool, typer.Option("--wait", help="Look again until all is well, saying what changes.")
    ] = False,
    wait_duration: Annotated[
        str, typer.Option("--wait-duration", metavar="DURATION", help="Longest time to wait.")
    ] = "5m",
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    as_user: options.AsUser = None,
    request_timeout: options.Timeout = "10s",
) -> None:
    """Say on one screen whether everything is as it should be.

    Sites with their nodes and agents, devices with who may command them and under which epoch,
    policies with the mode that is in force, placements with their latency budget, models. Below
    the tables stands what to look at, with its reason.

    Foreshore itself comes first: whether the operator, which writes all this, still works, the hub
    answers and agents run. What you may not see of that is Unknown, not well.

    Exits with 0 only if everything is Ready and no condition says otherwise (Connected, Placed,
    BudgetMet, Redundant, Held, Degraded, ActuatorShared), so that a pipeline can wait on it. That a
    device alone is silent just now, or that nobody fences one, is a line and does not count.
    """
    from foreshore_cli import status as verb

    target = options.Target(
        namespace, all_namespaces, context, kubeconfig, as_user, request_timeout
    )
    raise typer.Exit(verb.run(target, output, selector, wait_duration if wait else None))


@application.command(
    short_help="Show where each policy infers, and why there.", epilog=PLACEMENTS_EXAMPLES
)
def placements(
    *,
    policy: Annotated[
        str | None,
        typer.Argument(metavar="POLICY", help="Only this policy, or <policy>.<site>."),
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="NAME", help="Only this site.")
    ] = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    output: options.OutputAs = options.OutputFormat.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    as_user: options.AsUser = None,
    request_timeout: options.Timeout = "10s",
) -> None:
    """Show where each policy infers, what that takes of its latency budget, and why there.

    A tree from policy to site: its replicas with node, phase and endpoint; the budget with what is
    measured, what is predicted and the share of each stage (each stage's own p99: tails do not add
    up); the nodes that were rejected, counted by reason; the last moves with their cause and what
    was seen.
    """
    from foreshore_cli import placements as verb

    target = options.Target(
        namespace, all_namespaces, context, kubeconfig, as_user, request_timeout
    )
    raise typer.Exit(verb.run(target, output, verb.Filter(policy, site, selector)))


@application.command(short_help="Confirm a move that waits for a person.", epilog=MOVE_EXAMPLES)
def move(
    *,
    policy: Annotated[
        str | None,
        typer.Argument(metavar="POLICY", help="Of this policy, or <policy>.<site>."),
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="NAME", help="At this site.")
    ] = None,
    slot: Annotated[
        str | None, typer.Option("--slot", metavar="SLOT", help="Of this replica, such as r0.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Confirm it without a question.")
    ] = False,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    output: options.OutputAs = options.OutputFormat.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    as_user: options.AsUser = None,
    request_timeout: options.Timeout = "10s",
) -> None:
    """Show what the operator would move under failover Manual, and confirm one of it.

    With nothing named, all that is proposed is listed. With a policy, the one proposal that fits is
    shown with its cause, what it costs and what would be lost, and confirmed when you say yes. The
    confirmation is of what you read: if another move is proposed meanwhile, it does nothing.
    """
    from foreshore_cli import move as verb

    target = options.Target(
        namespace, all_namespaces, context, kubeconfig, as_user, request_timeout
    )
    raise typer.Exit(verb.run(target, output, verb.Choice(policy, site, slot, yes)))


@application.command(
    short_help="Show how each node is judged, and on what evidence.", epilog=NODES_EXAMPLES
)
def nodes(
    *,
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Only this node.")] = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="NAME", help="Only nodes of this site.")
    ] = None,
    end_hold: Annotated[
        list[str] | None,
        typer.Option("--end-hold", metavar="SITE", help="End the hold of this site; again."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="End it without a question.")] = False,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    output: options.OutputAs = options.OutputFormat.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    as_user: options.AsUser = None,
    request_timeout: options.Timeout = "10s",
) -> None:
    """Show how each node is judged, since when and on what evidence, and what is on it.

    Nodes of the namespace's sites, with -A of all sites and of none. How often a node fell silent
    within the hour (FLAPS) says whether it is in quarantine: nothing new goes there, what is there
    stays.

    A site is held while too little is heard of it, or while many sites are dark together: nothing
    moves there. --end-hold ends that hold, and no later one: silent nodes are then judged as if the
    site were not held. It takes the right to patch Sites (ClusterRole foreshore-admin).
    """
    target = options.Target(
        namespace, all_namespaces, context, kubeconfig, as_user, request_timeout
    )
    if end_hold:
        if node is not None or site is not None:
            raise errors.UsageError("--end-hold names its sites: leave NODE and --site out")
        confirm = asking.confirmer(is_sure=yes)
        from foreshore_cli import holds

        raise typer.Exit(holds.run(target, end_hold, confirm))
    if yes:
        raise errors.UsageError("--yes answers the question of --end-hold")
    from foreshore_cli import nodes as verb

    raise typer.Exit(verb.run(target, output, verb.NodeFilter(node, site)))


@application.command(
    "why-placed",
    short_help="Explain why a policy infers where it does, and not elsewhere.",
    epilog=WHY_PLACED_EXAMPLES,
)
def why_placed(
    *,
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="The policy, or <policy>.<site>.")
    ],
    site: Annotated[
        str | None, typer.Option("--site", metavar="NAME", help="Only this site.")
    ] = None,
    slot: Annotated[
        str | None, typer.Option("--slot", metavar="SLOT", help="Only this replica, such as r0.")
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NAME", help="Why there, or why not there.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="The moves until then, such as 2026-03-01T10:00:00Z."
        ),
    ] = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    output: options.OutputAs = options.OutputFormat.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    as_user: options.AsUser = None,
    request_timeout: options.Timeout = "10s",
) -> None:
    """Explain why a policy infers where it does, why not elsewhere, and what would change that.

    Each replica with its node: what spoke for it, what is predicted, how busy the node is, what it
    costs. Nodes that were passed over with the first thing that spoke against them, and the
    smallest change that would let them serve. The last moves with their cause, what was seen, and
    which nodes were possible too. All of it from the placement's status; a node that status does
    not name is said to be none of those.
    """
    from foreshore_cli import why_placed as verb

    target = options.Target(
        namespace, all_namespaces, context, kubeconfig, as_user, request_timeout
    )
    moment = None if at is None else verb.moment(at)
    question = verb.PlacementQuestion(policy, site, slot, node, moment)
    raise typer.Exit(verb.run(target, output, question))


@application.command(short_help="Explain one decision, from its record.", epilog=WHY_EXAMPLES)
def why(
    *,
    identity: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="The decision as `kubectl get decisions` names it, the beginning of its name, or"
            " a command of it.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="The last one about this device.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="NAME", help="The last one of this policy.")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict", metavar="VERDICT", help="The last one that ended so, such as Denied."
        ),
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="The last one that fits; alone: the last of all.")
    ] = False,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    output: options.OutputAs = options.OutputFormat.TABLE,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    as_user: options.AsUser = None,
    request_timeout: options.Timeout = "10s",
) -> None:
    """Explain one decision: what was seen, what each gate said, which one decided, what came of it.

    From the durable record alone, never from a guess: the inputs with their age, the model's
    answer, every gate with its operands and how close it was, what would have changed the verdict,
    and what the device said afterwards. `-o json` holds the record and the explanation.
    """
    named = [name for name in (device, policy, verdict) if name is not None]
    if identity is not None and (named or last):
        raise errors.UsageError("an ID names one decision: leave --device, --policy, … out")
    if identity is None and not named and not last:
        raise errors.UsageError("which decision? Give an ID, or --device NAME, or --last")
    from foreshore_cli import why as verb

    target = options.Target(
        namespace, all_namespaces, context, kubeconfig, as_user, request_timeout
    )
    named_so = None if identity is None else verb.identity(identity)
    raise typer.Exit(verb.run(target, output, verb.Question(named_so, device, policy, verdict)))


@application.command(
    short_help="Check files of resources before they are applied.", epilog=LINT_EXAMPLES
)
def lint(
    *,
    filename: Annotated[
        list[str],
        typer.Option(
            "--filename", "-f", metavar="FILE", help="File, folder, or - for standard input; again."
        ),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    output: options.OutputAs = options.OutputFormat.TABLE,
) -> None:
    """Say what is wrong with files of resources: where, why, and what helps.

    Everything that the operator would refuse or not act on, in its own words, and warnings: a mode
    that is capped, nobody who fences, a field that nobody reads. No cluster is asked. What the
    files name and do not hold is a note: the cluster must have it.
    """
    from foreshore_cli import lint as verb

    raise typer.Exit(verb.run(filename, output, is_strict=strict))


def main() -> None:
    """Run the command line."""
    try:
        application()
    except errors.CommandError as error:
        print(f"error: {_fit(error)}", file=sys.stderr)  # noqa: T201 - a command line speaks
        sys.exit(error.exit_code)


def _fit(error: errors.CommandError) -> str:
    """Return an error's line: a server, or whoever named an object, may have written some of it.

    What cleans is loaded only for words that need it: a mistake is told at once.
    """
    message = str(error)
    if message.isprintable():
        return message
    from foreshore_api import printable

    return printable.clean(message)


if __name__ == "__main__":
    main()
