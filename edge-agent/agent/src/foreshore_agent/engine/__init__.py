"""The agent's engine: `step(state, event) -> (state, effects)`, pure.

The runtime feeds it events and carries effects out.

`events` come in, `effects` go out, `state` is everything between; `step` is the table of what each
event does. Nothing here reads a clock, a socket or a file: a recorded list of events gives the same
list of effects, always.
"""
