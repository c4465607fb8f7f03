"""`kubectl foreshore nodes --end-hold SITE`: a person ends the hold of a site.

look (the Site) ─► ask ─► write the annotation that names this very hold

The operator heeds it for the hold that it names, and only until the site is heard again; so it is
never wrong for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foreshore_api import conditions, meta, v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_cli import api, errors, objects, options, terminal

Confirm = Callable[[str], bool]
"""Asks a person; whether the answer is yes."""


def run(target: options.Target, sites: Sequence[str], confirm: Confirm) -> int:
    """End the holds of these sites, one question for all of them; return the exit code."""
    return end(api.connect(target), sites, confirm)


def end(server: api.Writes, sites: Sequence[str], confirm: Confirm) -> int:
    """End the holds of these sites.

    Raises:
        CommandError: one of them is not there, or not held; then nothing is written.
    """
    documents = server.list(meta.API_VERSION, v1alpha1.Site.plural, {})
    readable, strange = objects.read(v1alpha1.Site, documents)
    for unreadable in strange:
        terminal.say(f"{unreadable.name}: {unreadable.problem}")
    held = [_held(readable, name, server.namespace) for name in dict.fromkeys(sites)]
    waiting = [site for site in held if not _is_ended(site)]
    for site in held:
        if site not in waiting:
            terminal.say(f"site {site.name}: a person has ended its hold already")
    if waiting and not confirm(_question(waiting)):
        terminal.say("Nothing was changed.")
        return errors.EXIT_UNWELL
    for site in waiting:
        server.annotate(site, {meta.ANNOTATION_HOLD_ENDED: site.status.held_since or ""})
        terminal.say(f"site {site.name}: the hold of {site.status.held_since} is ended; what is"
                     " lost there moves as the pace of the site allows")  # fmt: skip
    return errors.EXIT_WELL


def _held(sites: Sequence[v1alpha1.Site], name: str, namespace: str) -> v1alpha1.Site:
    """Return the held Site of a name. Raises CommandError where there is none."""
    named = [site for site in sites if site.name == name]
    if not named:
        where = f"namespace {namespace}" if namespace else "any namespace"
        raise errors.CommandError(f"no Site {name!r} in {where}")
    for site in named:
        if site.status.held_since is not None:
            return site
    raise errors.CommandError(f"site {name} is not held: there is nothing to end")


def _is_ended(site: v1alpha1.Site) -> bool:
    return site.metadata.annotations.get(meta.ANNOTATION_HOLD_ENDED) == site.status.held_since


def _question(sites: Sequence[v1alpha1.Site]) -> str:
    lines = []
    for site in sites:
        held = conditions.find(site.status.conditions, conditions.Type.HELD)
        why = f": {held.reason}" if held is not None else ""
        silent = [node.node for node in site.status.verdicts if node.verdict == reasons.SITE_CUT]
        more = site.status.more_verdicts or 0
        count = f"{len(silent)} or more" if more else str(len(silent))
        named = ", ".join(silent[:5]) + (", …" if len(silent) > 5 else "")
        lines.append(f"site {site.name}, held since {site.status.held_since}{why};"
                     f" {count} silent nodes{f' ({named})' if named else ''}")  # fmt: skip
    lines.append("Their replicas are then placed elsewhere, though the nodes may work on unheard."
                 " End the hold?")  # fmt: skip
    return terminal.cleaned_lines(lines)
