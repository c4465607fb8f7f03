"""The agent's engine: `step(state, event) -> Change(state, effects)`, pure.

The runtime feeds it events and carries effects out.

    events ──► step ──► effects          what happened, what follows, what is to be done
               │ turn                    who, where and when: what every step is given
               ├─ sampling, triggers     telemetry in, and what it sets off
               ├─ deciding, tensors      one decision, with the model between
               ├─ command                a command's life, as a table
               ├─ authority, belief      the right to each device
               └─ assigning              a new desired state
    state, durable                       everything between, and what of it survives a restart
    recording, view                      what the journal and others get to see

Nothing here reads a clock, a socket or a file: a recorded list of events gives the same list of
effects, always.
"""
