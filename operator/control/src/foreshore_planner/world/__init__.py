"""The planner as a fold: what is kept between passes, and what a change makes of it.

    delta ─► seen ─► verdicts ─► bonds ─► placements ─► rights ─► what goes ─► plan delta
                                                                 └─► statuses, made when asked

`plan(snapshot)` is the reference. The fold calls the same functions for one object, for those alone
that something changed for: `keys` says which. Pure: no clock, no I/O.
"""
