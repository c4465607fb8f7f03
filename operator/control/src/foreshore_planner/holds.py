"""What a Site says of its hold: that nothing moves there, since when, and who may end it how.

Called by `status`; whether a site is held, and whether a person has ended that, is `health`'s.
"""

from collections.abc import Iterator, Sequence

from foreshore_api import conditions, meta, scalars, v1alpha1
from foreshore_planner import health, phrases, snapshot


def of_site(
    site: v1alpha1.Site, verdicts: health.Health, nodes: Sequence[str]
) -> Iterator[phrases.Said]:
    """Say that a site is held, and how a person ends that; or that a person has."""
    name = site.metadata.name
    if name in verdicts.ended_holds:
        message = "a person ended this hold: silent nodes are judged as if the site were not held"
        yield (conditions.Type.HELD, conditions.Status.FALSE, conditions.Reason.HOLD_ENDED, message)
    elif verdicts.is_quiet(name, nodes):
        reason, message = (
            conditions.Reason.SITE_SILENT,
            "too little is heard of the site's nodes and agents",
        )
        if verdicts.is_fleet_held:
            reason, message = conditions.Reason.FLEET_SILENT, "many sites went dark together"
        way_out = f"kubectl foreshore nodes -n {site.namespace} --end-hold {name}"
        message = f"{message}: nothing moves until they are back, or {way_out}"
        yield (
            conditions.Type.HELD,
            conditions.Status.TRUE,
            reason,
            f"{message}{_of_another_hold(site)}",
        )


def _of_another_hold(site: v1alpha1.Site) -> str:
    """Say that a person ended another hold than this one, which is none of this one."""
    ended = site.metadata.annotations.get(meta.ANNOTATION_HOLD_ENDED)
    if not ended or site.status.held_since is None:
        return ""
    return f"; the annotation {meta.ANNOTATION_HOLD_ENDED} speaks of another hold: it ends none"


def since(
    site: v1alpha1.Site, verdicts: health.Health, nodes: Sequence[str], seen: snapshot.Snapshot
) -> str | None:
    """Return since when a site is held by the evidence, whether or not a person ended that."""
    name = site.metadata.name
    if name not in verdicts.ended_holds and not verdicts.is_quiet(name, nodes):
        return None
    return site.status.held_since or scalars.timestamp(seen.now)
