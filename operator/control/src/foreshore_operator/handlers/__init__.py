"""Kopf, for the kinds that people edit: its handlers are what fills their mirrors.

    Kopf's thread                               the operator's loop
    on.event ─► handover (newest an object) ──► intake.note ─► mirror, dirty
    supervisor: ended ─► wait ─► again ───────► intake.ask (a list mends what was lost)
    on.probe, liveness endpoint ◄────────────── asked every few seconds ─► /healthz

handover    events from one thread to the other, in slices
login       the operator's credential for Kopf, with pauses while it is refused
quiet       settings and storages with which Kopf writes nothing and waits for nothing
supervisor  the thread: started at once on every replica, started again when Kopf ends
probing     whether Kopf's loop turns

Kopf has its own thread and its own event loop, because it cancels tasks that are not its own when
it stops, and a pass must not wait for it. Handlers are `on.event` alone: every other kind of
handler would leave finalizers or annotations on people's objects.
"""

from foreshore_operator.handlers.supervisor import Supervisor

__all__ = ["Supervisor"]
